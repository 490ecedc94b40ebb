"""The database: one writer that commits in groups, and a few readers.

A *unit* is a plain function of the connection: no await inside, so nothing can hold a transaction open. Units that
arrive while a commit is running wait and share the next one, so that a slow disk costs one flush for all of them. A
unit may run twice (its group is rolled back when another unit in it fails), so it must change nothing but the database.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite
import structlog

from qrisd.domain.errors import StorageBusy, StorageUnavailable

T = TypeVar("T")
log = structlog.get_logger()
Connection = sqlite3.Connection
Unit = Callable[[Connection], T]

BUSY_TIMEOUT_S: Final = 3.0
MAX_WAITING: Final = 10_000
MAX_GROUP: Final = 500
READERS: Final = 2

_BUSY_CODES: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNAVAILABLE_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
    }
)


class Worker(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function on its thread: one hop, however many statements."""

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        result: T = await self._execute(work, self._conn, *args)  # type: ignore[no-untyped-call]
        return result


def connect(path: Path, *, read_only: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Connection:
    """A connection set up as ours: WAL, full durability, foreign keys on, no implicit transactions."""
    mode = "ro" if read_only else "rw"
    conn = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=busy_timeout_s,
        check_same_thread=False,
        cached_statements=256,
    )
    conn.row_factory = sqlite3.Row
    conn.execute("PRAGMA foreign_keys = ON")
    if not read_only:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("PRAGMA journal_size_limit = 67108864")
    return conn


def storage_error(error: BaseException) -> BaseException:
    """What a caller should see instead of an sqlite3 error: busy and unavailable get their own kind."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY_CODES:
        return StorageBusy("The database is busy. Nothing was stored; try again in a moment.")
    if code in _UNAVAILABLE_CODES:
        return StorageUnavailable("The database cannot take writes now. Nothing was stored; try again later.")
    return error


class _Group:
    """Work waiting for one worker, run together in one hop to its thread."""

    def __init__(self, worker: Worker, run: Callable[[Connection, list[Unit[Any]]], list[Any]]) -> None:
        self._worker = worker
        self._run = run
        self._waiting: deque[tuple[Unit[Any], Callable[[Any], None] | None, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def submit(self, unit: Unit[T], then: Callable[[T], None] | None = None) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, then, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))]
            try:
                outcomes = await self._worker.run(self._run, [unit for unit, _, _ in group])
            except Exception as error:
                outcomes = [error] * len(group)
            for (_, then, future), outcome in zip(group, outcomes, strict=True):
                _settle(future, then, outcome)

    async def finish(self) -> None:
        """Wait until everything submitted so far has its outcome."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])


def _settle(future: asyncio.Future[Any], then: Callable[[Any], None] | None, outcome: Any) -> None:
    failed = isinstance(outcome, BaseException)
    if not failed and then is not None:
        try:
            then(outcome)
        except Exception:  # what is stored is stored: nobody may be left waiting for it
            log.exception("what follows a commit failed")
    if future.cancelled():
        return
    if failed:
        future.set_exception(storage_error(outcome))
    else:
        future.set_result(outcome)


def commit_group(conn: Connection, units: list[Unit[Any]]) -> list[Any]:
    """Run `units` in one transaction; answers each one's result, or the exception that undid it alone.

    Savepoints cost more than they save while all goes well, so they are used only when the straight run failed."""
    try:
        conn.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        return [error] * len(units)
    try:
        results = [unit(conn) for unit in units]
        conn.execute("COMMIT")
        return results
    except Exception as error:
        _roll_back(conn)
        if len(units) == 1:
            return [error]
    return _commit_apart(conn, units)


def _commit_apart(conn: Connection, units: list[Unit[Any]]) -> list[Any]:
    try:
        conn.execute("BEGIN IMMEDIATE")
        outcomes = [_guarded(conn, unit) for unit in units]
        conn.execute("COMMIT")
        return outcomes
    except Exception as error:
        _roll_back(conn)
        return [error] * len(units)


def _guarded(conn: Connection, unit: Unit[Any]) -> Any:
    conn.execute("SAVEPOINT unit")
    try:
        outcome = unit(conn)
        conn.execute("RELEASE unit")
        return outcome
    except Exception as error:
        conn.execute("ROLLBACK TO unit")
        conn.execute("RELEASE unit")
        return error


def _roll_back(conn: Connection) -> None:
    if conn.in_transaction:  # a full disk may have rolled back already
        conn.execute("ROLLBACK")


def read_group(conn: Connection, queries: list[Unit[Any]]) -> list[Any]:
    """Run `queries` one after the other; answers each one's result or its exception."""
    return [_answer(conn, query) for query in queries]


def _answer(conn: Connection, query: Unit[Any]) -> Any:
    try:
        return query(conn)
    except Exception as error:
        return error


class Database:
    """The open database of one server process. `await open()` before use, `await close()` after."""

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._workers: list[Worker] = []
        self._writes: _Group | None = None
        self._reads: list[_Group] = []
        self._data_version: int | None = None

    async def open(self) -> None:
        """Open the writer and the readers. The file must exist and be migrated."""
        writer = await self._worker(read_only=False)
        self._writes = _Group(writer, commit_group)
        self._reads = [_Group(await self._worker(read_only=True), read_group) for _ in range(READERS)]

    async def _worker(self, *, read_only: bool) -> Worker:
        worker = Worker(lambda: connect(self.path, read_only=read_only, busy_timeout_s=self._busy_timeout_s), 64)
        await worker
        self._workers.append(worker)
        return worker

    async def close(self) -> None:
        """Finish what waits, then close every connection."""
        for group in [self._writes, *self._reads]:
            if group is not None:
                await group.finish()
        for worker in self._workers:
            await worker.close()
        self._workers.clear()

    async def write(self, unit: Unit[T], then: Callable[[T], None] | None = None) -> T:
        """Run `unit` in a transaction and return its result after the commit that holds it.

        `then(result)` runs on the loop right after that commit, even when the caller has gone away meanwhile. Raises
        what the unit raises, StorageBusy or StorageUnavailable; in every such case nothing of the unit is stored."""
        assert self._writes is not None
        if len(self._writes) >= MAX_WAITING:
            raise StorageBusy("Too many requests are waiting for the database. Nothing was stored; try again.")
        return await self._writes.submit(unit, then)

    async def read(self, query: Unit[T]) -> T:
        """Run `query` on a read-only connection and return its result."""
        return await min(self._reads, key=len).submit(query)

    async def changed_elsewhere(self) -> bool:
        """True when another process (a command beside the server) has committed since the last call."""
        before, self._data_version = self._data_version, await self._workers[0].run(_data_version)
        return before not in (None, self._data_version)

    async def empty_log(self) -> tuple[int, int]:
        """Move what the write-ahead log holds into the database, as far as readers allow: (its pages, those moved)."""
        return await self._workers[0].run(_empty_log)

    def free_bytes(self) -> int:
        """Room left on the disk that holds the database."""
        stat = os.statvfs(self.path.parent)
        return stat.f_bavail * stat.f_frsize


def _empty_log(conn: Connection) -> tuple[int, int]:
    _, pages, moved = conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return pages, moved


def _data_version(conn: Connection) -> int:
    return int(conn.execute("PRAGMA data_version").fetchone()[0])
