"""What can be done with a payment that is there: read, cancel, renew, confirm, check. All end at the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from qrisd.domain.errors import NotFound, WrongState
from qrisd.domain.payment import OPEN, Attempt, Observation, Payment, Source, Status
from qrisd.domain.permissions import Outlets, reaches
from qrisd.providers.base import Cancels, Provider
from qrisd.schemas import ConfirmPayment
from qrisd.services.calling import ProviderCalls
from qrisd.services.charging import Also, Charging, Closing
from qrisd.services.recent import Recent
from qrisd.services.watching import Watcher
from qrisd.store import attempts, audit_log, payments
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database

ABSENT: Final = "There is no such payment."
RENEWABLE: Final = frozenset({Status.EXPIRED, Status.FAILED, Status.PENDING})


def known_to(outlets: Outlets, payment: Payment) -> Payment:
    """The payment, for somebody limited to these outlets. Raises NotFound when it belongs to another outlet, the same
    as for one that does not exist."""
    if not reaches(outlets, payment.outlet):
        raise NotFound(ABSENT)
    return payment


class Payments:
    """The use-cases of an existing payment."""

    def __init__(
        self,
        *,
        db: Database,
        providers: Mapping[str, Provider],
        charging: Charging,
        watcher: Watcher,
        calls: ProviderCalls,
        recent: Recent,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._providers = providers
        self._charging = charging
        self._watcher = watcher
        self._calls = calls
        self._recent = recent
        self._clock = clock

    async def get(self, payment_id: str) -> Payment:
        """The payment. Raises NotFound."""
        payment = self._recent.payment(payment_id)
        if payment is None:
            payment = await self._db.read(lambda conn: payments.get(conn, payment_id))
        if payment is None:
            raise NotFound(ABSENT)
        return payment

    async def check(self, payment_id: str, by: Actor | None = None) -> Payment:
        """Ask the provider now about every attempt that may still bring money, as `by` wants it, and return the
        payment."""
        await self.get(payment_id)
        found = await self._db.read(lambda conn: attempts.of_payment(conn, payment_id))
        for attempt in found:
            if attempt.status not in (Status.PAID, Status.FAILED):
                await self._watcher.look(attempt, _who(by))
        return await self.get(payment_id)

    async def cancel(self, payment_id: str, by: Actor) -> Payment:
        """Cancel an unpaid payment, at the provider too where that can be done, as `by` wants it. Raises WrongState
        otherwise."""
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
        seen = replace(seen, by=by.who)
        note = self._note(by, "payment.cancelled", payment)

        def note_if_done(conn: Connection, after: Payment) -> None:
            if after.status is Status.CANCELLED:
                note(conn, after)

        recorded = await self._charging.observe(attempt, seen, also=note_if_done)
        if recorded.payment.status is not Status.CANCELLED:
            status = recorded.payment.status
            raise WrongState(f"The payment is {status} now; it was not cancelled.", status)
        return recorded.payment

    async def renew(self, payment_id: str, by: Actor | None = None) -> Payment:
        """A fresh QR, as `by` wants it; None is the payer. Raises WrongState when the payment is paid or cancelled, or
        its old QR cannot be closed."""
        payment = await self.get(payment_id)
        if self._charging.is_running(payment.id):
            await self._charging.join(payment.id)
            return await self.get(payment_id)
        if payment.status not in RENEWABLE:
            raise WrongState(f"The payment is {payment.status}; it cannot get a new QR.", payment.status)
        return await self._charging.run(payment.id, self._renew(payment, by))

    async def _renew(self, payment: Payment, by: Actor | None) -> Payment:
        closing = await self._close_for_renewal(payment, by) if payment.status is Status.PENDING else None
        note = None if by is None else self._note(by, "payment.renewed", payment)
        payment, attempt = await self._charging.next_attempt(payment, payment.provider, closing, note, _who(by))
        return await self._charging.charge(payment, attempt)

    async def _close_for_renewal(self, payment: Payment, by: Actor | None) -> Closing:
        attempt = await self._current_attempt(payment)
        if not isinstance(self._providers.get(attempt.provider), Cancels):
            text = f"{attempt.provider} cannot close a QR; a new one can be made when this one has expired."
            raise WrongState(text, payment.status)
        seen = replace(await self._close(attempt), by=_who(by))
        if not seen.absent and seen.status not in (Status.CANCELLED, Status.EXPIRED):
            status = (await self._charging.observe(attempt, seen)).payment.status
            raise WrongState(f"The payment is {status} and its present QR could not be closed.", status)
        return Closing(attempt, seen)

    async def _close(self, attempt: Attempt) -> Observation:
        """Close an attempt's QR at its provider, or, where that cannot be done, say so as the merchant's wish."""
        provider = self._providers.get(attempt.provider)
        if not isinstance(provider, Cancels):
            return Observation(source=Source.MERCHANT, status=Status.CANCELLED)
        return await self._calls.make(provider.name, "cancel_qr", provider.cancel_qr(attempt))

    async def confirm(self, payment_id: str, word: ConfirmPayment, caller: str, by: Actor) -> Payment:
        """Record a named person's word that the money came, for a provider nobody can ask. `caller` is the API key's
        name.

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
            by=by.who,
        )
        note = self._note(by, "payment.confirmed", payment, why=f"the word of {word.confirmed_by}")
        return (await self._charging.observe(attempt, seen, also=note)).payment

    def _note(self, by: Actor, action: str, before: Payment, why: str | None = None) -> Also:
        """What is to be written into the audit log together with a change that somebody wanted."""
        now = self._clock()

        def note(conn: Connection, after: Payment) -> None:
            audit_log.add(
                conn, by, action, now, what=after.id, before=_standing(before), after=_standing(after), why=why
            )

        return note

    async def _current_attempt(self, payment: Payment) -> Attempt:
        attempt = await self._db.read(lambda conn: attempts.by_number(conn, payment.id, payment.attempt))
        assert attempt is not None, "a payment's present attempt exists"
        return attempt


def _who(by: Actor | None) -> str | None:
    return None if by is None else by.who


def _standing(payment: Payment) -> dict[str, Any]:
    return {"status": payment.status, "attempt": payment.attempt, "amount_paid": payment.amount_paid}
