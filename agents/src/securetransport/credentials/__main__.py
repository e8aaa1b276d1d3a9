"""``python -m securetransport.credentials --config FILE``."""

from __future__ import annotations

from securetransport.credentials.app import build
from securetransport.credentials.settings import CredentialsSettings
from securetransport.runtime.main import run_agent


def main() -> None:
    """Run it until it is told to stop."""
    run_agent("credentials", CredentialsSettings, build)


if __name__ == "__main__":
    main()
