"""Refunds of payment requests: asked for, looked up by our reference, and summed.

A refund never shows on its payment request, so what was given back is the sum over the refunds themselves. Whether one
is possible depends on the payer's bank: a refusal is an ordinary answer.
"""

from __future__ import annotations

from typing import Final

from qrisd.domain.errors import ProviderRejected, ProviderUncertain, ProviderUnreachable
from qrisd.domain.money import whole_rupiah
from qrisd.providers.base import RefundObservation, RefundOrder, RefundStatus
from qrisd.providers.xendit.account import FOLLOW_UP_S, NOT_FOUND, Wire, XenditAccount, repeat_key

_STATUS: Final = {
    "PENDING": RefundStatus.PENDING,
    "SUCCEEDED": RefundStatus.DONE,
    "FAILED": RefundStatus.REFUSED,
    "CANCELLED": RefundStatus.REFUSED,
}
# The old and the new page spell some differently.
_REFUSALS: Final = frozenset(
    {
        "REFUND_AMOUNT_EXCEEDED",
        "MAXIMUM_REFUND_AMOUNT_REACHED",
        "INELIGIBLE_TRANSACTION_STATUS",
        "INELIGIBLE_TRANSACTION",
        "PARTIAL_REFUND_COUNTS_EXCEEDED",
        "REFUND_NOT_SUPPORTED",
        "PARTIAL_REFUND_NOT_SUPPORTED",
        "INVALID_MERCHANT_SETTINGS",
        NOT_FOUND,
    }
)
_LOW_BALANCE: Final = "INSUFFICIENT_BALANCE"
_SEEN_BEFORE: Final = frozenset({"DUPLICATE_ERROR", "IDEMPOTENCY_ERROR"})
_MAX_PAGES: Final = 20


class _Refund(Wire):
    id: str | None = None
    payment_request_id: str | None = None
    reference_id: str | None = None
    status: str | None = None
    amount: str | None = None
    failure_code: str | None = None


class _Refunds(Wire):
    data: list[_Refund]
    has_more: bool | None = None


class XenditRefunds:
    """The refunds of one account. Methods raise ProviderRejected, ProviderUnreachable or ProviderUncertain."""

    def __init__(self, account: XenditAccount) -> None:
        self._account = account

    async def send(self, request_id: str, order: RefundOrder) -> RefundObservation:
        """Give back `order.amount` of the payment request; a repeat is known by its key."""
        body = {
            "payment_request_id": request_id,
            "reference_id": order.reference,
            "currency": "IDR",
            "amount": order.amount,
            "reason": "REQUESTED_BY_CUSTOMER",
        }
        headers = {"idempotency-key": repeat_key("refund", order.reference)}
        try:
            answer = await self._account.post("/refunds", body, headers)
        except ProviderRejected as error:
            if error.provider_code == _LOW_BALANCE:
                return RefundObservation(status=RefundStatus.LATER, detail=str(error))
            if error.provider_code not in _REFUSALS:
                raise
            return RefundObservation(status=RefundStatus.REFUSED, detail=str(error))
        except ProviderUncertain as error:
            if error.provider_code not in _SEEN_BEFORE:
                raise
            return await self._adopt(request_id, order, error)
        return self._observed(self._account.read(_Refund, answer), request_id, order)

    async def find(self, request_id: str, order: RefundOrder) -> RefundObservation:
        """The refund with our reference; absent when the payment request has none such."""
        for refund in await self._of(request_id):
            if refund.reference_id == order.reference:
                return self._observed(refund, request_id, order)
        return RefundObservation(absent=True, detail="the payment request has no refund with this reference")

    async def given_back(self, request_id: str) -> int:
        """Whole rupiah that have gone back to the payer so far."""
        return sum(self._amount(refund) for refund in await self._of(request_id) if refund.status == "SUCCEEDED")

    async def _adopt(self, request_id: str, order: RefundOrder, error: ProviderUncertain) -> RefundObservation:
        """Xendit has had this refund before, surely from us. Not finding it settles nothing."""
        try:
            found = await self.find(request_id, order)
        except (ProviderRejected, ProviderUnreachable) as refused:
            raise ProviderUncertain(self._account.name, f"{error} Asking for it failed: {refused}") from refused
        if found.absent:
            raise error
        return found

    async def _of(self, request_id: str) -> list[_Refund]:
        """Every refund of the payment request: a page too few would call one absent that was sent."""
        found: list[_Refund] = []
        query = {"payment_request_id": request_id, "limit": "50"}
        for _ in range(_MAX_PAGES):
            answer = await self._account.get("/refunds", query, timeout_s=FOLLOW_UP_S)
            page = self._account.read(_Refunds, answer)
            found += [refund for refund in page.data if refund.payment_request_id == request_id]
            if not page.has_more:
                return found
            query["after_id"] = (page.data[-1].id if page.data else None) or ""
        raise ProviderUncertain(self._account.name, "Xendit's list of refunds does not end.")

    def _observed(self, refund: _Refund, request_id: str, order: RefundOrder) -> RefundObservation:
        if (refund.payment_request_id, refund.reference_id) != (request_id, order.reference):
            raise ProviderUncertain(
                self._account.name, "Xendit's answer is about another refund than the one asked for."
            )
        detail = f"refund {refund.status}" + (f": {refund.failure_code}" if refund.failure_code else "")
        if refund.failure_code == _LOW_BALANCE:
            # Xendit took this one and ended it: its key and reference are used up.
            detail += "; top the Xendit balance up and ask for another refund"
        return RefundObservation(
            status=_STATUS.get(refund.status or ""),
            amount=self._amount(refund),
            provider_refund_id=refund.id,
            detail=detail[:200],
        )

    def _amount(self, refund: _Refund) -> int:
        try:
            return whole_rupiah(refund.amount or "")
        except ValueError as error:
            raise ProviderUncertain(self._account.name, "A refund's amount is not whole rupiah.") from error
