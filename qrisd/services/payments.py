"""What can be done with a payment: create, read, cancel, renew, check. All end at the door of `observing`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from pydantic_core import to_json
from uuid_utils import uuid7

from qrisd.domain import ids, unique_amount
from qrisd.domain.errors import (
    FieldError,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    Invalid,
    NotFound,
    OrderIdTaken,
    ProviderError,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    StorageUnavailable,
    Unauthorized,
    WrongState,
)
from qrisd.domain.payment import OPEN, Attempt, Observation, Payment, Source, Status
from qrisd.domain.routing import route
from qrisd.domain.watching import next_check_at
from qrisd.providers.base import Cancels, Charge, Provider
from qrisd.schemas import ConfirmPayment, CreatePayment, payment_resource
from qrisd.services.calling import ProviderCalls
from qrisd.services.observing import Door, Recorded, checked
from qrisd.services.recent import Recent
from qrisd.services.watching import Watcher
from qrisd.store import api_keys, attempts, idempotency, payment_logs, payments
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

RENEWABLE: Final = frozenset({Status.EXPIRED, Status.FAILED, Status.PENDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings a payment is made under. `order` names providers to try, first to last."""

    base_url: str
    currency: str
    expires_in: int
    max_amount: int
    order: tuple[str, ...]
    nmids: Mapping[str, str | None]
    signature_version: int


