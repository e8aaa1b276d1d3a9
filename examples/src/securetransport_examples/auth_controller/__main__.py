"""Starts the auth-controller."""

from __future__ import annotations

from securetransport.runtime.main import run_agent
from securetransport_examples.auth_controller.app import AuthController
from securetransport_examples.auth_controller.settings import AuthControllerSettings


def main() -> None:
    """Run until told to stop."""
    run_agent("auth-controller", AuthControllerSettings, AuthController.builder())


if __name__ == "__main__":
    main()
