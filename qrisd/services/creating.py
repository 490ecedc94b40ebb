"""Creating a payment: once for every order, however often the request comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from pydantic_core import to_json
from uuid_utils import uuid7

from qrisd.domain.errors import (
    FieldError,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    Invalid,
    OrderIdTaken,
    ProviderError,
    ProviderUnreachable,
    StorageUnavailable,
    Unauthorized,
)
from qrisd.domain.payment import Attempt, Payment, Status
from qrisd.domain.routing import route
from qrisd.providers.base import Provider
from qrisd.schemas import CreatePayment, payment_resource
from qrisd.services.calling import ProviderCalls
from qrisd.services.charging import Also, Charging
from qrisd.services.watching import Watcher
from qrisd.store import api_keys, attempts, idempotency, payment_logs, payments
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The settings a payment is made under. `order` names providers to try, first to last; `callback_problem` says why
    a callback URL may not be called."""

    base_url: str
    currency: str
    expires_in: int
    max_amount: int
    order: tuple[str, ...]
    signature_version: int
    callback_problem: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Key:
    """Which API key asks, and under which Idempotency-Key. A person at a till, known by their session, has none."""

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


class Creating:
    """`create` and what it takes. `has_room()` says whether the disk may take another payment."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        charging: Charging,
        watcher: Watcher,
        calls: ProviderCalls,
        terms: Terms,
        clock: Callable[[], datetime],
        has_room: Callable[[], bool],
    ) -> None:
        self._db = db
        self._providers = providers
        self._charging = charging
        self._watcher = watcher
        self._calls = calls
        self._terms = terms
        self._clock = clock
        self._has_room = has_room

    async def create(self, order: CreatePayment, key: Key | None, by: Actor) -> Answer:
        """Make the payment and its QR, or answer a repetition; the payment's log says that `by` had it made. A
        provider's trouble is raised as ProviderError; an unknown outcome is an answer (202), never an error."""
        names = self.check(order)
        if not self._has_room():
            raise StorageUnavailable("The disk is nearly full: no new payments are taken until there is room again.")
        now = self._clock()
        payment = self._draft(order, names[0], now)
        attempt = self._charging.attempt(payment, now)
        price = self._charging.priced
        begin = partial(_begin, payment=payment, attempt=attempt, key=key, price=price, by=by.who, now=now)
        begun = await self._db.write(begin)
        if isinstance(begun, Answer):
            return begun
        return await self._carry_on(begun, names, key, by.who)

    def check(self, order: CreatePayment) -> Sequence[str]:
        """The providers to ask for this order, first to last. Raises Invalid for one that cannot be taken."""
        self._check_callback_url(order)
        return self._able(order, self._route(order))

    async def _carry_on(self, begun: _Begun, names: Sequence[str], key: Key | None, by: str) -> Answer:
        payment, running = begun.payment, self._charging.is_running(begun.payment.id)
        if begun.fresh is not None:
            charge = self._charging.charge(payment, begun.fresh, names[1:], self._also(key))
            return self._answer(await self._charging.run(payment.id, charge), replayed=False)
        if running and begun.keyed:
            raise IdempotencyInProgress("The first request with this Idempotency-Key is still running. Ask again soon.")
        if running:
            await self._charging.join(payment.id)
            present = await self._db.read(partial(payments.get, payment_id=payment.id))
            payment = present or payment
            if _has_nothing(payment):
                text = "The request that was under way for this payment got no QR, and none exists. Send it again."
                raise ProviderUnreachable(payment.provider, text)
        elif _unfinished(payment):
            payment = await self._charging.run(payment.id, self._resume(payment, names, key, by))
            return await self._final(payment, key)
        return await self._final(payment, key, replayed=not begun.keyed)

    async def _resume(self, payment: Payment, names: Sequence[str], key: Key | None, by: str) -> Payment:
        """Go on with a create that has no answer yet: ask about the attempt there is, or, when the provider is known to
        have nothing, make the next one."""
        if payment.status is Status.CREATED:
            attempt = await self._db.read(lambda conn: attempts.by_number(conn, payment.id, payment.attempt))
            assert attempt is not None, "a payment's present attempt exists"
            try:
                payment = (await self._watcher.look(attempt, by)).payment
            except ProviderError:
                return payment  # still unknown; the watcher goes on asking
            if not _has_nothing(payment):
                return payment
        renewed, attempt = await self._charging.next_attempt(payment, names[0], by=by)
        return await self._charging.charge(renewed, attempt, names[1:], self._also(key))

    async def _final(self, payment: Payment, key: Key | None, *, replayed: bool = False) -> Answer:
        answer = self._answer(payment, replayed=replayed)
        if key is not None and key.idempotency_key is not None and answer.status_code != 202:
            await self._db.write(partial(_finish, key=key, answer=answer))
        return answer

    def _also(self, key: Key | None) -> Also | None:
        """What has to be stored together with the QR: the answer to this Idempotency-Key, once it is final."""
        if key is None or key.idempotency_key is None:
            return None

        def finish(conn: Connection, payment: Payment) -> None:
            answer = self._answer(payment, replayed=False)
            if payment.status is not Status.FAILED and answer.status_code != 202:
                _finish(conn, key=key, answer=answer)

        return finish

    def _check_callback_url(self, order: CreatePayment) -> None:
        problem = self._terms.callback_problem(order.callback_url) if order.callback_url is not None else None
        if problem is not None:
            raise Invalid(FieldError("callback_url", problem))

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

    def _answer(self, payment: Payment, *, replayed: bool) -> Answer:
        body = to_json(payment_resource(payment, self._terms.base_url)).decode()
        if payment.status is Status.CREATED:
            return Answer(202, body, replayed=False)
        return Answer(200 if replayed else 201, body, replayed)


def _unfinished(payment: Payment) -> bool:
    """True while no QR has ever been shown: the request that made the payment may still be carried out."""
    return payment.status is Status.CREATED or _has_nothing(payment)


def _has_nothing(payment: Payment) -> bool:
    """True when no provider has anything for it, so that there is no answer to give or to remember."""
    return payment.status is Status.FAILED and payment.qris_payload is None


def _begin(
    conn: Connection,
    *,
    payment: Payment,
    attempt: Attempt,
    key: Key | None,
    price: Callable[[Connection, Attempt], Attempt],
    by: str,
    now: datetime,
) -> _Begun | Answer:
    """The first transaction of a create: find what the request repeats, or store what it asks for."""
    if key is not None and not api_keys.is_live(conn, key.api_key_id):
        raise Unauthorized("The API key was revoked.")
    entry = idempotency.find(conn, key.api_key_id, key.idempotency_key) if key and key.idempotency_key else None
    if entry is not None:
        return _repeated(conn, entry, payment)
    attempt = price(conn, attempt)
    payment = replace(payment, amount_due=attempt.amount)
    existing = None if payments.add(conn, payment) else payments.by_order_id(conn, payment.order_id)
    if existing is not None and existing.request_hash != payment.request_hash:
        raise OrderIdTaken("This order_id belongs to a payment with another request.", existing.id)
    if existing is None:
        attempts.add(conn, attempt)
        asked = {"provider": attempt.provider, "reference": attempt.reference, "amount": attempt.amount}
        payment_logs.add(conn, payment.id, "CREATED", {"attempt": 1, **asked, "by": by}, now)
    if key is not None and key.idempotency_key is not None:
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
