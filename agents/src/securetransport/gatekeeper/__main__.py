"""Starts the gatekeeper."""

from __future__ import annotations

from securetransport.gatekeeper.app import Gatekeeper
from securetransport.gatekeeper.settings import GatekeeperSettings
from securetransport.runtime.main import run_agent


def main() -> None:
    """Run until told to stop."""
    run_agent("gatekeeper", GatekeeperSettings, Gatekeeper.builder())


if __name__ == "__main__":
    main()
