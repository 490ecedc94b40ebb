"""What a shop's customer is shown of a payment: this much, and nothing else."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from qrisd import qr_image
from qrisd.domain.merchant import Merchant, merchant_of
from qrisd.domain.payment import MONEY, OPEN, Oddity, Payment, Status
from qrisd.domain.till_mark import Mark, is_shown

# The QR is drawn in whole pixels a module, as wide as the narrowest phones allow. Codes of real acquirers have up to
# 81 modules a side, so that four pixels each always fit there.
WIDEST_QR_PX: Final = 324
NARROWEST_QR_PX: Final = 256
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")


class Stage(StrEnum):
    """Where a payment stands, as its payer sees it."""

    WAITING = "waiting"  # the QR can be paid
    CHECKING = "checking"  # whether there is a QR is not known yet
    CLOSING = "closing"  # time is up; whether money came is being asked
    ATTENTION = "attention"  # money came, but not as it should: the cashier has to look
    PAID = "paid"
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


RENEWABLE: Final = frozenset({Stage.EXPIRED, Stage.FAILED})
LASTING: Final = frozenset({Stage.PAID, Stage.CANCELLED, Stage.REFUNDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The page's facts. `amount` is what has to be paid; it differs from `price` where the amount tells the payment.

    Amounts are whole rupiah."""

    stage: Stage
    merchant: Merchant | None
    order_id: str
    description: str | None
    price: int
    amount: int
    amount_paid: int
    amount_refunded: int
    oddity: Oddity | None
    expires_at: datetime
    paid_at: datetime | None
    reference: str | None
    qris_payload: str | None
    attempt: int
    mark: Mark | None

    @property
    def tag(self) -> str:
        """Changes exactly when what is shown changes."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def is_renewable(self) -> bool:
        return self.stage in RENEWABLE

    @property
    def is_lasting(self) -> bool:
        """Nothing more will happen that the payer waits for."""
        return self.stage in LASTING

    @property
    def has_receipt(self) -> bool:
        return self.paid_at is not None

    @property
    def file_name(self) -> str:
        """What the saved picture of the QR is called."""
        return f"qris-{_NOT_IN_FILE_NAMES.sub('-', self.order_id).strip('-') or 'pembayaran'}-{self.amount}.png"

    @property
    def qr_scale(self) -> int:
        """Pixels a module on the page."""
        side = side_modules(self.qris_payload or "")
        return max(WIDEST_QR_PX // side, -(-NARROWEST_QR_PX // side))

    @property
    def qr_px(self) -> int:
        """Pixels a side on the page, quiet zone included."""
        return self.qr_scale * side_modules(self.qris_payload or "")


def view(payment: Payment, now: datetime, mark: Mark | None = None) -> View:
    """The payment as its payer may see it at `now`. The QR is left out unless it can be paid, and `mark`, the outlet's
    pair of the minute, unless it was paid a moment ago."""
    stage = stage_of(payment, now)
    return View(
        stage=stage,
        merchant=merchant_of(payment.qris_payload),
        order_id=payment.order_id,
        description=payment.description,
        price=payment.amount,
        amount=payment.amount_due,
        amount_paid=payment.amount_paid,
        amount_refunded=payment.amount_refunded,
        oddity=payment.exception,
        expires_at=payment.expires_at,
        paid_at=payment.paid_at,
        reference=payment.provider_ref_no,
        qris_payload=payment.qris_payload if stage is Stage.WAITING else None,
        attempt=payment.attempt,
        mark=mark if stage is Stage.PAID and payment.paid_at and is_shown(payment.paid_at, now) else None,
    )


def stage_of(payment: Payment, now: datetime) -> Stage:
    if payment.amount_refunded and payment.status in MONEY:
        return Stage.REFUNDED
    if payment.exception is not None:
        return Stage.ATTENTION
    if payment.status in OPEN and payment.expires_at <= now:
        return Stage.CLOSING
    return _STAGES[payment.status]


_STAGES: Final = {
    Status.CREATED: Stage.CHECKING,
    Status.PENDING: Stage.WAITING,
    Status.PAID: Stage.PAID,
    Status.EXPIRED: Stage.EXPIRED,
    Status.FAILED: Stage.FAILED,
    Status.CANCELLED: Stage.CANCELLED,
    Status.PARTIALLY_REFUNDED: Stage.REFUNDED,
    Status.REFUNDED: Stage.REFUNDED,
}


# Making the symbol takes milliseconds in pure Python, and a shown QR is asked for again and again.
side_modules: Final = lru_cache(maxsize=256)(qr_image.side_modules)
