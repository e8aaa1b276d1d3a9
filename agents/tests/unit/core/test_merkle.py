"""Merkle trees against the published roots of RFC 6962 implementations, and their laws."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base import merkle

# The eight inputs that Certificate Transparency implementations test with, and their roots.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def _leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"%d" % number) for number in range(count)]


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_the_published_ones(size: int) -> None:
    leaves = [merkle.leaf_hash(data) for data in INPUTS[:size]]
    assert merkle.tree_root(leaves).hex() == ROOTS[size]


@given(st.integers(1, 70))
def test_every_proof_leads_to_the_root(size: int) -> None:
    leaves = _leaves(size)
    root, proofs = merkle.inclusion_proofs(leaves)
    assert root == merkle.tree_root(leaves)
    for index, leaf in enumerate(leaves):
        assert proofs[index] == merkle.inclusion_proof(leaves, index)
        assert merkle.root_from_proof(leaf, index, size, proofs[index]) == root


@given(st.integers(2, 40), st.data())
def test_a_changed_leaf_index_or_proof_does_not_lead_to_the_root(
    size: int, data: st.DataObject
) -> None:
    leaves = _leaves(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda value: value != index))
    root, proof = merkle.tree_root(leaves), merkle.inclusion_proof(leaves, index)
    assert merkle.root_from_proof(leaves[other], index, size, proof) != root
    with suppress(ValueError):  # proofs of the two positions may have different lengths
        assert merkle.root_from_proof(leaves[index], other, size, proof) != root
    for short in (proof[:-1], proof[1:], (*proof, proof[0])):
        with pytest.raises(ValueError, match="the proof is"):
            merkle.root_from_proof(leaves[index], index, size, short)


def test_a_node_does_not_pass_as_a_leaf() -> None:
    left, right = _leaves(2)
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_positions_outside_the_tree_are_refused(index: int, size: int) -> None:
    leaves = _leaves(max(size, 1))
    with pytest.raises(ValueError, match="outside"):
        merkle.inclusion_proof(leaves[:size], index)
    with pytest.raises(ValueError, match="outside"):
        merkle.root_from_proof(leaves[0], index, size, ())


def test_hashes_of_a_wrong_size_are_refused() -> None:
    leaves = _leaves(2)
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.root_from_proof(leaves[0], 0, 2, (leaves[1][:31],))
