"""Say in JSON what this interpreter lacks to run the agents and the modules of the collection.

Reads only. Argument: one JSON object with ``minimum_python`` (two numbers), ``minimum_package``
(a version) and ``values``: objects with ``name``, ``kind`` and ``value``, which are judged as the
agents judge them at their start. Prints ``{"problems": [line, ...]}``.
The syntax is old on purpose: a too old Python must be able to say that it is one.
"""

import importlib.util
import json
import sys

PACKAGE = "securetransport"
MODULES = ("cryptography", "hvac", "nats", "requests", "supervisor")


def numbers_of(version):
    """Return the leading numbers of a version, for a comparison by size."""
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return numbers


def find_problems(wanted):
    """Return one line for each thing that is not as it must be."""
    minimum = tuple(wanted["minimum_python"])
    if sys.version_info[:2] < minimum:
        return [
            "%s is Python %d.%d, the agents need %d.%d or later; set securetransport_python"
            % ((sys.executable,) + tuple(sys.version_info[:2]) + minimum)
        ]
    # Python 3.7 does not have it.
    from importlib import metadata

    needed = wanted["minimum_package"]
    install = "run: %s -m pip install '%s>=%s'" % (sys.executable, PACKAGE, needed)
    try:
        present = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ["%s has no package %s; %s" % (sys.executable, PACKAGE, install)]
    if numbers_of(present) < numbers_of(needed):
        return [
            "%s has %s %s, this collection needs %s or later; %s"
            % (sys.executable, PACKAGE, present, needed, install)
        ]
    missing = [
        "%s cannot import %s; run: %s -m pip install %s"
        % (sys.executable, name, sys.executable, name)
        for name in MODULES
        if importlib.util.find_spec(name) is None
    ]
    return missing or value_problems(wanted["values"])


def host_in_a_url(text, parse):
    """Check a host that the roles put in front of a port."""
    if ":" in parse(text) and not text.startswith("["):
        raise ValueError("%r: write an IPv6 address in brackets" % text)


def value_problems(values):
    """Return one line for each value that an agent would refuse when it starts."""
    # The package is known to be there now.
    from securetransport.core.base import names
    from securetransport.core.base import values as checks

    kinds = {
        "service": names.parse_service,
        "instance": names.parse_replica,
        "server": names.parse_replica,
        "trust_domain": names.parse_trust_domain,
        "host": lambda text: host_in_a_url(text, checks.parse_host),
        "ip": checks.parse_ip,
        "port": checks.parse_port,
        "url": lambda text: checks.parse_url(text, "https", "tls", "nats"),
        "duration": checks.parse_duration,
        "identity": lambda text: names.instance_id(*text.split("/", 1)),
    }
    problems = []
    for entry in values:
        try:
            kinds[entry["kind"]](entry["value"])
        except ValueError as error:
            problems.append("%s: %s" % (entry["name"], error))
    return problems


if __name__ == "__main__":
    print(json.dumps({"problems": find_problems(json.loads(sys.argv[1]))}))
