"""A payment, its attempts, and the one place that decides what an observation changes.

A *payment* is what the merchant wants paid; an *attempt* is one QR at one provider for it. Whoever learns something
about an attempt says it as an `Observation`; `apply()` answers with the `Change` it makes, or None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from qrisd.domain import issuer as issuers


class Status(StrEnum):
    """Where a payment, or one attempt of it, stands."""

    CREATED = "CREATED"  # stored; the provider has not confirmed a QR yet, and may or may not have one
    PENDING = "PENDING"  # the QR is live
    PAID = "PAID"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"  # refused, or known never to have reached the provider
    CANCELLED = "CANCELLED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"


class Oddity(StrEnum):
    """What is odd about a payment (its `exception`): a person has to look at it."""

    LATE = "late"  # money after we closed it
    AFTER_CANCEL = "after_cancel"  # money after it was cancelled
    UNDERPAID = "underpaid"  # less money than asked; stays unpaid
    OVERPAID = "overpaid"  # more money than asked
    DUPLICATE = "duplicate"  # two attempts were paid


class Source(StrEnum):
    """Who says it."""

    PROVIDER = "provider"  # the provider's answer to a call that creates or closes a QR
    WEBHOOK = "webhook"  # a webhook whose proof covers the status
    LOOKUP = "lookup"  # the provider's answer to a status query
    CLOCK = "clock"
    MERCHANT = "merchant"
    PERSON = "person"  # a named person's word that the money came
    RECONCILIATION = "reconciliation"  # the provider's answer, or its report, when a day was reconciled


OPEN: Final = frozenset({Status.CREATED, Status.PENDING})
CLOSED_UNPAID: Final = frozenset({Status.EXPIRED, Status.FAILED, Status.CANCELLED})
MONEY: Final = frozenset({Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED})

# Every move a payment can make. A renewed QR takes EXPIRED, FAILED and PENDING back to CREATED; money turns every
# unpaid status into a paid one, because it has arrived whatever we thought; money states never go backwards.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    Status.CREATED: frozenset({Status.PENDING, *CLOSED_UNPAID, *MONEY}),
    Status.PENDING: frozenset({Status.CREATED, *CLOSED_UNPAID, *MONEY}),
    Status.EXPIRED: frozenset({Status.CREATED, *MONEY}),
    Status.FAILED: frozenset({Status.CREATED, *MONEY}),
    Status.CANCELLED: frozenset(MONEY),
    Status.PAID: frozenset({Status.PARTIALLY_REFUNDED, Status.REFUNDED}),
    Status.PARTIALLY_REFUNDED: frozenset({Status.REFUNDED}),
    Status.REFUNDED: frozenset(),
}

# Money on an unpaid payment that we had already closed.
LATE_BY_STATUS: Final = {
    Status.EXPIRED: Oddity.LATE,
    Status.FAILED: Oddity.LATE,
    Status.CANCELLED: Oddity.AFTER_CANCEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What the merchant wants paid. `amount`s are whole rupiah, times are aware UTC.

    `amount_due` is what the present QR asks for: `amount`, but for a few rupiah more where the amount has to tell the
    payment. `sequence` counts its events, `version` every time it was stored."""

    id: str
    order_id: str
    amount: int
    amount_due: int
    currency: str
    status: Status
    exception: Oddity | None
    amount_paid: int
    amount_refunded: int
    provider: str
    provider_trx_id: str | None
    provider_ref_no: str | None
    qris_payload: str | None
    expires_in: int
    expires_at: datetime
    paid_at: datetime | None
    attempt: int
    outlet: str
    description: str | None
    customer: dict[str, Any] | None
    callback_url: str | None
    metadata: dict[str, Any]
    signature_version: int
    sequence: int
    version: int
    request_hash: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One QR at one provider, stored before anything is sent there. `reference` is our name for it at the provider,
    `issuer` the bank or wallet that was paid from, in the provider's words."""

    id: str
    payment_id: str
    number: int
    provider: str
    reference: str
    amount: int
    status: Status
    provider_trx_id: str | None
    provider_ref_no: str | None
    qris_payload: str | None
    amount_paid: int
    amount_refunded: int
    error: str | None
    expires_at: datetime
    checks: int
    next_check_at: datetime | None
    issuer: str | None = None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Something learnt about an attempt.

    `status` None means the provider named a state we do not know: nothing is decided. `absent` means the provider says
    it has no such charge. `amount` is the QR's amount while PENDING and the money received when PAID;
    `amount_refunded` is the total given back so far. `given_by_hand` is money that was given back without the provider,
    `refund_id` the refund of ours that is spoken of. `detail` is what the provider said, for the log; `by` is who had
    it asked or done, as the audit log names them, where somebody had.
    """

    source: Source
    status: Status | None = None
    absent: bool = False
    amount: int | None = None
    amount_refunded: int | None = None
    given_by_hand: int = 0
    refund_id: str | None = None
    currency: str | None = None
    provider_trx_id: str | None = None
    provider_ref_no: str | None = None
    issuer: str | None = None
    qris_payload: str | None = None
    expires_at: datetime | None = None
    paid_at: datetime | None = None
    contradiction: str | None = None
    detail: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an observation does: the new payment and attempt, the log row, and the events the outside is told."""

    payment: Payment
    attempt: Attempt
    log: str
    log_payload: dict[str, Any]
    events: tuple[str, ...] = ()


