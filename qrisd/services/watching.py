"""Asking providers how attempts stand: what is unknown, what is live, and what our clock says is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from qrisd.domain.errors import ProviderError, ProviderUncertain
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.domain.watching import asked_in_vain, never_arrived
from qrisd.providers.base import Cancels, Provider
from qrisd.services.calling import ProviderCalls
from qrisd.services.observing import Door, Recorded, checked, settle_webhooks
from qrisd.store import attempts, payments
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

# However many ask about one attempt, the provider hears of it at most this often.
MERGE_S: Final = 3.0


class Watcher:
    """Looks at attempts. `clock_is_trusted()` is False just after the wall clock jumped: then nothing is closed because
    of the time alone."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        door: Door,
        nmids: Mapping[str, str | None],
        clock: Callable[[], datetime],
        clock_is_trusted: Callable[[], bool],
        calls: ProviderCalls,
    ) -> None:
        self._db = db
        self._providers = providers
        self._door = door
        self._nmids = nmids
        self._clock = clock
        self._clock_is_trusted = clock_is_trusted
        self._calls = calls
        self._looks: dict[str, asyncio.Task[Recorded]] = {}
        self._looked_at: dict[str, float] = {}

    async def look(self, attempt: Attempt, by: str | None = None) -> Recorded:
        """Ask the provider about `attempt` now and record what it says; joins a question that is under way, and answers
        from the database when it was asked a moment ago. `by` is who wants to know, as the audit log names them; None
        is the clock or a webhook. Raises ProviderError when nothing could be learnt."""
        if attempt.id in self._looks:
            return await asyncio.shield(self._looks[attempt.id])
        if time.monotonic() - self._looked_at.get(attempt.id, float("-inf")) < MERGE_S:
            return await self._db.read(partial(_present, attempt_id=attempt.id))
        task = asyncio.create_task(self._look(attempt, by))
        self._looks[attempt.id] = task
        task.add_done_callback(lambda done: self._looked(attempt.id, done))
        return await asyncio.shield(task)

    def _looked(self, attempt_id: str, done: asyncio.Task[Recorded]) -> None:
        del self._looks[attempt_id]
        now = time.monotonic()
        self._looked_at[attempt_id] = now
        if len(self._looked_at) > 10_000:
            self._looked_at = {key: at for key, at in self._looked_at.items() if now - at < MERGE_S}
        if not done.cancelled():
            done.exception()

    async def look_again(self, attempt_id: str, trx_id: str | None) -> None:
        """A webhook hints at news: ask at once, whenever it was asked last. `trx_id` is the provider's id in it, for an
        attempt whose own was lost with the answer to its charge. Trouble is left to the next due time."""
        attempt = await self._db.read(lambda conn: attempts.get(conn, attempt_id))
        if attempt is None:
            return
        if attempt_id in self._looks:
            await asyncio.wait([self._looks[attempt_id]])
        self._looked_at.pop(attempt_id, None)
        try:
            await self.look(replace(attempt, provider_trx_id=attempt.provider_trx_id or trx_id))
        except ProviderError as error:
            log.warning("provider not asked", provider=error.provider, attempt=attempt_id, why=str(error))

    async def _look(self, attempt: Attempt, by: str | None) -> Recorded:
        asked_at = self._clock()
        try:
            seen = await self._fetch(attempt)
        except ProviderError:
            await self._postpone(attempt)
            raise
        now = self._clock()
        if seen.absent and never_arrived(attempt, now):
            seen = Observation(source=Source.LOOKUP, status=Status.FAILED, detail="the provider has no such charge")
        seen = replace(seen, by=by)

        def unit(conn: Connection) -> Recorded:
            recorded = self._door.record(conn, attempt.id, seen, now)
            if not seen.absent:  # it will yet show what it told us of
                settle_webhooks(conn, recorded, asked_at, now)
            return recorded

        recorded = await self._db.write(unit, then=self._door.announce)
        if self._is_over(recorded):
            return await self._close(recorded, seen)
        return recorded

    async def _fetch(self, attempt: Attempt) -> Observation:
        provider = self._providers.get(attempt.provider)
        if provider is None:
            raise ProviderUncertain(attempt.provider, f"Provider {attempt.provider} is no longer configured.")
        seen = await self._calls.make(attempt.provider, "fetch_status", provider.fetch_status(attempt))
        return checked(seen, attempt, self._nmids.get(attempt.provider))

    async def _postpone(self, attempt: Attempt) -> None:
        """Nothing was learnt: ask again later."""
        now = self._clock()

        def unit(conn: Connection) -> None:
            present = attempts.get(conn, attempt.id)
            if present is None or present.next_check_at is None:
                return
            later = asked_in_vain(present, now)
            postponed = replace(present, next_check_at=later, version=present.version + 1)
            attempts.save(conn, postponed, now)

        await self._db.write(unit)

    def _is_over(self, recorded: Recorded) -> bool:
        """True when the payment's time is up by our clock, though the provider still has its QR open."""
        payment, attempt = recorded.payment, recorded.attempt
        due = payment.status is Status.PENDING and payment.expires_at <= self._clock()
        return due and attempt.number == payment.attempt and self._clock_is_trusted()

    async def _close(self, recorded: Recorded, seen: Observation) -> Recorded:
        """Close an overdue payment; the provider, just asked, has no money for it. Where its QR is still open there it
        is closed first, and when that fails the payment stays open until the next look."""
        provider = self._providers[recorded.attempt.provider]
        over = Observation(source=Source.CLOCK, status=Status.EXPIRED)
        if seen.status is Status.PENDING and isinstance(provider, Cancels):
            try:
                closing = provider.cancel_qr(recorded.attempt)
                closed = await self._calls.make(provider.name, "cancel_qr", closing)
            except ProviderError as error:
                log.warning("QR not closed", provider=error.provider, attempt=recorded.attempt.id, why=str(error))
                return recorded
            over = replace(closed, status=Status.EXPIRED) if closed.status is Status.CANCELLED else closed
        now = self._clock()
        unit = partial(self._door.record, attempt_id=recorded.attempt.id, seen=over, now=now)
        return await self._db.write(unit, then=self._door.announce)

    async def due(self, limit: int) -> list[Attempt]:
        """Attempts that must be looked at by now, are not being looked at, and whose provider is not left alone: of
        every provider at most `limit`, the longest waiting first.

        Three in four may be such that somebody waits for: live QRs that are only polled, however many, do not hold
        those up, nor the other way round."""
        now = self._clock()
        reach = limit + len(self._looks)
        possible = {name: most for name in self._providers if (most := self._calls.let_through(name, limit))}

        def query(conn: Connection) -> list[list[Attempt]]:
            return [
                self._shared(attempts.due_awaited(conn, name, now, reach), attempts.due(conn, name, now, reach), most)
                for name, most in possible.items()
            ]

        return [attempt for of_one in await self._db.read(query) for attempt in of_one]

    def _shared(self, awaited: Sequence[Attempt], longest: Sequence[Attempt], limit: int) -> list[Attempt]:
        first = [attempt for attempt in awaited if attempt.id not in self._looks]
        others = [attempt for attempt in longest if attempt.id not in self._looks and attempt not in first]
        first = first[: max(limit * 3 // 4, limit - len(others))]
        return [*first, *others[: limit - len(first)]]

    async def finish(self) -> None:
        """Wait for every question that is under way."""
        while self._looks:
            await asyncio.wait(list(self._looks.values()))


def _present(conn: Connection, attempt_id: str) -> Recorded:
    attempt = attempts.get(conn, attempt_id)
    assert attempt is not None, "attempts are never deleted"
    payment = payments.get(conn, attempt.payment_id)
    assert payment is not None, "payments are never deleted"
    return Recorded(payment, attempt)
