"""The shape in which the core is given random bytes; it draws none itself.

Who seals, names or spreads something passes a source: the process its operating system's, a
simulation a repeatable one. Keys that a library makes (signing and KEM keys) are its own matter.
"""

from __future__ import annotations

from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""Number of bytes to that many bytes, which nobody can predict."""
