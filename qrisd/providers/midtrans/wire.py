"""What Midtrans says, in answers and notifications alike, and what that means to us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from pydantic import BaseModel, ConfigDict, field_validator

from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Status

EXPIRED: Final = 407
_WIB: Final = timezone(timedelta(hours=7))

_STATUS: Final = {
    "pending": Status.PENDING,
    "authorize": Status.PENDING,
    "settlement": Status.PAID,
    "capture": Status.PAID,
    "deny": Status.FAILED,
    "failure": Status.FAILED,
    "expire": Status.EXPIRED,
    "cancel": Status.CANCELLED,
    "partial_refund": Status.PARTIALLY_REFUNDED,
    "refund": Status.REFUNDED,
}
# What Midtrans' fraud check makes of money that has arrived.
_FRAUD: Final = {"": Status.PAID, "accept": Status.PAID, "challenge": Status.PENDING, "deny": Status.FAILED}


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class _Action(_Wire):
    name: str | None = None
    url: str | None = None


class Refund(_Wire):
    """One line of what went back. `bank_confirmed_at` comes once the money is on the payer's side."""

    refund_key: str | None = None
    refund_amount: str | None = None
    refund_chargeback_id: str | None = None
    bank_confirmed_at: str | None = None


class Transaction(_Wire):
    """Every answer and every notification: members Midtrans has no value for are left out."""

    status_code: str | None = None
    status_message: str | None = None
    validation_messages: list[str] | None = None
    order_id: str | None = None
    transaction_id: str | None = None
    merchant_id: str | None = None
    gross_amount: str | None = None
    currency: str | None = None
    transaction_status: str | None = None
    fraud_status: str | None = None
    settlement_time: str | None = None
    expiry_time: str | None = None
    qr_string: str | None = None
    actions: list[_Action] | None = None
    refund_amount: str | None = None
    refund_key: str | None = None
    refund_chargeback_id: str | None = None
    refunds: list[Refund] | None = None
    merchant_cross_reference_id: str | None = None
    shopeepay_reference_number: str | None = None
    issuer: str | None = None
    reference_id: str | None = None

    @field_validator("issuer", mode="before")
    @classmethod
    def _name_or_nothing(cls, told: object) -> str | None:
        """Nothing of the money hangs on it."""
        return told if isinstance(told, str) else None

    @property
    def status(self) -> Status | None:
        """Ours for theirs; None for one we do not know."""
        word = (self.transaction_status or ("expire" if self.status_code == str(EXPIRED) else "")).lower()
        status = _STATUS.get(word)
        if status is Status.PAID:
            return _FRAUD.get((self.fraud_status or "").lower())
        return status

    @property
    def amount(self) -> int | None:
        """Whole rupiah; raises ValueError."""
        return None if self.gross_amount is None else whole_rupiah(self.gross_amount)

    @property
    def refunded(self) -> int | None:
        """What was given back in all; raises ValueError. The list is a running total, `refund_amount` not always."""
        if self.refunds:
            return sum(whole_rupiah(refund.refund_amount or "") for refund in self.refunds)
        return None if self.refund_amount is None else whole_rupiah(self.refund_amount)

    @property
    def reference_number(self) -> str | None:
        """The acquirer's number for the payment: GoPay and ShopeePay call it differently."""
        return self.merchant_cross_reference_id or self.shopeepay_reference_number or self.reference_id

    @property
    def said(self) -> str:
        """One line of their words."""
        words = [self.transaction_status, self.status_message, *(self.validation_messages or [])]
        line = "; ".join(" ".join(word.split()) for word in words if word)
        return f"{self.status_code or 'no code'}: {line or 'no message'}"


def moment(text: str | None) -> datetime | None:
    """Midtrans' time, WIB without an offset; None when it cannot be read, for nothing hangs on it."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%d %H:%M:%S").replace(tzinfo=_WIB).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
