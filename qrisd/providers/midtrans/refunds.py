"""Refunds of Midtrans orders: asked for under one `refund_key`, and found again by it in the order's status.

For 7 days Midtrans takes a repeated key as the same refund. What it answers first is an approval; the payer's side has
confirmed it once the refund carries `bank_confirmed_at`. `refund_amount` beside the list of refunds is sometimes this
one and sometimes the sum of all, so only the list is read.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from qrisd.domain.errors import ProviderError, ProviderUncertain
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Status
from qrisd.providers.base import RefundObservation, RefundOrder, RefundStatus
from qrisd.providers.midtrans.account import FINAL, FOLLOW_UP_S, MidtransAccount, Reply
from qrisd.providers.midtrans.wire import Refund, Transaction

_MAX_REASON: Final = 255
_DENIED: Final = 202
_KEY_USED: Final = 406
_NOT_SETTLED: Final = 412
_AMOUNT: Final = 414
_REFUSALS: Final = FINAL | {_DENIED, 404, _KEY_USED, _NOT_SETTLED}
# The account is refused, not this refund: it may be asked for again once that is set right.
_ACCOUNT: Final = frozenset({401, 403})
_MONEY_BACK: Final = (Status.REFUNDED, Status.PARTIALLY_REFUNDED)

_ADVICE: Final = {
    _DENIED: "The payer's bank or wallet denied the refund: give the money back by hand.",
    404: "Midtrans does not know this order: check that the server key is of the account that took the payment.",
    _NOT_SETTLED: "Midtrans gives back settled orders only: this one is not settled, or all of it went back already.",
    _AMOUNT: "Midtrans does not take this amount: compare it with what is left of the payment (ShopeePay gives back "
    "all or nothing), and look at the balance in the dashboard.",
}
_LOW_BALANCE: Final = (
    "The Midtrans balance is too small: top it up in the dashboard, and the refund goes out by itself."
)
_LOW_BALANCE_WORDS: Final = ("balance", "insufficient")


class MidtransRefunds:
    """The refunds of one account. Methods raise ProviderRejected, ProviderUnreachable or ProviderUncertain."""

    def __init__(self, account: MidtransAccount) -> None:
        self._account = account

    async def send(self, order_id: str, order: RefundOrder) -> RefundObservation:
        """Give back `order.amount` of the order; a repeat is known by its key."""
        path = f"/v2/{quote(order_id, safe='')}/refund"
        body = {"refund_key": order.reference, "amount": order.amount, "reason": order.reason[:_MAX_REASON]}
        reply = await self._account.post(path, order.reference, "refund", body, {})
        if reply.code in _ACCOUNT:
            raise self._account.rejected(reply)
        if reply.in_body and reply.code in _REFUSALS:
            return await self._refused(order_id, order, reply)
        return self._approved(order_id, order, reply)

    async def find(self, order_id: str, order: RefundOrder, timeout_s: float) -> RefundObservation:
        """The refund with our key, within `timeout_s` seconds; absent when the order shows none such."""
        reply = await self._account.status(order_id, timeout_s)
        if reply.is_absent:
            return RefundObservation(absent=True, detail=self._account.said(reply.transaction))
        self._account.expect_success(reply)
        seen = reply.transaction
        self._expect_ours(seen, order_id)
        entry = self._entry(seen, order)
        if entry is not None:
            return self._observed(entry, seen)
        if seen.status in _MONEY_BACK and not seen.refunds:
            raise ProviderUncertain(self._account.name, "Midtrans says that money went back, but not in which refund.")
        return RefundObservation(absent=True, detail="the order has no refund with this key")

    async def _refused(self, order_id: str, order: RefundOrder, reply: Reply) -> RefundObservation:
        """An earlier try under the same key may be why this one is refused, so it is looked for first."""
        detail = self._why(reply)
        try:
            found = await self.find(order_id, order, FOLLOW_UP_S)
        except ProviderError as error:
            text = f"{detail} Whether it was given back before could not be asked: {error}"
            raise ProviderUncertain(self._account.name, text, str(reply.code)) from error
        if not found.absent:
            return found
        if reply.code == _KEY_USED:
            text = "Midtrans has had this refund already, but does not show it."
            raise ProviderUncertain(self._account.name, text, str(reply.code))
        status = RefundStatus.LATER if self._lacks_balance(reply) else RefundStatus.REFUSED
        return RefundObservation(status=status, detail=detail)

    def _approved(self, order_id: str, order: RefundOrder, reply: Reply) -> RefundObservation:
        seen = reply.transaction
        if reply.code != 200 or seen.status not in _MONEY_BACK:
            raise self._account.unknown(reply)
        self._expect_ours(seen, order_id)
        if seen.refund_key not in (None, order.reference):
            raise ProviderUncertain(self._account.name, "Midtrans' answer is about another refund than the one asked.")
        entry = self._entry(seen, order)
        if entry is not None:
            return self._observed(entry, seen)
        return RefundObservation(
            status=RefundStatus.PENDING,
            amount=order.amount,
            provider_refund_id=seen.refund_chargeback_id,
            detail=self._account.said(seen),
        )

    def _entry(self, seen: Transaction, order: RefundOrder) -> Refund | None:
        return next((each for each in seen.refunds or [] if each.refund_key == order.reference), None)

    def _observed(self, entry: Refund, seen: Transaction) -> RefundObservation:
        try:
            amount = whole_rupiah(entry.refund_amount or "")
        except ValueError as error:
            raise ProviderUncertain(self._account.name, "The refund's amount is not whole rupiah.") from error
        confirmed = bool(entry.bank_confirmed_at)
        said = self._account.said(seen)
        return RefundObservation(
            status=RefundStatus.DONE if confirmed else RefundStatus.PENDING,
            amount=amount,
            provider_refund_id=entry.refund_chargeback_id,
            detail=said if confirmed else f"{said}; not yet confirmed by the payer's bank or wallet",
        )

    def _expect_ours(self, seen: Transaction, order_id: str) -> None:
        problem = self._account.foreign(seen, order_id)
        if problem:
            raise ProviderUncertain(self._account.name, f"Midtrans' answer is about another order ({problem}).")

    def _why(self, reply: Reply) -> str:
        said = self._account.said(reply.transaction)
        advice = _LOW_BALANCE if self._lacks_balance(reply) else _ADVICE.get(reply.code)
        return f"{advice} ({said})" if advice else str(self._account.rejected(reply))

    def _lacks_balance(self, reply: Reply) -> bool:
        """One code stands for two things; Midtrans' words tell a low balance from a wrong amount."""
        said = self._account.said(reply.transaction).lower()
        return reply.code == _AMOUNT and any(word in said for word in _LOW_BALANCE_WORDS)
