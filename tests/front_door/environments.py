"""Terminals of real people: each must make no difference to what the front commands say."""

from __future__ import annotations

from collections.abc import Mapping

from checkout import Terminal

NOWHERE = "/nowhere/at/all"
_PROXY = "http://127.0.0.1:9"

HARMLESS: dict[str, Terminal] = {
    "a proxy for everything": Terminal(
        {"HTTP_PROXY": _PROXY, "HTTPS_PROXY": _PROXY, "ALL_PROXY": "socks5h://127.0.0.1:9"}
    ),
    "a proxy in lower case": Terminal(
        {"http_proxy": _PROXY, "https_proxy": _PROXY, "all_proxy": "socks5h://127.0.0.1:9"}
    ),
    "an odd NO_PROXY": Terminal({"HTTPS_PROXY": _PROXY, "NO_PROXY": ", *.example,[::1]:80 ,"}),
    "another CA": Terminal({"REQUESTS_CA_BUNDLE": NOWHERE, "SSL_CERT_FILE": NOWHERE}),
    "another OpenBao": Terminal(
        {"BAO_ADDR": "http://x", "VAULT_ADDR": "http://x", "VAULT_TOKEN": "s.x", "BAO_TOKEN": "x"}
    ),
    "LC_ALL=C": Terminal({"LC_ALL": "C"}),
    "LC_ALL=POSIX": Terminal({"LC_ALL": "POSIX"}),
    "a locale that is not installed": Terminal({"LC_ALL": "en_US.UTF-8", "LANG": "en_US.UTF-8"}),
    "a locale of one byte": Terminal({"LC_ALL": "de_DE.ISO-8859-1"}),
    "no locale": Terminal(without=("LANG",)),
    "Turkish": Terminal({"LANG": "tr_TR.UTF-8", "LC_CTYPE": "tr_TR.UTF-8"}),
    "another Python's modules": Terminal({"PYTHONPATH": "/usr/lib/python2.7:" + NOWHERE}),
    "every warning an error": Terminal({"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"}),
    "Python without assertions": Terminal({"PYTHONOPTIMIZE": "2", "PYTHONIOENCODING": "latin-1"}),
    "another environment": Terminal({"VIRTUAL_ENV": NOWHERE, "PYENV_VERSION": "9.9.9"}),
    "pip's settings": Terminal({"PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": NOWHERE}),
    "no home": Terminal(without=("HOME",)),
    "a home that is not there": Terminal({"HOME": NOWHERE}),
    "home is the root": Terminal({"HOME": "/"}),
    "no user": Terminal(without=("USER",)),
    "a dumb terminal": Terminal({"TERM": "dumb", "COLUMNS": "10", "LINES": "1"}),
    "no terminal": Terminal(without=("TERM",)),
    "colours wanted": Terminal({"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}),
    "make's own settings": Terminal({"MAKEFLAGS": "-j8 -w", "SHELL": "/bin/false", "CDPATH": "/"}),
    "nothing for others": Terminal(umask=0o077),
    "everything for others": Terminal(umask=0),
    "few open files": Terminal(open_files=128),
    "no standard input": Terminal(is_stdin_closed=True),
}

# Python itself obeys these before any program has a say; the Makefile keeps them out.
PYTHON: dict[str, Terminal] = {
    "another Python's home": Terminal({"PYTHONHOME": NOWHERE}),
    "Python that waits": Terminal({"PYTHONINSPECT": "1", "PYTHONSTARTUP": NOWHERE}),
}

# Settings of a person's own Ansible. The Makefile keeps them out; a program that the person starts
# without it may be refused by Ansible itself.
ANSIBLE: dict[str, Terminal] = {
    name: Terminal({name: value})
    for name, value in {
        "ANSIBLE_BECOME": "1",
        "ANSIBLE_CALLBACKS_ENABLED": "no.such.callback,timer",
        "ANSIBLE_CHECK_MODE_MARKERS": "1",
        "ANSIBLE_COLLECTIONS_PATH": NOWHERE,
        "ANSIBLE_CONFIG": NOWHERE,
        "ANSIBLE_DEBUG": "1",
        "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1",
        "ANSIBLE_FORCE_COLOR": "1",
        "ANSIBLE_FORKS": "1",
        "ANSIBLE_GATHERING": "smart",
        "ANSIBLE_HASH_BEHAVIOUR": "merge",
        "ANSIBLE_HOME": NOWHERE,
        "ANSIBLE_INVENTORY": NOWHERE,
        "ANSIBLE_INVENTORY_ENABLED": "ini",
        "ANSIBLE_JINJA2_EXTENSIONS": "jinja2.ext.do",
        "ANSIBLE_LOG_PATH": NOWHERE,
        "ANSIBLE_PIPELINING": "0",
        "ANSIBLE_PYTHON_INTERPRETER": "/bin/false",
        "ANSIBLE_ROLES_PATH": NOWHERE,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_STRATEGY": "free",
        "ANSIBLE_TRANSPORT": "ssh",
        "ANSIBLE_VAULT_PASSWORD_FILE": NOWHERE,
        "ANSIBLE_VERBOSITY": "4",
    }.items()
}

# What no program can work with; it says so.
TOO_LITTLE: dict[str, Terminal] = {
    "a TMPDIR that is not there": Terminal({"TMPDIR": NOWHERE}),
    "a TMPDIR that is a file": Terminal({"TMPDIR": "/etc/passwd"}),
    "hardly any open files": Terminal(open_files=12),
}


def joined(*terminals: Terminal) -> Terminal:
    """Return one terminal that has what all of them have; of two values the later one counts."""
    return Terminal(
        variables={name: text for held in terminals for name, text in held.variables.items()},
        without=tuple(name for held in terminals for name in held.without),
        umask=terminals[-1].umask,
        open_files=min((held.open_files for held in terminals if held.open_files), default=None),
        is_stdin_closed=any(held.is_stdin_closed for held in terminals),
    )


def bundles(terminals: Mapping[str, Terminal], size: int = 5) -> list[list[str]]:
    """Return the names in groups whose terminals do not set the same thing, so that none hides."""
    found: list[tuple[list[str], set[str]]] = []
    for name, terminal in terminals.items():
        sets = {*terminal.variables, *terminal.without}
        sets |= {"umask"} if terminal.umask != Terminal().umask else set()
        for names, taken in found:
            if len(names) < size and not sets & taken:
                names.append(name)
                taken.update(sets)
                break
        else:
            found.append(([name], sets))
    return [names for names, _ in found]
