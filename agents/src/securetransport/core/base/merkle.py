"""Merkle trees as RFC 6962 builds them: leaves and inner nodes are hashed with different prefixes.

The prefixes (``0x00`` leaf, ``0x01`` node) keep a node from passing as a leaf. Trees need not be
full: a tree of ``n`` leaves splits at the largest power of two below ``n``.

Used by the Directory, the rotation log and the batch form of message signatures.

Source: RFC 6962, section 2.1; RFC 9162, section 2.1.3.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Return ``SHA-256(0x00 || data)``."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return ``SHA-256(0x01 || left || right)``."""
    return hashlib.sha256(_NODE + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below ``size``; ``size`` is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def tree_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the tree hash over leaf hashes; of no leaves it is ``SHA-256("")``."""
    size = len(leaf_hashes)
    if size == 0:
        return EMPTY_ROOT
    if size == 1:
        return leaf_hashes[0]
    middle = _split(size)
    return node_hash(tree_root(leaf_hashes[:middle]), tree_root(leaf_hashes[middle:]))


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the sibling hashes from leaf ``index`` upwards.

    Raises:
        ValueError: There is no such leaf.
    """
    size = len(leaf_hashes)
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is outside a tree of {size}")
    if size == 1:
        return ()
    middle = _split(size)
    if index < middle:
        return (
            *inclusion_proof(leaf_hashes[:middle], index),
            tree_root(leaf_hashes[middle:]),
        )
    return (
        *inclusion_proof(leaf_hashes[middle:], index - middle),
        tree_root(leaf_hashes[:middle]),
    )


def inclusion_proofs(leaf_hashes: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """Return the root and the proof of every leaf; all subtrees are hashed once.

    The same as :func:`tree_root` and :func:`inclusion_proof` for each index, in O(n log n).
    """
    size = len(leaf_hashes)
    if size <= 1:
        return tree_root(leaf_hashes), [()] * size
    middle = _split(size)
    left_root, left = inclusion_proofs(leaf_hashes[:middle])
    right_root, right = inclusion_proofs(leaf_hashes[middle:])
    proofs = [(*proof, right_root) for proof in left] + [(*proof, left_root) for proof in right]
    return node_hash(left_root, right_root), proofs


def root_from_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that a proof leads to; the caller compares it with the signed one.

    Args:
        leaf: Leaf hash, already computed by :func:`leaf_hash`.
        index: Position of the leaf.
        size: Number of leaves of the tree; must be authenticated by the caller.
        proof: Sibling hashes from the leaf upwards.

    Raises:
        ValueError: Index, size and proof length do not belong together, or a hash is not 32 bytes.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is outside a tree of {size}")
    if any(len(item) != HASH_BYTES for item in (leaf, *proof)):
        raise ValueError(f"a hash of the proof is not {HASH_BYTES} bytes")
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ValueError("the proof is longer than the tree is high")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ValueError("the proof is shorter than the tree is high")
    return result
