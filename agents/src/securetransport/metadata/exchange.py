"""Answers members' requests for their bundle and for verify keys.

The rules stand in :mod:`securetransport.core.formats.exchange`. Every refusal is answered with a
fixed word and counted; a requester that cannot prove who it is learns nothing else.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta

from pydantic import ValidationError

from securetransport.core.base.entropy import Entropy
from securetransport.core.base.errors import (
    NotPermittedError,
    RejectedDocumentError,
    ReplayError,
    SecureTransportError,
    TransientError,
)
from securetransport.core.base.names import InstanceId, KeyId, kv_directory_entry, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version, problem_of
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import SIGNING_KEY_ID
from securetransport.core.formats.exchange import KeyRequest, seal_bundle
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.metadata.document_store import Signer
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.runtime.logs import get_logger

_REQUEST_LIFE = timedelta(minutes=5)
_ANSWER_LIFE = timedelta(minutes=5)
# Of one instance, within twice the time in which a request is fresh; who asks once a second for all
# of it stays below, and nobody else's requests are touched by it.
_MAX_NONCES = 2_000


class KeyExchange:
    """Serves ``metadata.key-exchange.metadata.*`` and ``metadata.directory.key``."""

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in app.py
        self,
        *,
        store: SecretStore,
        clock: Clock,
        profile: Profile,
        signer: Signer,
        enrolled: EnrolledKeys,
        keys: KeyRotation,
        policy: PolicyKeeper,
        metrics: MetadataMetrics,
        entropy: Entropy = os.urandom,
    ) -> None:
        self._entropy = entropy
        self._store = store
        self._clock = clock
        self._profile = profile
        self._signer = signer
        self._enrolled = enrolled
        self._keys = keys
        self._policy = policy
        self._metrics = metrics
        self._nonces: dict[InstanceId, dict[bytes, datetime]] = {}
        self._log = get_logger(kind="exchange")

    async def answer(self, signed_request: bytes) -> bytes:
        """Return the answer to an encoded, signed KeyRequest, or a refusal."""
        try:
            data = await self._answer(signed_request)
        except TransientError as err:
            self._metrics.answered("unavailable")
            return refusal("unavailable", str(err))
        except SecureTransportError as err:
            self._metrics.answered("refused")
            self._log.warning("key_request_refused", reason=str(err))
            return refusal("refused", err.message)
        self._metrics.answered("answered")
        return data

    async def directory_entry(self, key_id: bytes) -> bytes:
        """Return the directory entry of a key id as JSON, or a refusal."""
        text = key_id.decode("ascii", errors="replace")
        if not SIGNING_KEY_ID.fullmatch(text):
            return refusal("malformed", "a key id is 32 hexadecimal digits")
        try:
            entry = await self._store.kv_get(kv_directory_entry(KeyId(text)))
        except SecureTransportError as err:
            return refusal("unavailable", str(err))
        if entry is None:
            return refusal("unknown", "the directory has no such key")
        return json.dumps(entry.value).encode()

    async def _answer(self, signed_request: bytes) -> bytes:
        now = self._clock.now()
        document = documents.decode(signed_request)
        instance = InstanceId(document.signer)
        key = await self._enrolled.find(instance, document.key_id, now)
        body = documents.verify_document(
            document,
            lambda _key_id: (key.algorithm, key.public_key),
            kind=DocumentKind.KEY_REQUEST,
            audience=documents.AUTHORITY,
            at=now,
            skew=self._profile.clock_skew,
        )
        try:
            request = KeyRequest.from_bytes(body)
        except ValidationError as err:
            raise RejectedDocumentError(
                "key request has an invalid body", problem=problem_of(err)
            ) from err
        self._check(request, instance, self._policy.deny, now)
        bundle = self._keys.bundle_of(service_of(instance))
        if bundle is None:
            raise NotPermittedError("this service has no bundle", instance=instance)
        sealed = seal_bundle(request, signed_request, bundle, self._entropy)
        answer = await self._signer.sign(
            DocumentKind.SEALED_BUNDLE, instance, Version(), sealed.to_bytes(), _ANSWER_LIFE
        )
        return documents.encode(answer)

    def _check(
        self, request: KeyRequest, instance: InstanceId, deny: DenyList, now: datetime
    ) -> None:
        if request.instance != instance:
            raise NotPermittedError("request speaks for another instance", instance=instance)
        if service_of(instance) in deny.services:
            raise NotPermittedError("service is revoked", instance=instance)
        if abs(now - request.requested_at) > self._profile.clock_skew + _REQUEST_LIFE:
            raise ReplayError("request is not fresh", instance=instance)
        self._forget_nonces(now)
        nonces = self._nonces.setdefault(instance, {})
        if request.nonce in nonces:
            raise ReplayError("request was answered before", instance=instance)
        if len(nonces) >= _MAX_NONCES:
            raise NotPermittedError("too many requests of this instance", instance=instance)
        nonces[request.nonce] = now

    def _forget_nonces(self, now: datetime) -> None:
        """Drop nonces whose requests are not fresh any more; insertion order is time order."""
        limit = now - 2 * (self._profile.clock_skew + _REQUEST_LIFE)
        for instance, nonces in list(self._nonces.items()):
            while nonces and next(iter(nonces.values())) < limit:
                del nonces[next(iter(nonces))]
            if not nonces:
                del self._nonces[instance]


def refusal(word: str, detail: str) -> bytes:
    """Return how a request is refused: a fixed word and a sentence."""
    return json.dumps({"error": word, "detail": detail}).encode()
