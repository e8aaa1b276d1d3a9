"""A ledger in memory: the same tables and rules, no file and no thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from securetransport.core.ports import Clock
from securetransport.messages.ledger import Job, Ledger, LedgerTable, Work, open_ledger


class FakeLedger(Ledger):
    """Commits each row in the caller's turn.

    Args:
        clock: Wall time of the rows.
        tables: What the service adds.

    Attributes:
        database: For assertions.
        delays: How long the next writes take, in seconds; the others take no time.
    """

    def __init__(self, clock: Clock, tables: Iterable[LedgerTable] = ()) -> None:
        # The writer's thread is not started.
        self.database: sqlite3.Connection = open_ledger(Path(":memory:"), tables)
        self._connection = self.database
        self._clock = clock
        self.delays: list[float] = []
        self._is_closed = False

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return every row of a table, for assertions."""
        return list(self.database.execute(f"SELECT * FROM {table}"))  # noqa: S608  # a test's own words

    async def close(self) -> None:
        """Forget everything."""
        if not self._is_closed:
            self._is_closed = True
            self.database.close()

    async def _submit(self, work: Work) -> object:
        if self.delays:
            await asyncio.sleep(self.delays.pop(0))
        job = Job(work, asyncio.get_running_loop().create_future())
        self._commit([job])
        return await job.future
