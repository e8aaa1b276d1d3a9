"""The programs of a cluster, built from the Go module proxy into a content-addressed cache."""

from lab.toolchain.builder import ensure, missing
from lab.toolchain.entries import Tools
from lab.toolchain.families import FAMILIES, REQUIRED, Family

__all__ = ["FAMILIES", "REQUIRED", "Family", "Tools", "ensure", "missing"]
