"""Checking a proof of payment: our records first, the providers of what is still open, then our records again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from qrisd.domain.errors import ProviderError
from qrisd.domain.payment import MONEY, OPEN, Payment
from qrisd.domain.permissions import Outlets
from qrisd.domain.proof import Candidate, Doubt, Match, Query, Verdict, judge, read
from qrisd.providers.base import Provider
from qrisd.services.payments import Payments
from qrisd.store import proofs
from qrisd.store.audit_log import Actor
from qrisd.store.db import Database

log = structlog.get_logger()

LOOK_BACK: Final = timedelta(days=2)
# A number that we do not know may be that of money the provider has not told us of: then what waits now is asked about.
STILL_SHOWN: Final = timedelta(hours=1)
MOST_ASKED: Final = 24
AT_ONCE: Final = 8
ANSWER_WITHIN_S: Final = 8.0


class Proofs:
    """The use-case. At most MOST_ASKED payments are asked about, the likeliest first and AT_ONCE at a time, for
    ANSWER_WITHIN_S seconds in all."""

    def __init__(
        self,
        *,
        db: Database,
        payments: Payments,
        providers: Mapping[str, Provider],
        clock: Callable[[], datetime],
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._db = db
        self._payments = payments
        self._providers = providers
        self._clock = clock
        self._answer_within_s = answer_within_s

    async def check(self, text: str, outlets: Outlets, by: Actor) -> tuple[Query, Verdict]:
        """What was understood of what somebody typed or pasted, and what is true of it, for a cashier limited to these
        outlets; `by` is the cashier."""
        query = read(text)
        known = await self._find(query, outlets)
        is_named = any(one.match in (Match.ORDER, Match.REFERENCE) for one in known)
        waiting = await self._waiting(outlets) if query.names and not is_named else []
        wanted = list(dict.fromkeys([*_unpaid(known), *(one.id for one in waiting)]))[:MOST_ASKED]
        answers = await self._ask(wanted, by)
        found = await self._find(query, outlets)
        meant = [one.payment for one in found if one.match is not Match.ALIKE]
        return query, judge(found, query, self._clock(), self._doubt([*meant, *waiting], answers))

    async def _find(self, query: Query, outlets: Outlets) -> list[Candidate]:
        since = self._clock() - LOOK_BACK
        return await self._db.read(partial(proofs.find, query=query, outlets=outlets, since=since))

    async def _waiting(self, outlets: Outlets) -> list[Payment]:
        """What waits for money, and one more than can be asked about where there are so many."""
        since = self._clock() - STILL_SHOWN
        return await self._db.read(partial(proofs.newest_open, outlets=outlets, since=since, limit=MOST_ASKED + 1))

    async def _ask(self, payment_ids: Sequence[str], by: Actor) -> dict[str, bool]:
        """Have the providers asked, in this order: whether each has answered; a payment that was not asked about before
        the time was up is missing."""
        answers: dict[str, bool] = {}
        room = asyncio.Semaphore(AT_ONCE)
        asking = [asyncio.create_task(self._put(one, by, answers, room)) for one in payment_ids]
        if asking:
            done, late = await asyncio.wait(asking, timeout=self._answer_within_s)
            for task in late:  # the question itself goes on, and what it brings is recorded
                task.cancel()
            for task in done:
                task.result()
        return answers

    async def _put(self, payment_id: str, by: Actor, answers: dict[str, bool], room: asyncio.Semaphore) -> None:
        async with room:
            answers[payment_id] = False
            answers[payment_id] = await self._has_answered(payment_id, by)

    async def _has_answered(self, payment_id: str, by: Actor) -> bool:
        try:
            await self._payments.check(payment_id, by)
        except ProviderError as error:
            log.warning("provider not asked", provider=error.provider, payment=payment_id, why=str(error))
            return False
        return True

    def _doubt(self, payments: Sequence[Payment], answers: Mapping[str, bool]) -> Doubt | None:
        """Why what is known of these payments may be too little; None when it is not."""
        if not all(answers.values()):
            return Doubt.SILENT
        found = {self._doubt_of(one, answers) for one in payments if one.status not in MONEY}
        return next((doubt for doubt in Doubt if doubt in found), None)

    def _doubt_of(self, payment: Payment, answers: Mapping[str, bool]) -> Doubt | None:
        """The same for one without money, about which nobody failed to answer."""
        provider = self._providers.get(payment.provider)
        if provider is None or provider.capabilities.confirmed_by_person:
            return Doubt.UNASKABLE
        return Doubt.MANY if payment.status in OPEN and payment.id not in answers else None


def _unpaid(candidates: Sequence[Candidate]) -> list[str]:
    """Those without money, the likeliest first: open before closed ones, and of each the newest."""
    order = list(Match)
    unpaid = [one for one in candidates if one.payment.status not in MONEY]
    unpaid.sort(key=lambda one: one.payment.created_at, reverse=True)
    unpaid.sort(key=lambda one: (order.index(one.match), one.payment.status not in OPEN))
    return [one.payment.id for one in unpaid]
