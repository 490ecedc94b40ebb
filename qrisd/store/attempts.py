"""The attempts table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from qrisd.domain.payment import Attempt, Status
from qrisd.domain.times import from_text, from_text_or_none, to_text, to_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import marks

_COLUMNS: Final = (
    "id, payment_id, number, provider, reference, amount, status, provider_trx_id, provider_ref_no, qris_payload, "
    "amount_paid, amount_refunded, error, expires_at, checks, next_check_at, issuer, version, created_at, updated_at"
)
_NAMES: Final = tuple(_COLUMNS.split(", "))
_INSERT: Final = f"INSERT INTO attempts ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
_SELECT: Final = f"SELECT {_COLUMNS} FROM attempts"


def add(conn: Connection, attempt: Attempt) -> None:
    """Store a new attempt: always before anything about it is sent."""
    conn.execute(_INSERT, _values(attempt))


def save(conn: Connection, attempt: Attempt, now: datetime) -> None:
    """Store what can change about an attempt, as of `now`; `attempt.version` is the new one."""
    conn.execute(
        "UPDATE attempts SET status = ?, provider_trx_id = ?, provider_ref_no = ?, qris_payload = ?, amount_paid = ?, "
        "amount_refunded = ?, error = ?, expires_at = ?, checks = ?, next_check_at = ?, "
        "issuer = ?, version = ?, updated_at = ? WHERE id = ?",
        (
            attempt.status,
            attempt.provider_trx_id,
            attempt.provider_ref_no,
            attempt.qris_payload,
            attempt.amount_paid,
            attempt.amount_refunded,
            attempt.error,
            to_text(attempt.expires_at),
            attempt.checks,
            to_text_or_none(attempt.next_check_at),
            attempt.issuer,
            attempt.version,
            to_text(now),
            attempt.id,
        ),
    )


def get(conn: Connection, attempt_id: str) -> Attempt | None:
    row = conn.execute(f"{_SELECT} WHERE id = ?", (attempt_id,)).fetchone()
    return None if row is None else _attempt(row)


def version(conn: Connection, attempt_id: str) -> int | None:
    """How often the attempt has been stored."""
    row = conn.execute("SELECT version FROM attempts WHERE id = ?", (attempt_id,)).fetchone()
    return None if row is None else int(row[0])


def by_number(conn: Connection, payment_id: str, number: int) -> Attempt | None:
    row = conn.execute(f"{_SELECT} WHERE payment_id = ? AND number = ?", (payment_id, number)).fetchone()
    return None if row is None else _attempt(row)


def of_payment(conn: Connection, payment_id: str) -> list[Attempt]:
    """Every attempt of a payment, oldest first."""
    rows = conn.execute(f"{_SELECT} WHERE payment_id = ? ORDER BY number", (payment_id,))
    return [_attempt(row) for row in rows]


def of_payments(conn: Connection, payment_ids: Sequence[str]) -> list[Attempt]:
    """Every attempt of these payments."""
    return [_attempt(row) for row in conn.execute(f"{_SELECT} WHERE payment_id IN ({marks(payment_ids)})", payment_ids)]


def by_reference(conn: Connection, provider: str, reference: str) -> Attempt | None:
    """The attempt we gave this reference at this provider."""
    row = conn.execute(f"{_SELECT} WHERE reference = ? AND provider = ?", (reference, provider)).fetchone()
    return None if row is None else _attempt(row)


def by_trx_id(conn: Connection, provider: str, provider_trx_id: str) -> Attempt | None:
    """The attempt this provider gave this id."""
    sql = f"{_SELECT} WHERE provider_trx_id = ? AND provider = ? ORDER BY created_at DESC LIMIT 1"
    row = conn.execute(sql, (provider_trx_id, provider)).fetchone()
    return None if row is None else _attempt(row)


def latest_of_order(conn: Connection, provider: str, order_id: str) -> Attempt | None:
    """The newest attempt at this provider for the merchant's order id."""
    row = conn.execute(
        f"SELECT {', '.join('a.' + name for name in _NAMES)} FROM attempts a "
        "JOIN payments p ON p.id = a.payment_id WHERE p.order_id = ? AND a.provider = ? "
        "ORDER BY a.number DESC LIMIT 1",
        (order_id, provider),
    ).fetchone()
    return None if row is None else _attempt(row)


def due(conn: Connection, provider: str, now: datetime, limit: int) -> list[Attempt]:
    """At most `limit` attempts at this provider that must be looked at by now, the longest waiting first."""
    sql = f"{_SELECT} WHERE provider = ? AND next_check_at <= ? ORDER BY next_check_at LIMIT ?"
    return [_attempt(row) for row in conn.execute(sql, (provider, to_text(now), limit))]


def due_awaited(conn: Connection, provider: str, now: datetime, limit: int) -> list[Attempt]:
    """As `due`, of those only that the provider may or may not have, or that a webhook hinted at."""
    sql = (
        f"{_SELECT} WHERE provider = ? AND next_check_at <= ? AND (status = ? OR id IN "
        "(SELECT attempt_id FROM webhook_events WHERE status = 'PENDING')) ORDER BY next_check_at LIMIT ?"
    )
    return [_attempt(row) for row in conn.execute(sql, (provider, to_text(now), Status.CREATED, limit))]


def look_at_all(conn: Connection, now: datetime) -> None:
    """Make every attempt that is to be looked at later due now."""
    conn.execute("UPDATE attempts SET next_check_at = ? WHERE next_check_at > ?", (to_text(now), to_text(now)))


def amounts_open(conn: Connection, provider: str, least: int, most: int) -> set[int]:
    """The amounts from `least` to `most` that open QRs of this provider ask for."""
    rows = conn.execute(
        "SELECT amount FROM attempts WHERE provider = ? AND next_check_at IS NOT NULL AND amount BETWEEN ? AND ?",
        (provider, least, most),
    )
    return {row[0] for row in rows}


def _values(attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.id,
        attempt.payment_id,
        attempt.number,
        attempt.provider,
        attempt.reference,
        attempt.amount,
        attempt.status,
        attempt.provider_trx_id,
        attempt.provider_ref_no,
        attempt.qris_payload,
        attempt.amount_paid,
        attempt.amount_refunded,
        attempt.error,
        to_text(attempt.expires_at),
        attempt.checks,
        to_text_or_none(attempt.next_check_at),
        attempt.issuer,
        attempt.version,
        to_text(attempt.created_at),
        to_text(attempt.updated_at),
    )


def _attempt(row: Any) -> Attempt:
    facts = dict(zip(_NAMES, row, strict=True))
    facts["status"] = Status(facts["status"])
    facts["expires_at"] = from_text(facts["expires_at"])
    facts["next_check_at"] = from_text_or_none(facts["next_check_at"])
    facts["created_at"] = from_text(facts["created_at"])
    facts["updated_at"] = from_text(facts["updated_at"])
    return Attempt(**facts)
