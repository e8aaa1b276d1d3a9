"""The deny list: services and instances that are refused, whatever else says yes."""

from __future__ import annotations

from pydantic import Field

from securetransport.core.base.names import KeyId, ServiceId
from securetransport.core.formats.body import Document, Instant, Sha256, Text


class DeniedLeaf(Document):
    """One denied instance leaf."""

    fingerprint: Sha256
    denied_at: Instant
    why: Text


class DenyList(Document):
    """Services and instances that are refused, whatever else says yes.

    Attributes:
        services: Service id to the instant of its revocation.
        leaf_certificates: Denied leaf certificates.
        key_ids: Denied signing keys with the instant of denial.
    """

    services: dict[ServiceId, Instant] = Field(default_factory=dict)
    leaf_certificates: tuple[DeniedLeaf, ...] = Field(
        default=(), validation_alias="leafs", serialization_alias="leafs"
    )
    key_ids: dict[KeyId, Instant] = Field(default_factory=dict)
