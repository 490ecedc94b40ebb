"""A whole qrisd inside the test's process: real SQLite, real routes, the simulator, a clock the test sets."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.applications import Starlette

from qrisd.app import build
from qrisd.config import Settings, load
from qrisd.data_dir import DataDir
from qrisd.providers.simulator import sign
from qrisd.services import api_keys
from qrisd.store.db import connect
from tests.support.clock import FakeClock


class Installation:
    """`async with Installation(path, clock).running() as shop:`, then `shop.create(...)`, `shop.webhook(...)`.

    `flags` are settings as `load()` takes them; `transport` answers the providers' HTTP calls."""

    app: Starlette
    client: httpx.AsyncClient

    def __init__(
        self,
        root: Path,
        clock: FakeClock,
        flags: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = clock
        self.settings: Settings = load(flags={"data_dir": root, **(flags or {})})
        self.data_dir = DataDir(root)
        self.key = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Installation]:
        self.data_dir.make()
        self.data_dir.open_database()
        if not self.key:
            self.key = self.new_key()
        self.app = build(self.settings, clock=self.clock)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {self.key}"}
        async with (
            self.app.router.lifespan_context(self.app),
            httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=headers) as self.client,
        ):
            yield self

    def new_key(
        self, *scopes: str, name: str = "test", outlets: frozenset[str] | None = None, user_id: str | None = None
    ) -> str:
        """The secret of a new API key, limited to these outlets and acting for this person where they are given."""
        with closing(connect(self.data_dir.database)) as conn:
            environment, now = self.settings.environment, self.clock()
            return api_keys.create(conn, name, scopes, environment, now, outlets=outlets, user_id=user_id)[1]

    async def create(self, order_id: str = "INV-1", amount: int = 15_000, **fields: Any) -> dict[str, Any]:
        """A new payment; fails the test unless it was made."""
        answer = await self.client.post("/payments", json={"order_id": order_id, "amount": amount, **fields})
        assert answer.status_code in (201, 202), answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    async def get(self, payment_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/payments/{payment_id}")
        assert answer.status_code == 200, answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    async def webhook(self, payment: Mapping[str, Any], status: str = "PAID", **fields: Any) -> httpx.Response:
        """The simulator's signed webhook about `payment`; a field given as None is left out."""
        event = {
            "event_id": f"evt_{uuid4().hex}",
            "provider_trx_id": payment["provider_trx_id"],
            "order_id": payment["order_id"],
            "status": status,
            "amount": payment["amount"],
            "currency": "IDR",
            "paid_at": (self.clock() - timedelta(seconds=1)).isoformat(),
            "provider_ref_no": "123456789012",
            **fields,
        }
        return await self.send_webhook({name: value for name, value in event.items() if value is not None})

    async def send_webhook(self, event: Mapping[str, Any], *, path: str = "/webhooks/qris") -> httpx.Response:
        body = json.dumps(event).encode()
        timestamp = str(int(self.clock().timestamp()))
        secret = self.data_dir.simulator_secret.read_text().strip().encode()
        headers = {"X-Timestamp": timestamp, "X-Signature": sign(secret, body, timestamp)}
        return await self.client.post(path, content=body, headers=headers)

    def write(self, sql: str, *values: Any) -> None:
        """Change the database from outside, as another process would."""
        with closing(connect(self.data_dir.database)) as conn:
            conn.execute(sql, values)

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What the database holds, read from outside."""
        with closing(connect(self.data_dir.database, read_only=True)) as conn:
            conn.row_factory = sqlite3.Row
            return [dict(row) for row in conn.execute(sql, values)]
