"""Say in JSON what this machine lacks to carry one cluster of the local platform.

Reads only. Argument: one JSON object with ``state_dir`` (an absolute path), ``minimum_free_bytes``,
``programs``, ``marker`` and ``former_dir`` (empty, or where an older edition kept the data).
Prints ``{"problems": [line, ...]}``.
"""

import json
import os
import shutil
import sys

# A Unix socket's path has at most 107 bytes on Linux, 103 elsewhere.
SOCKET_PATH_BYTES = 103
LONGEST_SOCKET = "services/supervisor.sock"


def existing_parent(path):
    """Return the nearest directory above ``path``, or itself, that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def find_problems(wanted):
    """Return one line for each thing that is not as it must be."""
    problems = []
    state_dir = wanted["state_dir"]
    for path in wanted["programs"]:
        if shutil.which(path) is None:
            problems.append("program %s is missing; install it or name another" % path)
    parent = existing_parent(state_dir)
    free = shutil.disk_usage(parent).free
    if free < wanted["minimum_free_bytes"]:
        problems.append(
            "%s has %d MiB free, %d MiB are needed (local_platform_minimum_free_bytes)"
            % (parent, free >> 20, wanted["minimum_free_bytes"] >> 20)
        )
    if not os.access(parent, os.W_OK):
        problems.append("%s is not writable; set local_platform_state_dir" % parent)
    if len(os.fsencode(os.path.join(state_dir, LONGEST_SOCKET))) > SOCKET_PATH_BYTES:
        problems.append(
            "%s is too long for a Unix socket in it; set local_platform_state_dir" % state_dir
        )
    is_ours = os.path.isfile(os.path.join(state_dir, wanted["marker"]))
    if os.path.isdir(state_dir) and os.listdir(state_dir) and not is_ours:
        problems.append(
            "%s is not empty and was not made by this role; name another directory" % state_dir
        )
    former = wanted["former_dir"]
    if former and not is_ours and os.path.isfile(os.path.join(former, wanted["marker"])):
        problems.append(
            "the first edition kept the data of this inventory in %s, and they are there; go on"
            " with them by local_platform_state_dir: %s, or remove them by teardown.yml with that"
            % (former, former)
        )
    return problems


if __name__ == "__main__":
    print(json.dumps({"problems": find_problems(json.loads(sys.argv[1]))}))
