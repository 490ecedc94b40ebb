"""What a cashier is shown: how the till stands, and one payment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from qrisd.domain.business_day import Zones
from qrisd.domain.payment import Oddity, Payment
from qrisd.domain.shift import Shift
from qrisd.domain.till_mark import Mark
from qrisd.store import payments, till_sales
from qrisd.store.db import Connection
from qrisd.store.payments import Filter
from qrisd.store.till_sales import Takings
from qrisd.web.checkout_view import Stage, stage_of

RECENT_LIMIT: Final = 20
RECENT_FOR: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One payment in the list of recent ones. `amount` is whole rupiah: what came where money came, else what was
    asked."""

    id: str
    order_id: str
    amount: int
    note: str | None
    stage: Stage
    oddity: Oddity | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TillView:
    """The till of one outlet. `is_resting`: no provider can be asked for a QR at present."""

    shift: Shift
    lines: tuple[Line, ...]
    today: Takings
    is_resting: bool
    mark: Mark

    @property
    def tag(self) -> str:
        """Changes exactly when what is shown changes."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Read:
    """What the database knows for the till's page."""

    lines: tuple[Line, ...]
    today: Takings


def read(conn: Connection, outlet: str, zones: Zones, now: datetime) -> Read:
    """The outlet's latest payments and what the business day of `now` has brought."""
    start, end = zones.bounds(zones.day_of(now, outlet), outlet)
    # Of today, and what was begun shortly before midnight.
    wanted = Filter(outlet=outlet, created_from=min(start, now - RECENT_FOR))
    found = payments.find(conn, wanted, RECENT_LIMIT)
    return Read(tuple(_line(payment, now) for payment in found), till_sales.takings(conn, outlet, start, end))


def _line(payment: Payment, now: datetime) -> Line:
    return Line(
        id=payment.id,
        order_id=payment.order_id,
        amount=payment.amount_paid or payment.amount,
        note=payment.description,
        stage=stage_of(payment, now),
        oddity=payment.exception,
        at=payment.paid_at or payment.created_at,
    )
