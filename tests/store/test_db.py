"""The writer that commits in groups, and the readers beside it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from qrisd.domain.errors import StorageBusy, StorageUnavailable
from qrisd.store import db as store
from qrisd.store.db import Connection, Database, commit_group, connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "test.db"
    file.touch(0o600)
    with closing(connect(file)) as conn:
        conn.execute("CREATE TABLE things (name TEXT NOT NULL UNIQUE) STRICT")
    return file


@pytest.fixture
async def db(path: Path) -> AsyncIterator[Database]:
    database = Database(path, busy_timeout_s=0.2)
    await database.open()
    yield database
    await database.close()


def add(name: str) -> store.Unit[str]:
    def unit(conn: Connection) -> str:
        conn.execute("INSERT INTO things VALUES (?)", (name,))
        return name

    return unit


def names(conn: Connection) -> set[str]:
    return {row[0] for row in conn.execute("SELECT name FROM things")}


async def test_a_unit_is_durable_when_its_caller_is_answered(db: Database, path: Path) -> None:
    assert await db.write(add("a")) == "a"
    with closing(connect(path, read_only=True)) as other:
        assert names(other) == {"a"}


async def test_a_failing_unit_harms_no_other_in_its_group(db: Database) -> None:
    outcomes = await asyncio.gather(*(db.write(add(name)) for name in "aabcc"), return_exceptions=True)
    assert [isinstance(outcome, sqlite3.IntegrityError) for outcome in outcomes] == [False, True, False, False, True]
    assert await db.read(names) == {"a", "b", "c"}


async def test_units_that_wait_share_one_commit(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run = db._writes._run  # type: ignore[union-attr]

    def counted(conn: Connection, units: list[store.Unit[object]]) -> list[object]:
        sizes.append(len(units))
        return run(conn, units)

    monkeypatch.setattr(db._writes, "_run", counted)
    await asyncio.gather(*(db.write(add(f"n{number}")) for number in range(100)))
    assert sum(sizes) == 100
    assert len(sizes) < 10


def test_a_unit_that_raises_leaves_nothing_of_itself(path: Path) -> None:
    def half(conn: Connection) -> None:
        conn.execute("INSERT INTO things VALUES ('half')")
        raise ValueError("no")

    with closing(connect(path)) as conn:
        outcomes = commit_group(conn, [add("a"), half, add("b")])
        assert isinstance(outcomes[1], ValueError)
        assert names(conn) == {"a", "b"}
        assert not conn.in_transaction


async def test_what_follows_a_commit_happens_even_when_the_caller_has_gone(db: Database) -> None:
    heard: list[str] = []
    caller = asyncio.create_task(db.write(add("a"), then=heard.append))
    await asyncio.sleep(0)
    caller.cancel()
    await db.write(add("b"))
    assert heard == ["a"]
    assert await db.read(names) == {"a", "b"}


async def test_a_locked_database_is_busy_and_comes_back(db: Database, path: Path) -> None:
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            await db.write(add("a"))
        assert await db.read(names) == set()
        other.execute("ROLLBACK")
    assert await db.write(add("a")) == "a"


async def test_readers_cannot_write(db: Database) -> None:
    with pytest.raises(StorageUnavailable):
        await db.read(add("a"))


async def test_too_many_waiting_is_busy_at_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_WAITING", 0)
    with pytest.raises(StorageBusy):
        await db.write(add("a"))


async def test_a_change_by_another_process_is_noticed_once(db: Database, path: Path) -> None:
    await db.changed_elsewhere()
    await db.write(add("ours"))
    assert not await db.changed_elsewhere()
    with closing(connect(path)) as other:
        other.execute("INSERT INTO things VALUES ('theirs')")
    assert await db.changed_elsewhere()
    assert not await db.changed_elsewhere()


def test_the_database_is_set_up_to_lose_nothing(path: Path) -> None:
    with closing(connect(path)) as conn:
        assert conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert conn.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert conn.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert os.stat(path).st_mode & 0o077 == 0
