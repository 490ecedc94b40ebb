"""Fees above what the table of rates allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from qrisd.domain.business_day import Zones
from qrisd.domain.mdr import Criteria, Mdr, rate_day
from qrisd.domain.settlement import Kind, Line
from qrisd.store import attempts, payments, settlements
from qrisd.store.db import Connection
from qrisd.store.settlements import Filter

LOOKED_AT: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Overcharge:
    """A line of which more was kept than its `expected_fee`, whole rupiah, at these criteria."""

    line: Line
    criteria: Criteria
    expected_fee: int

    @property
    def over(self) -> int:
        return self.line.fee - self.expected_fee


def expected_fee(conn: Connection, line: Line, mdr: Mdr, zones: Zones) -> tuple[Criteria | None, int | None]:
    """The criteria of whom a line pays, and what may be kept of it; None where that is not known."""
    attempt = None if line.attempt_id is None else attempts.get(conn, line.attempt_id)
    criteria = mdr.criteria_of(None if attempt is None else attempt.qris_payload)
    payment = None if line.payment_id is None else payments.get(conn, line.payment_id)
    paid_at, outlet = (None, None) if payment is None else (payment.paid_at, payment.outlet)
    on = rate_day(line, paid_at, zones.of_place(outlet))
    return criteria, mdr.expected_fee(line.amount, criteria, on, line.provider)


def page(conn: Connection, wanted: Filter, mdr: Mdr, zones: Zones, limit: int) -> tuple[list[Overcharge], int | None]:
    """Payments of which too much was kept, the newest line first: at most `limit`, among at most LOOKED_AT lines. Also
    the id to go on before, None at the end. Lines whose criteria nobody knows are not judged."""
    lines = settlements.find(conn, replace(wanted, kind=Kind.PAYMENT), LOOKED_AT + 1)
    found: list[Overcharge] = []
    for line in lines[:LOOKED_AT]:
        if len(found) == limit:
            return found, found[-1].line.id
        found += _judged(conn, line, mdr, zones)
    return found, lines[LOOKED_AT - 1].id if len(lines) > LOOKED_AT else None


def _judged(conn: Connection, line: Line, mdr: Mdr, zones: Zones) -> list[Overcharge]:
    criteria, fee = expected_fee(conn, line, mdr, zones) if line.fee > 0 else (None, None)
    if criteria is None or fee is None or line.fee <= fee:
        return []
    return [Overcharge(line=line, criteria=criteria, expected_fee=fee)]
