"""How many callbacks a second reach one healthy server, and how soon: `python -m tests.bench.callbacks`. It reports; it
asserts nothing.

Times run from the moment the order was sent, which lies before the commit, and from its 201, which lies after it. The
rate is that of a backlog, stored while the server is down. Server on one core, receiver on the other.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import httpx

from qrisd.store.db import connect
from tests.bench.__main__ import UNLIMITED, resident_mib
from tests.bench.streams import spread
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.support.backlog import multiply_payment
from tests.support.server import LiveServer

TIMES_OUT_AFTER_S: Final = 300


class Receiver:
    """Notes when each callback first arrived, and answers 204."""

    def __init__(self) -> None:
        self.server = LoopbackServer(self._handle)
        self.arrived_at: dict[str, float] = {}
        self.requests = 0
        self._news = asyncio.Condition()

    async def _handle(self, request: Request) -> Reply:
        self.requests += 1
        self.arrived_at.setdefault(request.headers["webhook-id"], time.perf_counter())
        async with self._news:
            self._news.notify_all()
        return Reply(204)

    async def until(self, count: int) -> None:
        """Once so many have arrived."""
        async with asyncio.timeout(TIMES_OUT_AFTER_S), self._news:
            await self._news.wait_for(lambda: len(self.arrived_at) >= count)


async def soon(server: LiveServer, receiver: Receiver, payments: int) -> tuple[list[float], list[float]]:
    """Order one by one; the seconds until each arrived, from sending the order and from its 201."""
    since_sent, since_201 = [], []
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        for number in range(payments):
            order = {"order_id": f"C-{payments}-{number}", "amount": 15_000, "callback_url": receiver.server.url}
            before, sent_at = len(receiver.arrived_at), time.perf_counter()
            answer = await client.post("/payments", json=order)
            answered_at = time.perf_counter()
            assert answer.status_code == 201, answer.text
            await receiver.until(before + 1)
            arrived_at = max(receiver.arrived_at.values())
            since_sent.append(arrived_at - sent_at)
            since_201.append(arrived_at - answered_at)
    return since_sent, since_201


async def rate(server: LiveServer, receiver: Receiver, backlog: int) -> float:
    """Callbacks a second, from the first that arrives to the last. It is the server's first work."""
    await soon(server, receiver, 1)
    server.terminate()
    with closing(connect(server.data_dir / "qrisd.db")) as conn:
        multiply_payment(conn, backlog)
    _start_on_its_core(server)
    await receiver.until(1 + backlog)
    arrived = sorted(receiver.arrived_at.values())[1:]
    return backlog / (arrived[-1] - arrived[0])


def _start_on_its_core(server: LiveServer) -> None:
    """The server has the first core, which it inherits; this thread keeps the last one."""
    cores = range(os.cpu_count() or 1)
    os.sched_setaffinity(0, cores[:1])
    server.start()
    os.sched_setaffinity(0, cores[-1:])


async def measure(folder: Path, payments: int, backlog: int) -> None:
    receiver = Receiver()
    await receiver.server.start()
    server = LiveServer(folder / "data", UNLIMITED | {"QRISD_CALLBACKS__ALLOW_LOOPBACK": "true"})
    try:
        _start_on_its_core(server)
        per_second = await rate(server, receiver, backlog)
        assert server.process is not None
        memory_mib = resident_mib(server.process.pid)
        again = receiver.requests - 1 - backlog
        print(f"backlog   {per_second:,.0f}/s   sent again {again}   resident {memory_mib:.0f} MiB", flush=True)
        since_sent, since_201 = await soon(server, receiver, payments)
        print(f"arrival{spread('from the 201', since_201)}{spread('from sending it', since_sent)}")
    finally:
        server.kill()
    await receiver.server.stop()


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.callbacks", description=__doc__)
    options.add_argument("--payments", type=int, default=300)
    options.add_argument("--backlog", type=int, default=5_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), chosen.payments, chosen.backlog))


if __name__ == "__main__":
    main()
