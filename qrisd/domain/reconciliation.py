"""Comparing a business day: what we stored, what the provider says, and what its settlement report says.

Nothing here asks or stores anything: facts go in, differences come out, and the same facts give the same differences.
A payment belongs to the business day it was made on, in its outlet's zone. All amounts are whole rupiah.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from qrisd.domain import business_day
from qrisd.domain.mdr import rate_day
from qrisd.domain.payment import MONEY, Attempt, Payment, Status
from qrisd.domain.settlement import Kind, Line


class Class(StrEnum):
    """What kind of difference it is."""

    MISSING_HERE = "missing_here"  # paid there, not here
    MISSING_THERE = "missing_there"  # paid here, unknown there
    AMOUNT = "amount"
    FEE = "fee"  # they kept more or less than the table of rates says
    STATUS = "status"
    DUPLICATE = "duplicate"  # paid twice, or paid out twice
    LATE = "late"  # paid out after its time
    REFUNDED_THERE = "refunded_there"  # given back there, not here
    UNSETTLED = "unsettled"  # its time is over and it was not paid out
    ORPHAN = "orphan"  # theirs, and belongs to no payment of ours


class Reason(StrEnum):
    """Which of the ways a class can come about; the words for people hang on it."""

    FOUND_PAID = "found_paid"  # missing_here, and the payment was advanced
    ONLY_REPORTED = "only_reported"  # missing_here: the report has it, the provider did not confirm it
    NOT_BELIEVED = "not_believed"  # status: the provider's answer contradicts what was asked for
    UNKNOWN_THERE = "unknown_there"
    UNPAID_THERE = "unpaid_there"
    REFUND_UNKNOWN_THERE = "refund_unknown_there"
    OTHER_AMOUNT_REPORTED = "other_amount_reported"
    OTHER_AMOUNT_THERE = "other_amount_there"
    OVERPAID = "overpaid"
    UNDERPAID = "underpaid"
    OTHER_AMOUNT_AT_BANK = "other_amount_at_bank"
    FEE_TOO_HIGH = "fee_too_high"
    FEE_TOO_LOW = "fee_too_low"
    PAID_TWICE = "paid_twice"
    LISTED_TWICE = "listed_twice"
    PAID_OUT_LATE = "paid_out_late"
    GIVEN_BACK = "given_back"
    NOT_IN_A_REPORT = "not_in_a_report"
    NOT_PAID_OUT = "not_paid_out"
    UNKNOWN_LINE = "unknown_line"
    UNKNOWN_WEBHOOK = "unknown_webhook"


class FindingStatus(StrEnum):
    """Where a difference stands."""

    OPEN = "OPEN"
    RESOLVED = "RESOLVED"  # by a person
    HEALED = "HEALED"  # the payment was advanced
    GONE = "GONE"  # it no longer holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference. `subject` names what it is about and never changes: an attempt, a line, a webhook.
    `detail` is what else a person should know, in the provider's words or as dates."""

    kind: Class
    reason: Reason
    provider: str
    subject: str
    payment_id: str | None = None
    order_id: str | None = None
    provider_trx_id: str | None = None
    amount_here: int | None = None
    amount_there: int | None = None
    detail: str | None = None

    @property
    def name(self) -> str:
        """How a person finds it: the order, or else what the provider calls it."""
        return self.order_id or self.provider_trx_id or self.subject

    @property
    def gap(self) -> int | None:
        """How much more there is there than here."""
        both = self.amount_here is not None and self.amount_there is not None
        return (self.amount_there or 0) - (self.amount_here or 0) if both else None

    @property
    def id(self) -> str:
        """The same whenever the same thing is found again."""
        return hashlib.sha256(f"{self.kind}|{self.provider}|{self.subject}".encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference as it is stored: where it stands, a person's note, and who looks after it."""

    day: date
    difference: Difference
    status: FindingStatus
    note: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What the provider said of an attempt; it counts only while the attempt's version is still this one."""

    version: int
    status: Status | None
    absent: bool
    amount: int | None
    amount_refunded: int | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """One attempt with what is known of it elsewhere. `refunds_open` is sent and not yet known to be given back."""

    id: str
    provider: str
    provider_trx_id: str | None
    status: Status
    amount: int
    amount_paid: int
    amount_refunded: int
    version: int
    qris_payload: str | None = None
    refunds_open: int = 0
    look: Look | None = None
    lines: tuple[Line, ...] = ()

    @property
    def seen(self) -> Look | None:
        """What the provider said of it as it stands now."""
        return self.look if self.look is not None and self.look.version == self.version else None

    @property
    def sales(self) -> tuple[Line, ...]:
        """The lines that pay it out, those that have been paid out first."""
        lines = [line for line in self.lines if line.kind is Kind.PAYMENT]
        return tuple(sorted(lines, key=lambda line: (not line.is_settled, line.settlement_date, line.id or 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A payment with its attempts. `zone` is that of its outlet."""

    id: str
    order_id: str
    status: Status
    amount_paid: int
    amount_refunded: int
    paid_at: datetime | None
    zone: ZoneInfo
    charges: tuple[Charged, ...]

    @property
    def paid_on(self) -> date | None:
        """The business day of the money."""
        return None if self.paid_at is None else business_day.of(self.paid_at, self.zone)


# (attempt, amount paid out, the day it was paid) -> the fee there should be; None where nothing can be said.
ExpectedFee = Callable[[Charged, int, date], int | None]
# Providers round fractions of a rupiah in their favour, in ours, or not at all.
ROUNDING: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a day is judged by. `settles_after` is days by provider; only of those in `reporting`, whose reports have
    been imported, can it be said that something was not paid out."""

    today: date
    settles_after: Mapping[str, int]
    reporting: frozenset[str]
    expected_fee: ExpectedFee


def differences(sale: Sale, terms: Terms, provider: str | None = None) -> list[Difference]:
    """Every difference of one payment, each once; with `provider` those of its attempts there only."""
    found: dict[str, Difference] = {}
    for charge in sale.charges:
        if provider in (None, charge.provider):
            for one in _of_charge(sale, charge, terms):
                found.setdefault(one.id, one)
    return list(found.values())


def _of_charge(sale: Sale, charge: Charged, terms: Terms) -> Iterator[Difference]:
    if charge.amount_paid:
        yield from _of_money(sale, charge)
        yield from _of_payout(sale, charge, terms)
        yield from _of_answer(sale, charge)
    else:
        yield from _of_unpaid(sale, charge)
    yield from _of_refunds(sale, charge)


def _of_money(sale: Sale, charge: Charged) -> Iterator[Difference]:
    """What arrived against what was asked."""
    first = next(one for one in sale.charges if one.amount_paid)
    kept = sale.amount_paid - sale.amount_refunded - sum(one.refunds_open for one in sale.charges)
    if charge is not first and kept > first.amount:
        yield _difference(Class.DUPLICATE, Reason.PAID_TWICE, sale, charge, first.amount, sale.amount_paid)
    if charge is first and charge.amount_paid != charge.amount and kept > 0:
        is_over = charge.amount_paid > charge.amount
        if not is_over or kept > charge.amount:
            reason = Reason.OVERPAID if is_over else Reason.UNDERPAID
            yield _difference(Class.AMOUNT, reason, sale, charge, charge.amount, charge.amount_paid)


def _of_answer(sale: Sale, charge: Charged) -> Iterator[Difference]:
    """What the provider says of an attempt that brought money."""
    seen, paid = charge.seen, charge.amount_paid
    if seen is None or (seen.status is None and not seen.absent):
        return
    if seen.absent:
        yield _difference(Class.MISSING_THERE, Reason.UNKNOWN_THERE, sale, charge, paid, 0)
    elif seen.problem is not None:
        yield _difference(Class.STATUS, Reason.NOT_BELIEVED, sale, charge, paid, seen.amount, seen.problem)
    elif seen.status in MONEY:
        yield from _of_paid_answer(sale, charge, seen)
    elif charge.status is Status.PAID:
        yield _difference(Class.STATUS, Reason.UNPAID_THERE, sale, charge, paid, 0, str(seen.status))


def _of_paid_answer(sale: Sale, charge: Charged, seen: Look) -> Iterator[Difference]:
    if seen.status is Status.PAID and seen.amount not in (None, charge.amount_paid):
        here, there = charge.amount_paid, seen.amount
        yield _difference(Class.AMOUNT, Reason.OTHER_AMOUNT_THERE, sale, charge, here, there)
    if seen.amount_refunded is not None and seen.amount_refunded < charge.amount_refunded:
        here, there = charge.amount_refunded, seen.amount_refunded
        yield _difference(Class.STATUS, Reason.REFUND_UNKNOWN_THERE, sale, charge, here, there)


def _of_payout(sale: Sale, charge: Charged, terms: Terms) -> Iterator[Difference]:
    """What the report says of an attempt that brought money, and when it should have."""
    line, paid = next(iter(charge.sales), None), charge.amount_paid
    for again in charge.sales[1:]:
        if again.is_settled:
            there = paid + again.amount
            yield _difference(Class.DUPLICATE, Reason.LISTED_TWICE, sale, charge, paid, there, _where(again))
    if line is not None and line.amount != paid:
        yield _difference(Class.AMOUNT, Reason.OTHER_AMOUNT_REPORTED, sale, charge, paid, line.amount, _where(line))
    if line is not None:
        yield from _of_fee(sale, charge, line, terms)
    yield from _of_time(sale, charge, line, terms)


def _of_fee(sale: Sale, charge: Charged, line: Line, terms: Terms) -> Iterator[Difference]:
    """A report that names no fee says nothing about it."""
    due = terms.expected_fee(charge, line.amount, rate_day(line, sale.paid_at, sale.zone))
    if due is None or not line.fee:
        return
    if line.fee > due or due - line.fee > ROUNDING:
        reason = Reason.FEE_TOO_HIGH if line.fee > due else Reason.FEE_TOO_LOW
        yield _difference(Class.FEE, reason, sale, charge, due, line.fee, _where(line))


def _of_time(sale: Sale, charge: Charged, line: Line | None, terms: Terms) -> Iterator[Difference]:
    if sale.paid_on is None or charge.provider not in terms.reporting:
        return
    due = sale.paid_on + timedelta(days=terms.settles_after[charge.provider])
    if line is not None and line.is_settled:
        if line.settlement_date > due:
            detail = f"{due}/{line.settlement_date}"
            yield _difference(Class.LATE, Reason.PAID_OUT_LATE, sale, charge, line.amount, line.amount, detail)
    elif terms.today > due and _is_owed(charge):
        reason = Reason.NOT_IN_A_REPORT if line is None else Reason.NOT_PAID_OUT
        yield _difference(Class.UNSETTLED, reason, sale, charge, charge.amount_paid, 0, str(due))


def _is_owed(charge: Charged) -> bool:
    """Whether the provider, by what it says itself, has money of it to pay out."""
    seen = charge.seen
    denied = seen is not None and (seen.absent or (seen.status is not None and seen.status not in MONEY))
    return not denied and charge.amount_paid > max(charge.amount_refunded, _given_back(charge))


def _of_unpaid(sale: Sale, charge: Charged) -> Iterator[Difference]:
    """An attempt that brought no money here."""
    seen, line = charge.seen, next(iter(charge.sales), None)
    if seen is not None and seen.status in MONEY and seen.problem is not None:
        yield _difference(Class.STATUS, Reason.NOT_BELIEVED, sale, charge, 0, seen.amount, seen.problem)
    elif line is not None and line.amount > 0:
        yield _difference(Class.MISSING_HERE, Reason.ONLY_REPORTED, sale, charge, 0, line.amount, _where(line))


def _of_refunds(sale: Sale, charge: Charged) -> Iterator[Difference]:
    """What was given back there against what we know of, or are about to."""
    reported = -sum(line.amount for line in charge.lines if line.kind is Kind.REFUND)
    there = max(reported, _given_back(charge))
    if there > charge.amount_refunded + charge.refunds_open:
        here = charge.amount_refunded
        yield _difference(Class.REFUNDED_THERE, Reason.GIVEN_BACK, sale, charge, here, there)


def _given_back(charge: Charged) -> int:
    seen = charge.seen
    if seen is None or seen.problem is not None or seen.status not in (Status.PARTIALLY_REFUNDED, Status.REFUNDED):
        return 0
    if seen.amount_refunded is not None:
        return seen.amount_refunded
    return charge.amount_paid or charge.amount if seen.status is Status.REFUNDED else 0


def _difference(
    kind: Class,
    reason: Reason,
    sale: Sale,
    charge: Charged,
    here: int | None,
    there: int | None,
    detail: str | None = None,
) -> Difference:
    return Difference(
        kind=kind,
        reason=reason,
        provider=charge.provider,
        subject=charge.id,
        payment_id=sale.id,
        order_id=sale.order_id,
        provider_trx_id=charge.provider_trx_id,
        amount_here=here,
        amount_there=there,
        detail=detail,
    )


def found_paid(payment: Payment, attempt: Attempt, amount: int) -> Difference:
    """What is kept of a payment that was advanced because its money was found: `amount` on `attempt`."""
    return Difference(
        kind=Class.MISSING_HERE,
        reason=Reason.FOUND_PAID,
        provider=attempt.provider,
        subject=attempt.id,
        payment_id=payment.id,
        order_id=payment.order_id,
        provider_trx_id=attempt.provider_trx_id,
        amount_here=0,
        amount_there=amount,
    )


def orphan_line(line: Line) -> Difference:
    """A line of a report that belongs to no payment of ours."""
    about = line.provider_trx_id if line.kind is Kind.PAYMENT else None
    return Difference(
        kind=Class.ORPHAN,
        reason=Reason.UNKNOWN_LINE,
        provider=line.provider,
        subject=f"charge {about or f'{line.kind} {line.line_id}'}",
        provider_trx_id=line.provider_trx_id,
        order_id=line.name,
        amount_here=0,
        amount_there=line.amount,
        detail=_where(line),
    )


@dataclass(frozen=True, slots=True)
class StrayWebhook:
    """A notification that belongs to no payment of ours."""

    provider: str
    event_id: str
    trx_id: str | None
    order_id: str | None
    amount: int | None


def orphan_webhook(stray: StrayWebhook) -> Difference:
    """Those about the same charge are one, and one with its line in a report."""
    return Difference(
        kind=Class.ORPHAN,
        reason=Reason.UNKNOWN_WEBHOOK,
        provider=stray.provider,
        subject=f"charge {stray.trx_id or stray.order_id or stray.event_id}",
        provider_trx_id=stray.trx_id,
        order_id=stray.order_id,
        amount_here=0,
        amount_there=stray.amount,
        detail=stray.event_id,
    )


def _where(line: Line) -> str:
    return str(line.settlement_date)
