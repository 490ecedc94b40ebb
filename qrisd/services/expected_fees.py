"""What providers may have kept of payments, by the merchant's criteria in the QRs that were paid."""

from __future__ import annotations

from datetime import date
from typing import Final

from qrisd.domain.mdr import Criteria, Mdr
from qrisd.domain.reconciliation import Charged

# Where the parts of a QR that name the merchant end: tag 53, the currency.
_MERCHANT_ENDS: Final = "5303360"
_REMEMBERED: Final = 1000


class ExpectedFees:
    """The fees that `mdr` allows. The merchant part of a QR is the same in most of them, so it is read once."""

    def __init__(self, mdr: Mdr) -> None:
        self._mdr = mdr
        self._criteria: dict[str, Criteria | None] = {}

    def of(self, charge: Charged, amount: int, on: date) -> int | None:
        """Whole rupiah, VAT included, that may be kept of `amount` paid on this day; None where nothing can be said."""
        return self._mdr.expected_fee(amount, self._criteria_of(charge.qris_payload), on, charge.provider)

    def _criteria_of(self, payload: str | None) -> Criteria | None:
        merchant = (payload or "").partition(_MERCHANT_ENDS)[0]
        if merchant not in self._criteria:
            if len(self._criteria) >= _REMEMBERED:
                self._criteria.clear()
            self._criteria[merchant] = self._mdr.criteria_of(payload)
        return self._criteria[merchant]
