"""Intermediates in OpenBao: made, signed by the root, switched on and off, deleted.

The private key is generated inside OpenBao and cannot leave it. The subject's common name carries
the digest of the public key, which is known only after generation, so the request for signing
overrides the subject of the CSR.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RotationError
from securetransport.core.base.profile import Profile
from securetransport.core.crypto import x509
from securetransport.core.decisions.ca.observation import MountIssuer
from securetransport.core.decisions.ca.record import CaEpoch, Issuer
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock

_ISSUING = "issuing-certificates"
_PASSIVE_USAGE = "read-only,crl-signing"
_ISSUING_USAGE = f"read-only,{_ISSUING},crl-signing"


class IssuerMount:
    """The mount of the intermediates, with what it holds remembered until something changes."""

    def __init__(self, store: SecretStore, profile: Profile, clock: Clock) -> None:
        self._store = store
        self._profile = profile
        self._clock = clock
        self._mount = names.PKI_MOUNT
        self._facts: dict[str, dict[str, Any]] = {}

    def forget(self) -> None:
        """Read everything anew at the next look; call it after a step, done or failed."""
        self._facts.clear()

    async def list(self) -> tuple[MountIssuer, ...]:
        """Return every issuer of the mount."""
        ids = await self._store.list(f"{self._mount}/issuers")
        if not ids:
            return ()
        config = await self._store.read(f"{self._mount}/config/issuers") or {}
        default = str(config.get("default", ""))
        for gone in set(self._facts) - set(ids):
            del self._facts[gone]
        found: list[MountIssuer] = []
        for issuer_id in ids:
            facts = self._facts.get(issuer_id) or await self._store.read(
                f"{self._mount}/issuer/{issuer_id}"
            )
            if facts is None:
                continue
            facts = await self._with_key_name(facts)
            self._facts[issuer_id] = facts
            found.append(_mount_issuer(issuer_id, facts, is_default=issuer_id == default))
        return tuple(found)

    async def make(self, epoch: CaEpoch) -> Issuer:
        """Make key, request and certificate of an epoch, named, unable to issue.

        Raises:
            RotationError: OpenBao's answer lacks something.
        """
        await self._remove_orphan_keys()
        request = await self._store.write(
            f"{self._mount}/issuers/generate/intermediate/internal",
            {
                "common_name": f"nats-int e{epoch.epoch}",
                "key_name": epoch.issuer_name,
                "key_type": "ec",
                "key_bits": 256,
            },
        )
        certificate = await self._sign(epoch.epoch, str(request["csr"]))
        imported = await self._store.write(
            f"{self._mount}/intermediate/set-signed", {"certificate": certificate}
        )
        ids = imported.get("imported_issuers") or []
        if len(ids) != 1:
            raise RotationError(
                "OpenBao did not import exactly one issuer",
                kind="ca",
                epoch=epoch.epoch,
                step="prepare",
                imported=len(ids),
            )
        await self._configure(str(ids[0]), epoch.issuer_name, may_issue=False)
        return issuer_facts(str(ids[0]), x509.pem_to_der(certificate))

    async def name(self, issuer: MountIssuer, name: str) -> None:
        """Give an issuer its name, and stop it signing."""
        await self._configure(issuer.issuer_id, name, may_issue=False)

    async def set_usage(self, issuer: MountIssuer, *, may_issue: bool, make_default: bool) -> None:
        """Let an issuer sign or stop it; with ``make_default``, roles sign with it."""
        await self._configure(issuer.issuer_id, issuer.made_as, may_issue=may_issue)
        if make_default:
            await self._store.write(
                f"{self._mount}/config/issuers",
                {"default": issuer.issuer_id, "default_follows_latest_issuer": False},
            )

    async def remove(self, issuer: MountIssuer) -> None:
        """Delete an issuer and its key."""
        await self._store.delete(f"{self._mount}/issuer/{issuer.issuer_id}")
        if issuer.key_id:
            await self._store.delete(f"{self._mount}/key/{issuer.key_id}")

    async def _with_key_name(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return an issuer's facts; one without a name is known by the name of its key."""
        if facts.get("issuer_name") or not facts.get("key_id"):
            return facts
        key = await self._store.read(f"{self._mount}/key/{facts['key_id']}") or {}
        return facts | {"key_name": key.get("key_name")}

    async def _sign(self, epoch: EpochNumber, csr: str) -> str:
        schedule = self._profile.ca_schedule
        not_after = schedule.expiry_of(epoch)
        digest = x509.csr_key_digest(csr)
        answer = await self._store.write(
            f"{names.PKI_ROOT_MOUNT}/root/sign-intermediate",
            {
                "csr": csr,
                "common_name": names.issuer_common_name(epoch, digest),
                "use_csr_values": False,
                "max_path_length": 0,
                "not_after": _rfc3339(not_after),
                "not_before_duration": int(self._profile.not_before_backdate.total_seconds()),
                "format": "pem",
            },
        )
        return str(answer["certificate"])

    async def _configure(self, issuer_id: str, name: str, *, may_issue: bool) -> None:
        await self._store.write(
            f"{self._mount}/issuer/{issuer_id}",
            {
                "issuer_name": name,
                "leaf_not_after_behavior": "err",
                "usage": _ISSUING_USAGE if may_issue else _PASSIVE_USAGE,
            },
        )

    async def _remove_orphan_keys(self) -> None:
        """Delete keys of no issuer: what a preparation left that crashed before its import.

        OpenBao gives the public half of a key only when it makes it, so such a key is of no use.
        """
        used = {issuer.key_id for issuer in await self.list()}
        for key_id in await self._store.list(f"{self._mount}/keys"):
            if key_id not in used:
                await self._store.delete(f"{self._mount}/key/{key_id}")


def issuer_facts(issuer_id: str, certificate: bytes) -> Issuer:
    """Return what the record keeps of an issuer."""
    facts = x509.describe(certificate)
    return Issuer(
        issuer_id=issuer_id,
        certificate=certificate,
        fingerprint=facts.fingerprint,
        common_name=facts.common_name,
        not_before=facts.not_before,
        not_after=facts.not_after,
    )


def _mount_issuer(issuer_id: str, facts: dict[str, Any], *, is_default: bool) -> MountIssuer:
    usage = facts.get("usage") or ""
    words = usage.split(",") if isinstance(usage, str) else [str(word) for word in usage]
    return MountIssuer(
        issuer_id=issuer_id,
        name=str(facts.get("issuer_name") or ""),
        key_id=str(facts.get("key_id") or ""),
        key_name=str(facts.get("key_name") or ""),
        certificate=x509.pem_to_der(str(facts["certificate"])),
        may_issue=_ISSUING in words,
        is_default=is_default,
    )


def _rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
