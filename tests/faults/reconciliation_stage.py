"""A shop's past day with a fake Midtrans and its settlement report, some of it wrong on purpose.

What is stored goes through the one door, what is settled through the import, so that all else about the day is as the
product would have left it.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from uuid_utils import uuid7

from qrisd.data_dir import DataDir
from qrisd.domain import business_day, ids
from qrisd.domain.payment import Attempt, Observation, Payment, Source, Status
from qrisd.reports.presets import preset
from qrisd.reports.sources import Source as Report
from qrisd.services.live import Live
from qrisd.services.observing import Door
from qrisd.services.recent import Recent
from qrisd.services.settlements import import_report
from qrisd.store import attempts, payment_logs, payments, webhook_events
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, connect
from tests.fakes.midtrans import FakeMidtrans, Transaction
from tests.fakes.payload import dynamic_qris
from tests.support import payments as sample

ZONE: Final = ZoneInfo("Asia/Jakarta")
PROVIDER: Final = "midtrans"
FEE_BASIS_POINTS: Final = 70
UNPAID_SHARE: Final = 0.1
BATCH: Final = 500
# Each way in which a payment can be wrong, and the class it is found as.
WAYS: Final = {
    "paid there, unpaid here": "missing_here",
    "paid here, unknown there": "missing_there",
    "another amount": "amount",
    "twice": "duplicate",
    "refunded there": "refunded_there",
    "another fee": "fee",
    "late settlement": "late",
    "unknown order": "orphan",
}
RATES: Final = f"""
[[mdr.rates]]
since = 2020-01-01
criteria = ["UMI"]
basis_points = {FEE_BASIS_POINTS}
"""
SETTINGS: Final = f"""
default_provider = "midtrans"
[reconcile]
calls_per_second = 1000
[providers.midtrans]
server_key = "SB-Mid-server-fake"
base_url = "URL"
{RATES}
"""


def fee_of(amount: int) -> int:
    """What may be kept, written apart from the product's own arithmetic."""
    return -(-amount * FEE_BASIS_POINTS // 10_000)


@dataclass(slots=True)
class Seeded:
    """The day, and every difference that is in it: (class, the order or transaction it is about)."""

    day: date
    wrong: set[tuple[str, str]] = field(default_factory=set)
    orders: int = 0


class Seeding:
    """Writes the day. `fake` None seeds what is stored and reported, without anything at the provider."""

    def __init__(self, root: Path, fake: FakeMidtrans | None, day: date, seed: int) -> None:
        self.data_dir = DataDir(root / "data")
        self._root = root
        self._fake = fake
        self._chance = random.Random(seed)
        self._door = Door(
            providers={},
            live=Live(),
            recent=Recent(),
            base_url="http://127.0.0.1:8000",
            count=lambda recorded: None,
            wake_outbox=lambda: None,
        )
        self.seeded = Seeded(day)
        self._rows: list[dict[str, Any]] = []

    def run(self, count: int, share_wrong: float) -> Seeded:
        """`count` payments over the whole day, the report about them, and `share_wrong` of them wrong."""
        self.data_dir.make()
        self.data_dir.open_database()
        start, end = business_day.bounds(self.seeded.day, ZONE)
        step = (end - start - timedelta(milliseconds=1)) / max(count - 1, 1)
        with closing(connect(self.data_dir.database)) as conn:
            for first in range(0, count, BATCH):
                conn.execute("BEGIN IMMEDIATE")
                for number in range(first, min(first + BATCH, count)):
                    self._one(conn, number, start + number * step, share_wrong)
                conn.execute("COMMIT")
            self._import(conn)
        self.seeded.orders = count
        return self.seeded

    def _one(self, conn: Connection, number: int, made_at: datetime, share_wrong: float) -> None:
        made_at = made_at.replace(microsecond=made_at.microsecond // 1000 * 1000)
        sale = _Sale.made(number, self._chance, made_at)
        chosen = self._chance.random()
        if chosen < share_wrong:
            way = list(WAYS)[number % len(WAYS)]
            self._wrong(conn, sale, way, is_odd=self._chance.random() < 0.5)
        elif chosen < share_wrong + UNPAID_SHARE:
            self._store(conn, sale, is_paid=False)
            self._there(sale, "expire")
        else:
            self._agreed(conn, sale)

    def _agreed(self, conn: Connection, sale: _Sale) -> None:
        self._store(conn, sale, is_paid=True)
        self._there(sale, "settlement")
        self._line(sale)

    def _wrong(self, conn: Connection, sale: _Sale, way: str, *, is_odd: bool) -> None:
        spoil: dict[str, Callable[[Connection, _Sale, bool], str]] = {
            "paid there, unpaid here": self._unpaid_here,
            "paid here, unknown there": self._unknown_there,
            "another amount": self._other_amount,
            "twice": self._twice,
            "refunded there": self._refunded_there,
            "another fee": self._other_fee,
            "late settlement": self._late,
            "unknown order": self._orphan,
        }
        about = spoil[way](conn, sale, is_odd)
        self.seeded.wrong.add((WAYS[way], about))

    def _unpaid_here(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._store(conn, sale, is_paid=False, is_over=is_odd)
        self._there(sale, "settlement")
        self._line(sale)
        return sale.order_id

    def _unknown_there(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._store(conn, sale, is_paid=True)
        return sale.order_id

    def _other_amount(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._store(conn, sale, is_paid=True)
        self._there(sale, "settlement")
        amount = sale.amount + (1 if is_odd else -1_000)
        self._line(sale, amount=amount, fee=fee_of(amount))
        return sale.order_id

    def _twice(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._agreed(conn, sale)
        if is_odd:
            self._line(sale, line_id=f"{sale.trx_id}-2")
            return sale.order_id
        again = sale.again(self._chance)
        self._store_attempt(conn, again)
        self._there(again, "settlement")
        self._line(again)
        return sale.order_id

    def _refunded_there(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._store(conn, sale, is_paid=True)
        self._there(sale, "refund" if is_odd else "partial_refund", refunded=sale.amount if is_odd else 1_000)
        if not is_odd:
            self._line(sale)
        return sale.order_id

    def _other_fee(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._store(conn, sale, is_paid=True)
        self._there(sale, "settlement")
        self._line(sale, fee=sale.fee + (500 if is_odd else -2))
        return sale.order_id

    def _late(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        self._store(conn, sale, is_paid=True)
        self._there(sale, "settlement")
        self._line(sale, days=4 if is_odd else 6)
        return sale.order_id

    def _orphan(self, conn: Connection, sale: _Sale, is_odd: bool) -> str:
        """A line, or a notification, of an order that was never here."""
        if is_odd:
            self._line(sale)
            return sale.reference
        webhook_events.add(
            conn,
            id=str(uuid7()),
            provider=PROVIDER,
            event_id=f"evt-{sale.reference}",
            attempt_id=None,
            payload={"transaction_id": sale.trx_id, "order_id": sale.reference, "transaction_status": "settlement"},
            status="ERROR",
            error_message="unknown_order",
            now=sale.made_at,
        )
        return sale.reference

    # What is stored here

    def _store(self, conn: Connection, sale: _Sale, *, is_paid: bool, is_over: bool = True) -> None:
        payments.add(conn, sale.payment())
        attempts.add(conn, sale.attempt())
        asked = {"attempt": 1, "provider": PROVIDER, "reference": sale.reference, "amount": sale.amount}
        payment_logs.add(conn, sale.payment_id, "CREATED", asked, sale.made_at)
        self._door.record(conn, sale.attempt_id, sale.shown(), sale.made_at)
        if is_paid:
            self._door.record(conn, sale.attempt_id, sale.paid(), sale.paid_at)
        elif is_over:
            ended = Observation(source=Source.LOOKUP, status=Status.EXPIRED)
            self._door.record(conn, sale.attempt_id, ended, sale.made_at + timedelta(minutes=16))

    def _store_attempt(self, conn: Connection, again: _Sale) -> None:
        """A second QR that was paid as well."""
        attempts.add(conn, again.attempt())
        conn.execute("UPDATE payments SET attempt = 2 WHERE id = ?", (again.payment_id,))
        payment_logs.add(conn, again.payment_id, "ATTEMPT", {"attempt": 2}, again.made_at)
        self._door.record(conn, again.attempt_id, again.paid(), again.paid_at)

    # What is there

    def _there(self, sale: _Sale, status: str, refunded: int = 0) -> None:
        if self._fake is None:
            return
        transaction = Transaction(
            order_id=sale.reference,
            amount=sale.amount,
            payment_type="qris",
            acquirer="gopay",
            created_at=sale.made_at,
            expires_at=sale.made_at + timedelta(minutes=15),
            notify_urls=[],
            status=status,
            id=sale.trx_id,
        )
        if status != "expire":
            transaction.settled_at = sale.paid_at
        if refunded:
            transaction.refunds.append({"refund_amount": f"{refunded}.00", "refund_key": "theirs"})
        self._fake.book[sale.reference] = transaction

    def _line(self, sale: _Sale, **changed: Any) -> None:
        amount, fee = changed.get("amount", sale.amount), changed.get("fee", sale.fee)
        self._rows.append(
            {
                "line_id": changed.get("line_id", sale.trx_id),
                "reference": sale.reference,
                "provider_trx_id": sale.trx_id,
                "amount": amount,
                "fee": fee,
                "net_amount": amount - fee,
                "settlement_date": self.seeded.day + timedelta(days=changed.get("days", 1)),
                "transacted_at": sale.paid_at.isoformat(),
                "kind": "payment",
                "status": "settled",
            }
        )

    def _import(self, conn: Connection) -> None:
        if not self._rows:
            return
        path = self._root / "report.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self._rows[0]))
            writer.writeheader()
            writer.writerows(self._rows)
        source = Report(path=path, name=path.name, provider=PROVIDER, layouts=[preset("plain")], zone=ZONE)
        imported = import_report(conn, source, Actor("test"), datetime.now(UTC), dry_run=False)
        assert imported.file.lines == len(self._rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sale:
    """One payment to be written, or its second attempt."""

    number: int
    payment_id: str
    attempt_id: str
    order_id: str
    reference: str
    trx_id: str
    amount: int
    made_at: datetime
    attempt_number: int = 1

    @classmethod
    def made(cls, number: int, chance: random.Random, made_at: datetime) -> _Sale:
        amount = chance.randrange(2_000, 400_000)
        return cls(
            number=number,
            payment_id=str(uuid7()),
            attempt_id=str(uuid7()),
            order_id=f"INV-{number:06d}",
            reference=ids.reference(made_at, chance.getrandbits(64)),
            trx_id=str(uuid4()),
            amount=amount,
            made_at=made_at,
        )

    def again(self, chance: random.Random) -> _Sale:
        return _Sale(
            number=self.number,
            payment_id=self.payment_id,
            attempt_id=str(uuid7()),
            order_id=self.order_id,
            reference=ids.reference(self.made_at, chance.getrandbits(64)),
            trx_id=str(uuid4()),
            amount=self.amount,
            made_at=self.made_at,
            attempt_number=2,
        )

    @property
    def paid_at(self) -> datetime:
        """At once: the money is of the same day, up to its last moment."""
        return self.made_at

    @property
    def fee(self) -> int:
        return fee_of(self.amount)

    def payment(self) -> Payment:
        return sample.payment(
            id=self.payment_id,
            order_id=self.order_id,
            amount=self.amount,
            amount_due=self.amount,
            status=Status.CREATED,
            provider=PROVIDER,
            qris_payload=None,
            expires_at=self.made_at + timedelta(minutes=15),
            sequence=0,
            version=0,
            request_hash=self.order_id,
            created_at=self.made_at,
            updated_at=self.made_at,
        )

    def attempt(self) -> Attempt:
        return sample.attempt(
            id=self.attempt_id,
            payment_id=self.payment_id,
            number=self.attempt_number,
            provider=PROVIDER,
            reference=self.reference,
            amount=self.amount,
            status=Status.CREATED,
            provider_trx_id=self.trx_id if self.attempt_number > 1 else None,
            qris_payload=self.payload() if self.attempt_number > 1 else None,
            expires_at=self.made_at + timedelta(minutes=15),
            next_check_at=self.made_at,
            version=0,
            created_at=self.made_at,
            updated_at=self.made_at,
        )

    def payload(self) -> str:
        return dynamic_qris(
            acquirer=[("00", "COM.GO-JEK.WWW"), ("01", "936009140000000001"), ("02", "G000000001"), ("03", "UMI")],
            amount=f"{self.amount}.00",
            name="Warung Contoh",
            place=("BANDUNG", "40111"),
            more=[("50", self.trx_id), ("07", "A01")],
        )

    def shown(self) -> Observation:
        return Observation(
            source=Source.PROVIDER,
            status=Status.PENDING,
            amount=self.amount,
            currency="IDR",
            provider_trx_id=self.trx_id,
            qris_payload=self.payload(),
            expires_at=self.made_at + timedelta(minutes=15),
        )

    def paid(self) -> Observation:
        return Observation(
            source=Source.LOOKUP,
            status=Status.PAID,
            amount=self.amount,
            currency="IDR",
            provider_trx_id=self.trx_id,
            paid_at=self.paid_at,
        )


def found_in(report: dict[str, Any]) -> set[tuple[str, str]]:
    """Every difference a report tells of: (class, the order or transaction it is about)."""
    return {(one["class"], one["order_id"] or one["provider_trx_id"]) for one in report["exceptions"]}


def classes_in(report: dict[str, Any]) -> Iterator[str]:
    """The class of every row of a report."""
    return (one["class"] for one in report["exceptions"])


def settings_for(fake_url: str) -> str:
    """The qrisd.toml of the shop."""
    return SETTINGS.replace("URL", fake_url)


def facts_of(root: Path) -> str:
    """All that reconciling may change about the shop, as one text."""
    tables = {
        "payments": "SELECT id, status, exception, amount_paid, amount_refunded, paid_at, version FROM payments",
        "attempts": "SELECT id, status, amount_paid, amount_refunded, version FROM attempts",
        "logs": "SELECT payment_id, event, payload FROM payment_logs",
        "events": "SELECT payment_id, sequence, type FROM events",
        "ledger": "SELECT kind, debit_account, credit_account, amount, payment_id FROM ledger_entries",
        "lines": "SELECT id, line_id, reconciled FROM settlements",
        "exceptions": "SELECT * FROM reconciliation_exceptions",
    }
    with closing(connect(root / "data" / "qrisd.db", read_only=True)) as conn:
        rows = {name: [tuple(row) for row in conn.execute(f"{sql} ORDER BY 1, 2, 3")] for name, sql in tables.items()}
    return json.dumps(rows)
