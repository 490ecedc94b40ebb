"""A day's payments with all that reconciling them needs, a page at a time: a few queries for each page, however many
payments it has, and no transaction that outlives it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from qrisd.domain.business_day import Zones
from qrisd.domain.payment import Status
from qrisd.domain.reconciliation import Charged, Look, Sale, StrayWebhook
from qrisd.domain.settlement import Kind, Line
from qrisd.domain.times import from_text, from_text_or_none, to_text
from qrisd.store import settlements
from qrisd.store.db import Connection
from qrisd.store.rows import marks

PAGE: Final = 500
Place = tuple[str, str]  # (created_at, id) of the last payment of a page
_BEFORE_ALL: Final[Place] = ("", "")
_SALE: Final = "SELECT id, order_id, outlet, status, amount_paid, amount_refunded, paid_at, created_at FROM payments"
_CHARGE: Final = (
    "SELECT a.id, a.payment_id, a.provider, a.provider_trx_id, a.status, a.amount, a.amount_paid, a.amount_refunded, "
    "a.version, l.version, l.status, l.absent, l.amount, l.amount_refunded, l.problem, a.qris_payload "
    "FROM attempts a LEFT JOIN reconciliation_looks l ON l.attempt_id = a.id"
)
# The provider may have given these back already.
_SENT: Final = "('UNKNOWN', 'PENDING')"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a day's payments, and where the next page begins; None after the last."""

    ids: tuple[str, ...]
    place: Place | None


def page(conn: Connection, zones: Zones, day: date, after: Place | None = None) -> Page:
    """The payments made on `day` in their outlet's zone, in the order they were made."""
    start, end = zones.reach(day)
    rows = conn.execute(
        "SELECT created_at, id, outlet FROM payments WHERE created_at >= ? AND created_at < ? "
        "AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?",
        (to_text(start), to_text(end), *(after or _BEFORE_ALL), PAGE),
    ).fetchall()
    ids = tuple(row[1] for row in rows if zones.day_of(from_text(row[0]), row[2]) == day)
    return Page(ids, (rows[-1][0], rows[-1][1]) if len(rows) == PAGE else None)


def count(conn: Connection, zones: Zones, day: date) -> int:
    """About how many payments the day has: where outlets keep other zones, those of both ends are counted in."""
    span = [to_text(moment) for moment in zones.reach(day)]
    row = conn.execute("SELECT count(*) FROM payments WHERE created_at >= ? AND created_at < ?", span).fetchone()
    return int(row[0])


def of_payments(conn: Connection, zones: Zones, payment_ids: Sequence[str]) -> list[Sale]:
    """These payments, in this order."""
    if not payment_ids:
        return []
    lines: defaultdict[str | None, list[Line]] = defaultdict(list)
    for line in settlements.of_payments(conn, payment_ids):
        lines[line.payment_id].append(line)
    charges = _charges(conn, payment_ids)
    rows = conn.execute(f"{_SALE} WHERE id IN ({marks(payment_ids)})", tuple(payment_ids))
    found = {row[0]: _sale(row, _with_lines(charges[row[0]], lines[row[0]]), zones) for row in rows}
    return [found[payment_id] for payment_id in payment_ids]


def _charges(conn: Connection, payment_ids: Sequence[str]) -> Mapping[str, list[Charged]]:
    sent = _refunds_sent(conn, payment_ids)
    found: defaultdict[str, list[Charged]] = defaultdict(list)
    rows = conn.execute(f"{_CHARGE} WHERE a.payment_id IN ({marks(payment_ids)}) ORDER BY a.number", tuple(payment_ids))
    for row in rows:
        charge = _charge(row)
        found[row[1]].append(replace(charge, refunds_open=sent[row[0]]) if row[0] in sent else charge)
    return found


def _refunds_sent(conn: Connection, payment_ids: Sequence[str]) -> dict[str, int]:
    """Rupiah on their way back, by attempt."""
    rows = conn.execute(
        f"SELECT attempt_id, sum(amount) FROM refunds WHERE payment_id IN ({marks(payment_ids)}) "
        f"AND method = 'provider' AND status IN {_SENT} GROUP BY attempt_id",
        tuple(payment_ids),
    )
    return {row[0]: int(row[1]) for row in rows}


def _charge(row: Any) -> Charged:
    look = None
    if row[9] is not None:
        status = None if row[10] is None else Status(row[10])
        look = Look(row[9], status, bool(row[11]), row[12], row[13], row[14])
    return Charged(
        id=row[0],
        provider=row[2],
        provider_trx_id=row[3],
        status=Status(row[4]),
        amount=row[5],
        amount_paid=row[6],
        amount_refunded=row[7],
        version=row[8],
        qris_payload=row[15],
        look=look,
    )


