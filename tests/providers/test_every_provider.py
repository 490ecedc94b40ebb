"""Every provider through the whole product: `qrisd serve` as a process, the provider on loopback, real HTTP.

What a new SNAP bank needs is a table of settings, no code: `bri` below is one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.midtrans import FakeMidtrans
from tests.providers.kinds import KINDS, Kind
from tests.support.server import LiveServer

WITHIN_S = 5.0
APPENDED = {"nicepay": "/api/v1.0/qr/qr-mpm-notify"}


@dataclass(slots=True)
class Stage:
    """A running server and its provider."""

    kind: Kind
    fake: Any
    server: LiveServer
    client: httpx.AsyncClient

    def notifies(self, appended: str = "") -> None:
        """From now on the provider's notifications reach us; some append a path of their own to our address."""
        url = f"{self.server.url}/webhooks/{self.kind.name}{appended}"
        self.fake.notify_url = url
        if isinstance(self.fake, FakeMidtrans):
            for transaction in self.fake.book.values():
                transaction.notify_urls = [url]

    def reference(self) -> str:
        """Our name for the only order in its book."""
        (row,) = _rows(self.server, "SELECT reference FROM attempts")
        return str(row[0])

    async def paid(self, payment_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            payment: dict[str, Any] = (await self.client.get(f"/payments/{payment_id}?wait=1")).json()
            if payment["status"] == "PAID":
                return payment
        raise AssertionError(f"not paid but {payment['status']}: {self.server.log.read_text()[-2000:]}")


def _rows(server: LiveServer, sql: str) -> list[tuple[Any, ...]]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(server.data_dir / "qrisd.db")) as conn:
        return conn.execute(sql).fetchall()


def _toml(name: str, table: dict[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return f'default_provider = "{name}"\n[providers.{name}]\n' + "\n".join(lines) + "\n"


@pytest.fixture(params=list(KINDS))
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    kind = KINDS[request.param]
    fake = kind.fake()
    await fake.start()
    table = {"base_url": fake.url, "timeout": 4, **kind.table(fake, tmp_path)}
    (tmp_path / "qrisd.toml").write_text(_toml(kind.name, table))
    server = LiveServer(tmp_path / "data")
    await asyncio.to_thread(server.start)
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        yield Stage(kind, fake, server, client)
    await asyncio.to_thread(server.kill)
    await fake.stop()


async def _order(stage: Stage) -> dict[str, Any]:
    answer = await stage.client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    assert answer.status_code == 201, answer.text
    payment: dict[str, Any] = answer.json()
    assert payment["status"] == "PENDING"
    return payment


async def test_a_payment_is_seen_within_seconds_by_polling_alone(stage: Stage) -> None:
    payment = await _order(stage)
    stage.fake.pay(stage.reference())
    paid = await stage.paid(payment["id"])
    assert (paid["amount_paid"], paid["exception"]) == (15_000, None)
    assert paid["provider_ref_no"]


async def test_a_payment_is_seen_within_seconds_by_its_notification(stage: Stage) -> None:
    payment = await _order(stage)
    stage.notifies(APPENDED.get(stage.kind.name, ""))
    stage.fake.pay(stage.reference())
    answers = await stage.fake.deliver(copies=3)
    assert answers
    assert set(answers) == {200}
    paid = await stage.paid(payment["id"])
    assert (paid["amount_paid"], paid["exception"]) == (15_000, None)
    assert paid["provider_ref_no"]
    events = _rows(stage.server, "SELECT count(*) FROM events WHERE type = 'payment.paid'")
    assert events == [(1,)]
