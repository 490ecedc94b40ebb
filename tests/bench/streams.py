"""How soon 500 watchers of one payment see it PAID: `python -m tests.bench.streams`. It reports; it asserts nothing.
The median should be below 100 ms, better below 20.

Watchers follow by server-sent events, then by long-poll. Times run from the moment the webhook was sent, which lies
before the commit, and from its 200, which lies after it. Server on one core, watchers on the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from qrisd.providers.simulator import sign
from tests.bench.__main__ import UNLIMITED, resident_mib
from tests.bench.load import request
from tests.support.server import LiveServer

PAID = b'"status":"PAID"'
TIMES_OUT_AFTER_S = 30


class Watcher(asyncio.Protocol):
    """One connection that asks once, and notes when its answer brings PAID. `ready` is called at the first bytes."""

    def __init__(self, asking: bytes, ready: Callable[[], None], done: Callable[[], None]) -> None:
        self._asking = asking
        self._ready = ready
        self._done = done
        self._quiet = True
        self.seen_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._asking)

    def data_received(self, data: bytes) -> None:
        if PAID in data and not self.seen_at:
            self.seen_at = time.perf_counter()
            self._done()
        elif self._quiet:
            self._quiet = False
            self._ready()


class Countdown:
    """Finished when `count` calls have come."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._finished = asyncio.Event()

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._finished.set()

    async def finished(self) -> None:
        async with asyncio.timeout(TIMES_OUT_AFTER_S):
            await self._finished.wait()


async def watch(port: int, watchers: int, asking: bytes, webhook: bytes, *, streams: bool) -> tuple[float, list[float]]:
    """The seconds from sending `webhook` to its 200, and to the moment each of the watchers saw PAID."""
    loop = asyncio.get_running_loop()
    ready, done = Countdown(watchers), Countdown(watchers)
    made: list[Watcher] = []
    for _ in range(watchers):
        made.append(Watcher(asking, ready, done))
        await loop.create_connection(lambda: made[-1], "127.0.0.1", port)
    await (ready.finished() if streams else asyncio.sleep(1))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent_at = time.perf_counter()
    writer.write(webhook)
    answer = await reader.readuntil(b"\r\n")
    answered_at = time.perf_counter()
    assert b" 200 " in answer, answer
    await done.finished()
    for one in made:
        one.transport.close()
    writer.close()
    return answered_at - sent_at, [one.seen_at - sent_at for one in made]


def paying(secret: bytes, order_id: str) -> bytes:
    """The simulator's webhook that pays the order, as bytes to send."""
    event = {"event_id": f"evt_{order_id}", "order_id": order_id, "status": "PAID", "amount": 15000, "currency": "IDR"}
    body, timestamp = json.dumps(event).encode(), str(int(time.time()))
    headers = {"X_Timestamp": timestamp, "X_Signature": sign(secret, body, timestamp)}
    return request("POST", "/webhooks/qris", body, **headers)


def report(name: str, answered_s: list[float], seen_s: list[list[float]]) -> None:
    rounds = zip(answered_s, seen_s, strict=True)
    since_200 = [one - answered for answered, round_s in rounds for one in round_s]
    since_sent = [one for round_s in seen_s for one in round_s]
    print(f"{name:12}{spread('from the 200', since_200)}{spread('from sending it', since_sent)}", flush=True)


def spread(name: str, seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"   {name}: median {cuts[49] * 1000:5.1f} ms  p99 {cuts[98] * 1000:5.1f} ms"


def measure(server: LiveServer, watchers: int, payments: int, *, streams: bool) -> None:
    """Pay `payments` payments, each before the eyes of `watchers`, and report."""
    secret = (server.data_dir / "simulator.secret").read_text().strip().encode()
    port = int(server.url.rsplit(":", 1)[1])
    answered_s, seen_s = [], []
    for number in range(payments):
        order_id = f"{'S' if streams else 'W'}-{number}"
        with server.client() as client:
            payment = client.post("/payments", json={"order_id": order_id, "amount": 15000}).json()
        path = f"/payments/{payment['id']}" + ("/events" if streams else "?wait=60")
        asking = request("GET", path, Authorization=f"Bearer {server.key}")
        answered, seen = asyncio.run(watch(port, watchers, asking, paying(secret, order_id), streams=streams))
        answered_s.append(answered)
        seen_s.append(seen)
    report("streams" if streams else "long-polls", answered_s, seen_s)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.streams", description=__doc__)
    options.add_argument("--watchers", type=int, default=500)
    options.add_argument("--payments", type=int, default=10)
    chosen = options.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        os.sched_setaffinity(0, cores[:1])  # inherited by the server
        with LiveServer(Path(folder) / "data", UNLIMITED) as server:
            assert server.process is not None
            os.sched_setaffinity(0, cores[-1:])
            for streams in (True, False):
                measure(server, chosen.watchers, chosen.payments, streams=streams)
            print(f"resident {resident_mib(server.process.pid):.0f} MiB")


if __name__ == "__main__":
    main()
