"""What providers send us: proven, stored, answered; then applied, or taken as a hint to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from uuid_utils import uuid7

from qrisd.domain.errors import NotFound
from qrisd.domain.payment import Attempt
from qrisd.providers.base import Provider, WebhookEvent
from qrisd.services.observing import Decision, Door, Recorded, is_given_back
from qrisd.services.recent import Recent
from qrisd.services.watching import Watcher
from qrisd.store import attempts, webhook_events
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

UNKNOWN_ORDER = "unknown_order"
NEEDS_A_LOOK = frozenset({UNKNOWN_ORDER, "refused"})


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a webhook: `duplicate`, `unknown_order`, `applied`, `refused` or `checking` (the provider is
    asked). `recorded` is what it changed, `ask_about` the attempt to ask about, `trx_id` what the provider calls it."""

    outcome: str
    recorded: Recorded | None = None
    ask_about: str | None = None
    trx_id: str | None = None


class Webhooks:
    """Takes what arrives at `/webhooks/NAME`. `aliases` maps further route names to providers."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        aliases: Mapping[str, str],
        door: Door,
        recent: Recent,
        watcher: Watcher,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._providers = providers
        self._aliases = aliases
        self._door = door
        self._recent = recent
        self._watcher = watcher
        self._clock = clock
        self._asking: set[asyncio.Task[None]] = set()

    async def receive(self, route: str, headers: Mapping[str, str], body: bytes) -> str:
        """Verify, store and apply one webhook; returns its outcome once it is stored durably.

        Raises NotFound for a route no provider has, WebhookUnsigned, WebhookUnreadable, StorageBusy and
        StorageUnavailable; then nothing is stored."""
        name = self._aliases.get(route, route)
        provider = self._providers.get(name)
        if provider is None:
            raise NotFound("No provider's webhooks arrive here.")
        event = provider.parse_webhook(headers, body, self._clock())
        now = self._clock()
        ready = self._decide(name, event, now)
        received = await self._db.write(lambda conn: self._store(conn, name, event, ready, now), then=self._after)
        if received.outcome in NEEDS_A_LOOK:
            log.warning("webhook", provider=name, event_id=event.event_id, outcome=received.outcome)
        return received.outcome

    def _decide(self, name: str, event: WebhookEvent, now: datetime) -> Decision | None:
        """What a proven event changes about a payment we have just stored; None leaves it to the transaction."""
        known = self._recent.by_trx_id(name, event.provider_trx_id)
        if known is None or not _tells(event) or is_given_back(known.payment):
            return None
        if event.reference not in (None, known.attempt.reference, known.payment.order_id):
            return None
        return self._door.decide(known.payment, known.attempt, event.observation, now)

    def _store(
        self, conn: Connection, name: str, event: WebhookEvent, ready: Decision | None, now: datetime
    ) -> Received:
        if webhook_events.exists(conn, name, event.event_id):
            return Received("duplicate")
        if ready is not None and ready.is_fresh(conn):
            attempt: Attempt | None = ready.attempt
            received, status, problem = _judged(ready.store(conn))
        else:
            attempt = _attempt_of(conn, name, event)
            received, status, problem = self._apply(conn, attempt, event, now)
        webhook_events.add(
            conn,
            id=str(uuid7()),
            provider=name,
            event_id=event.event_id,
            attempt_id=attempt.id if attempt else None,
            payload=event.payload,
            status=status,
            error_message=problem,
            now=now,
        )
        return received

    def _apply(
        self, conn: Connection, attempt: Attempt | None, event: WebhookEvent, now: datetime
    ) -> tuple[Received, str, str | None]:
        """(what became of it, the stored event's status, why it is in error)"""
        if attempt is None:
            return Received(UNKNOWN_ORDER), "ERROR", UNKNOWN_ORDER
        if not _tells(event):
            attempts.save(conn, replace(attempt, next_check_at=now, version=attempt.version + 1), now)
            return Received("checking", None, attempt.id, event.provider_trx_id), "PENDING", None
        return _judged(self._door.record(conn, attempt.id, event.observation, now))

    def _after(self, received: Received) -> None:
        if received.recorded is not None:
            self._door.announce(received.recorded)
        if received.ask_about is not None:
            task = asyncio.create_task(self._watcher.look_again(received.ask_about, received.trx_id))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def finish(self) -> None:
        """Wait until every webhook that only hinted has led to a question."""
        while self._asking:
            await asyncio.wait(list(self._asking))


def _tells(event: WebhookEvent) -> bool:
    """True when the event itself settles how the attempt stands; else the provider is asked."""
    return event.proven and event.observation.status is not None


def _judged(recorded: Recorded) -> tuple[Received, str, str | None]:
    if recorded.problem is not None:
        return Received("refused", recorded), "ERROR", recorded.problem
    return Received("applied", recorded), "OK", None


def _attempt_of(conn: Connection, provider: str, event: WebhookEvent) -> Attempt | None:
    """The attempt at this provider that the event speaks of: by our reference, its id, or the merchant's order id."""
    if event.reference is not None:
        found = attempts.by_reference(conn, provider, event.reference)
        if found is not None:
            return found
    ordered = attempts.latest_of_order(conn, provider, event.reference) if event.reference is not None else None
    if event.provider_trx_id is None:
        return ordered
    traced = attempts.by_trx_id(conn, provider, event.provider_trx_id)
    same_payment = traced is not None and ordered is not None and traced.payment_id == ordered.payment_id
    return traced if event.reference is None or same_payment else ordered
