"""A provider's own book of refunds in the place of the simulator's, and words for how its next answers go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from qrisd.domain.errors import ProviderRejected, ProviderUncertain, ProviderUnreachable
from qrisd.domain.payment import Attempt
from qrisd.providers.base import RefundObservation, RefundOrder, RefundStatus
from qrisd.providers.simulator import Simulator

NAME = "simulator"


@dataclass(slots=True)
class RefundBook:
    """What was given back, by reference, and every call. `script` holds words for the next calls to `refund`,
    `questions` for those to `fetch_refund`; without a word the answer is right."""

    given: dict[str, int] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    sent: list[RefundOrder] = field(default_factory=list)
    asked: list[RefundOrder] = field(default_factory=list)
    script: deque[str] = field(default_factory=deque)
    questions: deque[str] = field(default_factory=deque)
    gate: asyncio.Event | None = None

    @property
    def total(self) -> int:
        """Rupiah given back in all."""
        return sum(self.given.values())

    async def refund(self, order: RefundOrder) -> RefundObservation:
        """As the word at the front of the script says: ok, pending, refuse, lost (after it was done), lost_before,
        unreachable, rejected, low_balance, wrong_amount, odd; `hold` and
        `hold_low_balance` wait for the gate first; `hold` is then right."""
        self.sent.append(order)
        word = self.script.popleft() if self.script else "ok"
        if word == "hold_low_balance" and self.gate is not None:
            await self.gate.wait()
            word = "low_balance"
        if word == "hold" and self.gate is not None:
            self.given.setdefault(order.reference, order.amount)
            await self.gate.wait()
        if word == "refuse" and order.reference not in self.given:
            return RefundObservation(status=RefundStatus.REFUSED, detail="the payer's wallet is closed")
        if word == "low_balance":
            return RefundObservation(status=RefundStatus.LATER, detail="the balance is too small")
        if word == "unreachable":
            raise ProviderUnreachable(NAME, "Nothing was sent.")
        if word == "rejected":
            raise ProviderRejected(NAME, "The key is not known.", "401")
        if word == "lost_before":
            raise ProviderUncertain(NAME, "No answer came.")
        self.given.setdefault(order.reference, order.amount)
        if word == "lost":
            raise ProviderUncertain(NAME, "No answer came.")
        if word == "pending":
            self.pending.add(order.reference)
        if word == "wrong_amount":
            return RefundObservation(status=RefundStatus.DONE, amount=order.amount + 1)
        return self._told(order, word)

    async def fetch_refund(self, order: RefundOrder) -> RefundObservation:
        """As the word at the front of the questions says: ok, lost, absent, refuse, odd."""
        self.asked.append(order)
        word = self.questions.popleft() if self.questions else "ok"
        if word == "lost":
            raise ProviderUncertain(NAME, "No answer came.")
        if word == "refuse":
            return RefundObservation(status=RefundStatus.REFUSED, detail="the bank sent it back")
        if word == "absent" or order.reference not in self.given:
            return RefundObservation(absent=True, detail="no such refund")
        return self._told(order, word)

    def _told(self, order: RefundOrder, word: str) -> RefundObservation:
        if word == "odd":
            return RefundObservation(detail="a state nobody knows")
        status = RefundStatus.PENDING if order.reference in self.pending else RefundStatus.DONE
        return RefundObservation(status=status, amount=order.amount, provider_refund_id=f"R-{order.reference}")


@contextmanager
def in_place_of_the_simulator(book: RefundBook) -> Iterator[RefundBook]:
    """While the block lasts, this book answers instead of the simulator, which has no memory."""

    async def refund(self: Simulator, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        return await book.refund(order)

    async def fetch_refund(self: Simulator, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        return await book.fetch_refund(order)

    kept = Simulator.refund, Simulator.fetch_refund
    setattr(Simulator, "refund", refund)  # noqa: B010
    setattr(Simulator, "fetch_refund", fetch_refund)  # noqa: B010
    try:
        yield book
    finally:
        setattr(Simulator, "refund", kept[0])  # noqa: B010
        setattr(Simulator, "fetch_refund", kept[1])  # noqa: B010
