"""A way to a server that can be shut: bytes go through, or nobody answers."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

from processes import LOOPBACK


class Outlet:
    """Forwards connections to a port; shut, it refuses new ones and cuts those that are open.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0
        self.open()

    def open(self) -> None:
        """Let connections through."""
        listener = socket.create_server((LOOPBACK, self.port), reuse_port=False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and cut the others."""
        with self._lock:
            ending, self._sockets = self._sockets, set()
        for item in (self._listener, *ending):
            if item is not None:
                with contextlib.suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)
                item.close()
        self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it was shut
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), near:
            far = socket.create_connection((LOOPBACK, self._target), 5)
            with self._lock:
                self._sockets |= {near, far}
            with far, selectors.DefaultSelector() as ready:
                ready.register(near, selectors.EVENT_READ, far)
                ready.register(far, selectors.EVENT_READ, near)
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # a socket
                        if not data:
                            return
                        key.data.sendall(data)
