"""The refunds and refund_decisions tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from qrisd.domain.permissions import Outlets
from qrisd.domain.refund import OPEN, Decision, Method, Refund, Status
from qrisd.domain.times import from_text, from_text_or_none, to_text
from qrisd.store.db import Connection
from qrisd.store.rows import marks

_COLUMNS: Final = (
    "id, payment_id, attempt_id, reference, amount, method, status, reason, evidence, requested_by, content_hash, "
    "refunded_before, provider_refund_id, provider_ref_no, detail, tries, absences, next_try_at, expires_at, sent_at, "
    "done_at, created_at, updated_at"
)
_NAMES: Final = tuple(_COLUMNS.split(", "))
_MOMENTS: Final = ("next_try_at", "expires_at", "sent_at", "done_at", "created_at", "updated_at")
_CONTENT: Final = (
    "id, payment_id, attempt_id, reference, amount, method, reason, evidence, requested_by, content_hash, created_at"
)
_CHANGING: Final = tuple(name for name in _NAMES if name not in _CONTENT.split(", "))
_SELECT: Final = f"SELECT {', '.join('r.' + name for name in _NAMES)} FROM refunds r"
_OPEN: Final = tuple(sorted(OPEN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which refunds to list; None leaves a field open. `outlets` are those the asker is limited to, `before` is the
    number of the last refund of the page before."""

    status: Status | None = None
    payment_id: str | None = None
    outlets: Outlets = None
    before: int | None = None


def add(conn: Connection, refund: Refund) -> None:
    """Store a new refund: always before anything about it is sent."""
    sql = f"INSERT INTO refunds ({_COLUMNS}) VALUES ({marks(_NAMES)})"
    conn.execute(sql, [_value(getattr(refund, name)) for name in _NAMES])


def save(conn: Connection, refund: Refund) -> None:
    """Store what can change about a refund; its content cannot."""
    sql = f"UPDATE refunds SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ?"
    conn.execute(sql, [*(_value(getattr(refund, name)) for name in _CHANGING), refund.id])


def get(conn: Connection, refund_id: str) -> Refund | None:
    row = conn.execute(f"{_SELECT} WHERE r.id = ?", (refund_id,)).fetchone()
    return None if row is None else _refund(row)


def of_payment(conn: Connection, payment_id: str) -> list[Refund]:
    """Every refund of a payment, oldest first."""
    return [_refund(row) for row in conn.execute(f"{_SELECT} WHERE r.payment_id = ? ORDER BY r.number", (payment_id,))]


def open_of(conn: Connection, payment_id: str) -> list[Refund]:
    """The refunds of a payment that reserve their amount."""
    sql = f"{_SELECT} WHERE r.payment_id = ? AND r.status IN ({marks(_OPEN)}) ORDER BY r.number"
    return [_refund(row) for row in conn.execute(sql, (payment_id, *_OPEN))]


def given_back(conn: Connection, payment_id: str) -> int:
    """Rupiah that were given back of a payment's attempts and by hand; by a mistake that may be more than came."""
    row = conn.execute(
        "SELECT (SELECT coalesce(sum(amount_refunded), 0) FROM attempts WHERE payment_id = ?1) + "
        "(SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment_id = ?1 AND status = 'DONE' "
        "AND method IN ('cash', 'transfer'))",
        (payment_id,),
    ).fetchone()
    return int(row[0])


def find(conn: Connection, wanted: Filter, limit: int) -> tuple[list[Refund], int | None]:
    """At most `limit` refunds, newest first, and the number of the last where more follow."""
    given = {
        "r.status = ?": wanted.status,
        "r.payment_id = ?": wanted.payment_id,
        "r.number < ?": wanted.before,
    }
    clauses = [clause for clause, value in given.items() if value is not None]
    values: list[Any] = [value for value in given.values() if value is not None]
    if wanted.outlets is not None:
        clauses.append(f"r.payment_id IN (SELECT id FROM payments WHERE outlet IN ({marks(wanted.outlets)}))")
        values.extend(wanted.outlets)
    sql = f"{_SELECT.replace(' FROM', ', r.number FROM', 1)} WHERE {' AND '.join(['TRUE', *clauses])}"
    rows = conn.execute(f"{sql} ORDER BY r.number DESC LIMIT ?", (*values, limit + 1)).fetchall()
    page = rows[:limit]
    return [_refund(row) for row in page], page[-1]["number"] if len(rows) > limit else None


def ours(conn: Connection) -> Iterator[Refund]:
    """Every refund that was asked for here, one after the other."""
    for row in conn.execute(f"{_SELECT} WHERE r.method != 'elsewhere' ORDER BY r.number"):
        yield _refund(row)


def due(conn: Connection, now: datetime, limit: int) -> list[Refund]:
    """At most `limit` refunds that must be sent, or asked about, by now: the longest waiting first."""
    sql = f"{_SELECT} WHERE r.next_try_at <= ? ORDER BY r.next_try_at LIMIT ?"
    return [_refund(row) for row in conn.execute(sql, (to_text(now), limit))]


def too_late(conn: Connection, now: datetime, limit: int) -> list[Refund]:
    """At most `limit` refunds that nobody approved in time."""
    sql = f"{_SELECT} WHERE r.status = 'REQUESTED' AND r.expires_at <= ? ORDER BY r.expires_at LIMIT ?"
    return [_refund(row) for row in conn.execute(sql, (to_text(now), limit))]


def has_unknown(conn: Connection, attempt_id: str) -> bool:
    """Whether the outcome of a refund of this attempt is unknown."""
    sql = "SELECT 1 FROM refunds WHERE attempt_id = ? AND status = 'UNKNOWN'"
    return conn.execute(sql, (attempt_id,)).fetchone() is not None


def decide(conn: Connection, decision: Decision) -> None:
    """Store a decision, in the transaction of what it decides."""
    facts = asdict(decision)
    conn.execute(
        "INSERT INTO refund_decisions (refund_id, decision, outcome, decided_by, content_hash, why, decided_at) "
        "VALUES (:refund_id, :decision, :outcome, :by, :content_hash, :why, :at)",
        {**facts, "at": to_text(decision.at)},
    )


def decisions(conn: Connection, refund_id: str) -> list[Decision]:
    """What was decided about a refund, oldest first."""
    rows = conn.execute("SELECT * FROM refund_decisions WHERE refund_id = ? ORDER BY id", (refund_id,))
    return [
        Decision(
            refund_id=row["refund_id"],
            decision=row["decision"],
            by=row["decided_by"],
            content_hash=row["content_hash"],
            why=row["why"],
            at=from_text(row["decided_at"]),
            outcome=row["outcome"] and Status(row["outcome"]),
        )
        for row in rows
    ]


def names(conn: Connection, who: set[str]) -> dict[str, str]:
    """The usernames and the API keys' names of those who have one."""
    rows = conn.execute(
        f"SELECT id, username FROM users WHERE id IN ({marks(who)}) "
        f"UNION ALL SELECT 'api_key:' || id, name FROM api_keys WHERE 'api_key:' || id IN ({marks(who)})",
        (*who, *who),
    )
    return {row[0]: row[1] for row in rows}


def _value(value: Any) -> Any:
    return to_text(value) if isinstance(value, datetime) else value


def _refund(row: Any) -> Refund:
    facts = {name: row[name] for name in _NAMES}
    facts["method"], facts["status"] = Method(facts["method"]), Status(facts["status"])
    for name in _MOMENTS:
        facts[name] = from_text_or_none(facts[name])
    return Refund(**facts)
