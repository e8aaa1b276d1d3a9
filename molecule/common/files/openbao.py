"""Ask OpenBao as the identity of Ansible, beside its modules: print what stands at each path.

Usage: ``openbao.py read|list|delete CONFIG PATH ...``; ``CONFIG`` is JSON with ``addresses``,
``ca_file`` and ``credentials_dir`` (with ``role-id`` and ``secret-id``). Prints one JSON object,
the answer by path; ``null`` where nothing is. No secret is an argument, and none is printed: the
identity may read none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import hvac
from requests.exceptions import ConnectionError as Unreachable


def logged_in(config: dict[str, Any]) -> hvac.Client:
    """Return a client of the first node that answers."""
    secrets = Path(config["credentials_dir"])
    role_id, secret_id = (
        (secrets / name).read_text(encoding="utf-8").strip() for name in ("role-id", "secret-id")
    )
    for address in config["addresses"]:
        client = hvac.Client(url=address, verify=config["ca_file"], timeout=10)
        try:
            client.auth.approle.login(role_id, secret_id)
        except Unreachable:
            continue
        return client
    sys.exit(f"no node answers at {', '.join(config['addresses'])}")


def main() -> None:
    """Do one thing to every path."""
    action, config, *paths = sys.argv[1:]
    client = logged_in(json.loads(config))
    answers: dict[str, Any] = {}
    for path in paths:
        if action == "delete":
            client.delete(path)
        answer = client.list(path) if action == "list" else client.read(path)
        answers[path] = answer["data"] if answer else None
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
