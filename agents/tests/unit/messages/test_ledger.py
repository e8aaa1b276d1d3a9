from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from securetransport.adapters.system import SystemClock
from securetransport.core.base.errors import SecureTransportError
from securetransport.messages.ledger import Ledger, LedgerTable

TABLE = LedgerTable("greetings", "message_id TEXT PRIMARY KEY, text TEXT NOT NULL")


async def test_effect_happens_once_and_a_repeat_gets_the_first_result(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock())
    runs: list[int] = []

    def effect(_: sqlite3.Connection) -> bytes:
        runs.append(1)
        return b"result %d" % len(runs)

    first = await ledger.once("a", effect)
    again = await ledger.once("a", effect, deliveries=2)
    await ledger.close()
    assert (first.result, first.is_first) == (b"result 1", True)
    assert (again.result, again.is_first) == (b"result 1", False)
    assert len(runs) == 1


async def test_many_at_once_are_one_effect(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock())
    results = await asyncio.gather(*(ledger.once("a", lambda _: b"x") for _ in range(50)))
    await ledger.close()
    assert sum(result.is_first for result in results) == 1


async def test_failed_effect_leaves_nothing_and_spoils_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock(), [TABLE])

    def broken(db: sqlite3.Connection) -> bytes:
        db.execute("INSERT INTO greetings VALUES ('a', 'hello')")
        raise KeyError("bug")

    results = await asyncio.gather(
        ledger.once("a", broken),
        ledger.once("b", lambda _: b"fine"),
        ledger.attempt("c", "t.t"),
        return_exceptions=True,
    )
    await ledger.close()
    assert isinstance(results[0], KeyError)
    db = sqlite3.connect(tmp_path / "ledger.db")
    assert db.execute("SELECT message_id FROM effects").fetchall() == [("b",)]
    assert db.execute("SELECT count(*) FROM greetings").fetchone() == (0,)
    assert db.execute("SELECT message_id FROM attempts").fetchall() == [("c",)]
    db.close()


@pytest.mark.parametrize("verb", ["UPDATE attempts SET at = 0", "DELETE FROM attempts"])
async def test_rows_cannot_be_changed_or_removed(tmp_path: Path, verb: str) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock())
    await ledger.attempt("a", "t.t")
    await ledger.close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(verb)
    db.close()


async def test_closed_ledger_refuses(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock())
    await ledger.close()
    with pytest.raises(SecureTransportError):
        await ledger.attempt("a", "t.t")


def test_ledger_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    async def make() -> None:
        await Ledger(tmp_path / "ledger.db", SystemClock()).close()

    asyncio.run(make())
    assert (tmp_path / "ledger.db").stat().st_mode & 0o077 == 0


WRITER = """
import asyncio, sys
from pathlib import Path
from securetransport.adapters.system import SystemClock
from securetransport.messages.ledger import Ledger, LedgerTable

TABLE = LedgerTable("greetings", "message_id TEXT PRIMARY KEY, text TEXT NOT NULL")

async def main():
    ledger = Ledger(Path(sys.argv[1]), SystemClock())
    async def one(n):
        await ledger.attempt(str(n), "t.t")
        print(n, flush=True)      # said only after the commit
    for start in range(0, 10**9, 20):
        await asyncio.gather(*(one(start + n) for n in range(20)))

asyncio.run(main())
"""


def test_what_was_committed_survives_kill_minus_nine(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    said = tmp_path / "said"
    with said.open("wb") as output:
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=output)
        try:
            deadline = time.monotonic() + 20
            while said.stat().st_size < 2000 and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
    committed = {line for line in said.read_text().split("\n")[:-1] if line}
    assert len(committed) > 100
    db = sqlite3.connect(path)
    found = {row[0] for row in db.execute("SELECT message_id FROM attempts")}
    db.close()
    assert committed <= found


async def test_table_of_a_service_is_written_with_the_effect_and_append_only(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock(), [TABLE])

    def effect(db: sqlite3.Connection) -> bytes:
        db.execute("INSERT INTO greetings VALUES ('a', 'hello')")
        return b""

    await ledger.once("a", effect)
    await ledger.close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    assert db.execute("SELECT * FROM greetings").fetchall() == [("a", "hello")]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute("DELETE FROM greetings")
    db.close()


async def test_id_of_one_signer_is_not_that_of_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", SystemClock())
    first = await ledger.once("a", lambda _: b"hostile", signer="stranger")
    second = await ledger.once("a", lambda _: b"honest", signer="gatekeeper")
    again = await ledger.once("a", lambda _: b"more", signer="gatekeeper")
    await ledger.close()
    assert (first.is_first, second.is_first, second.result) == (True, True, b"honest")
    assert (again.is_first, again.result) == (False, b"honest")


async def test_effects_of_an_earlier_version_count_for_every_signer(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE effects (message_id TEXT PRIMARY KEY, at REAL NOT NULL, result BLOB NOT NULL)
          WITHOUT ROWID;
        CREATE TRIGGER effects_delete BEFORE DELETE ON effects
          BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
        INSERT INTO effects VALUES ('a', 1.0, x'6f6c64');
        """
    )
    db.close()
    for _ in range(2):
        ledger = Ledger(path, SystemClock())
        again = await ledger.once("a", lambda _: b"new", signer="gatekeeper")
        fresh = await ledger.once("b", lambda _: b"new", signer="gatekeeper")
        await ledger.close()
        assert (again.is_first, again.result) == (False, b"old")
        assert fresh.result == b"new"


REPLICA = """
import asyncio, os, signal, sys
from pathlib import Path
from securetransport.adapters.system import SystemClock
from securetransport.messages.ledger import Ledger

async def main() -> None:
    ledger = Ledger(Path(sys.argv[1]), SystemClock())
    firsts = 0
    for number in range(int(sys.argv[2])):
        done = await ledger.once(f"m-{number}", lambda _: sys.argv[3].encode(), signer="gatekeeper")
        firsts += done.is_first
        if sys.argv[3] == "killed" and number == 20:
            os.kill(os.getpid(), signal.SIGKILL)
    print(firsts)

asyncio.run(main())
"""


def test_two_replicas_with_one_ledger_have_each_effect_once_whoever_is_killed(
    tmp_path: Path,
) -> None:
    path, count = str(tmp_path / "ledger.db"), "200"
    replicas = [
        subprocess.Popen(
            [sys.executable, "-c", REPLICA, path, count, name], stdout=subprocess.PIPE, text=True
        )
        for name in ("killed", "second", "third")
    ]
    firsts = [replica.communicate(timeout=60)[0].strip() for replica in replicas]
    assert replicas[0].returncode == -signal.SIGKILL
    db = sqlite3.connect(path)
    by = dict(
        db.execute("SELECT CAST(result AS TEXT), count(*) FROM effects GROUP BY 1").fetchall()
    )
    db.close()
    assert sum(by.values()) == 200
    assert [int(firsts[1]), int(firsts[2])] == [by.get("second", 0), by.get("third", 0)]


async def test_every_file_is_its_owners_only(tmp_path: Path) -> None:
    """Results of effects may be payloads; those of an earlier version get the rights as well."""
    path = tmp_path / "ledger.db"
    for _ in range(2):
        ledger = Ledger(path, SystemClock())
        await ledger.attempt("a", "topic")
        files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
        assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
        await ledger.close()
        path.chmod(0o644)


async def test_ledger_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SecureTransportError, match="cannot open the ledger"):
        Ledger(tmp_path / "missing" / "ledger.db", SystemClock())
