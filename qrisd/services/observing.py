"""The one door through which a payment changes.

Whoever learns something about an attempt brings it here as an `Observation`; what it changes is written in one
transaction: payment, attempt, log row and outgoing events. Repeats change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from qrisd.domain.payment import MONEY, Attempt, Change, Observation, Payment, Source, apply, contradiction
from qrisd.domain.qr_check import qr_problem
from qrisd.domain.watching import next_check_at
from qrisd.providers.base import Provider
from qrisd.schemas import event_body
from qrisd.services.live import Live
from qrisd.store import attempts, events, payment_logs, payments, webhook_events
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
        self, providers: Mapping[str, Provider], live: Live, base_url: str, count: Callable[[Recorded], None]
    ) -> None:
        self._providers = providers
        self._live = live
        self._base_url = base_url
        self._count = count

    def record(self, conn: Connection, attempt_id: str, seen: Observation, now: datetime) -> Recorded:
        """Apply `seen` to the attempt and its payment and store everything that follows from it."""
        attempt = attempts.get(conn, attempt_id)
        assert attempt is not None, "attempts are never deleted"
        payment = payments.get(conn, attempt.payment_id)
        assert payment is not None, "payments are never deleted"
        change = apply(payment, attempt, seen, now)
        after = self._scheduled(change.attempt if change else attempt, seen, now)
        if change is not None:
            self._save(conn, payment, change, now)
        if after != attempt:
            attempts.save(conn, after)
        after_payment = change.payment if change else payment
        return Recorded(after_payment, after, change, contradiction(attempt, payment.currency, seen))

    def _scheduled(self, attempt: Attempt, seen: Observation, now: datetime) -> Attempt:
        provider = self._providers.get(attempt.provider)
        polled = provider is not None and provider.capabilities.polled
        checks = attempt.checks + (seen.source is Source.LOOKUP)
        attempt = replace(attempt, checks=checks)
        return replace(attempt, next_check_at=next_check_at(attempt, polled=polled, now=now))

    def _save(self, conn: Connection, before: Payment, change: Change, now: datetime) -> None:
        if change.payment != before:
            payments.save(conn, change.payment, was=before.status)
        payment_logs.add(conn, before.id, change.log, change.log_payload, now)
        for sequence, event_type in enumerate(change.events, before.sequence + 1):
            body = event_body(event_type, sequence, change.payment, self._base_url, now)
            events.add(conn, before.id, sequence, event_type, body, now)

    def announce(self, recorded: Recorded) -> None:
        """After the commit: wake who waits for this payment, count the change, log one line."""
        if recorded.problem is not None:
            log.error("observation refused", payment=recorded.payment.id, problem=recorded.problem)
        if recorded.change is None:
            return
        self._live.tell(recorded.payment.id)
        self._count(recorded)
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


def checked(seen: Observation, attempt: Attempt, nmid: str | None) -> Observation:
    """`seen`, made a contradiction when it brings a QR that must not be shown for this attempt."""
    if seen.qris_payload is None or seen.contradiction is not None or seen.status in MONEY:
        return seen
    problem = qr_problem(seen.qris_payload, attempt.amount, nmid)
    return seen if problem is None else replace(seen, contradiction=problem, qris_payload=None)


def settle_webhooks(conn: Connection, recorded: Recorded, asked_at: datetime, now: datetime) -> None:
    """The provider has been asked at `asked_at`: the webhooks that waited for that are done with."""
    webhook_events.settle(conn, recorded.attempt.id, received_before=asked_at, problem=recorded.problem, now=now)
