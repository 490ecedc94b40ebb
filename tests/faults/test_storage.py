"""ST: the disk is full or read-only, or somebody else holds the database."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog.testing

from qrisd.providers.simulator import sign
from qrisd.services import long_readers
from qrisd.services.long_readers import LongReaders
from qrisd.store.db import Database, connect
from tests.faults.history import database_violations
from tests.faults.injection import Injection
from tests.support.installation import Installation
from tests.support.server import LiveServer

DISK_BYTES = 64 * 1024 * 1024


def _webhook(server: LiveServer, client: httpx.Client, order_id: str, event_id: str) -> httpx.Response:
    event = {"event_id": event_id, "order_id": order_id, "status": "PAID", "amount": 15_000, "currency": "IDR"}
    body, timestamp = json.dumps(event).encode(), str(int(time.time()))
    secret = (server.data_dir / "simulator.secret").read_text().strip().encode()
    headers = {"X-Timestamp": timestamp, "X-Signature": sign(secret, body, timestamp)}
    return client.post("/webhooks/qris", content=body, headers=headers)


def _create(client: httpx.Client, order_id: str) -> httpx.Response:
    return client.post("/payments", json={"order_id": order_id, "amount": 15_000})


def _all_stored(server: LiveServer, orders: list[str], events: list[str]) -> None:
    """Exactly these were acknowledged; exactly these are there."""
    with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
        assert {row[0] for row in conn.execute("SELECT order_id FROM payments")} == set(orders)
        assert {row[0] for row in conn.execute("SELECT event_id FROM webhook_events")} == set(events)
        assert database_violations(conn) == []


def _refused(answer: httpx.Response, code: str) -> bool:
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
    return int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_when_the_disk_takes_no_more_nothing_is_acknowledged_and_it_recovers_by_itself(
    server: LiveServer, error: str
) -> None:
    """ST-06, ST-07 (while running), WH-13: every write to the database fails for a while."""
    assert server.process is not None
    with server.client() as client:
        first = _create(client, "INV-1").json()
        with Injection(server.process.pid, f"pwrite64:error={error}"):
            assert _refused(_create(client, "INV-2"), "storage_unavailable")
            assert _refused(_webhook(server, client, "INV-1", "evt-1"), "storage_unavailable")
            assert client.get(f"/payments/{first['id']}").json()["status"] == "PENDING"
            assert client.get("/healthz").status_code == 200
            assert "database" in client.get("/readyz").json()["problems"]
        assert _create(client, "INV-2").status_code == 201
        assert _webhook(server, client, "INV-1", "evt-1").json()["outcome"] == "applied"
        assert client.get("/readyz").status_code == 200
    _all_stored(server, ["INV-1", "INV-2"], ["evt-1"])


def test_when_only_the_sync_fails_nothing_is_acknowledged(server: LiveServer) -> None:
    """ST-06"""
    assert server.process is not None
    with server.client() as client:
        _create(client, "INV-1")
        with Injection(server.process.pid, "fdatasync:error=EIO"):
            assert _refused(_create(client, "INV-2"), "storage_unavailable")
        assert _create(client, "INV-2").status_code == 201
    _all_stored(server, ["INV-1", "INV-2"], [])


@contextmanager
def _small_disk(path: Path) -> Iterator[Path]:
    """A disk of its own of DISK_BYTES; needs the right to mount, which continuous integration runs have."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_refuses_until_there_is_room_again(tmp_path: Path) -> None:
    """ST-06"""
    with _small_disk(tmp_path / "disk") as disk, LiveServer(disk / "data") as server, server.client() as client:
        orders, events = [], []
        filler = disk / "filler"
        for number in range(3):
            assert _create(client, f"INV-{number}").status_code == 201
            orders.append(f"INV-{number}")
            _fill(filler)
            for attempt in range(200):
                answer = _webhook(server, client, f"INV-{number}", f"evt-{number}-{attempt}")
                if answer.status_code == 503:
                    break
                events.append(f"evt-{number}-{attempt}")
            assert _refused(answer, "storage_unavailable")
            assert _refused(_create(client, f"INV-{number}-more"), "storage_unavailable")
            assert client.get("/payments").status_code == 200
            filler.unlink()
            assert _eventually(lambda: _create(client, "INV-again").status_code in (200, 201))
        _all_stored(server, [*orders, "INV-again"], events)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def _eventually(holds: Any) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


