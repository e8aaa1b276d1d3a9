"""The record and its lease: one holder, taken over after silence, its token revoked then."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from authority_desk import Desk

from securetransport.core.base import names
from securetransport.core.base.errors import ConflictError, NotFoundError, SecureTransportError
from securetransport.core.base.names import InstanceId
from securetransport.core.decisions.ca.record import RotationRecord
from securetransport.metadata.recorder import Recorder

LEASE = timedelta(seconds=10)


class Tokens:
    """OpenBao's token paths: who asks, and whose tokens were revoked."""

    def __init__(self) -> None:
        self.revoked: list[str] = []
        self.own = "accessor-1"
        self.refusal: SecureTransportError | None = None

    async def handle(self, method: str, path: str, data: dict[str, Any]) -> dict[str, Any] | None:
        if path == "auth/token/lookup-self" and method == "read":
            return {"accessor": self.own}
        if self.refusal is not None:
            raise self.refusal
        self.revoked.append(data["accessor"])
        return None


@pytest.fixture
def tokens(desk: Desk) -> Tokens:
    tokens = Tokens()
    desk.store.mount("auth/token/", tokens.handle)
    return tokens


def recorder(desk: Desk, number: int = 1) -> Recorder:
    return Recorder(
        desk.store,
        desk.clock,
        InstanceId(f"metadata/{number}"),
        boot_id=f"boot-{number}",
        lease=LEASE,
    )


async def hold(one: Recorder) -> RotationRecord | None:
    return await one.hold(await one.read())


@pytest.mark.usefixtures("tokens")
async def test_the_first_becomes_the_holder_and_a_second_stands_by(desk: Desk) -> None:
    first, second = recorder(desk), recorder(desk, 2)
    held = await hold(first)
    assert held is not None
    assert held.holder is not None
    assert held.holder.instance == "metadata/1"
    assert held.holder.accessor == "accessor-1"
    assert await hold(second) is None


@pytest.mark.usefixtures("tokens")
async def test_a_holder_renews_its_lease_only_after_a_third_of_it(desk: Desk) -> None:
    first = recorder(desk)
    await hold(first)
    written = len(desk.store.calls)
    desk.clock.advance(LEASE / 3 - timedelta(milliseconds=1))
    await hold(first)
    assert [name for name, _ in desk.store.calls[written:]] == ["kv_get"]
    desk.clock.advance(timedelta(milliseconds=1))
    held = await hold(first)
    assert held is not None
    assert held.holder is not None
    assert held.holder.renewed_at == desk.clock.now()


async def test_after_a_silent_lease_the_predecessors_token_is_revoked(
    desk: Desk, tokens: Tokens
) -> None:
    await hold(recorder(desk))
    tokens.own = "accessor-2"
    desk.clock.advance(LEASE - timedelta(seconds=1))
    assert await hold(recorder(desk, 2)) is None
    desk.clock.advance(timedelta(seconds=1))
    held = await hold(recorder(desk, 2))
    assert held is not None
    assert tokens.revoked == ["accessor-1"]


@pytest.mark.parametrize(
    "refusal",
    [NotFoundError("no such token"), SecureTransportError("refused", reason="invalid accessor")],
)
async def test_a_token_that_is_gone_already_needs_no_revocation(
    desk: Desk, tokens: Tokens, refusal: SecureTransportError
) -> None:
    await hold(recorder(desk))
    tokens.own, tokens.refusal = "accessor-2", refusal
    desk.clock.advance(LEASE)
    assert await hold(recorder(desk, 2)) is not None


async def test_a_revocation_that_fails_is_told(desk: Desk, tokens: Tokens) -> None:
    await hold(recorder(desk))
    tokens.own, tokens.refusal = "accessor-2", SecureTransportError("refused", reason="sealed")
    desk.clock.advance(LEASE)
    with pytest.raises(SecureTransportError, match="sealed"):
        await hold(recorder(desk, 2))


@pytest.mark.usefixtures("tokens")
async def test_the_slower_of_two_loses_the_compare_and_swap(desk: Desk) -> None:
    first, second = recorder(desk), recorder(desk, 2)
    seen_by_first, seen_by_second = await first.read(), await second.read()
    assert await first.hold(seen_by_first) is not None
    with pytest.raises(ConflictError):
        await second.hold(seen_by_second)


@pytest.mark.usefixtures("tokens")
async def test_a_released_lease_is_free_at_once(desk: Desk) -> None:
    first = recorder(desk)
    await hold(first)
    await first.release()
    assert await hold(recorder(desk, 2)) is not None


@pytest.mark.usefixtures("tokens")
async def test_release_of_somebody_elses_lease_changes_nothing(desk: Desk) -> None:
    await hold(recorder(desk))
    await recorder(desk, 2).release()
    assert await hold(recorder(desk, 2)) is None


@pytest.mark.parametrize("value", [{}, {"record": "{"}, {"record": '{"epochs": 1}'}])
async def test_a_damaged_record_is_never_overwritten(desk: Desk, value: dict[str, Any]) -> None:
    await desk.store.kv_put(names.KV_CA_RECORD, value, cas=0)
    with pytest.raises(SecureTransportError, match="damaged"):
        await recorder(desk).read()
