"""From the ACL and the deny list to the servers' users."""

from __future__ import annotations

from securetransport.core.acl import Acl, CompiledAcl, compile_acl
from securetransport.core.base import names
from securetransport.core.base.errors import (
    MalformedMessageError,
    RejectedDocumentError,
    SecureTransportError,
)
from securetransport.core.base.profile import Profile
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports.clock import Clock
from securetransport.metadata.document_store import DocumentStore, StoredDocument
from securetransport.runtime.logs import get_logger


class PolicyKeeper:
    """Accepts the administrator's ACL and publishes what follows from it for the servers."""

    def __init__(
        self,
        document_store: DocumentStore,
        clock: Clock,
        profile: Profile,
        administrators: AuthorityKeys,
        authority: AuthorityKeys,
    ) -> None:
        self._document_store = document_store
        self._clock = clock
        self._profile = profile
        self._administrators = administrators
        self._authority = authority
        self._denied_version: Version | None = None
        self._verified = b""
        self._version: Version | None = None
        self._refused: Version | None = None
        self._log = get_logger(kind="policy")
        self.compiled: CompiledAcl | None = None
        self.deny = DenyList()
        self.published: StoredDocument | None = None
        self.denials: StoredDocument | None = None

    @property
    def acl(self) -> Acl | None:
        """Return the ACL in force, ``None`` before the first."""
        return self.compiled.acl if self.compiled else None

    def foreign_users(self) -> frozenset[str]:
        """Return the bus users of clients without the SDK."""
        if self.acl is None:
            return frozenset()
        domain = self.acl.trust_domain
        return frozenset(names.spiffe_id(domain, client) for client in self.acl.foreign)

    async def round(self, *, may_write: bool) -> None:
        """Read ACL and deny list; publish the broker policy if this instance may write.

        Raises:
            SecureTransportError: The deny list cannot be read; the policy in force stays.
        """
        await self._read_acl()
        stored = await self._read_deny_list()
        if self.compiled is None or not may_write:
            return
        await self._renew_deny_list(stored)
        self.published = await self._document_store.publish(
            names.KV_BROKER_POLICY,
            DocumentKind.BROKER_POLICY,
            self.compiled.broker,
            self._profile.ca_validity,
        )

    async def _read_acl(self) -> None:
        try:
            stored = await self._document_store.read(names.KV_ACL)
        except (RejectedDocumentError, MalformedMessageError) as err:
            self._log.error("acl_refused", version="unreadable", reason=str(err))
            return
        if stored is None or stored.document.version == self._version:
            return
        try:
            self.compiled = self._accepted(stored)
            self._version = stored.document.version
            digest = self.compiled.digest
            self._log.info("acl_accepted", version=str(self._version), digest=digest)
        except RejectedDocumentError as err:
            if self._refused != stored.document.version:
                self._refused = stored.document.version
                self._log.error("acl_refused", version=str(self._refused), reason=str(err))

    def _accepted(self, stored: StoredDocument) -> CompiledAcl:
        body = documents.verify_document(
            stored.document,
            self._administrators.lookup,
            kind=DocumentKind.ACL,
            audience=documents.AUTHORITY,
            at=self._clock.now(),
            newest=self._version,
            skew=self._profile.clock_skew,
        )
        try:
            acl = Acl.from_canonical(body)
            return compile_acl(acl, self._profile, deny=self.deny)
        except (ValueError, RecursionError, SecureTransportError) as err:
            raise RejectedDocumentError("the signed ACL is invalid", problem=str(err)) from err

    async def _renew_deny_list(self, stored: StoredDocument | None) -> None:
        """Sign an empty deny list where none was ever, and anew what gets old, as it is.

        Members are not ready without a valid one. It replaces exactly what was verified in this
        round; a refused or damaged one does not come as far as here.

        Raises:
            ConflictError: Another one lies there by now, or it was deleted; nothing is written.
        """
        self.denials = await self._document_store.renew(
            names.KV_DENY_LIST,
            DocumentKind.DENY_LIST,
            self.deny,
            self._profile.key_validity,
            stored,
            after=self._denied_version,
        )
        self._denied_version = self.denials.document.version

    async def _read_deny_list(self) -> StoredDocument | None:
        """Take over a newer deny list; one that vanished, expired or is older denies as before.

        Returns:
            What lies there, verified; ``None`` when nothing does.

        Raises:
            SecureTransportError: The stored one is not the authority's; the last one stays.
        """
        try:
            stored = await self._document_store.read(names.KV_DENY_LIST)
        except (RejectedDocumentError, MalformedMessageError) as err:
            raise SecureTransportError("the deny list is damaged", path=names.KV_DENY_LIST) from err
        if stored is None or stored.data == self._verified:
            return stored
        document = stored.document
        try:
            body = documents.verify_document(
                document,
                self._authority.lookup,
                kind=DocumentKind.DENY_LIST,
                audience=documents.EVERYBODY,
                # Its end does not end a denial: it is judged as of its own date.
                at=document.created_at,
                newest=self._denied_version,
                skew=self._profile.clock_skew,
            )
            self.deny = DenyList.from_bytes(body)
        except ValueError as err:
            raise SecureTransportError("the deny list is damaged", path=names.KV_DENY_LIST) from err
        except RejectedDocumentError as err:
            raise SecureTransportError(
                "the deny list is refused", path=names.KV_DENY_LIST, reason=str(err)
            ) from err
        self._denied_version, self.denials = document.version, stored
        self._verified = stored.data
        if self.compiled is not None:
            self.compiled = compile_acl(self.compiled.acl, self._profile, deny=self.deny)
        return stored