def _with_lines(charges: Sequence[Charged], lines: Sequence[Line]) -> tuple[Charged, ...]:
    """The attempts with the lines about them; a line that names none is about the payment's last one there."""
    if not lines:
        return tuple(charges)
    of_attempt: defaultdict[str, list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda one: one.id or 0):
        there = [one.id for one in charges if one.provider == line.provider]
        of_attempt[line.attempt_id or (there or [charges[-1].id])[-1]].append(line)
    return tuple(replace(charge, lines=tuple(of_attempt[charge.id])) for charge in charges)


def _sale(row: Any, charges: tuple[Charged, ...], zones: Zones) -> Sale:
    return Sale(
        id=row[0],
        order_id=row[1],
        status=Status(row[3]),
        amount_paid=row[4],
        amount_refunded=row[5],
        paid_at=from_text_or_none(row[6]),
        zone=zones.of_place(row[2]),
        charges=charges,
    )


def stray_webhooks(conn: Connection, zones: Zones, day: date, provider: str | None) -> list[StrayWebhook]:
    """The day's notifications that belong to no payment of ours, by when they came."""
    start, end = (to_text(moment) for moment in zones.reach(day))
    rows = conn.execute(
        "SELECT provider, event_id, payload, received_at FROM webhook_events WHERE attempt_id IS NULL "
        "AND received_at >= ? AND received_at < ? AND provider = coalesce(?, provider) ORDER BY received_at, id",
        (start, end, provider),
    )
    return [_stray(row) for row in rows if zones.day_of(from_text(row[3]), "") == day]


def _stray(row: Any) -> StrayWebhook:
    """What it names, in the words that providers have for it."""
    told = json.loads(row[2])
    told = told if isinstance(told, dict) else {}
    trx_id, order_id = _first(told, _TRX_IDS), _first(told, _ORDER_IDS)
    amount = told.get("amount")
    return StrayWebhook(row[0], row[1], trx_id, order_id, amount if isinstance(amount, int) else None)


_TRX_IDS: Final = ("provider_trx_id", "transaction_id", "originalReferenceNo", "tXid")
_ORDER_IDS: Final = ("order_id", "originalPartnerReferenceNo", "referenceNo")


def _first(told: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((told[name] for name in names if isinstance(told.get(name), str)), None)


def providers_reporting(conn: Connection) -> frozenset[str]:
    """Those of whom a settlement report was ever imported."""
    return frozenset(row[0] for row in conn.execute("SELECT DISTINCT provider FROM settlement_files"))


def first_day(conn: Connection, zones: Zones) -> date | None:
    """The day of the very first payment."""
    row = conn.execute("SELECT created_at, outlet FROM payments ORDER BY created_at, id LIMIT 1").fetchone()
    return None if row is None else zones.day_of(from_text(row[0]), row[1])


def unknown_lines(conn: Connection, zones: Zones, day: date, provider: str) -> list[Line]:
    """Lines about payments and refunds that matched nothing, of the day they tell of: that of the money where they say
    it, else of the payout."""
    return [line for line in settlements.unmatched(conn, provider) if _day_of(line, zones) == day]


def _day_of(line: Line, zones: Zones) -> date:
    return line.settlement_date if line.transacted_at is None else zones.day_of(line.transacted_at, "")


def providers_paying(conn: Connection, day: date) -> list[str]:
    """Those that paid out on this day, by their reports."""
    rows = conn.execute(
        "SELECT DISTINCT provider FROM settlements WHERE settlement_date = ? AND is_settled = 1", (day.isoformat(),)
    )
    return [row[0] for row in rows]


def paid_out(conn: Connection, provider: str, day: date, after: int = 0) -> list[Line]:
    """The lines that were paid out on `day`, those after this id, a page at most; without what adding up does not
    need."""
    rows = conn.execute(
        "SELECT id, kind, line_id, payment_id, attempt_id, amount, fee, net_amount, row_number FROM settlements "
        "WHERE settlement_date = ? AND provider = ? AND is_settled = 1 AND id > ? ORDER BY id LIMIT ?",
        (day.isoformat(), provider, after, PAGE),
    )
    return [
        Line(
            id=row[0],
            provider=provider,
            kind=Kind(row[1]),
            line_id=row[2],
            payment_id=row[3],
            attempt_id=row[4],
            amount=row[5],
            fee=row[6],
            net_amount=row[7],
            row_number=row[8],
            settlement_date=day,
            is_settled=True,
        )
        for row in rows
    ]