def apply(payment: Payment, attempt: Attempt, seen: Observation, now: datetime, excess: int = 0) -> Change | None:
    """Decide what `seen` changes about `attempt` and its payment. `excess` is rupiah given back above all that had
    come; what comes now is counted against it.

    Returns None when nothing changes, so that repeats are harmless. Raises nothing: an observation that contradicts
    what was asked (another amount, currency or charge) is recorded on the attempt and never believed.
    """
    if seen.given_by_hand:
        return _change(payment, attempt, _with_refund(payment, seen.given_by_hand), attempt, seen, now)
    problem = contradiction(attempt, payment.currency, seen)
    if problem is not None:
        return _refuse(payment, attempt, seen, problem, now)
    if seen.status in MONEY:
        return _money(payment, attempt, seen, now, excess)
    if seen.status is None or seen.absent:
        return None
    return _move(payment, attempt, seen, now)


def contradiction(attempt: Attempt, currency: str, seen: Observation) -> str | None:
    """Why `seen` cannot be about this attempt, or None. Money must name its amount and currency."""
    if seen.contradiction is not None:
        return seen.contradiction
    if seen.currency is not None and seen.currency != currency:
        return "currency_mismatch"
    if seen.provider_trx_id and attempt.provider_trx_id and seen.provider_trx_id != attempt.provider_trx_id:
        return "provider_trx_id_mismatch"
    if seen.status is Status.PENDING and seen.amount not in (None, attempt.amount):
        return "amount_mismatch"
    if seen.status is Status.PAID and (seen.amount is None or seen.amount <= 0):
        return "amount_missing"
    if seen.status is Status.PAID and seen.currency is None:
        return "currency_missing"
    if seen.status is Status.PARTIALLY_REFUNDED and seen.amount_refunded is None:
        return "refund_amount_missing"
    return None


def _refuse(payment: Payment, attempt: Attempt, seen: Observation, problem: str, now: datetime) -> Change | None:
    if attempt.error == problem:
        return None
    refused = replace(attempt, error=problem)
    log_payload = {
        "problem": problem,
        "observed_status": seen.status,
        "observed_amount": seen.amount,
        "source": seen.source,
        "attempt": attempt.number,
        "detail": seen.detail,
        "by": seen.by,
    }
    if attempt.status is not Status.CREATED or seen.source not in (Source.PROVIDER, Source.LOOKUP):
        return Change(payment=payment, attempt=refused, log="ERROR", log_payload=log_payload)
    # The charge the provider made is not the one we asked for: nobody may be shown its QR.
    failed = Observation(source=seen.source, status=Status.FAILED, detail=problem, by=seen.by)
    change = _move(payment, refused, failed, now)
    return change and replace(change, log_payload={**change.log_payload, **log_payload})


