"""PAE can be read in one way only; frames and records have one encoding each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base import codec
from securetransport.core.base.errors import MalformedMessageError
from securetransport.core.base.pae import pae

RECORD = {
    "header": b"h" * 70,
    "commitment": b"c" * 32,
    "ciphertext": b"x" * 20,
    "signature": b"s" * 10,
    "batch": None,
}
PARTS = st.lists(st.binary(max_size=12), max_size=4)


def test_pae_is_the_documented_layout() -> None:
    assert pae("ab", b"", b"xyz").hex() == (
        "0300000000000000"  # three pieces
        "02000000000000006162"  # the type
        "0000000000000000"
        "030000000000000078797a"
    )


@given(st.text(max_size=6), PARTS, st.text(max_size=6), PARTS)
def test_different_inputs_have_different_pae(
    one: str, parts: list[bytes], two: str, others: list[bytes]
) -> None:
    assert (pae(one, *parts) == pae(two, *others)) == ((one, parts) == (two, others))


def test_records_come_back_as_they_were() -> None:
    batch = {"index": 3, "size": 9, "path": b"p" * 64}
    for record in (RECORD, {**RECORD, "batch": batch}):
        assert codec.decode("message", codec.encode("message", record)) == record


@pytest.mark.parametrize(
    "frame", ["", "53", "535402", "53540202", "53540301", "00540201", "54530201"]
)
def test_another_frame_is_refused(frame: str) -> None:
    data = bytes.fromhex(frame) + codec.encode("message", RECORD)[4:]
    with pytest.raises(MalformedMessageError, match="frame"):
        codec.decode("message", data)


def test_a_second_encoding_of_the_same_value_is_refused() -> None:
    data = codec.encode("message", RECORD)
    # The header's length 70 is the varint 8c 01; stretched by one byte it reads the same.
    assert data[4:6] == b"\x8c\x01"
    for changed in (data + b"\x00", data[:4] + b"\x8c\x81\x00" + data[6:]):
        with pytest.raises(MalformedMessageError):
            codec.decode("message", changed)


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_short_records_are_refused(cut: int) -> None:
    data = codec.encode("message", RECORD)
    with pytest.raises(MalformedMessageError):
        codec.decode("message", data[: min(cut, len(data) - 1)])


@given(st.binary(max_size=60), st.sampled_from(["document", "message", "header"]))
def test_random_bytes_behind_a_right_frame_are_a_record_or_refused(data: bytes, name: str) -> None:
    frames = {"document": b"ST\x01\x01", "message": b"ST\x02\x01", "header": b"ST\x03\x01"}
    try:
        record = codec.decode(name, frames[name] + data)
    except MalformedMessageError:
        return
    assert codec.encode(name, record) == frames[name] + data


@pytest.mark.parametrize(
    "change", [{"commitment": b"c" * 31}, {"header": "text"}, {"signature": None}, {"batch": 5}]
)
def test_a_record_that_does_not_fit_is_the_callers_mistake(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.encode("message", {**RECORD, **change})
    with pytest.raises(ValueError, match=r"."):
        codec.encode("message", {name: RECORD[name] for name in list(RECORD)[:-2]})
