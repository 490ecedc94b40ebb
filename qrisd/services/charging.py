"""Getting a QR for a payment: attempts are stored, then sent, and what comes of them goes through the door."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from uuid_utils import uuid7

from qrisd.domain import ids, unique_amount
from qrisd.domain.errors import ProviderError, ProviderRejected, ProviderUncertain, ProviderUnreachable, WrongState
from qrisd.domain.payment import Attempt, Observation, Payment, Source, Status
from qrisd.domain.watching import next_check_at
from qrisd.providers.base import Charge, Provider
from qrisd.services.calling import ProviderCalls
from qrisd.services.observing import Door, Recorded, checked
from qrisd.store import attempts, payment_logs, payments
from qrisd.store.db import Connection, Database

# Something more to store in the transaction that stores what became of a payment.
Also = Callable[[Connection, Payment], None]


@dataclass(frozen=True, slots=True)
class Closing:
    """How the attempt before a new one ended."""

    attempt: Attempt
    seen: Observation


class Charging:
    """Makes attempts. `longest_call_s` is how long a provider may take to answer."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        door: Door,
        calls: ProviderCalls,
        nmids: Mapping[str, str | None],
        longest_call_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._providers = providers
        self._door = door
        self._calls = calls
        self._nmids = nmids
        self._longest_call_s = longest_call_s
        self._clock = clock
        self._running: dict[str, asyncio.Future[None]] = {}

    def is_running(self, payment_id: str) -> bool:
        """True while a QR is being got for this payment."""
        return payment_id in self._running

    async def run(self, payment_id: str, work: Coroutine[Any, Any, Payment]) -> Payment:
        """Do `work`, so that whoever asks for the same meanwhile can `join` it."""
        done = self._running[payment_id] = asyncio.get_running_loop().create_future()
        try:
            return await work
        finally:
            del self._running[payment_id]
            done.set_result(None)

    async def join(self, payment_id: str) -> None:
        """Wait for what is being done for this payment."""
        await asyncio.shield(self._running[payment_id])

    async def finish(self) -> None:
        """Wait for every provider call that is under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def charge(
        self, payment: Payment, attempt: Attempt, others: Sequence[str] = (), also: Also | None = None
    ) -> Payment:
        """Ask the provider for the QR, and the next of `others` when it is known to have none.

        Returns the payment, CREATED as long as the outcome is unknown. Raises ProviderRejected, ProviderUnreachable."""
        try:
            seen = await self._ask(attempt, payment)
        except ProviderUncertain as error:
            return await self._unknown(payment, attempt, error)
        except (ProviderRejected, ProviderUnreachable) as error:
            if others:
                closing = Closing(attempt, _failed(error))
                payment, attempt = await self.next_attempt(payment, others[0], closing)
                return await self.charge(payment, attempt, others[1:], also)
            await self.observe(attempt, _failed(error))
            raise
        recorded = await self.observe(attempt, seen, payment, also)
        if recorded.payment.status is Status.FAILED:
            raise ProviderRejected(attempt.provider, "The provider's QR is not the one asked for; it is not shown.")
        return recorded.payment

    async def _ask(self, attempt: Attempt, payment: Payment) -> Observation:
        charge = Charge(
            reference=attempt.reference,
            amount=attempt.amount,
            expires_in=payment.expires_in,
            expires_at=attempt.expires_at,
            description=payment.description,
            metadata=payment.metadata,
        )
        provider = self._providers[attempt.provider]
        seen = await self._calls.make(provider.name, "create_qr", provider.create_qr(charge))
        return checked(seen, attempt, self._nmids.get(attempt.provider))

    async def _unknown(self, payment: Payment, attempt: Attempt, error: ProviderUncertain) -> Payment:
        now = self._clock()
        payload = {"attempt": attempt.number, "provider": attempt.provider, "detail": str(error)}

        def unit(conn: Connection) -> Payment:
            payment_logs.add(conn, payment.id, "UNKNOWN", payload, now)
            present = attempts.get(conn, attempt.id)
            if present is not None and present.status is Status.CREATED:
                soon = next_check_at(present, polled=True, now=now)
                asked_soon = replace(present, next_check_at=soon, version=present.version + 1)
                attempts.save(conn, asked_soon, now)
            return payments.get(conn, payment.id) or payment

        return await self._db.write(unit)

    async def next_attempt(
        self,
        payment: Payment,
        provider: str,
        closing: Closing | None = None,
        also: Also | None = None,
        by: str | None = None,
    ) -> tuple[Payment, Attempt]:
        """Store a further attempt, as `by` wants it, and make it the payment's present one, together with how the one
        before ended.

        Raises WrongState when the payment has changed meanwhile."""
        now = self._clock()
        attempt = self.attempt(replace(payment, provider=provider, attempt=payment.attempt + 1), now)

        def unit(conn: Connection) -> Recorded:
            present = payments.get(conn, payment.id)
            if present is None or (present.status, present.attempt) != (payment.status, payment.attempt):
                status = present.status if present else "gone"
                raise WrongState(f"The payment has changed meanwhile; it is {status} now.", status)
            attempts.add(conn, self.priced(conn, attempt))
            renewed = Observation(source=Source.MERCHANT, status=Status.CREATED, by=by)
            recorded = self._door.record(conn, attempt.id, renewed, now)
            if closing is not None:
                self._door.record(conn, closing.attempt.id, closing.seen, now)
            if also is not None:
                also(conn, recorded.payment)
            return recorded

        recorded = await self._db.write(unit, then=self._door.announce)
        return recorded.payment, recorded.attempt

    async def observe(
        self, attempt: Attempt, seen: Observation, payment: Payment | None = None, also: Also | None = None
    ) -> Recorded:
        """Bring `seen` through the door. With `payment`, as it was when `attempt` was read, the work is done before the
        transaction, and again inside it only when something has changed meanwhile."""
        now = self._clock()
        decision = self._door.decide(payment, attempt, seen, now) if payment is not None else None

        def unit(conn: Connection) -> Recorded:
            if decision is not None and decision.is_fresh(conn):
                recorded = decision.store(conn)
            else:
                recorded = self._door.record(conn, attempt.id, seen, now)
            if also is not None:
                also(conn, recorded.payment)
            return recorded

        return await self._db.write(unit, then=self._door.announce)

    def attempt(self, payment: Payment, now: datetime) -> Attempt:
        """The payment's next attempt, not stored yet, at its provider and with its number."""
        # A crash before the provider's answer is stored leaves next_check_at: then it is asked.
        return Attempt(
            id=str(uuid7()),
            payment_id=payment.id,
            number=payment.attempt,
            provider=payment.provider,
            reference=ids.reference(now, secrets.randbits(64)),
            amount=payment.amount,
            status=Status.CREATED,
            provider_trx_id=None,
            provider_ref_no=None,
            qris_payload=None,
            amount_paid=0,
            amount_refunded=0,
            error=None,
            expires_at=now + timedelta(seconds=payment.expires_in),
            checks=0,
            next_check_at=now + timedelta(seconds=self._longest_call_s + 1),
            version=0,
            created_at=now,
            updated_at=now,
        )

    def priced(self, conn: Connection, attempt: Attempt) -> Attempt:
        """The attempt with the amount its QR asks for, where that must be one of its own."""
        provider = self._providers[attempt.provider]
        if not provider.capabilities.unique_amount:
            return attempt
        taken = attempts.amounts_open(conn, provider.name, attempt.amount, attempt.amount + unique_amount.MOST)
        amount = unique_amount.pick(attempt.amount, taken, secrets.randbits(32))
        if amount is None:
            raise ProviderUnreachable(provider.name, "Too many QRs of about this amount are open; wait for one to end.")
        return replace(attempt, amount=amount)


def _failed(error: ProviderError) -> Observation:
    detail = f"{error.provider_code}: {error}" if error.provider_code else str(error)
    return Observation(source=Source.PROVIDER, status=Status.FAILED, detail=detail)
