"""SSL contexts for members: TLS 1.3, intermediates as anchors, host names checked.

With the root as anchor every intermediate under it would be accepted, so retiring one would mean
nothing; OpenSSL takes an intermediate as anchor only with ``VERIFY_X509_PARTIAL_CHAIN``.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports import TlsIdentity

_MEMORY_DIR: Final = Path("/dev/shm")  # noqa: S108  # the files in it are made with mode 0600
_PRIVATE_FILE: Final = 0o600


def client_context(anchors: Iterable[bytes], identity: TlsIdentity | None) -> ssl.SSLContext:
    """Return a context for connections to the message servers.

    Args:
        anchors: DER of each trusted intermediate; nothing else is trusted.
        identity: Leaf to present, ``None`` for a connection without one.

    Raises:
        SecureTransportError: No anchor, an unreadable one, or a key that does not fit its leaf.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusted = b"".join(anchors)
    if not trusted:
        raise SecureTransportError("no trust anchors; refusing to connect without any")
    try:
        context.load_verify_locations(cadata=trusted)
        if identity is not None:
            _load_identity(context, identity)
    except ssl.SSLError as error:
        raise SecureTransportError(
            "tls material cannot be used", reason=error.reason or type(error).__name__
        ) from error
    return context


def _load_identity(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    text = identity.private_key + identity.certificate
    with _private_path(text.encode("ascii")) as path:
        context.load_cert_chain(path)


@contextmanager
def _private_path(content: bytes) -> Iterator[str]:
    """Give ``content`` a path for the time of one read; OpenSSL loads keys from paths only.

    It is an anonymous file in memory, reachable through this process's descriptors only, or, where
    the system has none, a file of mode 0600 that is removed at once.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        handle = os.memfd_create("identity", os.MFD_CLOEXEC)
        try:
            os.fchmod(handle, _PRIVATE_FILE)
            os.write(handle, content)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    directory = _MEMORY_DIR if _MEMORY_DIR.is_dir() else None
    with tempfile.NamedTemporaryFile(dir=directory, prefix="identity-") as file:
        file.write(content)
        file.flush()
        yield file.name
