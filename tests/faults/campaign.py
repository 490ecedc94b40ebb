"""Kill the real server again and again under mixed load, and check that nothing acknowledged was lost or doubled.

python -m tests.faults.campaign --kills 1000 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from qrisd.providers.simulator import sign
from qrisd.store.db import connect
from tests.faults.history import History, Request
from tests.support.server import LiveServer

WORKERS: Final = 6
# What the simulator is told to do with a new payment; mostly nothing.
BEHAVIOURS: Final = (*["normal"] * 16, "lose_answer", "lose_answer", "refuse", "slow")
SETTLE_WITHIN_S: Final = 60.0


@dataclass(slots=True)
class Load:
    """Merchants and a provider who never stop asking, and who ask again whatever got no answer."""

    url: str
    key: str
    secret: bytes
    random: random.Random
    history: History = field(default_factory=History)
    orders: int = 0
    unanswered: list[Callable[[httpx.AsyncClient], Awaitable[Any]]] = field(default_factory=list)
    open: list[dict[str, Any]] = field(default_factory=list)
    stopping: bool = False

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20)

    async def run(self) -> None:
        """Ask until `stop` is called, best after the server has died: what was under way then has no answer."""
        self.stopping = False
        async with self.client() as client, asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work(client))

    def stop(self) -> None:
        self.stopping = True

    async def _work(self, client: httpx.AsyncClient) -> None:
        choices = (self._create, self._pay, self._retry, self._read, self._close, self._say_something_old)
        while not self.stopping:
            act = self.random.choices(choices, weights=(30, 35, 15, 8, 6, 6))[0]
            await act(client)

    async def _create(self, client: httpx.AsyncClient) -> None:
        self.orders += 1
        behaviour = self.random.choice(BEHAVIOURS)
        order = {
            "order_id": f"INV-{self.orders}",
            "amount": self.random.randint(1, 50_000),
            "metadata": {} if behaviour == "normal" else {"simulator": behaviour},
        }
        headers = {"Idempotency-Key": f"key-{self.orders}"} if self.random.random() < 0.6 else {}
        await self.send_create(client, order, headers)

    async def send_create(
        self, client: httpx.AsyncClient, order: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Request:
        again = lambda other: self.send_create(other, order, headers)  # noqa: E731
        request = await self._send(
            "create", order, lambda: client.post("/payments", json=order, headers=headers), again
        )
        if request.acknowledged and request.body["status"] == "PENDING":
            self.open.append(request.body)
        elif request.status in (202, 409, 503):
            self.unanswered.append(again)
        return request

    async def _pay(self, client: httpx.AsyncClient) -> None:
        """One event, one to three times, some of them at once."""
        if not self.open:
            return
        payment = self.open.pop(self.random.randrange(len(self.open)))
        event = self._event(payment, "PAID")
        copies = self.random.choice((1, 1, 2, 3))
        await asyncio.gather(*(self.send_webhook(client, event) for _ in range(copies)))
        if self.random.random() < 0.5:
            await self.send_webhook(client, self._event(payment, self.random.choice(("PENDING", "EXPIRED"))))

    async def _say_something_old(self, client: httpx.AsyncClient) -> None:
        """News from before, out of order: it may change nothing about money."""
        if self.open:
            payment = self.random.choice(self.open)
            await self.send_webhook(client, self._event(payment, "PENDING"))

    def _event(self, payment: Mapping[str, Any], status: str) -> dict[str, Any]:
        return {
            "event_id": f"evt_{self.random.getrandbits(64):x}",
            "provider_trx_id": payment["provider_trx_id"],
            "order_id": payment["order_id"],
            "status": status,
            "amount": payment["amount"],
            "currency": "IDR",
        }

    async def send_webhook(self, client: httpx.AsyncClient, event: Mapping[str, Any]) -> Request:
        body, timestamp = json.dumps(event).encode(), str(int(time.time()))
        headers = {"X-Timestamp": timestamp, "X-Signature": sign(self.secret, body, timestamp)}
        again = lambda other: self.send_webhook(other, event)  # noqa: E731
        call = lambda: client.post("/webhooks/qris", content=body, headers=headers)  # noqa: E731
        request = await self._send("webhook", event, call, again)
        if request.status == 503:
            self.unanswered.append(again)
        return request

    async def _send(
        self, kind: str, asked: Mapping[str, Any], call: Callable[[], Any], again: Callable[..., Any]
    ) -> Request:
        request = await self.history.send(kind, asked, call)
        if request.status is None:
            self.unanswered.append(again)
            await asyncio.sleep(0.05)  # the server is down
        return request

    async def _retry(self, client: httpx.AsyncClient) -> None:
        if self.unanswered:
            await self.unanswered.pop(self.random.randrange(len(self.unanswered)))(client)

    async def _read(self, client: httpx.AsyncClient) -> None:
        if self.open:
            payment_id = self.random.choice(self.open)["id"]
            await self.history.send("get", {"id": payment_id}, lambda: client.get(f"/payments/{payment_id}"))

    async def _close(self, client: httpx.AsyncClient) -> None:
        """Cancel or renew a payment, which may be paid all the same."""
        if not self.open:
            return
        payment_id = self.random.choice(self.open)["id"]
        kind = self.random.choice(("cancel", "renew", "check"))
        await self.history.send(kind, {"id": payment_id}, lambda: client.post(f"/payments/{payment_id}/{kind}"))

    async def settle(self) -> list[str]:
        """Ask again whatever is unanswered until all of it is, and until no payment is unknown; what is left over."""
        deadline = time.monotonic() + SETTLE_WITHIN_S
        async with self.client() as client:
            while time.monotonic() < deadline:
                waiting, self.unanswered = self.unanswered, []
                for again in waiting:
                    await again(client)
                unknown = (await client.get("/payments", params={"status": "CREATED", "limit": 100})).json()["data"]
                if not self.unanswered and not unknown:
                    return []
                await asyncio.sleep(0.5)
        return [
            f"{len(self.unanswered)} requests get no final answer",
            *(f"{one['order_id']}: stuck" for one in unknown),
        ]


@dataclass(slots=True)
class Outcome:
    """What a campaign found. `ready_s` are the seconds each restart took until the server was ready."""

    violations: list[str]
    ready_s: list[float]
    answers: Counter[str]

    def __str__(self) -> str:
        answers = ", ".join(f"{name} {count}" for name, count in sorted(self.answers.items()))
        lines = [f"requests: {answers}", f"slowest restart: {max(self.ready_s):.2f} s", *self.violations]
        return "\n".join([*lines, f"{len(self.violations)} violations"])


async def campaign(root: Path, kills: int, seed: int, progress: Callable[[str], None] = lambda line: None) -> Outcome:
    """Run `kills` rounds of load, SIGKILL and restart on one data directory, then compare history and database."""
    chance, server, ready_s = random.Random(seed), LiveServer(root / "data", env=GENEROUS), []
    server.start()
    try:
        secret = (server.data_dir / "simulator.secret").read_text().strip().encode()
        load = Load(server.url, server.key, secret, chance)
        for round_number in range(1, kills + 1):
            running = asyncio.create_task(load.run())
            await asyncio.sleep(chance.uniform(0.05, 2.0))
            server.kill()
            load.stop()
            await running
            ready_s.append(await asyncio.to_thread(_restart, server))
            if round_number % 10 == 0:
                progress(f"{round_number} kills, {len(load.history.requests)} requests, {load.orders} orders")
        stuck = await load.settle()
        server.terminate()
        return Outcome([*stuck, *_compare(server, load.history)], ready_s, _answers(load.history))
    finally:
        server.kill()


GENEROUS: Final = {"QRISD_RATE_LIMIT__PER_KEY": "1000000/minute"}


def _restart(server: LiveServer) -> float:
    began = time.monotonic()
    server.start()
    while httpx.get(f"{server.url}/readyz").status_code != 200:
        time.sleep(0.02)
    return time.monotonic() - began


def _compare(server: LiveServer, history: History) -> list[str]:
    with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
        return history.violations(conn)


def _answers(history: History) -> Counter[str]:
    return Counter(f"{request.kind} {request.status or 'unanswered'}" for request in history.requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        outcome = asyncio.run(campaign(Path(root), asked.kills, asked.seed, lambda line: print(line, flush=True)))
    print(outcome)
    sys.exit(1 if outcome.violations or max(outcome.ready_s) > 3 else 0)


if __name__ == "__main__":
    main()
