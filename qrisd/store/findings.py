"""The differences that reconciling a day found, the reconciliation_exceptions table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from qrisd.domain.reconciliation import Class, Difference, Finding, FindingStatus, Reason
from qrisd.domain.times import to_text
from qrisd.store.db import Connection
from qrisd.store.rows import marks

_SELECT: Final = (
    "SELECT id, day, provider, class, reason, subject, payment_id, order_id, provider_trx_id, amount_here, "
    "amount_there, detail, status, note, owner FROM reconciliation_exceptions"
)


def get(conn: Connection, finding_id: str) -> Finding | None:
    row = conn.execute(f"{_SELECT} WHERE id = ?", (finding_id,)).fetchone()
    return None if row is None else _finding(row)


def of_day(conn: Connection, day: date, provider: str | None = None) -> list[Finding]:
    """The day's findings that still hold, in no order."""
    rows = conn.execute(
        f"{_SELECT} WHERE day = ? AND provider = coalesce(?, provider) AND status != 'GONE'",
        (day.isoformat(), provider),
    )
    return [_finding(row) for row in rows]


def found(conn: Connection, day: date, difference: Difference, now: datetime) -> None:
    """Store that it holds. What a person resolved stays resolved as long as it is the very same, and what is known
    already is not written again; a payment that was advanced stays told of as that. What two days tell of is kept with
    the one that told it first, for as long as it holds there."""
    before = get(conn, difference.id)
    if before is None:
        _add(conn, Finding(day, difference, FindingStatus.OPEN), now)
    elif before.status is FindingStatus.GONE or (
        before.status is not FindingStatus.HEALED and before.day == day and before.difference != difference
    ):
        save(conn, replace(before, day=day, difference=difference, status=FindingStatus.OPEN), now)


def healed(conn: Connection, day: date, difference: Difference, now: datetime) -> None:
    """Store that the payment was advanced, in the transaction that advances it."""
    before = get(conn, difference.id)
    if before is None:
        _add(conn, Finding(day, difference, FindingStatus.HEALED), now)
    else:
        save(conn, replace(before, difference=difference, status=FindingStatus.HEALED), now)


def gone(conn: Connection, finding_ids: Iterable[str], now: datetime) -> None:
    """These no longer hold."""
    conn.executemany(
        "UPDATE reconciliation_exceptions SET status = 'GONE', updated_at = ? WHERE id = ?",
        [(to_text(now), finding_id) for finding_id in finding_ids],
    )


def save(conn: Connection, finding: Finding, now: datetime) -> None:
    """Store what can change about a finding."""
    told = finding.difference
    conn.execute(
        "UPDATE reconciliation_exceptions SET day = ?, reason = ?, order_id = ?, provider_trx_id = ?, amount_here = ?, "
        "amount_there = ?, detail = ?, status = ?, note = ?, owner = ?, updated_at = ? WHERE id = ?",
        (
            finding.day.isoformat(),
            told.reason,
            told.order_id,
            told.provider_trx_id,
            told.amount_here,
            told.amount_there,
            told.detail,
            finding.status,
            finding.note,
            finding.owner,
            to_text(now),
            told.id,
        ),
    )


def count_open(conn: Connection) -> int:
    """How many wait for a person, of all days."""
    row = conn.execute("SELECT count(*) FROM reconciliation_exceptions WHERE status = 'OPEN'").fetchone()
    return int(row[0])


def oldest_open(conn: Connection) -> date | None:
    """The first business day of which something waits for a person; None when nothing does."""
    row = conn.execute("SELECT min(day) FROM reconciliation_exceptions WHERE status = 'OPEN'").fetchone()
    return None if row[0] is None else date.fromisoformat(row[0])


def open_by_day(conn: Connection, days: Sequence[date]) -> dict[date, int]:
    """How many of each of these days wait for a person; days without any are left out."""
    rows = conn.execute(
        "SELECT day, count(*) FROM reconciliation_exceptions WHERE status = 'OPEN' "
        f"AND day IN ({marks(days)}) GROUP BY day",
        [day.isoformat() for day in days],
    )
    return {date.fromisoformat(row[0]): int(row[1]) for row in rows}


def days_with_open(conn: Connection, since: date) -> list[date]:
    """The days from `since` on that have some which wait for a person."""
    rows = conn.execute(
        "SELECT DISTINCT day FROM reconciliation_exceptions WHERE status = 'OPEN' AND day >= ? ORDER BY day",
        (since.isoformat(),),
    )
    return [date.fromisoformat(row[0]) for row in rows]


def _add(conn: Connection, finding: Finding, now: datetime) -> None:
    told = finding.difference
    conn.execute(
        "INSERT INTO reconciliation_exceptions (id, day, provider, class, reason, subject, payment_id, order_id, "
        "provider_trx_id, amount_here, amount_there, detail, status, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            told.id,
            finding.day.isoformat(),
            told.provider,
            told.kind,
            told.reason,
            told.subject,
            told.payment_id,
            told.order_id,
            told.provider_trx_id,
            told.amount_here,
            told.amount_there,
            told.detail,
            finding.status,
            to_text(now),
            to_text(now),
        ),
    )


def _finding(row: Any) -> Finding:
    difference = Difference(
        kind=Class(row["class"]),
        reason=Reason(row["reason"]),
        provider=row["provider"],
        subject=row["subject"],
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        provider_trx_id=row["provider_trx_id"],
        amount_here=row["amount_here"],
        amount_there=row["amount_there"],
        detail=row["detail"],
    )
    day, status = date.fromisoformat(row["day"]), FindingStatus(row["status"])
    return Finding(day, difference, status, row["note"], row["owner"])
