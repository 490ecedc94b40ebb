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
from qrisd.domain.proof import Candidate, Match, Query, Verdict, judge, read
from qrisd.providers.base import Provider
from qrisd.services.payments import Payments
from qrisd.store import proofs
from qrisd.store.db import Database

log = structlog.get_logger()

LOOK_BACK: Final = timedelta(days=2)
# A number that we do not know may be that of money the provider has not told us of: then what waits now is asked about.
STILL_SHOWN: Final = timedelta(hours=1)
MOST_ASKED: Final = 8
ANSWER_WITHIN_S: Final = 8.0


class Proofs:
    """The use-case. At most MOST_ASKED payments are asked about, all at once, for ANSWER_WITHIN_S seconds in all."""

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

    async def check(self, text: str, outlets: Outlets) -> tuple[Query, Verdict]:
        """What was understood of what somebody typed or pasted, and what is true of it, for a cashier limited to these
        outlets."""
        query = read(text)
        known = await self._find(query, outlets)
        is_named = any(one.match in (Match.ORDER, Match.REFERENCE) for one in known)
        waiting = await self._waiting(outlets) if query.names and not is_named else []
        asked = list(dict.fromkeys([*_unpaid(known), *(one.id for one in waiting)]))[:MOST_ASKED]
        have_answered = await self._ask(asked)
        found = await self._find(query, outlets)
        meant = [one.payment for one in found if one.match is not Match.ALIKE]
        is_certain = have_answered and all(self._is_known(one, asked) for one in (*meant, *waiting))
        return query, judge(found, query, self._clock(), is_certain=is_certain)

    async def _find(self, query: Query, outlets: Outlets) -> list[Candidate]:
        since = self._clock() - LOOK_BACK
        return await self._db.read(partial(proofs.find, query=query, outlets=outlets, since=since))

    async def _waiting(self, outlets: Outlets) -> list[Payment]:
        """What waits for money, and one more than can be asked about where there are so many."""
        since = self._clock() - STILL_SHOWN
        return await self._db.read(partial(proofs.newest_open, outlets=outlets, since=since, limit=MOST_ASKED + 1))

    async def _ask(self, payment_ids: Sequence[str]) -> bool:
        """Have the providers asked; False when one of them did not answer, or not in time."""
        if not payment_ids:
            return True
        asking = [asyncio.create_task(self._answers(one)) for one in payment_ids]
        done, late = await asyncio.wait(asking, timeout=self._answer_within_s)
        for task in late:  # the question itself goes on, and what it brings is recorded
            task.cancel()
        return not late and all(task.result() for task in done)

    async def _answers(self, payment_id: str) -> bool:
        try:
            await self._payments.check(payment_id)
        except ProviderError as error:
            log.warning("provider not asked", provider=error.provider, payment=payment_id, why=str(error))
            return False
        return True

    def _is_known(self, payment: Payment, asked: Sequence[str]) -> bool:
        """Whether how this payment stands is known now: its provider can say it, and has, unless it is over."""
        if payment.status in MONEY:
            return True
        provider = self._providers.get(payment.provider)
        if provider is None or provider.capabilities.confirmed_by_person:
            return False
        return payment.status not in OPEN or payment.id in asked


def _unpaid(candidates: Sequence[Candidate]) -> list[str]:
    """Those without money, the likeliest first: open before closed ones, and of each the newest."""
    order = list(Match)
    unpaid = [one for one in candidates if one.payment.status not in MONEY]
    unpaid.sort(key=lambda one: one.payment.created_at, reverse=True)
    unpaid.sort(key=lambda one: (order.index(one.match), one.payment.status not in OPEN))
    return [one.payment.id for one in unpaid]