def test_little_room_stops_new_payments_but_not_the_money(tmp_path: Path) -> None:
    """ST-06: what is kept free is kept for webhooks."""
    with _small_disk(tmp_path / "disk") as disk, LiveServer(disk / "data") as server, server.client() as client:
        assert _create(client, "INV-1").status_code == 201
        (disk / "filler").write_bytes(b"x" * (DISK_BYTES - 20 * 1024 * 1024))
        assert _eventually(lambda: client.get("/readyz").status_code == 503)
        assert _refused(_create(client, "INV-2"), "storage_unavailable")
        assert _webhook(server, client, "INV-1", "evt-1").json()["outcome"] == "applied"


def test_a_read_only_data_directory_is_said_at_the_start(tmp_path: Path) -> None:
    """ST-07"""
    with _small_disk(tmp_path / "disk") as disk:
        with LiveServer(disk / "data") as server:
            pass
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        began = time.monotonic()
        refused = server.run("serve", "--port", "0")
        assert time.monotonic() - began < 5
        assert refused.returncode != 0
        assert len(refused.stderr.strip().splitlines()) == 1
        assert str(disk / "data") in refused.stderr
        assert "Traceback" not in refused.stderr


async def test_a_lock_held_elsewhere_is_said_and_never_stops_the_loop(server: LiveServer) -> None:
    """ST-08, WH-13: another process holds the write lock for ten seconds."""
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        first = await client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
        with await asyncio.to_thread(_hold_lock, server.data_dir / "qrisd.db"):
            writes = asyncio.create_task(_write_on(client))
            pings = [await _ping(client) for _ in range(150)]
            read = await client.get(f"/payments/{first.json()['id']}")
            assert read.status_code == 200
            assert sorted(pings)[-2] < 0.25
            assert await writes == {(503, "storage_busy", True)}
        again = await client.post("/payments", json={"order_id": "INV-2", "amount": 15_000})
        assert again.status_code == 201
    _all_stored(server, ["INV-1", "INV-2"], [])


async def test_who_reads_for_long_is_said_once_and_forgotten_when_they_end(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ST-11"""
    monkeypatch.setattr(long_readers, "LONG_S", 0.05)
    db = Database(shop.data_dir.database)
    await db.open()
    readers = LongReaders(db)

    async def look() -> list[str]:
        await shop.create(uuid4().hex)
        with structlog.testing.capture_logs() as lines:
            await readers.tick()
        await asyncio.sleep(0.06)
        return [line["event"] for line in lines if "long reader" in line["event"]]

    assert [await look() for _ in range(3)] == [[], [], []]
    with closing(connect(db.path, read_only=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM payments").fetchone()
        told = [line for _ in range(5) for line in await look()]
        assert (len(told), readers.held_s > 0.05) == (1, True)
    await look()
    assert readers.held_s == 0
    await db.close()


async def test_the_metrics_say_how_long_the_log_was_held(shop: Installation) -> None:
    text = (await shop.client.get("/metrics")).text
    assert "qrisd_log_held_seconds 0.0" in text


def _hold_lock(database: Path) -> subprocess.Popen[str]:
    """A process that has the write lock now, and for ten seconds."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(database), "10"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


async def _write_on(client: httpx.AsyncClient) -> set[tuple[int, str, bool]]:
    orders = [{"order_id": f"INV-LOCKED-{number}", "amount": 1} for number in range(20)]
    answers = await asyncio.gather(*(client.post("/payments", json=order) for order in orders))
    return {(answer.status_code, answer.json()["code"], "Retry-After" in answer.headers) for answer in answers}


async def _ping(client: httpx.AsyncClient) -> float:
    began = time.monotonic()
    assert (await client.get("/healthz")).status_code == 200
    took_s = time.monotonic() - began
    await asyncio.sleep(0.02)
    return took_s


_HOLD = """
import sqlite3, sys, time
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
conn.execute("ROLLBACK")
"""
