"""ST: the real server is killed, under load and at every step of a payment, and told to stop."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from qrisd.store.db import connect
from tests.faults.campaign import campaign
from tests.faults.history import database_violations
from tests.faults.kill_sweep import Sweep
from tests.support.server import LiveServer

ORDER: dict[str, Any] = {"order_id": "INV-1", "amount": 15_000}
KEY = {"Idempotency-Key": "k-1"}


async def test_ten_kills_under_mixed_load_lose_and_double_nothing(tmp_path: Path) -> None:
    """ST-01, T1; the long form is `python -m tests.faults.campaign --kills 1000`."""
    outcome = await campaign(tmp_path, kills=10, seed=1)
    assert outcome.violations == []
    assert median(outcome.ready_s) < 3  # ready again by itself; one start may meet a busy machine
    assert outcome.answers["create 201"] > 100
    assert outcome.answers["webhook 200"] > 100


@pytest.mark.parametrize(("call", "stride", "at_least"), [("fdatasync", 1, 3), ("write", 1, 2), ("pwrite64", 13, 3)])
def test_a_kill_at_any_disk_call_leaves_one_charge_and_one_credit(
    server: LiveServer, call: str, stride: int, at_least: int
) -> None:
    """ST-02, ST-03; every single write: `python -m tests.faults.kill_sweep`."""
    assert Sweep(server).run(call, stride) >= at_least


def test_a_key_whose_request_was_killed_is_carried_on_after_the_restart(server: LiveServer) -> None:
    """ID-06, ST-02: the kill comes while the provider is being asked."""
    order = {**ORDER, "metadata": {"simulator": "slow"}}
    with server.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/payments", json=order, headers=KEY, timeout=0.5)
        server.kill()
        server.start()
        again = client.post("/payments", json=order, headers=KEY)
        assert (again.status_code, again.json()["status"]) == (201, "PENDING")
        replayed = client.post("/payments", json=order, headers=KEY)
        assert (replayed.status_code, replayed.headers["Idempotent-Replayed"]) == (201, "true")
        assert len(client.get("/payments").json()["data"]) == 1


def test_a_charge_nobody_asks_about_again_is_resolved_after_the_restart(server: LiveServer) -> None:
    """ST-02: no client retries; the watcher asks the provider once its longest call is over."""
    order = {**ORDER, "metadata": {"simulator": "slow"}}
    with server.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/payments", json=order, timeout=0.5)
        server.kill()
        server.start()
        payment = client.get("/payments").json()["data"][0]
        assert payment["status"] == "CREATED"
        assert client.get(f"/payments/{payment['id']}?wait=20").json()["status"] == "PENDING"


def test_a_second_server_is_refused_and_a_killed_one_leaves_no_lock(server: LiveServer) -> None:
    """ST-09"""
    assert server.process is not None
    second = server.run("serve", "--port", "0")
    assert second.returncode == 1
    assert str(server.process.pid) in second.stderr
    with server.client() as client:
        assert client.post("/payments", json=ORDER).status_code == 201
        server.kill()
        server.start()
        assert client.post("/payments", json=ORDER).status_code == 200


async def test_a_stop_under_load_ends_cleanly_and_everything_in_flight_is_found_by_its_key(tmp_path: Path) -> None:
    """ST-14"""
    with LiveServer(tmp_path / "data") as server:
        headers = {"Authorization": f"Bearer {server.key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
            requests = [asyncio.create_task(_create(client, number)) for number in range(70)]
            await asyncio.sleep(0.5)
            assert await asyncio.to_thread(server.terminate) == 0
            answers = await asyncio.gather(*requests)
            assert {answer for answer in answers if answer is not None} <= {201, 202, 503}
            await asyncio.to_thread(server.start)
            again = [await _create(client, number, slow_too=False) for number in range(20, 70)]
            assert set(again) == {201}
            slow = await asyncio.gather(*(_create(client, number) for number in range(20)))
            assert set(slow) == {201}
        with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
            assert database_violations(conn) == []
            assert conn.execute("SELECT count(*), sum(attempt) FROM payments").fetchone()[:] == (70, 70)


async def _create(client: httpx.AsyncClient, number: int, slow_too: bool = True) -> int | None:
    """The answer's status; the first twenty orders are at a slow provider."""
    metadata = {"simulator": "slow"} if number < 20 and slow_too else {}
    order = {"order_id": f"INV-{number}", "amount": 1_000 + number, "metadata": metadata}
    try:
        answer = await client.post("/payments", json=order, headers={"Idempotency-Key": f"k-{number}"})
    except httpx.TransportError:
        return None
    return answer.status_code


def test_a_first_start_cut_off_at_any_sync_begins_anew(tmp_path: Path) -> None:
    """ST-02: killed while the data directory is being made, the next start still works."""
    for number in range(1, 40):
        root = tmp_path / str(number)
        root.mkdir()
        strace = ["strace", "-f", "-o", os.devnull, "-e", "trace=fdatasync,fsync"]
        code = _cut_off(root, [*strace, "-e", f"inject=fdatasync,fsync:signal=KILL:when={number}"])
        if code == 0:
            break
        with LiveServer(root / "data") as server, server.client() as client:
            assert client.post("/payments", json=ORDER).status_code == 201
    assert number > 3


def _cut_off(root: Path, strace: list[str]) -> int:
    """0 when the start survived its injection."""
    import subprocess
    import sys

    command = [*strace, sys.executable, "-c", _FIRST_START, str(root / "data")]
    return subprocess.run(command, capture_output=True, check=False, cwd=root).returncode


_FIRST_START = """
import sys
from pathlib import Path
from qrisd.data_dir import DataDir
made = DataDir(Path(sys.argv[1]))
made.make()
made.open_database()
"""
