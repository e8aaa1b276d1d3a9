"""The ledger: what was tried, acknowledged, seen and done, so that a loss or a repeat shows.

One SQLite file in WAL mode for each process, or one for several replicas of a service on one
machine: then what happened for one of them happened for all. Rules:

1. An attempt is committed before its publish; a receipt after it. So there is no acknowledged
   message without an attempt, whatever is killed when.
2. An effect and its result are one row in one transaction: after a crash it is there or it is not.
   Signer and message id are its key, so it happens once in each ledger, and nobody takes the id of
   another's message; a repeat gets the first result back.
3. Rows are never changed or removed while a run lasts: triggers refuse it.
4. Many small writes share one commit (group commit); a caller goes on when its own is in it.

``synchronous=NORMAL``: commits survive ``kill -9`` of the process; after a power loss the newest
may be missing, but nothing is corrupt. Times are seconds since 1970 by the wall clock.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports.clock import Clock

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS attempts (
  message_id TEXT PRIMARY KEY, topic TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acks (
  message_id TEXT PRIMARY KEY, at REAL NOT NULL, sequence INTEGER NOT NULL,
  is_duplicate INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
  message_id TEXT NOT NULL, at REAL NOT NULL, sequence INTEGER NOT NULL,
  deliveries INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS effects (
  message_id TEXT NOT NULL, at REAL NOT NULL, result BLOB NOT NULL, signer TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (signer, message_id)) WITHOUT ROWID;
"""
# Effects of an earlier version have no signer; they count for every one.
_KEYED_BY_ID: Final = """
BEGIN IMMEDIATE;
DROP TRIGGER IF EXISTS effects_update;
DROP TRIGGER IF EXISTS effects_delete;
ALTER TABLE effects RENAME TO effects_by_id;
CREATE TABLE effects (
  message_id TEXT NOT NULL, at REAL NOT NULL, result BLOB NOT NULL, signer TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (signer, message_id)) WITHOUT ROWID;
INSERT INTO effects (message_id, at, result) SELECT message_id, at, result FROM effects_by_id;
DROP TABLE effects_by_id;
COMMIT;
"""
_BUSY_SECONDS: Final = 10.0
"""How long one process waits for another that writes the same file."""
_APPEND_ONLY: Final = ("attempts", "acks", "seen", "effects")
_MAX_GROUP: Final = 256
_PRIVATE: Final = 0o600

Work = Callable[[sqlite3.Connection], Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """Result of :meth:`Ledger.once`.

    Attributes:
        result: What the first run returned.
        is_first: Whether this call was the first.
    """

    result: bytes
    is_first: bool


@dataclass(slots=True)
class Job:
    """One write and who waits for it.

    Attributes:
        work: Runs inside a transaction.
        future: Of its result.
    """

    work: Work
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """A table that a service adds; effects write to it through the connection they are given.

    Attributes:
        name: SQL name.
        columns: SQL definitions of its columns, without the parentheses.
    """

    name: str
    columns: str


def open_ledger(path: Path, tables: Iterable[LedgerTable] = ()) -> sqlite3.Connection:
    """Return a connection to a ledger for writing, its tables made.

    Args:
        path: The file.
        tables: Those of the service; append-only like the ledger's own.

    Raises:
        SecureTransportError: The file cannot be opened as a ledger.
    """
    try:
        connection = sqlite3.connect(
            path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-2048")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(effects)")]
        if columns and "signer" not in columns:
            connection.executescript(_KEYED_BY_ID)
        connection.executescript(_TABLES)
        own = {table.name: table.columns for table in tables}
        for name, definition in own.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({definition}) WITHOUT ROWID")
        for table in (*_APPEND_ONLY, *own):
            for verb in ("UPDATE", "DELETE"):
                connection.execute(
                    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb.lower()} BEFORE {verb} ON {table}"
                    " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
                )
    except sqlite3.Error as error:
        raise SecureTransportError(
            "cannot open the ledger", path=str(path), reason=str(error)
        ) from error
    return connection


