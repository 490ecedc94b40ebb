"""Shifts: opened and closed by cashiers, and their money held against what the providers say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from uuid_utils.compat import uuid7

from qrisd.domain.errors import NotFound, ProviderError
from qrisd.domain.payment import Attempt, Payment, Status
from qrisd.domain.shift import Held, Matching, Shift, match, money_in
from qrisd.providers.base import Provider
from qrisd.services.calling import ProviderCalls
from qrisd.services.watching import Watcher
from qrisd.store import attempts, audit_log, payments, shifts, till_sales
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database

ABSENT: Final = "There is no such shift."
# A cashier waits for it: what has not been answered by then counts as not confirmed.
LONGEST_MATCHING_S: Final = 25.0
QUESTIONS_AT_ONCE: Final = 6
# Money that comes while the providers are asked is no difference: what was said before is out of date, and asked again.
ROUNDS: Final = 2


class Shifts:
    """`open`, `close` and `match`. Whoever calls has seen to it that this person may."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        calls: ProviderCalls,
        watcher: Watcher,
        clock: Callable[[], datetime],
        longest_matching_s: float = LONGEST_MATCHING_S,
    ) -> None:
        self._db = db
        self._providers = providers
        self._calls = calls
        self._watcher = watcher
        self._clock = clock
        self._longest_matching_s = longest_matching_s

    async def open(self, user_id: str, outlet: str, by: Actor) -> Shift:
        """A new shift of this person at this outlet; the one they are in where there is one. One at another outlet ends
        with it."""
        shift = Shift(id=str(uuid7()), user_id=user_id, outlet=outlet, opened_at=self._clock())
        return await self._db.write(partial(_open, shift=shift, by=by))

    async def close(self, shift_id: str, by: Actor) -> Shift:
        """End the shift and hold its money against the providers' word; a closed one is only held against it anew.

        Nothing of it changes a payment but what the providers say. Raises NotFound."""
        await self._db.write(partial(_close, shift_id=shift_id, by=by, now=self._clock()))
        matching = await self._match(shift_id)
        return await self._db.write(partial(_note, shift_id=shift_id, matching=matching, by=by, now=self._clock()))

    async def _match(self, shift_id: str) -> Matching:
        until = asyncio.get_running_loop().time() + self._longest_matching_s
        answers: dict[str, int | None] = {}
        asked: set[tuple[str, int]] = set()
        for _ in range(ROUNDS):
            present = [one for _, one in await self._db.read(partial(_attempts, shift_id=shift_id))]
            news = [one for one in present if (one.id, one.amount_paid) not in asked]
            unsaid = [one for one in news if answers.get(one.id) != one.amount_paid]
            answers |= await self._answers(unsaid, until)
            asked |= {(one.id, one.amount_paid) for one in unsaid}
        after = await self._db.read(partial(_attempts, shift_id=shift_id))
        held = [Held(payment, one, answers.get(one.id), self._is_mute(one.provider)) for payment, one in after]
        return match(held, self._clock())

    async def _answers(self, asked: Sequence[Attempt], until: float) -> dict[str, int | None]:
        """The money that the providers have for these attempts, by id; None for what nobody had said by `until`, on the
        clock of the loop."""
        answers: dict[str, int | None] = dict.fromkeys(attempt.id for attempt in asked)
        room = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        questions = [asyncio.create_task(self._ask(attempt, answers, room)) for attempt in asked]
        if questions:
            left_s = max(0.0, until - asyncio.get_running_loop().time())
            _, late = await asyncio.wait(questions, timeout=left_s)
            for question in late:
                question.cancel()
        return answers

    def _is_mute(self, provider: str) -> bool:
        found = self._providers.get(provider)
        return found is not None and not found.capabilities.lookup

    async def _ask(self, attempt: Attempt, answers: dict[str, int | None], room: asyncio.Semaphore) -> None:
        """Put the money that the provider has for this attempt into `answers`, unless nobody can say."""
        async with room:
            try:
                answers[attempt.id] = await self._said(attempt)
            except ProviderError:
                answers[attempt.id] = None

    async def _said(self, attempt: Attempt) -> int | None:
        if attempt.status is Status.FAILED and not attempt.amount_paid:
            return 0  # known never to have been there
        provider = self._providers.get(attempt.provider)
        if provider is None or self._is_mute(attempt.provider):
            return None
        if not attempt.amount_paid:
            # What may still have money is asked through the watcher, which records what it hears.
            return (await self._watcher.look(attempt)).attempt.amount_paid
        return money_in(await self._calls.make(provider.name, "fetch_status", provider.fetch_status(attempt)), attempt)


def _open(conn: Connection, *, shift: Shift, by: Actor) -> Shift:
    present = shifts.open_of(conn, shift.user_id)
    if present is not None and present.outlet == shift.outlet:
        return present
    if present is not None:
        _close(conn, shift_id=present.id, by=by, now=shift.opened_at)
    shifts.add(conn, shift)
    audit_log.add(conn, by, "shift.opened", shift.opened_at, what=shift.id, after={"outlet": shift.outlet})
    return shift


def _close(conn: Connection, *, shift_id: str, by: Actor, now: datetime) -> None:
    if shifts.get(conn, shift_id) is None:
        raise NotFound(ABSENT)
    if shifts.close(conn, shift_id, by.who, now):
        audit_log.add(conn, by, "shift.closed", now, what=shift_id)


def _note(conn: Connection, *, shift_id: str, matching: Matching, by: Actor, now: datetime) -> Shift:
    shifts.save_matching(conn, shift_id, matching)
    found = {"amount": matching.amount, "confirmed": matching.confirmed_amount, "odd": len(matching.differences)}
    audit_log.add(conn, by, "shift.matched", now, what=shift_id, after=found)
    shift = shifts.get(conn, shift_id)
    assert shift is not None, "shifts are never deleted"
    return shift


def _attempts(conn: Connection, *, shift_id: str) -> Sequence[tuple[Payment, Attempt]]:
    """Every attempt of the shift's payments."""
    found = [payments.get(conn, payment_id) for payment_id in till_sales.payment_ids(conn, shift_id)]
    return [(payment, attempt) for payment in found if payment for attempt in attempts.of_payment(conn, payment.id)]
