"""Asking every provider how a day's attempts stand, and advancing what is paid there and not here.

Many questions at once, but few to one provider, and no more a second than it can bear. What was answered is stored with
its attempt, so that a sweep that was cut off goes on with what it has not asked about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from qrisd.domain.business_day import Zones
from qrisd.domain.errors import ProviderError
from qrisd.domain.payment import OPEN, Attempt, Observation, Payment, Source, Status, contradiction
from qrisd.domain.reconciliation import Look, found_paid
from qrisd.providers.base import Provider
from qrisd.services.calling import ProviderCalls
from qrisd.services.observing import Door, Recorded, checked, settle_webhooks
from qrisd.store import attempts, day_sales, findings, payments, reconciliations
from qrisd.store.day_sales import Place
from qrisd.store.db import Connection, Database
from qrisd.store.reconciliations import Run

log = structlog.get_logger()

AT_ONCE_PER_PROVIDER: Final = 8
# Attempts that were closed without money longer ago than this are asked about no more.
RECENTLY: Final = timedelta(days=30)
# Before those that were not answered are asked again.
PAUSES_S: Final = (6.0, 15.0)
# An attempt that changes while it is asked about is asked about anew, so often at most.
TRIES: Final = 3

Told = Callable[[int, int], None]


class Lane:
    """The way to one provider: so many questions at once, so many a second."""

    def __init__(self, per_second: int) -> None:
        self._room = asyncio.Semaphore(AT_ONCE_PER_PROVIDER)
        self._every_s = 1 / per_second
        self._next_at = 0.0

    async def __aenter__(self) -> None:
        await self._room.acquire()
        now = time.monotonic()
        at = max(now, self._next_at)
        self._next_at = at + self._every_s
        try:
            await asyncio.sleep(at - now)
        except BaseException:
            self._room.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._room.release()


class Sweep:
    """Asks about the attempts of a day."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        door: Door,
        calls: ProviderCalls,
        nmids: Mapping[str, str | None],
        zones: Zones,
        clock: Callable[[], datetime],
        calls_per_second: int,
    ) -> None:
        self._db = db
        self._providers = providers
        self._door = door
        self._calls = calls
        self._nmids = nmids
        self._zones = zones
        self._clock = clock
        self._lanes = {name: Lane(calls_per_second) for name in providers}

    async def run(self, run: Run, told: Told) -> int:
        """Ask about everything of the run's day that it has not asked about yet; how many could not be asked.

        `told(done, all)` hears how many payments are behind us."""
        unasked = await self._once(run, told)
        for pause_s in PAUSES_S:
            if unasked:
                await asyncio.sleep(pause_s)
                unasked = await self._once(run, told)
        return unasked

    async def _once(self, run: Run, told: Told) -> int:
        zones, day = self._zones, run.day
        total = await self._db.read(lambda conn: day_sales.count(conn, zones, day))
        done = unasked = 0
        place: Place | None = None
        while True:
            ids, place, wanted = await self._db.read(partial(self._page, run=run, after=place))
            answered = await asyncio.gather(*(self._ask(run, attempt) for attempt in wanted))
            unasked += answered.count(False)
            done += len(ids)
            told(done, max(total, done))
            if place is None:
                return unasked

    def _page(
        self, conn: Connection, run: Run, after: Place | None
    ) -> tuple[tuple[str, ...], Place | None, list[Attempt]]:
        """A page of the day's payments, and those of their attempts that are to be asked about."""
        page = day_sales.page(conn, self._zones, run.day, after)
        found = [one for one in attempts.of_payments(conn, page.ids) if self._is_wanted(run, one)]
        asked = reconciliations.asked_about(conn, run.id, [one.id for one in found])
        return page.ids, page.place, [one for one in found if one.id not in asked]

    def _is_wanted(self, run: Run, attempt: Attempt) -> bool:
        provider = self._providers.get(attempt.provider)
        if provider is None or not provider.capabilities.lookup or run.provider not in (None, attempt.provider):
            return False
        is_recent = self._clock() - attempt.updated_at <= RECENTLY
        return attempt.status in OPEN or attempt.amount_paid > 0 or is_recent

    async def _ask(self, run: Run, attempt: Attempt) -> bool:
        """Ask about one attempt; False when nothing could be learnt."""
        provider = self._providers[attempt.provider]
        for _ in range(TRIES):
            asked_at = self._clock()
            try:
                async with self._lanes[provider.name]:
                    seen = await self._calls.make(provider.name, "fetch_status", provider.fetch_status(attempt))
            except ProviderError as error:
                log.debug("not asked", provider=error.provider, attempt=attempt.id, why=str(error))
                return False
            seen = checked(seen, attempt, self._nmids.get(attempt.provider))
            unit = partial(self._store, run=run, asked=attempt, seen=seen, asked_at=asked_at)
            present = await self._db.write(unit, then=self._announce)
            if not isinstance(present, Attempt):
                return True
            attempt = present
        return True

    def _announce(self, outcome: Recorded | Attempt | None) -> None:
        if isinstance(outcome, Recorded):
            self._door.announce(outcome)

    def _store(
        self, conn: Connection, run: Run, asked: Attempt, seen: Observation, asked_at: datetime
    ) -> Recorded | Attempt | None:
        """Keep the answer, and advance the payment when it is paid there and not here. Answers what that changed; the
        attempt, when it has changed since it was asked about, so that the answer may be older than what we know."""
        present = attempts.get(conn, asked.id)
        assert present is not None, "attempts are never deleted"
        if _standing(present) != _standing(asked):
            return present
        payment = payments.get(conn, present.payment_id)
        assert payment is not None, "payments are never deleted"
        problem = contradiction(present, payment.currency, seen)
        recorded = None
        if seen.status is Status.PAID and problem is None and present.amount_paid == 0:
            recorded = self._advance(conn, run, payment, present, seen, asked_at)
            present = recorded.attempt
        refunded = seen.amount_refunded
        look = Look(present.version, seen.status, seen.absent, seen.amount, refunded, problem)
        reconciliations.save_look(conn, run.id, present.id, look)
        return recorded

    def _advance(
        self, conn: Connection, run: Run, payment: Payment, attempt: Attempt, seen: Observation, asked_at: datetime
    ) -> Recorded:
        """The one door, and what is kept of it as found by reconciliation."""
        recorded = advance(conn, self._door, run.day, payment, attempt, seen, self._clock())
        settle_webhooks(conn, recorded, asked_at, self._clock())
        return recorded


def _standing(attempt: Attempt) -> tuple[Status, int, int]:
    return attempt.status, attempt.amount_paid, attempt.amount_refunded


def advance(
    conn: Connection, door: Door, day: date, payment: Payment, attempt: Attempt, seen: Observation, now: datetime
) -> Recorded:
    """Bring money that was found for an unpaid attempt through the one door, and keep that reconciliation found it."""
    recorded = door.record(conn, attempt.id, replace(seen, source=Source.RECONCILIATION), now)
    if recorded.change is not None and recorded.attempt.amount_paid > attempt.amount_paid:
        told = found_paid(payment, attempt, recorded.attempt.amount_paid)
        findings.healed(conn, day, told, now)
    return recorded