def _make_private(path: Path) -> None:
    """Make the file, or take rights from it; SQLite gives its companions the rights of the file.

    Raises:
        SecureTransportError: It cannot be made, or is another user's.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE))
        for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if each.exists():
                each.chmod(_PRIVATE)
    except OSError as error:
        raise SecureTransportError(
            "cannot open the ledger", path=str(path), reason=error.strerror
        ) from error


class Ledger:
    """Writes the ledger from one thread of its own.

    Args:
        path: The file, readable by this user only; its directory must exist.
        clock: Wall time of the rows.
        tables: What the service adds.
    """

    def __init__(self, path: Path, clock: Clock, tables: Iterable[LedgerTable] = ()) -> None:
        _make_private(path)
        self._connection = open_ledger(path, tables)
        self._clock = clock
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()
        self._is_closed = False

    async def attempt(self, message_id: str, topic: str) -> None:
        """Commit that a publish is about to be tried; trying again changes nothing."""
        row = (message_id, topic, self._now())
        await self._submit(
            lambda db: db.execute("INSERT OR IGNORE INTO attempts VALUES (?, ?, ?)", row)
        )

    async def acked(self, message_id: str, sequence: int, *, is_duplicate: bool) -> None:
        """Commit that the stream has the message."""
        row = (message_id, self._now(), sequence, int(is_duplicate))
        await self._submit(
            lambda db: db.execute("INSERT OR IGNORE INTO acks VALUES (?, ?, ?, ?)", row)
        )

    async def once(
        self,
        message_id: str,
        effect: Callable[[sqlite3.Connection], bytes],
        *,
        signer: str = "",
        sequence: int = 0,
        deliveries: int = 1,
    ) -> Effect:
        """Carry out ``effect`` unless it happened before; its row and its writes are one unit.

        Args:
            message_id: Of the message that asks for the effect.
            effect: Runs in the ledger's thread, inside the transaction; quick, no I/O of its own.
            signer: Who signed that message; ids of one signer are not those of another.
            sequence: The message's number in its stream, for the record of what was seen.
            deliveries: How often it was delivered.

        Raises:
            SecureTransportError: Not committed; the effect did not happen.
        """
        seen = (message_id, self._now(), sequence, deliveries)

        def work(db: sqlite3.Connection) -> Effect:
            db.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", seen)
            row = db.execute(
                "SELECT result FROM effects WHERE message_id = ? AND signer IN (?, '')",
                (message_id, signer),
            ).fetchone()
            if row is not None:
                return Effect(bytes(row[0]), is_first=False)
            result = effect(db)
            row = (message_id, seen[1], result, signer)
            db.execute("INSERT INTO effects VALUES (?, ?, ?, ?)", row)
            return Effect(result, is_first=True)

        found = await self._submit(work)
        if not isinstance(found, Effect):
            raise SecureTransportError("the ledger answered with another result")
        return found

    async def close(self) -> None:
        """Commit what was handed over and close the file."""
        if self._is_closed:
            return
        self._is_closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, 5.0)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _submit(self, work: Work) -> object:
        if self._is_closed:
            raise SecureTransportError("the ledger is closed")
        job = Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        return await job.future

    # --- the writer's thread -----------------------------------------------------------------

    def _write(self) -> None:
        is_over = False
        while not is_over:
            group: list[Job] = []
            job = self._jobs.get()
            while job is not None:
                group.append(job)
                if len(group) >= _MAX_GROUP or self._jobs.empty():
                    break
                job = self._jobs.get()
            is_over = job is None
            if group:
                self._commit(group)
        self._connection.close()

    def _commit(self, group: list[Job]) -> None:
        """Run a group in one transaction; a job that fails is undone alone."""
        results: list[tuple[Job, object]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results.extend((job, self._run(job)) for job in group)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            failure = SecureTransportError("the ledger was not written", reason=str(error))
            results = [(job, failure) for job in group]
        for job, result in results:
            _resolve(job.future, result)

    def _run(self, job: Job) -> object:
        self._connection.execute("SAVEPOINT job")
        try:
            result = job.work(self._connection)
        except Exception as error:  # noqa: BLE001  # whatever an effect raises is its caller's
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            if isinstance(error, sqlite3.Error):
                return SecureTransportError("the ledger refused a row", reason=str(error))
            return error
        self._connection.execute("RELEASE job")
        return result


def _resolve(future: asyncio.Future[Any], result: object) -> None:
    def finish() -> None:
        if future.done():
            return  # the caller was cancelled; what is committed stays
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    try:
        future.get_loop().call_soon_threadsafe(finish)
    except RuntimeError:
        return  # the loop is closed; nobody waits any more
