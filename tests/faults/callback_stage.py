"""The way of a callback in one process: payments through the door, the outbox, the guarded way out, real SQLite.

What the whole application cannot be given is given here: a fast clock, short time-outs, name servers of the test's own.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from qrisd.callback_secrets import CallbackSecrets
from qrisd.data_dir import DataDir
from qrisd.domain.callback_url import CallbackPolicy
from qrisd.domain.payment import Attempt, Observation, Payment, Source, Status
from qrisd.jobs.scheduler import Job, Scheduler
from qrisd.net.guarded import TOTAL_S, GuardedHttp, Resolve
from qrisd.providers.simulator import Simulator, SimulatorSettings
from qrisd.services.calling import ProviderCalls
from qrisd.services.charging import Charging
from qrisd.services.circuits import Circuits
from qrisd.services.delivering import Delivery
from qrisd.services.live import Live
from qrisd.services.observing import Door, Recorded
from qrisd.services.outbox import PAUSE_S, Outbox
from qrisd.services.recent import Recent
from qrisd.store import attempts, payment_logs, payments
from qrisd.store.db import Connection, Database, connect
from tests.support import payments as sample

SECRET: Final = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
LIVES_FOR: Final = timedelta(days=7)


class FastClock:
    """Begins now and runs `speed` times as fast; `monotonic` does so beside it."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._begun = time.monotonic()
        self._start = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return (time.monotonic() - self._begun) * self._speed


@dataclass(slots=True)
class Stage:
    """A shop whose callbacks go out for real."""

    data_dir: DataDir
    clock: FastClock
    db: Database
    charging: Charging
    outbox: Outbox

    async def sell(self, url: str) -> Attempt:
        """A new payment with its QR: one event for `url`."""
        payment = _payment(url, self.clock())
        attempt = self.charging.attempt(payment, self.clock())
        await self.db.write(lambda conn: _begin(conn, payment, attempt))
        await self.charging.charge(payment, attempt)
        return attempt

    async def pay(self, attempt: Attempt) -> None:
        """The money comes: another event."""
        paid = Observation(source=Source.WEBHOOK, status=Status.PAID, amount=attempt.amount, currency="IDR")
        await self.charging.observe(attempt, paid)

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """What the database holds, read from outside."""
        with closing(connect(self.data_dir.database, read_only=True)) as conn:
            return conn.execute(sql, values).fetchall()


@asynccontextmanager
async def stage(
    root: Path,
    clock: FastClock | None = None,
    *,
    total_s: float = TOTAL_S,
    resolve: Resolve | None = None,
    database: type[Database] = Database,
    stored: Callable[[Recorded], None] = lambda recorded: None,
) -> AsyncIterator[Stage]:
    """Everything open and running. `stored` is called after every commit that made an event."""
    clock = clock or FastClock()
    data_dir = DataDir(root / "data")
    data_dir.make()
    data_dir.open_database()
    db = database(data_dir.database)
    policy = CallbackPolicy(is_live=False, allows_loopback=True)
    delivery = Delivery(
        db=db,
        http=GuardedHttp(policy, resolve=resolve, total_s=total_s),
        secrets=CallbackSecrets(data_dir.callback_secrets, (SECRET,), clock),
        clock=clock,
        count=lambda callback, tried: None,
    )
    outbox = Outbox(db=db, delivery=delivery, clock=clock, monotonic=clock.monotonic)
    scheduler = Scheduler([Job("callbacks", PAUSE_S, outbox.run)])
    await db.open()
    scheduler.start()
    try:
        yield Stage(data_dir, clock, db, _charging(db, clock, outbox.wake, stored), outbox)
    finally:
        await scheduler.stop()
        await outbox.finish()
        await db.close()


def _charging(db: Database, clock: FastClock, wake: Callable[[], None], stored: Callable[[Recorded], None]) -> Charging:
    providers = {"simulator": Simulator("simulator", SimulatorSettings(), "not used", clock)}
    door = Door(
        providers=providers,
        live=Live(),
        recent=Recent(),
        base_url="http://shop.test",
        count=stored,
        wake_outbox=wake,
    )
    return Charging(
        db=db,
        providers=providers,
        door=door,
        calls=ProviderCalls(Circuits(providers, lambda *call: None)),
        nmids={},
        longest_call_s=10.0,
        clock=clock,
    )


def _begin(conn: Connection, payment: Payment, attempt: Attempt) -> None:
    payments.add(conn, payment)
    attempts.add(conn, attempt)
    payment_logs.add(conn, payment.id, "CREATED", {"attempt": 1}, payment.created_at)


def _payment(url: str, now: datetime) -> Payment:
    payment_id = str(uuid4())
    return sample.payment(
        id=payment_id,
        order_id=f"INV-{payment_id}",
        status=Status.CREATED,
        qris_payload=None,
        expires_in=int(LIVES_FOR.total_seconds()),
        expires_at=now + LIVES_FOR,
        callback_url=url,
        sequence=0,
        version=0,
        created_at=now,
        updated_at=now,
    )