def _learn(attempt: Attempt, seen: Observation, status: Status, amount_paid: int = 0) -> Attempt:
    """The attempt with everything `seen` tells: identifiers, the QR, when it ends at the provider, where it stands."""
    return replace(
        attempt,
        status=status,
        amount_paid=max(attempt.amount_paid, amount_paid),
        provider_trx_id=attempt.provider_trx_id or seen.provider_trx_id,
        provider_ref_no=attempt.provider_ref_no or seen.provider_ref_no,
        issuer=attempt.issuer or issuers.kept(seen.issuer),
        qris_payload=attempt.qris_payload or seen.qris_payload,
        expires_at=seen.expires_at or attempt.expires_at,
    )


def _money(payment: Payment, old: Attempt, seen: Observation, now: datetime, excess: int) -> Change | None:
    # Money that went back had arrived: what we know of, or else all that was asked.
    received = (seen.amount or 0) if seen.status is Status.PAID else old.amount_paid or old.amount
    is_news = received > old.amount_paid
    attempt = _learn(old, seen, Status.PAID if is_news and received >= old.amount else old.status, received)
    if seen.status is not Status.PAID:
        given_back = attempt.amount_paid if seen.amount_refunded is None else seen.amount_refunded
        given_back = max(old.amount_refunded, min(given_back, attempt.amount_paid))
        attempt = replace(attempt, amount_refunded=given_back)
    after = _with_money(payment, old, attempt, seen, now)
    after = _with_refund(after, attempt.amount_refunded - old.amount_refunded + excess)
    return _change(payment, old, after, attempt, seen, now)


def _with_money(payment: Payment, old: Attempt, attempt: Attempt, seen: Observation, now: datetime) -> Payment:
    extra = attempt.amount_paid - old.amount_paid
    if extra == 0:
        return replace(payment, provider_ref_no=payment.provider_ref_no or _own(payment, attempt).provider_ref_no)
    counted = replace(payment, amount_paid=payment.amount_paid + extra)
    if payment.status in MONEY:
        oddity = Oddity.OVERPAID if old.amount_paid else Oddity.DUPLICATE
        return replace(counted, exception=oddity)
    if attempt.status is not Status.PAID:
        return replace(counted, exception=Oddity.UNDERPAID)
    oddity_now = LATE_BY_STATUS.get(payment.status)
    if oddity_now is None and counted.amount_paid > attempt.amount:
        oddity_now = Oddity.OVERPAID
    return replace(
        counted,
        status=Status.PAID,
        exception=oddity_now,
        paid_at=seen.paid_at or now,
        provider=attempt.provider,
        provider_trx_id=attempt.provider_trx_id,
        provider_ref_no=attempt.provider_ref_no,
    )


def _own(payment: Payment, attempt: Attempt) -> Attempt | Payment:
    """The attempt, when it is the one the payment speaks of; else the payment itself."""
    same = payment.provider == attempt.provider and payment.provider_trx_id == attempt.provider_trx_id
    return attempt if same else payment


def _with_refund(payment: Payment, extra: int) -> Payment:
    """`extra` rupiah more given back move a paid payment; what comes back of an underpaid one is counted and moves
    nothing. More than came is never counted: a provider may give back what was given by hand before."""
    total = min(payment.amount_refunded + extra, payment.amount_paid)
    if total == 0 or payment.status not in MONEY:
        return replace(payment, amount_refunded=total)
    full = total >= payment.amount_paid or payment.status is Status.REFUNDED
    return replace(payment, amount_refunded=total, status=Status.REFUNDED if full else Status.PARTIALLY_REFUNDED)


def _move(payment: Payment, old: Attempt, seen: Observation, now: datetime) -> Change | None:
    attempt = _learn(old, seen, _attempt_status(old, seen, now))
    after = payment
    if old.number > payment.attempt and seen.status is Status.CREATED:
        after = _renewed(payment, attempt)
    elif old.number == payment.attempt:
        after = _following(payment, attempt, seen)
    return _change(payment, old, after, attempt, seen, now)


def _attempt_status(old: Attempt, seen: Observation, now: datetime) -> Status:
    """An attempt ends once; only money moves it afterwards. A QR that cannot be shown is not PENDING yet."""
    if old.status not in OPEN or seen.status is None:
        return old.status
    if seen.source in (Source.CLOCK, Source.MERCHANT) and (seen.expires_at or old.expires_at) > now:
        return old.status  # we gave up on it, but it lives on at the provider: it stays watched
    if seen.status is Status.PENDING and old.qris_payload is None and seen.qris_payload is None:
        return old.status
    return old.status if seen.status is Status.CREATED else seen.status


