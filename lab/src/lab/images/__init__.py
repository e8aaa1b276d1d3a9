"""Debian trees for nodes, and container images, made on this machine without any image registry."""

from lab.images.archive import digest, references
from lab.images.ensure import AT_START, REFERENCE, REQUIRED, Images, ensure
from lab.images.importing import load, take
from lab.images.trees import node_root

__all__ = [
    "AT_START",
    "REFERENCE",
    "REQUIRED",
    "Images",
    "digest",
    "ensure",
    "load",
    "node_root",
    "references",
    "take",
]
