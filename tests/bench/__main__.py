"""How fast qrisd is beside a bare route: `python -m tests.bench`. It reports; it asserts nothing.

Server and baseline alternate inside each round and run on one core, the load generator on the other, so that ratios
carry over to another machine. Everything is on as shipped: authentication, limits, log, metrics, two commits a create.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from qrisd.providers.simulator import sign
from tests.bench.load import Measured, request, run
from tests.support.server import LiveServer

# figure -> (what it is compared with, what it should reach)
CORE = {
    "create, 100 connections": 0.30,
    "create, 1 connection": 0.10,
    "webhook, 100 connections": 0.35,
    "get by id, 100 connections": 0.45,
    "304 by ETag, 100 connections": 0.60,
}
MOST_WEBHOOKS_PER_SECOND = 5_000
UNLIMITED = {"QRISD_RATE_LIMIT__PER_KEY": "100000000/minute"}


@dataclass(frozen=True, slots=True)
class Case:
    """One figure: how many connections send what, and the status every answer should have."""

    name: str
    connections: int
    wanted: int
    next_request: Callable[[], bytes]


def cases(server: LiveServer, secret: bytes, webhooks: int) -> list[Case]:
    numbers = count(time.time_ns())
    bearer = f"Bearer {server.key}"

    def create() -> bytes:
        body = json.dumps({"order_id": f"B-{next(numbers)}", "amount": 15000, "description": "2 kopi susu"}).encode()
        return request("POST", "/payments", body, Authorization=bearer)

    unpaid = iter(asyncio.run(_unpaid(server, webhooks)))

    def webhook() -> bytes:
        event = {**next(unpaid), "event_id": f"evt_{next(numbers)}", "status": "PAID"}
        event |= {"amount": 15000, "currency": "IDR"}
        body, timestamp = json.dumps(event).encode(), str(int(time.time()))
        headers = {"X_Timestamp": timestamp, "X_Signature": sign(secret, body, timestamp)}
        return request("POST", "/webhooks/qris", body, **headers)

    with server.client() as client:
        payment = client.post("/payments", json={"order_id": f"B-{next(numbers)}", "amount": 15000}).json()
        etag = client.get(f"/payments/{payment['id']}").headers["etag"]
    path = f"/payments/{payment['id']}"
    get = request("GET", path, Authorization=bearer)
    get_304 = request("GET", path, Authorization=bearer, If_None_Match=etag)
    return [
        Case("create, 100 connections", 100, 201, create),
        Case("create, 1 connection", 1, 201, create),
        Case("webhook, 100 connections", 100, 200, webhook),
        Case("get by id, 100 connections", 100, 200, lambda: get),
        Case("304 by ETag, 100 connections", 100, 304, lambda: get_304),
    ]


async def _unpaid(server: LiveServer, wanted: int) -> list[dict[str, Any]]:
    """Fresh payments for the webhooks to pay."""
    made: list[dict[str, Any]] = []
    numbers = count(time.time_ns())

    async def keep_making(client: httpx.AsyncClient) -> None:
        while len(made) < wanted:
            answer = await client.post("/payments", json={"order_id": f"W-{next(numbers)}", "amount": 15000})
            payment = answer.json()
            made.append({"order_id": payment["order_id"], "provider_trx_id": payment["provider_trx_id"]})

    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}) as client:
        await asyncio.gather(*(keep_making(client) for _ in range(32)))
    return made


@contextmanager
def baseline() -> Iterator[int]:
    """The echo server's port."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.echo", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().rsplit(":", 1)[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def measure(
    case: Case, port: int, echo_port: int, seconds: float, rounds: int
) -> tuple[list[Measured], list[Measured]]:
    echo_body = json.dumps({"order_id": "B-1", "amount": 15000, "description": "2 kopi susu"}).encode()
    echo = request("POST", "/echo", echo_body)
    ours, bare = [], []
    for _ in range(rounds):
        bare.append(asyncio.run(run(echo_port, case.connections, seconds, lambda: echo, 201)))
        ours.append(asyncio.run(run(port, case.connections, seconds, case.next_request, case.wanted)))
    return ours, bare


def report(case: Case, ours: list[Measured], bare: list[Measured]) -> None:
    per_second = statistics.median(one.per_second for one in ours)
    echo = statistics.median(one.per_second for one in bare)
    p50 = statistics.median(one.p50_ms for one in ours)
    p99 = statistics.median(one.p99_ms for one in ours)
    failed = sum(one.failed for one in ours + bare)
    print(
        f"{case.name:30} {per_second:8,.0f}/s  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  p99/p50 {p99 / p50:4.1f}"
        f"   echo {echo:8,.0f}/s   ratio {per_second / echo:5.2f} (core {CORE[case.name]:.2f})"
        + (f"   {failed} FAILED" if failed else ""),
        flush=True,
    )


def resident_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def seconds_of(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0, help="how long each measurement runs")
    options.add_argument("--rounds", type=int, default=3, help="measurements of each; the median is reported")
    chosen = options.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, cores[:1])  # inherited by the servers
        started = time.perf_counter()
        with LiveServer(Path(folder) / "data", UNLIMITED) as server, baseline() as echo_port:
            ready_s = time.perf_counter() - started
            assert server.process is not None
            idle = resident_mib(server.process.pid)
            os.sched_setaffinity(0, cores[-1:])
            secret = (server.data_dir / "simulator.secret").read_text().strip().encode()
            port = int(server.url.rsplit(":", 1)[1])
            webhooks = int(chosen.rounds * chosen.seconds * MOST_WEBHOOKS_PER_SECOND)
            for case in cases(server, secret, webhooks):
                report(case, *measure(case, port, echo_port, chosen.seconds, chosen.rounds))
            loaded = resident_mib(server.process.pid)
            stored = (server.data_dir / "qrisd.db").stat().st_size
            with server.client() as client:
                assert client.get("/readyz").status_code == 200
        print(f"resident idle {idle:.0f} MiB (core 90), under load {loaded:.0f} MiB (core 180)")
        print(f"start to ready {ready_s:.2f} s (core 1)")
        help_s = min(seconds_of(sys.executable, "-m", "qrisd", "--help") for _ in range(5))
        print(f"qrisd --help {help_s:.2f} s (core 0.40)")
        print(f"database {stored / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
