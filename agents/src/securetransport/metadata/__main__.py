"""``python -m securetransport.metadata``: the authority."""

from __future__ import annotations

from securetransport.metadata.app import build
from securetransport.metadata.settings import MetadataSettings
from securetransport.runtime.main import run_agent


def main() -> None:
    """Run one instance until it is told to stop."""
    run_agent("metadata", MetadataSettings, build)


if __name__ == "__main__":
    main()
