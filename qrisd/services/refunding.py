"""Carrying out refunds: each is stored as sent before it is sent, under the same reference on every try, and asked
about until the provider says how it ended. Nothing is failed because of its age."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from qrisd.domain import refund as rules
from qrisd.domain.errors import ProviderError, ProviderUncertain, QrisdError
from qrisd.domain.payment import Attempt, Observation, Source
from qrisd.domain.payment import Status as PaymentStatus
from qrisd.domain.refund import BY_HAND, SENT, Decision, Refund, Status
from qrisd.providers.base import Provider, RefundObservation, RefundOrder, RefundStatus
from qrisd.providers.base import Refunds as GivesBack
from qrisd.services.calling import ProviderCalls
from qrisd.services.observing import Door, Recorded
from qrisd.services.refunds import Terms, expire, void, why_void
from qrisd.services.returning import fail
from qrisd.store import attempts, ledger, payment_logs, payments, refunds
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

AT_ONCE: Final = 8
EXPIRED_AT_ONCE: Final = 100
UNKNOWN_AHEAD_S: Final = 2.0
NO_REFUNDS: Final = "is not configured here any more, or gives nothing back"


@dataclass(frozen=True, slots=True)
class Sending:
    """A refund that is stored as sent, with all that is needed to send it. `was` is how it stood before."""

    refund: Refund
    attempt: Attempt
    was: Status

    @property
    def order(self) -> RefundOrder:
        return _order(self.refund)


class Refunding:
    """Carries refunds from approved to their end. `longest_call_s` is how long a provider may take to answer."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        door: Door,
        calls: ProviderCalls,
        terms: Terms,
        longest_call_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._providers = providers
        self._door = door
        self._calls = calls
        self._terms = terms
        self._longest_call_s = longest_call_s
        self._clock = clock
        self._running: dict[str, asyncio.Task[None]] = {}

    async def tick(self) -> None:
        """End what nobody approved in time, and start what is due; slow providers are not waited for."""
        now = self._clock()
        if await self._db.read(partial(refunds.too_late, now=now, limit=1)):
            await self._db.write(partial(expire, now=now, limit=EXPIRED_AT_ONCE))
        for refund in await self._db.read(partial(refunds.due, now=now, limit=AT_ONCE + len(self._running))):
            if refund.id not in self._running and len(self._running) < AT_ONCE:
                self._running[refund.id] = asyncio.create_task(self._carry_safely(refund))

    async def finish(self) -> None:
        """Wait for every refund that is being carried out."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _carry_safely(self, refund: Refund) -> None:
        """One refund that cannot be carried out must not stop the others."""
        try:
            await self._carry(refund)
        except QrisdError as error:
            log.warning("refund not carried out", refund=refund.id, why=str(error))
        except Exception:
            log.exception("refund not carried out", refund=refund.id)
        finally:
            del self._running[refund.id]

    async def _carry(self, refund: Refund) -> None:
        if refund.status in SENT:
            await self._follow_up(refund)
        elif refund.method in BY_HAND:
            await self._db.write(partial(self._give_by_hand, refund_id=refund.id), then=self._announce)
        else:
            await self._send(refund)

    def _announce(self, recorded: Recorded | None) -> None:
        if recorded is not None:
            self._door.announce(recorded)

    # By hand

    def _give_by_hand(self, conn: Connection, refund_id: str) -> Recorded | None:
        """The person who approved it says that the money was given: it counts, if they still may say so."""
        refund, now = _present(conn, refund_id), self._clock()
        payment = payments.get(conn, refund.payment_id)
        assert payment is not None, "payments are never deleted"
        if refund.status is not Status.APPROVED or self._is_void(conn, refund, now):
            return None
        attempt = attempts.by_number(conn, payment.id, payment.attempt)
        assert attempt is not None, "a payment's present attempt exists"
        seen = Observation(
            source=Source.PERSON, given_by_hand=refund.amount, refund_id=refund.id, detail=refund.evidence
        )
        return self._door.record(conn, attempt.id, seen, now)

    def _is_void(self, conn: Connection, refund: Refund, now: datetime) -> bool:
        """Whether the approval counts no more; then the refund waits for another one."""
        payment = payments.get(conn, refund.payment_id)
        assert payment is not None, "payments are never deleted"
        why = why_void(conn, refund, payment, self._terms)
        if why is not None:
            void(conn, refund, why, self._terms, now)
            log.warning("refund's approval is void", refund=refund.id, why=why)
        return why is not None

    # Sending

    async def _send(self, refund: Refund) -> None:
        """Send a refund, for the first time or, when the provider says it never had it, once more."""
        attempt = await self._db.read(lambda conn: attempts.get(conn, refund.attempt_id or ""))
        assert attempt is not None, "attempts are never deleted"
        provider, now = self._providers.get(attempt.provider), self._clock()
        if not isinstance(provider, GivesBack):
            await self._postpone(refund, f"{attempt.provider} {NO_REFUNDS}", rules.retry_at(refund.tries, now))
            return
        later = rules.blackout_end(provider.capabilities.refund_blackout, now)
        if later is not None:
            await self._postpone(refund, f"{attempt.provider} takes no refunds now", later)
            return
        if not self._calls.let_through(attempt.provider, 1):
            await self._postpone(refund, f"{attempt.provider} does not answer", rules.retry_at(refund.tries, now))
            return
        sending = await self._db.write(partial(self._begin, refund_id=refund.id, was=refund.status))
        if sending is not None:
            await self._ask(sending, "refund", provider.refund(sending.attempt, sending.order))

    async def _postpone(self, refund: Refund, why: str, later: datetime) -> None:
        def unit(conn: Connection) -> None:
            present = _present(conn, refund.id)
            if present.status is refund.status:
                tries = present.tries + 1
                now = self._clock()
                refunds.save(conn, replace(present, detail=why, tries=tries, next_try_at=later, updated_at=now))

        await self._db.write(unit)

    def _begin(self, conn: Connection, refund_id: str, was: Status) -> Sending | None:
        """Store that the refund is sent, if it still stands as it did when that was wanted, and may be."""
        refund, now = _present(conn, refund_id), self._clock()
        attempt = attempts.get(conn, refund.attempt_id or "")
        assert attempt is not None, "attempts are never deleted"
        if refund.status is not was or was not in (Status.APPROVED, Status.UNKNOWN):
            return None
        if _resolution(conn, refund) is not None or self._is_void(conn, refund, now):
            return None
        is_first = refund.status is Status.APPROVED
        if is_first and refunds.has_unknown(conn, attempt.id):
            later = now + timedelta(seconds=UNKNOWN_AHEAD_S)
            refunds.save(conn, replace(refund, detail="another refund is not known yet", next_try_at=later))
            return None
        if refund.amount > attempt.amount_paid - attempt.amount_refunded:
            ledger.add(conn, [fail(conn, refund, "too little is left of what came", now)], now)
            _log(conn, refund, "REFUND_FAILED", now)
            return None
        sent = replace(
            refund,
            status=Status.UNKNOWN,
            refunded_before=attempt.amount_refunded if is_first else refund.refunded_before,
            detail=None,
            tries=refund.tries + 1,
            absences=0,
            next_try_at=now + timedelta(seconds=self._longest_call_s + 1),
            sent_at=now,
            updated_at=now,
        )
        refunds.save(conn, sent)
        _log(conn, sent, "REFUND_SENT", now)
        return Sending(sent, attempt, refund.status)

    # Asking

    async def _follow_up(self, refund: Refund) -> None:
        """Ask how a refund stands that was sent, unless two people have said it."""
        if await self._db.write(partial(self._resolved, refund_id=refund.id), then=self._announce_resolved):
            return
        attempt = await self._db.read(lambda conn: attempts.get(conn, refund.attempt_id or ""))
        assert attempt is not None, "attempts are never deleted"
        provider = self._providers.get(attempt.provider)
        if not isinstance(provider, GivesBack):
            later = rules.ask_at(refund.status, refund.tries, self._clock())
            await self._postpone(refund, f"{attempt.provider} {NO_REFUNDS}", later)
            return
        sending = Sending(refund, attempt, refund.status)
        await self._ask(sending, "fetch_refund", provider.fetch_refund(attempt, sending.order))

    async def _ask(self, sending: Sending, verb: str, call: Coroutine[Any, Any, RefundObservation]) -> None:
        try:
            seen = await self._calls.make(sending.attempt.provider, verb, call)
        except ProviderError as error:
            await self._unanswered(sending, error, was_sent=verb == "refund")
            return
        is_over = await self._db.write(partial(self._learn, sending=sending, seen=seen), then=self._announce_learnt)
        if isinstance(is_over, Refund):
            await self._send(is_over)

    async def _unanswered(self, sending: Sending, error: ProviderError, *, was_sent: bool) -> None:
        """No answer came. Only where it surely was not sent, and never before, is it as if it had not been."""
        is_unsent = was_sent and sending.was is Status.APPROVED and not isinstance(error, ProviderUncertain)
        now = self._clock()

        def unit(conn: Connection) -> None:
            present = _present(conn, sending.refund.id)
            if present.status not in SENT or _resolution(conn, present) is not None:
                return
            status = Status.APPROVED if is_unsent else present.status
            tries = present.tries + (not was_sent)
            later = rules.retry_at(tries, now) if is_unsent else rules.ask_at(status, tries, now)
            after = replace(
                present,
                status=status,
                detail=str(error),
                tries=tries,
                next_try_at=later,
                sent_at=None if is_unsent else present.sent_at,
                updated_at=now,
            )
            refunds.save(conn, after)
            if present.detail != after.detail:
                _log(conn, after, "REFUND_NOT_SENT" if is_unsent else "REFUND_UNKNOWN", now)

        await self._db.write(unit)
        log.warning("refund unanswered", refund=sending.refund.id, provider=error.provider, why=str(error))

    def _announce_learnt(self, learnt: Recorded | Refund | None) -> None:
        if isinstance(learnt, Recorded):
            self._door.announce(learnt)

    def _learn(self, conn: Connection, sending: Sending, seen: RefundObservation) -> Recorded | Refund | None:
        """Store what the provider says. Answers the change of the payment when the money went back, and the refund when
        the provider never had it, so that it is sent again."""
        present, now = _present(conn, sending.refund.id), self._clock()
        if present.status not in SENT:
            if present.status is Status.DONE and seen.status is RefundStatus.REFUSED:
                log.error("refund refused that is done", refund=present.id, detail=seen.detail)
            return None
        known = replace(
            present,
            provider_refund_id=seen.provider_refund_id or present.provider_refund_id,
            provider_ref_no=seen.provider_ref_no or present.provider_ref_no,
            detail=seen.detail,
            tries=present.tries + 1,
            updated_at=now,
        )
        if seen.absent:
            return self._absent(conn, known, now)
        if seen.status is RefundStatus.REFUSED:
            self._refused(conn, known, seen.detail or "the provider refused it", now)
        elif seen.status is RefundStatus.LATER:
            detail = seen.detail or "the balance at the provider is too small"
            self._put_off(conn, replace(known, tries=present.tries, detail=detail), now)
        elif seen.amount not in (None, present.amount):
            self._wait(conn, replace(known, detail=f"the provider names another amount: {seen.amount}"), now)
        elif seen.status is RefundStatus.DONE:
            refunds.save(conn, known)
            return self._done(conn, known, now)
        else:
            status = Status.PENDING if seen.status is RefundStatus.PENDING else known.status
            self._wait(conn, replace(known, status=status), now)
        return None

    def _put_off(self, conn: Connection, refund: Refund, now: datetime) -> None:
        """The provider has nothing of it and would take it another time: it is approved still, and is sent again for as
        long as the provider's window lasts."""
        if _resolution(conn, refund) is not None:
            return
        end = self._window_end(conn, refund)
        if end is not None and end <= now:
            self._refused(conn, refund, f"{refund.detail}; the time for refunds is over: give it back by hand", now)
            return
        later = rules.refused_until(refund.tries, now)
        after = replace(refund, status=Status.APPROVED, next_try_at=later, sent_at=None)
        refunds.save(conn, after)
        _log(conn, after, "REFUND_PUT_OFF", now)

    def _window_end(self, conn: Connection, refund: Refund) -> datetime | None:
        payment, attempt = payments.get(conn, refund.payment_id), attempts.get(conn, refund.attempt_id or "")
        assert payment is not None, "payments are never deleted"
        assert attempt is not None, "attempts are never deleted"
        can = self._terms.abilities.get(attempt.provider)
        return None if can is None else rules.window_end(payment, attempt, can)

    def _wait(self, conn: Connection, refund: Refund, now: datetime) -> None:
        before = _present(conn, refund.id)
        refunds.save(conn, replace(refund, next_try_at=rules.ask_at(refund.status, refund.tries, now)))
        if before.status is not refund.status:
            _log(conn, refund, f"REFUND_{refund.status}", now)

    def _absent(self, conn: Connection, refund: Refund, now: datetime) -> Refund | None:
        if refund.status is Status.UNKNOWN and rules.never_arrived(refund, now):
            return refund
        self._wait(conn, replace(refund, absences=refund.absences + 1), now)
        return None

    def _done(self, conn: Connection, refund: Refund, now: datetime) -> Recorded:
        attempt = attempts.get(conn, refund.attempt_id or "")
        assert attempt is not None, "attempts are never deleted"
        seen = Observation(
            source=Source.PROVIDER,
            status=PaymentStatus.PARTIALLY_REFUNDED,
            amount_refunded=attempt.amount_refunded + refund.amount,
            refund_id=refund.id,
            detail=refund.detail,
        )
        return self._door.record(conn, attempt.id, seen, now)

    def _refused(self, conn: Connection, refund: Refund, why: str, now: datetime) -> None:
        ledger.add(conn, [fail(conn, refund, why, now)], now)
        _log(conn, replace(refund, status=Status.FAILED, detail=why), "REFUND_FAILED", now)

    # In the word of two people

    def _resolved(self, conn: Connection, refund_id: str) -> Recorded | bool:
        """Do what two people have said; False when they have not."""
        refund, now = _present(conn, refund_id), self._clock()
        last = _resolution(conn, refund)
        if refund.status not in SENT:
            return True
        if last is None:
            return False
        if last.outcome is Status.DONE:
            return self._done(conn, refund, now)
        self._refused(conn, refund, f"nothing was given back: {last.why}", now)
        return True

    def _announce_resolved(self, outcome: Recorded | bool) -> None:
        if isinstance(outcome, Recorded):
            self._door.announce(outcome)


def _order(refund: Refund) -> RefundOrder:
    assert refund.reference is not None, "what a provider gives back has a reference"
    return RefundOrder(
        reference=refund.reference,
        amount=refund.amount,
        refunded_before=refund.refunded_before,
        reason=refund.reason,
    )


def _present(conn: Connection, refund_id: str) -> Refund:
    refund = refunds.get(conn, refund_id)
    assert refund is not None, "refunds are never deleted"
    return refund


def _resolution(conn: Connection, refund: Refund) -> Decision | None:
    """How the refund ended in the word of two people; None while they have not said it."""
    last = next(reversed(refunds.decisions(conn, refund.id)), None)
    return last if last is not None and last.decision == "resolved" else None


def _log(conn: Connection, refund: Refund, event: str, now: datetime) -> None:
    told = {"refund": refund.id, "status": refund.status, "amount": refund.amount, "detail": refund.detail}
    payment_logs.add(conn, refund.payment_id, event, {key: one for key, one in told.items() if one is not None}, now)
