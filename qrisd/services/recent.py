"""The payments this process has just stored: what pollers and webhooks ask for next.

A memory, never the truth: whoever changes something checks inside the transaction that nothing newer has been stored.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from qrisd.domain.payment import Attempt, Payment

CAPACITY: Final = 5000


@dataclass(frozen=True, slots=True)
class Known:
    """A payment and one of its attempts, as they were stored last."""

    payment: Payment
    attempt: Attempt


class Recent:
    """By payment id, and by (provider, provider_trx_id) of the attempt."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Known] = OrderedDict()
        self._by_trx_id: dict[tuple[str, str], str] = {}

    def put(self, payment: Payment, attempt: Attempt) -> None:
        """Remember how both were just stored."""
        self._by_id[payment.id] = Known(payment, attempt)
        self._by_id.move_to_end(payment.id)
        if attempt.provider_trx_id is not None:
            self._by_trx_id[attempt.provider, attempt.provider_trx_id] = payment.id
        if len(self._by_id) > CAPACITY:
            _, oldest = self._by_id.popitem(last=False)
            self._by_trx_id.pop((oldest.attempt.provider, oldest.attempt.provider_trx_id or ""), None)

    def payment(self, payment_id: str) -> Payment | None:
        known = self._by_id.get(payment_id)
        return known.payment if known else None

    def by_trx_id(self, provider: str, provider_trx_id: str | None) -> Known | None:
        """The attempt this provider gave this id, with its payment."""
        known = self._by_id.get(self._by_trx_id.get((provider, provider_trx_id or ""), ""))
        same = known is not None and known.attempt.provider_trx_id == provider_trx_id
        return known if same else None

    def forget(self) -> None:
        """Another process has changed something: ask the database again."""
        self._by_id.clear()
        self._by_trx_id.clear()
