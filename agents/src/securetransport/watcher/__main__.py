"""Starts the watcher."""

from __future__ import annotations

from securetransport.runtime.main import run_agent
from securetransport.watcher.app import build
from securetransport.watcher.settings import WatcherSettings


def main() -> None:
    """Run until told to stop."""
    run_agent("watcher", WatcherSettings, build)


if __name__ == "__main__":
    main()
