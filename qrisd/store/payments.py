"""The payments table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from qrisd.domain.errors import WrongState
from qrisd.domain.payment import Oddity, Payment, Status
from qrisd.domain.permissions import Outlets
from qrisd.domain.times import from_text, from_text_or_none, to_text, to_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import marks, to_json

_COLUMNS: Final = (
    "id, order_id, amount, amount_due, currency, status, exception, amount_paid, amount_refunded, provider, "
    "provider_trx_id, provider_ref_no, qris_payload, expires_in, expires_at, paid_at, attempt, outlet, description, "
    "customer, callback_url, metadata, signature_version, sequence, version, request_hash, created_at, updated_at"
)
_NAMES: Final = tuple(_COLUMNS.split(", "))
_INSERT: Final = (
    f"INSERT INTO payments ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))}) ON CONFLICT (order_id) DO NOTHING"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM payments"


def add(conn: Connection, payment: Payment) -> bool:
    """Store a new payment; False when its order id is taken."""
    return conn.execute(_INSERT, _values(payment)).rowcount == 1


def save(conn: Connection, payment: Payment, *, was: Status) -> None:
    """Store what can change about a payment, provided its status is still `was` and `payment.version` is its next; else
    raises WrongState."""
    changed = conn.execute(
        "UPDATE payments SET amount_due = ?, status = ?, exception = ?, amount_paid = ?, amount_refunded = ?, "
        "provider = ?, provider_trx_id = ?, provider_ref_no = ?, qris_payload = ?, expires_at = ?, paid_at = ?, "
        "attempt = ?, sequence = ?, version = ?, updated_at = ? WHERE id = ? AND status = ? AND version = ? - 1",
        (
            payment.amount_due,
            payment.status,
            payment.exception,
            payment.amount_paid,
            payment.amount_refunded,
            payment.provider,
            payment.provider_trx_id,
            payment.provider_ref_no,
            payment.qris_payload,
            to_text(payment.expires_at),
            to_text_or_none(payment.paid_at),
            payment.attempt,
            payment.sequence,
            payment.version,
            to_text(payment.updated_at),
            payment.id,
            was,
            payment.version,
        ),
    ).rowcount
    if changed != 1:
        raise WrongState(f"The payment is no longer {was}.", was)


def get(conn: Connection, payment_id: str) -> Payment | None:
    row = conn.execute(f"{_SELECT} WHERE id = ?", (payment_id,)).fetchone()
    return None if row is None else _payment(row)


def version(conn: Connection, payment_id: str) -> int | None:
    """How often the payment has been stored."""
    row = conn.execute("SELECT version FROM payments WHERE id = ?", (payment_id,)).fetchone()
    return None if row is None else int(row[0])


def by_order_id(conn: Connection, order_id: str) -> Payment | None:
    row = conn.execute(f"{_SELECT} WHERE order_id = ?", (order_id,)).fetchone()
    return None if row is None else _payment(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which payments to list; None leaves a field open. `created_from` is included, `created_before` is not.
    `outlets` are those the asker is limited to, `after` the (created_at, id) of the last payment of the page before."""

    status: str | None = None
    order_id: str | None = None
    provider: str | None = None
    outlet: str | None = None
    outlets: Outlets = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    after: tuple[str, str] | None = None


def find(conn: Connection, wanted: Filter, limit: int) -> list[Payment]:
    """At most `limit` payments, newest first; the order never changes under inserts."""
    clauses, values = _where(wanted)
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    sql = f"{_SELECT} {where} ORDER BY created_at DESC, id DESC LIMIT ?"
    return [_payment(row) for row in conn.execute(sql, (*values, limit))]


def _where(wanted: Filter) -> tuple[list[str], list[Any]]:
    parts: list[tuple[str, Any]] = [
        ("status = ?", wanted.status),
        ("order_id = ?", wanted.order_id),
        ("provider = ?", wanted.provider),
        ("outlet = ?", wanted.outlet),
        ("created_at >= ?", to_text_or_none(wanted.created_from)),
        ("created_at < ?", to_text_or_none(wanted.created_before)),
    ]
    clauses = [clause for clause, value in parts if value is not None]
    values = [value for _, value in parts if value is not None]
    if wanted.outlets is not None:
        clauses.append(f"outlet IN ({marks(wanted.outlets)})")
        values.extend(wanted.outlets)
    if wanted.after is not None:
        clauses.append("(created_at, id) < (?, ?)")
        values.extend(wanted.after)
    return clauses, values


def newest_created_at(conn: Connection) -> datetime | None:
    row = conn.execute("SELECT max(created_at) FROM payments").fetchone()
    return from_text_or_none(row[0])


def _values(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.id,
        payment.order_id,
        payment.amount,
        payment.amount_due,
        payment.currency,
        payment.status,
        payment.exception,
        payment.amount_paid,
        payment.amount_refunded,
        payment.provider,
        payment.provider_trx_id,
        payment.provider_ref_no,
        payment.qris_payload,
        payment.expires_in,
        to_text(payment.expires_at),
        to_text_or_none(payment.paid_at),
        payment.attempt,
        payment.outlet,
        payment.description,
        None if payment.customer is None else to_json(payment.customer),
        payment.callback_url,
        to_json(payment.metadata),
        payment.signature_version,
        payment.sequence,
        payment.version,
        payment.request_hash,
        to_text(payment.created_at),
        to_text(payment.updated_at),
    )


def _payment(row: Any) -> Payment:
    facts = dict(zip(_NAMES, row, strict=True))
    facts["status"] = Status(facts["status"])
    facts["exception"] = facts["exception"] and Oddity(facts["exception"])
    facts["expires_at"] = from_text(facts["expires_at"])
    facts["paid_at"] = from_text_or_none(facts["paid_at"])
    facts["customer"] = facts["customer"] and json.loads(facts["customer"])
    facts["metadata"] = json.loads(facts["metadata"])
    facts["created_at"] = from_text(facts["created_at"])
    facts["updated_at"] = from_text(facts["updated_at"])
    return Payment(**facts)
