"""The real server with a fake provider of any kind on loopback, and what the operating system knows of the server."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.fakes.midtrans import FakeMidtrans
from tests.faults.faulty_provider import HABITS, FaultyScript, Habits
from tests.providers.kinds import KINDS, Kind
from tests.support.server import LiveServer

GENEROUS: Final = {"QRISD_RATE_LIMIT__PER_KEY": "1000000/minute"}
TIMEOUT_S: Final = 1


@dataclass(slots=True)
class Stage:
    """A running server, its provider and a merchant's connections."""

    kind: Kind
    habits: Habits
    fake: Any
    script: FaultyScript
    server: LiveServer
    client: httpx.AsyncClient

    def pay(self, reference: str, *, notified: bool) -> int:
        """The payer pays; the rupiah that went. Without `notified` nobody tells us."""
        url = f"{self.server.url}/webhooks/{self.kind.name}"
        self.fake.notify_url = url
        entry = self.fake.book[reference]
        if isinstance(self.fake, FakeMidtrans):
            entry.notify_urls = [url]
        before = len(self.fake.outbox)
        self.fake.pay(reference)
        while not notified and len(self.fake.outbox) > before:
            self.fake.outbox.pop()
        return int(entry.amount)

    def rows(self, sql: str) -> list[sqlite3.Row]:
        """What the database holds, read from outside."""
        with closing(sqlite3.connect(self.server.data_dir / "qrisd.db", timeout=30)) as conn:
            conn.row_factory = sqlite3.Row
            return conn.execute(sql).fetchall()

    async def circuit(self) -> str:
        """The state of the provider's circuit."""
        shown = (await self.client.get("/providers")).json()["data"]
        return str({one["name"]: one["circuit"] for one in shown}[self.kind.name])


@asynccontextmanager
async def stage(
    root: Path, kind_name: str, chance: random.Random, share: float, *, may_do_nothing: bool = True
) -> AsyncIterator[Stage]:
    """A server at a provider of this kind, `share` of whose answers go wrong. What is open ends with the block."""
    kind, habits = KINDS[kind_name], HABITS.get(kind_name, Habits())
    fake = kind.fake()
    script = fake.script = FaultyScript(fake, habits, chance, share, may_do_nothing=may_do_nothing)
    await fake.start()
    table = {"base_url": fake.url, "timeout": TIMEOUT_S, **kind.table(fake, root)}
    (root / "qrisd.toml").write_text(_toml(kind.name, table))
    server = LiveServer(root / "data", GENEROUS)
    try:
        await asyncio.to_thread(server.start)
        headers = {"Authorization": f"Bearer {server.key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
            yield Stage(kind, habits, fake, script, server, client)
    finally:
        await asyncio.to_thread(server.kill)
        await fake.stop()


def _toml(name: str, table: dict[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return f'default_provider = "{name}"\n[providers.{name}]\n' + "\n".join(lines) + "\n"


@dataclass(slots=True)
class Vitals:
    """The most the server's process has held so far: resident MiB, threads and sockets."""

    pid: int
    memory_mib: float = 0.0
    threads: int = 0
    sockets: int = 0
    samples: int = field(default=0, repr=False)

    def sample(self) -> None:
        """Look once more."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        self.memory_mib = max(self.memory_mib, int(status["VmRSS"].split()[0]) / 1024)
        self.threads = max(self.threads, int(status["Threads"]))
        self.sockets = max(self.sockets, _sockets(self.pid))
        self.samples += 1


def _sockets(pid: int) -> int:
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(descriptor.readlink()).startswith("socket:")
        except OSError:
            continue  # closed meanwhile
    return found