@dataclass(frozen=True, slots=True)
class Key:
    """Who asks, and under which Idempotency-Key."""

    api_key_id: str
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told: HTTP status, the payment as JSON text, and whether it is a repetition."""

    status_code: int
    body: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Begun:
    """How a create stands after its first transaction. `fresh` is the first attempt of a payment that is new; `keyed`
    says that the Idempotency-Key was seen before."""

    payment: Payment
    fresh: Attempt | None
    keyed: bool


class Payments:
    """The use-cases. `has_room()` says whether the disk may take another payment."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        door: Door,
        recent: Recent,
        watcher: Watcher,
        terms: Terms,
        clock: Callable[[], datetime],
        has_room: Callable[[], bool],
        calls: ProviderCalls,
    ) -> None:
        self._db = db
        self._providers = providers
        self._door = door
        self._recent = recent
        self._watcher = watcher
        self._terms = terms
        self._clock = clock
        self._has_room = has_room
        self._calls = calls
        self._running: dict[str, asyncio.Future[None]] = {}

    async def create(self, order: CreatePayment, key: Key) -> Answer:
        """Make the payment and its QR, or answer a repetition. A provider's trouble is raised as ProviderError; an
        unknown outcome is an answer (202), never an error."""
        names = self._able(order, self._route(order))
        if not self._has_room():
            raise StorageUnavailable("The disk is nearly full: no new payments are taken until there is room again.")
        now = self._clock()
        payment = self._draft(order, names[0], now)
        attempt = self._attempt(payment, now)
        begin = partial(_begin, payment=payment, attempt=attempt, key=key, price=self._priced, now=now)
        begun = await self._db.write(begin)
        if isinstance(begun, Answer):
            return begun
        return await self._carry_on(begun, names, key)

    async def _carry_on(self, begun: _Begun, names: Sequence[str], key: Key) -> Answer:
        payment, running = begun.payment, begun.payment.id in self._running
        if begun.fresh is not None:
            payment = await self._run(payment.id, self._charge(payment, begun.fresh, names[1:], key))
            return self._answer(payment, replayed=False)
        if running and begun.keyed:
            raise IdempotencyInProgress("The first request with this Idempotency-Key is still running. Ask again soon.")
        if running:
            payment = await self._join(payment.id)
        elif _unfinished(payment):
            payment = await self._run(payment.id, self._resume(payment, names, key))
            return await self._final(payment, key)
        elif begun.keyed:
            return await self._final(payment, key)
        return await self._final(payment, key, replayed=True)

    async def _resume(self, payment: Payment, names: Sequence[str], key: Key) -> Payment:
        """Go on with a create that has no answer yet: ask about the attempt there is, or, when the provider is known to
        have nothing, make the next one."""
        if payment.status is Status.CREATED:
            attempt = await self._current_attempt(payment)
            try:
                return (await self._watcher.look(attempt)).payment
            except ProviderError:
                return payment  # still unknown; the watcher goes on asking
        payment, attempt = await self._next_attempt(payment, names[0], closing=None)
        return await self._charge(payment, attempt, names[1:], key)

    async def _final(self, payment: Payment, key: Key, *, replayed: bool = False) -> Answer:
        answer = self._answer(payment, replayed=replayed)
        if key.idempotency_key is not None and answer.status_code != 202:
            await self._db.write(partial(_finish, key=key, answer=answer))
        return answer

    async def _run(self, payment_id: str, work: Coroutine[Any, Any, Payment]) -> Payment:
        """Do the provider's part, so that whoever asks for the same meanwhile can wait for it."""
        done = self._running[payment_id] = asyncio.get_running_loop().create_future()
        try:
            return await work
        finally:
            del self._running[payment_id]
            done.set_result(None)

    async def _join(self, payment_id: str) -> Payment:
        """Wait for what is being done with this payment, and return it as it is then."""
        await asyncio.shield(self._running[payment_id])
        return await self.get(payment_id)

    async def finish(self) -> None:
        """Wait for every provider call that is under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _charge(self, payment: Payment, attempt: Attempt, others: Sequence[str], key: Key | None) -> Payment:
        """Ask the provider for the QR, and the next provider when this one is known to have none."""
        try:
            seen = await self._ask(attempt, payment)
        except ProviderUncertain as error:
            return await self._unknown(payment, attempt, error)
        except (ProviderRejected, ProviderUnreachable) as error:
            if others:
                payment, attempt = await self._next_attempt(payment, others[0], closing=(attempt, _failed(error)))
                return await self._charge(payment, attempt, others[1:], key)
            await self._observe(attempt, _failed(error))
            raise
        recorded = await self._observe(attempt, seen, payment, key)
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
        return checked(seen, attempt, self._terms.nmids.get(attempt.provider))

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

    async def _next_attempt(
        self, payment: Payment, provider: str, closing: tuple[Attempt, Observation] | None
    ) -> tuple[Payment, Attempt]:
        """Store a further attempt and make it the payment's present one, together with how the one before ended."""
        now = self._clock()
        attempt = self._attempt(replace(payment, provider=provider, attempt=payment.attempt + 1), now)

        def unit(conn: Connection) -> Recorded:
            present = payments.get(conn, payment.id)
            if present is None or (present.status, present.attempt) != (payment.status, payment.attempt):
                status = present.status if present else "gone"
                raise WrongState(f"The payment has changed meanwhile; it is {status} now.", status)
            attempts.add(conn, self._priced(conn, attempt))
            renewed = Observation(source=Source.MERCHANT, status=Status.CREATED)
            recorded = self._door.record(conn, attempt.id, renewed, now)
            if closing is not None:
                self._door.record(conn, closing[0].id, closing[1], now)
            return recorded

        recorded = await self._db.write(unit, then=self._door.announce)
        return recorded.payment, recorded.attempt

    async def cancel(self, payment_id: str) -> Payment:
        """Cancel an unpaid payment, at the provider too where that can be done. Raises WrongState otherwise."""
        payment = await self.get(payment_id)
        if payment.status not in OPEN:
            raise WrongState(
                f"The payment is {payment.status}; only an unpaid, open one can be cancelled.", payment.status
            )
        attempt = await self._current_attempt(payment)
        seen = await self._close(attempt)
        if seen.status in (Status.CANCELLED, Status.EXPIRED):
            seen = replace(seen, status=Status.CANCELLED)
        elif seen.absent:
            seen = Observation(source=Source.MERCHANT, status=Status.CANCELLED)
        recorded = await self._observe(attempt, seen)
        if recorded.payment.status is not Status.CANCELLED:
            status = recorded.payment.status
            raise WrongState(f"The payment is {status} now; it was not cancelled.", status)
        return recorded.payment

    async def renew(self, payment_id: str) -> Payment:
        """A fresh QR. Raises WrongState when the payment is paid or cancelled, or its old QR cannot be closed."""
        payment = await self.get(payment_id)
        if payment.id in self._running:
            return await self._join(payment.id)
        if payment.status not in RENEWABLE:
            raise WrongState(f"The payment is {payment.status}; it cannot get a new QR.", payment.status)
        return await self._run(payment.id, self._renew(payment))

    async def _renew(self, payment: Payment) -> Payment:
        closing = await self._close_for_renewal(payment) if payment.status is Status.PENDING else None
        payment, attempt = await self._next_attempt(payment, payment.provider, closing)
        return await self._charge(payment, attempt, (), None)

    async def _close_for_renewal(self, payment: Payment) -> tuple[Attempt, Observation]:
        attempt = await self._current_attempt(payment)
        seen = await self._close(attempt)
        if seen.source is Source.MERCHANT or seen.status not in (Status.CANCELLED, Status.EXPIRED):
            status = (await self._observe(attempt, seen)).payment.status if seen.source is not Source.MERCHANT else None
            status = status or payment.status
            raise WrongState(
                f"The payment is {status} and its present QR cannot be closed, so no new one is made.", status
            )
        return attempt, seen

    async def _close(self, attempt: Attempt) -> Observation:
        """Close an attempt's QR at its provider, or, where that cannot be done, say so as the merchant's wish."""
        provider = self._providers.get(attempt.provider)
        if not isinstance(provider, Cancels):
            return Observation(source=Source.MERCHANT, status=Status.CANCELLED)
        return await self._calls.make(provider.name, "cancel_qr", provider.cancel_qr(attempt))

    async def confirm(self, payment_id: str, word: ConfirmPayment, caller: str) -> Payment:
        """Record a named person's word that the money came, for a provider nobody can ask. `caller` is the API key.

        Raises WrongState for any other provider, and when the payment is paid already."""
        payment = await self.get(payment_id)
        provider = self._providers.get(payment.provider)
        if provider is None or not provider.capabilities.confirmed_by_person:
            text = f"Payments at {payment.provider} are confirmed by {payment.provider} itself; use check instead."
            raise WrongState(text, payment.status)
        attempt = await self._current_attempt(payment)
        if attempt.status is Status.PAID:
            raise WrongState("This payment has been confirmed already.", payment.status)
        seen = Observation(
            source=Source.PERSON,
            status=Status.PAID,
            amount=word.amount,
            currency=payment.currency,
            provider_ref_no=word.provider_ref_no,
            detail=f"confirmed by {word.confirmed_by} with API key {caller}",
        )
        return (await self._observe(attempt, seen)).payment

    async def check(self, payment_id: str) -> Payment:
        """Ask the provider now about every attempt that may still bring money, and return the payment."""
        await self.get(payment_id)
        found = await self._db.read(lambda conn: attempts.of_payment(conn, payment_id))
        for attempt in found:
            if attempt.status not in (Status.PAID, Status.FAILED):
                await self._watcher.look(attempt)
        return await self.get(payment_id)

    async def get(self, payment_id: str) -> Payment:
        """The payment. Raises NotFound."""
        payment = self._recent.payment(payment_id)
        if payment is None:
            payment = await self._db.read(lambda conn: payments.get(conn, payment_id))
        if payment is None:
            raise NotFound("There is no such payment.")
        return payment

    async def _current_attempt(self, payment: Payment) -> Attempt:
        attempt = await self._db.read(lambda conn: attempts.by_number(conn, payment.id, payment.attempt))
        assert attempt is not None, "a payment's present attempt exists"
        return attempt

    async def _observe(
        self, attempt: Attempt, seen: Observation, payment: Payment | None = None, key: Key | None = None
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
            if key is not None and key.idempotency_key is not None and recorded.payment.status is not Status.FAILED:
                _finish(conn, key=key, answer=self._answer(recorded.payment, replayed=False))
            return recorded

        return await self._db.write(unit, then=self._door.announce)

    def _route(self, order: CreatePayment) -> tuple[str, ...]:
        names = route(self._terms.order, order.provider, self._calls.is_resting)
        if names[0] not in self._providers:
            known = ", ".join(self._providers)
            raise Invalid(FieldError("provider", f"There is no provider {names[0]!r} here; choose one of: {known}."))
        return names

    def _able(self, order: CreatePayment, names: Sequence[str]) -> Sequence[str]:
        """Those of `names` that can take this order. Raises Invalid, saying what the first one takes, when none can."""
        able = [name for name in names if not self._misfits(order, name)]
        if not able:
            raise Invalid(*self._misfits(order, names[0]))
        return able

    def _misfits(self, order: CreatePayment, name: str) -> list[FieldError]:
        can = self._providers[name].capabilities
        largest, smallest = min(self._terms.max_amount, can.max_amount), can.min_amount
        problems = []
        if not smallest <= order.amount <= largest:
            problems.append(FieldError("amount", f"Send an amount from {smallest} to {largest} rupiah."))
        expires_in = order.expires_in or self._terms.expires_in
        if not can.min_expires_in <= expires_in <= can.max_expires_in:
            text = f"{name} takes {can.min_expires_in} to {can.max_expires_in} seconds."
            problems.append(FieldError("expires_in", text))
        return problems

    def _draft(self, order: CreatePayment, provider: str, now: datetime) -> Payment:
        expires_in = order.expires_in or self._terms.expires_in
        customer = order.customer.model_dump(exclude_none=True) if order.customer else None
        return Payment(
            id=str(uuid7()),
            order_id=order.order_id,
            amount=order.amount,
            amount_due=order.amount,
            currency=self._terms.currency,
            status=Status.CREATED,
            exception=None,
            amount_paid=0,
            amount_refunded=0,
            provider=provider,
            provider_trx_id=None,
            provider_ref_no=None,
            qris_payload=None,
            expires_in=expires_in,
            expires_at=now + timedelta(seconds=expires_in),
            paid_at=None,
            attempt=1,
            outlet=order.outlet,
            description=order.description,
            customer=customer,
            callback_url=order.callback_url,
            metadata=order.metadata,
            signature_version=self._terms.signature_version,
            sequence=0,
            version=0,
            request_hash=order.fingerprint(),
            created_at=now,
            updated_at=now,
        )

    def _attempt(self, payment: Payment, now: datetime) -> Attempt:
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
            error=None,
            expires_at=now + timedelta(seconds=payment.expires_in),
            checks=0,
            next_check_at=now + timedelta(seconds=self._watcher.longest_call_s + 1),
            version=0,
            created_at=now,
            updated_at=now,
        )

    def _priced(self, conn: Connection, attempt: Attempt) -> Attempt:
        """The attempt with the amount its QR asks for, where that must be one of its own."""
        provider = self._providers[attempt.provider]
        if not provider.capabilities.unique_amount:
            return attempt
        taken = attempts.amounts_open(conn, provider.name, attempt.amount, attempt.amount + unique_amount.MOST)
        amount = unique_amount.pick(attempt.amount, taken, secrets.randbits(32))
        if amount is None:
            raise ProviderUnreachable(provider.name, "Too many QRs of about this amount are open; wait for one to end.")
        return replace(attempt, amount=amount)

    def _answer(self, payment: Payment, *, replayed: bool) -> Answer:
        body = to_json(payment_resource(payment, self._terms.base_url)).decode()
        if payment.status is Status.CREATED:
            return Answer(202, body, replayed=False)
        return Answer(200 if replayed else 201, body, replayed)


