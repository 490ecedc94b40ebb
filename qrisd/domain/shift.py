"""A cashier's shift, and its money held against what the providers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from qrisd.domain.payment import MONEY, OPEN, Attempt, Observation, Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One person's turn at an outlet's till. `matching` is None until it is closed."""

    id: str
    user_id: str
    outlet: str
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None
    matching: Matching | None = None


class Kind(StrEnum):
    """How a payment's money differs from what its provider says."""

    OPEN = "open"  # its QR may still be paid
    UNASKED = "unasked"  # the provider did not answer
    MISSING = "missing"  # our records have money, the provider has none
    AMOUNT = "amount"  # both have money, and not the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One payment that is not as it should be. Amounts are whole rupiah, `theirs` None where nobody could say."""

    kind: Kind
    payment_id: str
    order_id: str
    provider: str
    ours: int
    theirs: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """One provider's payments of a shift that have money: how many and how much by our records and by its own word,
    None where nobody can ask it."""

    provider: str
    count: int
    amount: int
    confirmed_count: int | None
    confirmed_amount: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """A shift's money against the providers' word at one moment."""

    made_at: datetime
    totals: tuple[Total, ...]
    differences: tuple[Difference, ...]

    @property
    def count(self) -> int:
        return sum(total.count for total in self.totals)

    @property
    def amount(self) -> int:
        return sum(total.amount for total in self.totals)

    @property
    def confirmed_amount(self) -> int:
        return sum(total.confirmed_amount or 0 for total in self.totals)


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt of a shift's payment, and the money its provider says came for it; None where it was not learnt.
    `is_mute`: nobody can ask this provider."""

    payment: Payment
    attempt: Attempt
    said: int | None
    is_mute: bool = False


def money_in(seen: Observation, attempt: Attempt) -> int | None:
    """The rupiah that arrived by the provider's word, before anything went back; None where that word says nothing."""
    if seen.contradiction is not None or (seen.status is None and not seen.absent):
        return None
    if seen.status not in MONEY:
        return 0
    # Some providers name only what went back: then what we know of had arrived.
    return seen.amount if seen.amount is not None else attempt.amount_paid or attempt.amount


def match(held: Sequence[Held], now: datetime) -> Matching:
    """Hold every attempt's money against its provider's word."""
    providers = sorted({one.attempt.provider for one in held if one.attempt.amount_paid or one.said})
    totals = tuple(_total(name, [one for one in held if one.attempt.provider == name]) for name in providers)
    differences = tuple(difference for one in held if (difference := _difference(one)) is not None)
    return Matching(made_at=now, totals=totals, differences=differences)


def _total(provider: str, held: Sequence[Held]) -> Total:
    ours = [one.attempt.amount_paid for one in held if one.attempt.amount_paid]
    theirs = [one.said for one in held if one.said]
    is_mute = any(one.is_mute for one in held)
    return Total(
        provider=provider,
        count=len(ours),
        amount=sum(ours),
        confirmed_count=None if is_mute else len(theirs),
        confirmed_amount=None if is_mute else sum(theirs),
    )


def _difference(one: Held) -> Difference | None:
    kind = _kind(one)
    if kind is None:
        return None
    return Difference(
        kind=kind,
        payment_id=one.payment.id,
        order_id=one.payment.order_id,
        provider=one.attempt.provider,
        ours=one.attempt.amount_paid,
        theirs=one.said,
    )


def _kind(one: Held) -> Kind | None:
    if one.said is None and not one.is_mute:
        return Kind.UNASKED
    if one.said is None or one.said == one.attempt.amount_paid:
        return Kind.OPEN if one.attempt.status in OPEN else None
    return Kind.AMOUNT if one.said else Kind.MISSING
