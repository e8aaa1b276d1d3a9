"""One administrator's visit: log in, get a leaf, look at the trust set, connect, ask, leave.

The connection does not attest, so it lives for less than ten seconds; the token is revoked at the
end.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.machine import LocalMachine
from securetransport.adapters.nats import NatsBus, direct
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.openbao.login import AppRoleFiles, login
from securetransport.adapters.openbao.recovery import generate_root
from securetransport.adapters.servers import LocalServer
from securetransport.adapters.system import SystemClock
from securetransport.adapters.tls import HandshakeProbe
from securetransport.cli.settings import CliSettings
from securetransport.core.base import names
from securetransport.core.base.errors import NotFoundError, SecureTransportError
from securetransport.core.base.names import InstanceId, ServiceId
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.documents import EVERYBODY
from securetransport.core.ports import (
    Clock,
    Connection,
    Credentials,
    Files,
    ServerControl,
    StoredMessage,
    TlsIdentity,
    TlsProbe,
)
from securetransport.core.ports.machine import Machine
from securetransport.core.trust import bundle as trust
from securetransport.core.trust.bundle import TRUST_BUNDLE, AcceptedTrust
from securetransport.core.trust.documents import DENY_LIST, Question, accept
from securetransport.documents.gate import stored_document
from securetransport.runtime.sections import read_keys

_SKEW = timedelta(minutes=10)
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a private directory is made inside it
_MEMORY = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None


@dataclass(frozen=True, slots=True)
class Visit:
    """What a command may use.

    Attributes:
        service: As whom.
        store: OpenBao, logged in.
        identity: A leaf of the service.
        trust: The verified trust set.
    """

    service: ServiceId
    store: OpenBaoStore
    identity: TlsIdentity
    trust: AcceptedTrust


@asynccontextmanager
async def logged_in(settings: CliSettings) -> AsyncIterator[OpenBaoStore]:
    """Log in to OpenBao; on exit the token is revoked and nothing stays on disk.

    Raises:
        SecureTransportError: OpenBao refuses or is away.
    """
    token = login(
        settings.openbao_addresses,
        settings.openbao_ca_file,
        AppRoleFiles(settings.role_id_file, settings.secret_id_file),
    )
    with tempfile.TemporaryDirectory(prefix="securetransport-cli-", dir=_MEMORY) as folder:
        token_file = Path(folder) / "token"
        LocalFiles().write(token_file, token)
        store = OpenBaoStore(settings.openbao_addresses, settings.openbao_ca_file, token_file)
        try:
            yield store
        finally:
            # The token ends by itself in minutes; that it could not be revoked hides nothing else.
            with suppress(SecureTransportError):
                await store.write("auth/token/revoke-self", {})
            store.close()


@asynccontextmanager
async def visit(
    settings: CliSettings, service: ServiceId = names.ADMIN, replica: str = "cli"
) -> AsyncIterator[Visit]:
    """Log in and prepare an identity; on exit the token is revoked and nothing stays on disk.

    Args:
        settings: Where things are, and the AppRole files of ``service``.
        service: As whom.
        replica: Second half of the instance id in the leaf's common name.

    Raises:
        SecureTransportError: OpenBao refuses or is away, or there is no trust bundle yet.
    """
    async with logged_in(settings) as store:
        accepted = await read_trust(settings, store)
        leaf = await issue_leaf(settings, store, names.instance_id(service, replica))
        yield Visit(service, store, leaf, accepted)


@asynccontextmanager
async def connection(settings: CliSettings, held: Visit) -> AsyncIterator[Connection]:
    """Connect as the visitor; keep it shorter than ten seconds."""
    credentials = Credentials(trust.anchors(held.trust.body), held.identity)
    bus = await NatsBus().connect(
        settings.nats_servers,
        credentials,
        name="securetransport-cli",
        inbox_prefix=names.inbox_prefix(held.service),
    )
    try:
        yield bus
    finally:
        await bus.close()


def files() -> Files:
    """Return the files of this machine."""
    return LocalFiles()


def root_token(socket: Path, shares: Iterable[str]) -> str:
    """Return a new root token, made by the recovery keys.

    Raises:
        SecureTransportError: OpenBao is away, or refuses.
    """
    return generate_root(socket, shares)


def clock() -> Clock:
    """Return this machine's clock."""
    return SystemClock()


def machine() -> Machine:
    """Return this machine."""
    return LocalMachine()


def server_of(pid_file: Path) -> ServerControl:
    """Return the message server of a process id file; its program lies beside this one's."""
    beside = Path(sys.executable).with_name("nats-server")
    return LocalServer(pid_file, str(beside) if beside.exists() else "nats-server")


def tls_probe() -> TlsProbe:
    """Return what looks at a port from outside."""
    return HandshakeProbe()


async def ask(bus: Connection, subject: str, data: bytes = b"") -> dict[str, Any]:
    """Return the authority's JSON answer.

    Raises:
        SecureTransportError: It refused, or did not answer.
    """
    data = (await bus.request(subject, data, timeout=3.0)).data
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise SecureTransportError("the authority's answer is not JSON", subject=subject) from err
    if not isinstance(answer, dict):
        raise SecureTransportError("the authority's answer is no JSON object", subject=subject)
    if "error" in answer:
        raise SecureTransportError(
            "the authority cannot answer", reason=answer["error"], detail=answer.get("detail")
        )
    return answer


async def stored_after(bus: Connection, stream: str, sequence: int) -> StoredMessage | None:
    """Return the first message of a stream from a number on, ``None`` when there is none.

    Raises:
        BusUnavailableError: No answer, or the stream is not there.
        PermissionDeniedError: This user may not read there.
    """
    body = json.dumps({"seq": sequence, "next_by_subj": ">"}).encode()
    answer = await bus.request(direct.subject_of(stream), body)
    return direct.parse(answer.data, answer.headers, stream)


async def read_deny_list(settings: CliSettings, store: OpenBaoStore) -> DenyList:
    """Return the deny list in force, verified; empty when none was ever published.

    Raises:
        RejectedDocumentError: It is refused, as one that is past its end.
    """
    entry = await store.kv_get(names.KV_DENY_LIST)
    if entry is None:
        return DenyList()
    keys = read_keys(settings.authority_keys_file, "authority_keys_file")
    question = Question(EVERYBODY, keys.lookup, SystemClock().now(), skew=_SKEW)
    return accept(stored_document(entry, names.KV_DENY_LIST), DENY_LIST, question).body


async def read_trust(settings: CliSettings, store: OpenBaoStore) -> AcceptedTrust:
    """Return the trust set, verified with the pinned keys.

    Raises:
        SecureTransportError: There is none, or it is refused.
    """
    entry = await store.kv_get(names.KV_TRUST_BUNDLE)
    if entry is None:
        raise NotFoundError("there is no trust bundle yet; has the authority started?")
    keys = read_keys(settings.authority_keys_file, "authority_keys_file")
    question = Question(EVERYBODY, keys.lookup, SystemClock().now(), skew=_SKEW)
    return accept(stored_document(entry, names.KV_TRUST_BUNDLE), TRUST_BUNDLE, question)


async def issue_leaf(
    settings: CliSettings, store: OpenBaoStore, instance: InstanceId
) -> TlsIdentity:
    """Return a certificate of the command's life.

    Raises:
        SecureTransportError: OpenBao refuses or is away.
    """
    return await OpenBaoLeafSource(
        store,
        settings.trust_domain,
        names.service_of(instance),
        instance,
    ).issue(timedelta(seconds=settings.leaf_seconds))
