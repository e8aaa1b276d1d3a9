"""What OpenBao and the bus show to the people's identity, for ``securetransport check``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from securetransport.cli.session import (
    Visit,
    ask,
    clock,
    connection,
    issue_leaf,
    logged_in,
    read_trust,
)
from securetransport.cli.settings import CliSettings
from securetransport.core.acl import Acl, compile_consumers
from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError, UnknownKeyError
from securetransport.core.decisions.check.observation import BusSeen, StoreSeen
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind
from securetransport.core.ports import Connection, SecretStore
from securetransport.core.trust import bundle as trust
from securetransport.documents.gate import stored_document
from securetransport.runtime.sections import read_keys

_REPLICA: Final = "cli"
_SKEW: Final = timedelta(minutes=10)
_DOCUMENTS: Final = (
    names.KV_ACL,
    names.KV_TRUST_BUNDLE,
    names.KV_BROKER_POLICY,
    names.KV_DIRECTORY,
)
_ANSWER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class AdminVisitor:
    """Implements ``Visitor`` with the credentials of a configuration.

    Attributes:
        settings: Where things are.
        administrators: The pinned keys of the administrators, which sign the ACL.
    """

    settings: CliSettings
    administrators: Path

    async def __call__(self, addresses: Sequence[str]) -> tuple[StoreSeen, BusSeen | None]:
        """Return what was seen; raises nothing of our tree."""
        settings = self.settings.model_copy(update={"openbao_addresses": tuple(addresses)})
        try:
            async with logged_in(settings) as store:
                return await self._look(settings, store)
        except SecureTransportError as error:
            return StoreSeen(login_problem=error.message), None

    async def _look(self, settings: CliSettings, store: Any) -> tuple[StoreSeen, BusSeen | None]:
        found = await _read_documents(store)
        seen = StoreSeen(documents=found)
        try:
            accepted = await read_trust(settings, store)
        except SecureTransportError as error:
            is_unknown = error.fields.get("reason") == UnknownKeyError.reason
            told = replace(seen, trust_problem=_line(error), is_signer_unknown=is_unknown)
            return told, None
        seen = replace(seen, anchors=trust.names(accepted.body))
        try:
            leaf = await issue_leaf(settings, store, names.instance_id(names.ADMIN, _REPLICA))
        except SecureTransportError as error:
            return replace(seen, leaf_problem=_line(error)), None
        held = Visit(names.ADMIN, store, leaf, accepted)
        try:
            async with connection(settings, held) as bus:
                return seen, await _look_at_bus(bus, self._expected(found.get(names.KV_ACL)))
        except SecureTransportError as error:
            return seen, BusSeen(problem=_line(error))

    def _expected(self, data: bytes | None) -> dict[str, tuple[str, ...]]:
        """Return streams and durables of the ACL in force; nothing of one that is not believed."""
        if data is None:
            return {}
        try:
            keys = read_keys(self.administrators, "administrator keys")
            body = documents.verify_document(
                documents.decode(data),
                keys.lookup,
                kind=DocumentKind.ACL,
                audience=documents.AUTHORITY,
                at=clock().now(),
                skew=_SKEW,
            )
            acl = Acl.from_canonical(body)
        except (SecureTransportError, ValueError):
            return {}
        expected: dict[str, tuple[str, ...]] = dict.fromkeys(acl.streams, ())
        for consumer in compile_consumers(acl):
            name = str(consumer["stream_name"])
            expected[name] = (*expected.get(name, ()), str(consumer["config"]["durable_name"]))
        return expected


async def _read_documents(store: SecretStore) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for path in _DOCUMENTS:
        try:
            entry = await store.kv_get(path)
            found[path] = stored_document(entry, path) if entry is not None else None
        except SecureTransportError:
            continue
    return found


async def _look_at_bus(bus: Connection, expected: Mapping[str, tuple[str, ...]]) -> BusSeen:
    seen = BusSeen(expected=expected)
    status, streams = await asyncio.gather(_status(bus), _streams(bus))
    if isinstance(status, str):
        seen = replace(seen, status_problem=status)
    else:
        seen = replace(seen, status=status)
    if isinstance(streams, str):
        return replace(seen, streams_problem=streams)
    durables = await asyncio.gather(*(_durables(bus, name) for name in streams))
    return replace(seen, streams=streams, durables=dict(zip(streams, durables, strict=True)))


async def _status(bus: Connection) -> dict[str, Any] | str:
    try:
        return await ask(bus, names.SUBJECT_STATUS)
    except SecureTransportError as error:
        return _line(error)


async def _streams(bus: Connection) -> dict[str, Mapping[str, Any]] | str:
    try:
        answer = await _api(bus, "$JS.API.STREAM.LIST")
    except SecureTransportError as error:
        return _line(error)
    listed = answer.get("streams") or ()
    return {str(info["config"]["name"]): info for info in listed}


async def _durables(bus: Connection, stream: str) -> tuple[str, ...]:
    try:
        answer = await _api(bus, f"$JS.API.CONSUMER.NAMES.{stream}")
    except SecureTransportError:
        return ()
    return tuple(map(str, answer.get("consumers") or ()))


async def _api(bus: Connection, subject: str) -> dict[str, Any]:
    data = (await bus.request(subject, b"", timeout=_ANSWER_SECONDS)).data
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SecureTransportError("JetStream's answer is not JSON") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise SecureTransportError("JetStream refused", answer=str(answer)[:100])
    return answer


def _line(error: SecureTransportError) -> str:
    return " ".join(str(error).split())[:200]
