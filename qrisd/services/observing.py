"""The one door through which a payment changes.

Whoever learns something about an attempt brings it here as an `Observation`; what it changes is written in one
transaction: payment, attempt, log row, ledger entries and outgoing events. Repeats change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from uuid_utils.compat import uuid7

from qrisd.domain.ledger import of_arrival
from qrisd.domain.payment import MONEY, Attempt, Change, Observation, Payment, Source, apply, contradiction
from qrisd.domain.qr_check import qr_problem
from qrisd.domain.watching import next_check_at
from qrisd.providers.base import Provider
from qrisd.schemas import event_body
from qrisd.services.live import Live
from qrisd.services.recent import Recent
from qrisd.services.returning import Returned, settle
from qrisd.store import attempts, callbacks, events, ledger, payment_logs, payments, refunds, webhook_events
from qrisd.store.db import Connection

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recorded:
    """How things stand after an observation. `change` is None when it changed nothing; `problem` says why an
    observation was not believed."""

    payment: Payment
    attempt: Attempt
    change: Change | None = None
    problem: str | None = None


class Door:
    """`record` inside a transaction, `announce` after its commit."""

    def __init__(
        self,
        *,
        providers: Mapping[str, Provider],
        live: Live,
        recent: Recent,
        base_url: str,
        count: Callable[[Recorded], None],
        wake_outbox: Callable[[], None],
    ) -> None:
        self._providers = providers
        self._live = live
        self._recent = recent
        self._base_url = base_url
        self._count = count
        self._wake_outbox = wake_outbox

    def record(self, conn: Connection, attempt_id: str, seen: Observation, now: datetime) -> Recorded:
        """Apply `seen` to the attempt and its payment and store everything that follows from it."""
        attempt = attempts.get(conn, attempt_id)
        assert attempt is not None, "attempts are never deleted"
        payment = payments.get(conn, attempt.payment_id)
        assert payment is not None, "payments are never deleted"
        excess = refunds.given_back(conn, payment.id) - payment.amount_refunded if is_given_back(payment) else 0
        return self.decide(payment, attempt, seen, now, excess).store(conn)

    def decide(self, payment: Payment, attempt: Attempt, seen: Observation, now: datetime, excess: int = 0) -> Decision:
        """What `seen` changes, worked out before the transaction that stores it; of a payment that `is_given_back` only
        `record` can say what was given back in `excess` of what came."""
        change = apply(payment, attempt, seen, now, excess)
        after = change.payment if change else payment
        scheduled = self._scheduled(attempt, change.attempt if change else attempt, after, seen, now)
        problem = contradiction(attempt, payment.currency, seen)
        bodies = [
            event_body(event_type, sequence, after, self._base_url, now)
            for sequence, event_type in enumerate(change.events if change else (), payment.sequence + 1)
        ]
        return Decision(payment, attempt, Recorded(after, scheduled, change, problem), bodies, seen, now)

    def _scheduled(
        self, before: Attempt, attempt: Attempt, payment: Payment, seen: Observation, now: datetime
    ) -> Attempt:
        provider = self._providers.get(attempt.provider)
        polled = provider is not None and provider.capabilities.polled
        checks = attempt.checks + (seen.source is Source.LOOKUP)
        closes_at = payment.expires_at if attempt.number == payment.attempt else None
        later = next_check_at(attempt, polled=polled, now=now, closes_at=closes_at)
        if (attempt, checks, later) == (before, before.checks, before.next_check_at):
            return before
        return replace(attempt, checks=checks, next_check_at=later, version=before.version + 1)

    def announce(self, recorded: Recorded) -> None:
        """After the commit: remember how things stand, wake who waits for this payment, count and log the change."""
        self._recent.put(recorded.payment, recorded.attempt)
        if recorded.problem is not None:
            log.error("observation refused", payment=recorded.payment.id, problem=recorded.problem)
        if recorded.change is None:
            return
        self._live.tell(recorded.payment.id)
        self._count(recorded)
        if recorded.payment.callback_url is not None:
            self._wake_outbox()
        told = recorded.change.log_payload
        # A new QR is told of by the request's own line; everything else happens by itself.
        level = log.debug if recorded.change.log == "QR_READY" else log.info
        level(
            "payment",
            payment=recorded.payment.id,
            change=recorded.change.log,
            before=told.get("from"),
            after=told.get("to"),
            source=told["source"],
            provider=recorded.attempt.provider,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """A change ready to be stored: what was known when it was made, and what it comes to."""

    payment: Payment
    attempt: Attempt
    outcome: Recorded
    bodies: Sequence[str]
    seen: Observation
    now: datetime

    def is_fresh(self, conn: Connection) -> bool:
        """True while nothing has been stored since what it was made from."""
        return (
            payments.version(conn, self.payment.id) == self.payment.version
            and attempts.version(conn, self.attempt.id) == self.attempt.version
        )

    def store(self, conn: Connection) -> Recorded:
        """Write payment, attempt, refunds, log row, ledger entries and events."""
        change = self.outcome.change
        if self.outcome.payment.version != self.payment.version:
            payments.save(conn, self.outcome.payment, was=self.payment.status)
        if self.outcome.attempt.version != self.attempt.version:
            attempts.save(conn, self.outcome.attempt, self.now)
        returned = self._settle_refunds(conn)
        if change is not None:
            told = {"refunds": returned.refund_ids} if returned.refund_ids else {}
            payment_logs.add(conn, self.payment.id, change.log, {**change.log_payload, **told}, self.now)
            for offset, (event_type, body) in enumerate(zip(change.events, self.bodies, strict=True), 1):
                sequence = self.payment.sequence + offset
                event_id = events.add(conn, self.payment.id, sequence, event_type, body, self.now)
                self._call_back(conn, event_id)
        return self.outcome

    def _settle_refunds(self, conn: Connection) -> Returned:
        """Post the money that came, and what went back together with the refunds it was."""
        before, after, attempt = self.attempt, self.outcome.payment, self.outcome.attempt
        returned = settle(conn, before, after, attempt, self.seen, self.now)
        ledger.add(conn, of_arrival(self.payment, before, after, attempt, self.now) + returned.entries, self.now)
        return returned

    def _call_back(self, conn: Connection, event_id: int) -> None:
        if self.payment.callback_url is not None:
            callbacks.add(
                conn,
                id=f"msg_{uuid7().hex}",
                event_id=event_id,
                payment_id=self.payment.id,
                url=self.payment.callback_url,
                now=self.now,
            )


def is_given_back(payment: Payment) -> bool:
    """Whether all that came went back; more than that may have."""
    return 0 < payment.amount_paid == payment.amount_refunded


def checked(seen: Observation, attempt: Attempt, nmid: str | None) -> Observation:
    """`seen`, made a contradiction when it brings a QR that must not be shown for this attempt."""
    if seen.qris_payload is None or seen.contradiction is not None or seen.status in MONEY:
        return seen
    problem = qr_problem(seen.qris_payload, attempt.amount, nmid)
    return seen if problem is None else replace(seen, contradiction=problem, qris_payload=None)


def settle_webhooks(conn: Connection, recorded: Recorded, asked_at: datetime, now: datetime) -> None:
    """The provider has been asked at `asked_at`: the webhooks that waited for that are done with."""
    webhook_events.settle(conn, recorded.attempt.id, received_before=asked_at, problem=recorded.problem, now=now)
