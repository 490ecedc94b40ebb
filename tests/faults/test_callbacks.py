"""CB: callbacks when the server dies, the disk is full, and receivers do their worst."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from qrisd.domain.callback import Endpoint
from qrisd.store import callback_endpoints
from qrisd.store.db import Connection, Database, connect
from tests.fakes.receiver import FakeReceiver
from tests.fakes.script import Fault
from tests.fakes.server import Connection as Wire
from tests.fakes.server import Reply
from tests.faults.callback_stage import SECRET, stage
from tests.faults.faulty_receiver import drips, endless
from tests.faults.history import database_violations
from tests.faults.injection import Injection
from tests.support.backlog import multiply_payment
from tests.support.server import LiveServer

T = TypeVar("T")
SETTINGS = {
    "QRISD_CALLBACKS__ALLOW_LOOPBACK": "true",
    "QRISD_CALLBACKS__SECRET": SECRET,
    "QRISD_RATE_LIMIT__PER_KEY": "1000000/minute",
}
BACKLOG = 10_000
HEALTHY_WITHIN_S = 10.0


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    async with receiving() as fake:
        yield fake


@asynccontextmanager
async def receiving() -> AsyncIterator[FakeReceiver]:
    fake = FakeReceiver(SECRET)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """The real server, which may call back to this machine."""
    with LiveServer(tmp_path / "data", SETTINGS) as running:
        yield running


async def order(server: LiveServer, *urls: str) -> None:
    """One payment, with its one event, for each of `urls`."""
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        for url in urls:
            body = {"order_id": f"INV-{time.time_ns()}", "amount": 15_000, "callback_url": url}
            answer = await client.post("/payments", json=body)
            assert answer.status_code == 201, answer.text


def rows(server: LiveServer, sql: str) -> list[Any]:
    with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
        return [tuple(row) for row in conn.execute(sql)]


async def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def delivered(server: LiveServer, count: int) -> None:
    """Once so many are stored as delivered; then the database is looked at as a whole."""
    await until(lambda: rows(server, "SELECT count(*) FROM callbacks WHERE status = 'DELIVERED'") == [(count,)])
    with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
        assert database_violations(conn) == []


class Held:
    """A receiver's answers, kept back until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.reply = Reply(204, wire=self._answer)

    async def _answer(self, wire: Wire) -> None:
        await self.go.wait()
        await wire.send(Reply(204).head())


async def test_a_kill_between_two_tries_loses_nothing(server: LiveServer, receiver: FakeReceiver) -> None:
    """CB-01: the second try comes after the restart, under the same id."""
    receiver.script.next("callback", Fault.ERROR_AFTER_EFFECT)
    await order(server, receiver.url)
    await until(lambda: rows(server, "SELECT tries FROM callbacks") == [(1,)])
    await asyncio.to_thread(server.kill)
    assert len(receiver.book) == 1
    await asyncio.to_thread(server.start)
    first, second = await receiver.wait_for(2, within_s=30)
    assert first.id == second.id
    assert first.body == second.body
    assert second.is_genuine
    await delivered(server, 1)


async def test_what_was_received_but_not_stored_so_is_sent_again_under_its_id(
    server: LiveServer, receiver: FakeReceiver
) -> None:
    """CB-01, ST-02: killed at the first write after the receiver has answered."""
    held = Held()
    receiver.script.next("callback", reply=held.reply)
    await order(server, receiver.url)
    await receiver.wait_for(1)
    assert server.process is not None
    with Injection(server.process.pid, "pwrite64:signal=KILL:when=1"):
        held.go.set()
        assert await asyncio.to_thread(server.process.wait, 20) != 0
    assert rows(server, "SELECT count(*) FROM callback_tries") == [(0,)]
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    first, second = await receiver.wait_for(2, within_s=30)
    assert first.id == second.id
    await delivered(server, 1)


