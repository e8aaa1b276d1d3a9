"""A wish to be served: open until a try that began after it was made has succeeded."""

from __future__ import annotations


class Demand:
    """Something newer is known to exist.

    It is over when a try that began after it succeeds; a try that fails, or that began before it,
    leaves it open.
    """

    __slots__ = ("_made", "_served")

    def __init__(self) -> None:
        self._made = 0
        self._served = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits."""
        return self._made > self._served

    def make(self) -> None:
        """Ask for a try that begins from now on."""
        self._made += 1

    def begin(self) -> int:
        """Return what a try that begins now serves; give it to :meth:`serve` when it succeeds."""
        return self._made

    def serve(self, began: int) -> None:
        """State that a try has succeeded."""
        self._served = max(self._served, began)