def _unfinished(payment: Payment) -> bool:
    """True while no QR has ever been shown: the request that made the payment may still be carried out."""
    refused = payment.status is Status.FAILED and payment.qris_payload is None
    return payment.status is Status.CREATED or refused


def _failed(error: ProviderError) -> Observation:
    detail = f"{error.provider_code}: {error}" if error.provider_code else str(error)
    return Observation(source=Source.PROVIDER, status=Status.FAILED, detail=detail)


def _begin(
    conn: Connection,
    *,
    payment: Payment,
    attempt: Attempt,
    key: Key,
    price: Callable[[Connection, Attempt], Attempt],
    now: datetime,
) -> _Begun | Answer:
    """The first transaction of a create: find what the request repeats, or store what it asks for."""
    if not api_keys.is_live(conn, key.api_key_id):
        raise Unauthorized("The API key was revoked.")
    entry = idempotency.find(conn, key.api_key_id, key.idempotency_key) if key.idempotency_key else None
    if entry is not None:
        return _repeated(conn, entry, payment)
    attempt = price(conn, attempt)
    payment = replace(payment, amount_due=attempt.amount)
    existing = None if payments.add(conn, payment) else payments.by_order_id(conn, payment.order_id)
    if existing is not None and existing.request_hash != payment.request_hash:
        raise OrderIdTaken("This order_id belongs to a payment with another request.", existing.id)
    if existing is None:
        attempts.add(conn, attempt)
        asked = {"attempt": 1, "provider": attempt.provider, "reference": attempt.reference, "amount": attempt.amount}
        payment_logs.add(conn, payment.id, "CREATED", asked, now)
    if key.idempotency_key is not None:
        owner = existing or payment
        idempotency.add(conn, key.api_key_id, key.idempotency_key, payment.request_hash, owner.id, now)
    return _Begun(existing or payment, fresh=attempt if existing is None else None, keyed=False)


def _repeated(conn: Connection, entry: idempotency.Entry, payment: Payment) -> _Begun | Answer:
    if entry.request_hash != payment.request_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with another request. Use a new key for a new request."
        )
    if entry.status_code is not None and entry.body is not None:
        return Answer(entry.status_code, entry.body, replayed=True)
    found = payments.get(conn, entry.payment_id)
    assert found is not None, "a key is stored with its payment"
    return _Begun(found, fresh=None, keyed=True)


def _finish(conn: Connection, *, key: Key, answer: Answer) -> None:
    assert key.idempotency_key is not None
    idempotency.finish(conn, key.api_key_id, key.idempotency_key, answer.status_code, answer.body)
