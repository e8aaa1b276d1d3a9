"""Starts the gatekeeper."""

from __future__ import annotations

from securetransport.runtime.main import run_agent
from securetransport_examples.gatekeeper.app import Gatekeeper
from securetransport_examples.gatekeeper.settings import GatekeeperSettings


def main() -> None:
    """Run until told to stop."""
    run_agent("gatekeeper", GatekeeperSettings, Gatekeeper.builder())


if __name__ == "__main__":
    main()