async def test_on_a_full_disk_receivers_are_not_told_again_and_again(
    server: LiveServer, receiver: FakeReceiver
) -> None:
    """ST-06: they were told, and what came of it is stored as soon as there is room."""
    held = Held()
    receiver.script.next("callback", reply=held.reply, times=4)
    await order(server, *[receiver.url] * 4)
    await receiver.wait_for(2)
    assert server.process is not None
    with Injection(server.process.pid, "pwrite64:error=ENOSPC"):
        held.go.set()
        await asyncio.sleep(3)
    await receiver.wait_for(4, within_s=30)
    await delivered(server, 4)
    assert len(receiver.book) == 4


async def test_while_the_database_is_locked_receivers_are_not_told_again_and_again(
    server: LiveServer, receiver: FakeReceiver
) -> None:
    """ST-08"""
    held = Held()
    receiver.script.next("callback", reply=held.reply, times=4)
    await order(server, *[receiver.url] * 4)
    await receiver.wait_for(2)
    with closing(sqlite3.connect(server.data_dir / "qrisd.db", isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        held.go.set()
        await asyncio.sleep(8)
        conn.execute("ROLLBACK")
    await receiver.wait_for(4, within_s=30)
    await delivered(server, 4)
    assert len(receiver.book) == 4


@pytest.mark.parametrize("trouble", ["hangs", "refuses"])
async def test_ten_thousand_waiting_for_a_dead_server_hold_up_nobody_else(
    server: LiveServer, receiver: FakeReceiver, trouble: str
) -> None:
    """CB-04"""
    async with receiving() as dead:
        dead.script.next("callback", Fault.TIMEOUT, times=BACKLOG)
        await order(server, dead.url)
        await dead.wait_for(1)
        if trouble == "refuses":
            await dead.stop()
        with closing(connect(server.data_dir / "qrisd.db")) as conn:
            multiply_payment(conn, BACKLOG)
        await asyncio.sleep(2)
        waits_s = [await _wait_s(server, receiver, number) for number in range(1, 21)]
        assert max(waits_s) < HEALTHY_WITHIN_S
        waiting = rows(server, f"SELECT count(*) FROM callbacks WHERE status = 'WAITING' AND url = '{dead.url}'")
        assert waiting == [(BACKLOG + 1,)]
        if trouble == "refuses":
            await dead.start()


async def _wait_s(server: LiveServer, receiver: FakeReceiver, number: int) -> float:
    """The seconds from an order's answer until its receiver is told."""
    await order(server, receiver.url)
    began = time.monotonic()
    await receiver.wait_for(number, within_s=60)
    return time.monotonic() - began


async def test_forty_servers_that_hang_leave_room_for_one_that_answers(tmp_path: Path, receiver: FakeReceiver) -> None:
    """CB-04, with more dead servers than there is room for tries."""
    async with stage(tmp_path) as on, AsyncExitStack() as open_:
        await on.sell(receiver.url)
        await receiver.wait_for(1)
        dead = [await open_.enter_async_context(receiving()) for _ in range(40)]
        for one in dead:
            one.script.next("callback", Fault.TIMEOUT, times=99)
            for _ in range(3):
                await on.sell(one.url)
        await asyncio.sleep(1)
        await on.sell(receiver.url)
        await receiver.wait_for(2, within_s=HEALTHY_WITHIN_S)


WORST = {
    "an endless body": lambda wire: endless(wire, Reply(200).head(10**12)),
    "a dripping body": lambda wire: drips(wire, Reply(200).head(10_000) + b"x" * 10_000),
    "endless headers": lambda wire: endless(wire, b"HTTP/1.1 200 OK\r\nA: "),
    "dripping headers": lambda wire: drips(wire, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1_000),
}


@pytest.mark.parametrize(("answer", "status"), [(name, "DELIVERED" if "body" in name else "WAITING") for name in WORST])
async def test_an_answer_without_end_is_left_and_keeps_nothing_open(
    tmp_path: Path, receiver: FakeReceiver, answer: str, status: str
) -> None:
    """CB-05: the status counts, as soon as it is there."""
    ended: list[str] = []

    async def noted(wire: Wire) -> None:
        try:
            await WORST[answer](wire)
        finally:
            ended.append(answer)

    receiver.script.next("callback", reply=Reply(wire=noted), times=4)
    async with stage(tmp_path, total_s=1) as on:
        for _ in range(4):
            await on.sell(receiver.url)
        await until(lambda: len(on.rows("SELECT id FROM callback_tries")) == 4)
        assert {row["status"] for row in on.rows("SELECT status FROM callbacks")} == {status}
        assert (on.rows("SELECT max(length(answer)) FROM callback_tries")[0][0] or 0) <= 2_048
        await until(lambda: len(ended) == 4)


async def test_a_hundred_payments_arrive_while_the_name_resolves_slowly(tmp_path: Path, receiver: FakeReceiver) -> None:
    asked = 0

    async def slowly(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.3)
        return ["127.0.0.1"]

    port = receiver.url.split(":")[2]
    async with stage(tmp_path, resolve=slowly) as on, receiving() as other:
        for _ in range(100):
            await on.sell(f"http://shop.example:{port}")
        await on.sell(other.url)
        await other.wait_for(1, within_s=HEALTHY_WITHIN_S)
        told = await receiver.wait_for(100, within_s=60)
        assert len({one.id for one in told}) == 100
        assert asked == 100


async def test_a_stop_does_not_wait_for_tries_that_hang_and_they_are_made_again(
    server: LiveServer, receiver: FakeReceiver
) -> None:
    """ST-14"""
    async with receiving() as other:
        for one in (receiver, other):
            one.script.next("callback", Fault.TIMEOUT, times=2)
            await order(server, *[one.url] * 4)
        await receiver.wait_for(2)
        await other.wait_for(2)
        assert await asyncio.to_thread(server.terminate, 12) == 0
        await asyncio.to_thread(server.start)
        await delivered(server, 8)
        for one in (receiver, other):
            assert len({told.id for told in one.book}) == 4
            assert len(one.book) == 6


class Replica(Database):
    """Its answers are a little old when they come; `meanwhile` happens before, and knows what was `found`."""

    async def read(self, query: Callable[[Connection], T]) -> T:
        found = await super().read(query)
        await self.meanwhile(found)
        await asyncio.sleep(0.05)
        return found

    async def meanwhile(self, found: Any) -> None:
        """Nothing."""


async def test_what_ends_while_the_outbox_looks_is_not_sent_again(tmp_path: Path, receiver: FakeReceiver) -> None:
    for number in range(30):
        receiver.script.next("callback", delay_s=0.01 * (number % 5))
    async with stage(tmp_path, database=Replica) as on:
        for _ in range(30):
            await on.sell(receiver.url)
        await until(lambda: len(on.rows("SELECT id FROM callbacks WHERE status = 'DELIVERED'")) == 30)
        await asyncio.sleep(0.3)
        assert len(receiver.book) == 30


class Resumed(Replica):
    """Whatever is switched off is switched on again when the outbox has seen that something is due there."""

    async def meanwhile(self, found: Any) -> None:
        due, _ = found
        if due:
            await self.write(lambda conn: conn.execute("DELETE FROM callback_endpoints"))


async def test_what_is_resumed_while_the_outbox_looks_is_not_given_up(tmp_path: Path, receiver: FakeReceiver) -> None:
    async with stage(tmp_path, database=Resumed) as on:
        off = Endpoint(url=receiver.url, off_since=on.clock(), reason="it is gone")
        await on.db.write(lambda conn: callback_endpoints.save(conn, off))
        await on.sell(receiver.url)
        await until(lambda: [row["status"] for row in on.rows("SELECT status FROM callbacks")] == ["DELIVERED"])
        assert on.rows("SELECT url FROM callback_endpoints") == []
