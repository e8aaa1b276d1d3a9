"""Telling the gatekeeper how much to send: a file that it reads once a second."""

from __future__ import annotations

import json
from pathlib import Path


class LoadControl:
    """The control file of one gatekeeper.

    Args:
        path: Its ``load.control_file``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def order(self, rate: float) -> None:
        """Ask for ``rate`` requests per second; 0 stops the load."""
        partial = self._path.with_suffix(".tmp")
        partial.write_text(json.dumps({"rate": rate, "stop": rate == 0}), encoding="utf-8")
        partial.replace(self._path)

    def release(self) -> None:
        """Let the gatekeeper go on at the rate that it is configured with."""
        self._path.unlink(missing_ok=True)