def _following(payment: Payment, attempt: Attempt, seen: Observation) -> Payment:
    """The payment follows its present attempt while it is unpaid and open."""
    if payment.status not in OPEN or seen.status is None or seen.status is Status.CREATED:
        return payment
    if seen.status is Status.PENDING:
        return _shown(payment, attempt) if attempt.status is Status.PENDING else payment
    return replace(payment, status=seen.status)


def _shown(payment: Payment, attempt: Attempt) -> Payment:
    return replace(
        payment,
        status=Status.PENDING,
        provider_trx_id=attempt.provider_trx_id,
        qris_payload=attempt.qris_payload,
        expires_at=min(payment.expires_at, attempt.expires_at),
    )


def _renewed(payment: Payment, attempt: Attempt) -> Payment:
    return replace(
        payment,
        status=Status.CREATED,
        attempt=attempt.number,
        provider=attempt.provider,
        provider_trx_id=None,
        qris_payload=None,
        amount_due=attempt.amount,
        expires_at=attempt.expires_at,
    )


def _change(
    before: Payment, old: Attempt, after: Payment, attempt: Attempt, seen: Observation, now: datetime
) -> Change | None:
    if after == before and attempt == old:
        return None
    if after.status is not before.status and after.status not in MOVES[before.status]:
        return None
    events = _events(before, after)
    if after != before:
        sequence = before.sequence + len(events)
        after = replace(after, updated_at=now, sequence=sequence, version=before.version + 1)
    return Change(
        payment=after,
        attempt=attempt,
        log=_log_name(before, after, seen),
        log_payload=_log_payload(before, after, attempt, seen),
        events=events,
    )


def _events(before: Payment, after: Payment) -> tuple[str, ...]:
    """What the outside is told, in order. A refund seen before its settlement tells of both."""
    types: list[str] = []
    if before.status not in MONEY and after.status in MONEY:
        types.append("payment.paid")
    if after.status is not before.status and after.status not in (Status.CREATED, Status.PAID):
        types.append(f"payment.{after.status.value.lower()}")
    elif after.amount_refunded != before.amount_refunded:
        types.append("payment.partially_refunded")
    if after.exception is not None and (after.exception, after.amount_paid) != (before.exception, before.amount_paid):
        types.append("payment.exception")
    return tuple(types)


_LOG_BY_STATUS: Final = {
    Status.CREATED: "RETRY",
    Status.PENDING: "QR_READY",
    Status.EXPIRED: "EXPIRE",
    Status.FAILED: "ERROR",
    Status.CANCELLED: "CANCEL",
    Status.PAID: "PAID",
    Status.PARTIALLY_REFUNDED: "REFUND",
    Status.REFUNDED: "REFUND",
}


_LOG_BY_SOURCE: Final = {
    Source.WEBHOOK: "WEBHOOK_SUCCESS",
    Source.PERSON: "CONFIRMED",
    Source.RECONCILIATION: "RECONCILE",
}


def _log_name(before: Payment, after: Payment, seen: Observation) -> str:
    if seen.refund_id is not None:
        return "REFUND"
    if seen.source in _LOG_BY_SOURCE:
        return _LOG_BY_SOURCE[seen.source]
    if after.status is not before.status:
        return _LOG_BY_STATUS[after.status]
    if after.exception is not before.exception:
        return "EXCEPTION"
    return "RETRY" if seen.status is Status.CREATED else "ATTEMPT"


def _log_payload(before: Payment, after: Payment, attempt: Attempt, seen: Observation) -> dict[str, Any]:
    facts = {
        "from": before.status,
        "to": after.status,
        "source": seen.source,
        "attempt": attempt.number,
        "provider": attempt.provider,
        "attempt_status": attempt.status,
        "amount_paid": after.amount_paid or None,
        "amount_refunded": after.amount_refunded or None,
        "exception": after.exception,
        "provider_trx_id": attempt.provider_trx_id,
        "detail": seen.detail,
        "by": seen.by,
    }
    return {key: value for key, value in facts.items() if value is not None}
