"""Debian trees for nodes, and container images, made on this machine without any image registry."""

from lab.images.trees import node_root

__all__ = ["node_root"]
