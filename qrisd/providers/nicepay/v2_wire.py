"""What NICEPAY's V2 API says and means: its members, tokens, statuses and result codes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Status
from qrisd.providers.nicepay.settings import WIB

SUCCESS: Final = "0000"
# The reference is known already, or it is cancelled already: an earlier call of ours arrived.
DUPLICATE_REFERENCE: Final = "9009"
DUPLICATE_CANCEL: Final = "9315"
NOT_CANCELLABLE: Final = "9314"
# Theirs to mend: it says nothing about the transaction.
BUSY: Final = frozenset({"1001", "1002", "1003", "1004", "9002", "9101", "9308", "9309", "9507"})
# The account itself is refused.
ACCOUNT_CODES: Final = frozenset({"9010", "9011", "9012"})

# Of QRIS only: other payment methods give these digits other meanings. Cancelled by us and expired look alike.
_STATUS: Final = {
    "0": Status.PAID,
    "2": Status.REFUNDED,
    "3": Status.PENDING,
    "4": Status.PENDING,
    "5": Status.EXPIRED,
    "6": Status.FAILED,
}
_UNPAID: Final = "3"


def _codes(first: int, last: int) -> frozenset[str]:
    return frozenset(str(code) for code in range(first, last + 1))


# Nothing was done and repeating is of no use. 9021 is a fault of theirs; any code that is not listed leaves it open.
FINAL: Final = (
    ACCOUNT_CODES
    | {"9007", "9008", "9031", "9109", "9301"}
    | _codes(9013, 9020)
    | _codes(9022, 9028)
    | _codes(9312, 9334)
    | _codes(9501, 9505)
) - {DUPLICATE_CANCEL}

ADVICE: Final = {
    "9010": "NICEPAY does not accept this merchant key. Copy the merchant key (not SNAP's client secret) again, and "
    "check that `environment` is the one it was made for.",
    "9011": "NICEPAY does not know this iMid. Check `imid`, and that `environment` is the one it was made for.",
    "9012": "QRIS is not active on this NICEPAY account: ask NICEPAY to activate payment method 08.",
    "9023": "NICEPAY finds that the cart's sum is not the amount.",
    "9031": "NICEPAY refuses the time: switch on time synchronisation on this computer.",
    "9314": "NICEPAY says that this payment cannot be refunded: give the money back by hand.",
    "9319": "NICEPAY says that this is more than what is left of the payment.",
    "9334": "NICEPAY takes refunds up to 90 days after the payment: give the money back by hand.",
}


class Transaction(BaseModel):
    """Every answer and every notification: members are missing or null where there is nothing to say."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    resultCd: str | None = None
    resultMsg: str | None = None
    tXid: str | None = None
    canceltXid: str | None = None
    iMid: str | None = None
    referenceNo: str | None = None
    amt: str | None = None
    cancelAmt: str | None = None
    currency: str | None = None
    status: str | None = None
    transDt: str | None = None
    transTm: str | None = None
    paymentExpDt: str | None = None
    paymentExpTm: str | None = None
    paymentTrxSn: str | None = None
    matchCl: str | None = None
    qrContent: str | None = None

    @property
    def canonical(self) -> Status | None:
        """Ours for theirs; None for one we do not know. A refund of a part is known by its amount only."""
        status = _STATUS.get(self.status or "")
        amount, refunded = self.amount, self.refunded
        if status is Status.REFUNDED and amount and refunded and refunded < amount:
            return Status.PARTIALLY_REFUNDED
        return status

    @property
    def is_untouched(self) -> bool:
        """True when nobody has paid and nobody is about to."""
        return self.status == _UNPAID

    @property
    def amount(self) -> int | None:
        """What was asked for, whole rupiah; raises ValueError."""
        return whole_rupiah(self.amt) if self.amt else None

    @property
    def refunded(self) -> int | None:
        """What was given back in all, whole rupiah; None when that is not told; raises ValueError."""
        return (whole_rupiah(self.cancelAmt) or None) if self.cancelAmt else None

    @property
    def said(self) -> str:
        """One line of their words."""
        words = " ".join((self.resultMsg or "no message").split())
        facts = [("status", self.status), ("given back", self.cancelAmt)]
        return "; ".join(
            [f"{self.resultCd or 'no code'}: {words}", *(f"{name} {fact}" for name, fact in facts if fact)]
        )


def merchant_token(*parts: str) -> str:
    """Lower-case hex SHA-256 of the parts, nothing between them."""
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def compact_wib(moment: datetime) -> str:
    """`moment` as NICEPAY writes it: 14 digits, in WIB."""
    return moment.astimezone(WIB).strftime("%Y%m%d%H%M%S")


def utc(day: str | None, time: str | None) -> datetime | None:
    """Aware UTC from `20250131` and `101530` in WIB; None when it cannot be read, for nothing hangs on it."""
    try:
        return datetime.strptime(f"{day}{time}", "%Y%m%d%H%M%S").replace(tzinfo=WIB).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
