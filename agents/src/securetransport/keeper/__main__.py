"""Starts a keeper, or with ``exec-server`` the server that waits for one."""

from __future__ import annotations

import sys

from securetransport.core.base.errors import ConfigError, SecureTransportError
from securetransport.keeper.app import become_server, build
from securetransport.keeper.exec_server import COMMAND
from securetransport.keeper.settings import KeeperSettings
from securetransport.runtime.main import EXIT_FATAL, run_agent


def main() -> None:
    """Run what the first argument says; see ``keeper.exec_server`` for the second form."""
    if sys.argv[1:2] != [COMMAND]:
        run_agent("keeper", KeeperSettings, build)
    try:
        become_server(sys.argv[2:])
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"securetransport-keeper: {problem}\n")
        sys.exit(ConfigError.EXIT_CODE)
    except SecureTransportError as error:
        sys.stderr.write(f"securetransport-keeper: {error}\n")
        sys.exit(EXIT_FATAL)


if __name__ == "__main__":
    main()
