"""Giving money back: what may be given back, how a refund stands, and what an approval is bound to.

A refund is asked for by one and approved by another, then sent to the provider under one reference until it is known
how it ended. While it is open it reserves its amount, so that all refunds of a payment together fit into what came.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from itertools import combinations
from typing import Final

from qrisd.domain import issuer as issuers
from qrisd.domain.ledger import BANK, CASH, REFUNDS, REFUNDS_RESERVED, Entry, Kind, receivable
from qrisd.domain.payment import Attempt, Payment


class Status(StrEnum):
    """Where a refund stands."""

    REQUESTED = "REQUESTED"  # waits for approval
    APPROVED = "APPROVED"  # will be sent
    UNKNOWN = "UNKNOWN"  # sent, or about to be; the provider may or may not have it
    PENDING = "PENDING"  # accepted at the provider, the money is on its way
    DONE = "DONE"
    FAILED = "FAILED"  # nothing was given back and nothing will be
    REJECTED = "REJECTED"  # by a person
    EXPIRED = "EXPIRED"  # nobody approved it in time
    CANCELLED = "CANCELLED"  # withdrawn before it was sent


class Method(StrEnum):
    """How money goes back."""

    PROVIDER = "provider"  # by the provider, to where it came from
    CASH = "cash"
    TRANSFER = "transfer"
    ELSEWHERE = "elsewhere"  # by the provider, without us


UNSENT: Final = frozenset({Status.REQUESTED, Status.APPROVED})
SENT: Final = frozenset({Status.UNKNOWN, Status.PENDING})
OPEN: Final = UNSENT | SENT
_HAND_ACCOUNTS: Final = {Method.CASH: CASH, Method.TRANSFER: BANK}
BY_HAND: Final = frozenset(_HAND_ACCOUNTS)

# Seconds between questions while we do not know whether the provider has the refund.
UNKNOWN_DELAYS_S: Final = (1, 3, 5, 10, 20, 30, 60, 120, 300)
LONGEST_PAUSE_S: Final = 300
LONGEST_PENDING_PAUSE_S: Final = 900
# Between tries while the balance at the provider is too small: somebody has to top it up first.
FIRST_REFUSED_PAUSE_S: Final = 300
LONGEST_REFUSED_PAUSE_S: Final = 3_600
# A provider may show a refund only some time after it took it: before this, "no such refund" settles nothing.
ABSENCE_GRACE_S: Final = 60
ABSENCES_NEEDED: Final = 2

_BLACKOUT: Final = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2}) (WIB|WITA|WIT)")
_OFFSETS_H: Final = {"WIB": 7, "WITA": 8, "WIT": 9}
# Which of the open refunds a sum that the provider gave back is taken for, first to last.
_TAKEN_FIRST: Final = (Status.PENDING, Status.UNKNOWN, Status.APPROVED, Status.REQUESTED)
# Among how many refunds that were sent those are looked for that make up a sum exactly.
_SUMMED_AT_MOST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money to give back, or given back, of one payment. `amount` is whole rupiah, times are aware UTC.

    `attempt_id` is whose money goes back where the provider gives it, `reference` our name for it there, the same on
    every try. `requested_by` is a user's id, `api_key:<id>` of a machine, or `provider:<name>`. `refunded_before` is
    what had been given back of the attempt when it was sent, `expires_at` when its approval comes too late."""

    id: str
    payment_id: str
    attempt_id: str | None
    reference: str | None
    amount: int
    method: Method
    status: Status
    reason: str
    evidence: str | None
    requested_by: str
    content_hash: str
    refunded_before: int = 0
    provider_refund_id: str | None = None
    provider_ref_no: str | None = None
    detail: str | None = None
    tries: int = 0
    absences: int = 0
    next_try_at: datetime | None = None
    expires_at: datetime | None = None
    sent_at: datetime | None = None
    done_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decided about a refund. `by` is a user's id or the word for what is no person; `outcome` is how a
    stuck one ended, DONE or FAILED, in the word of who proposes or confirms it."""

    refund_id: str
    decision: str
    by: str
    content_hash: str
    why: str | None
    at: datetime
    outcome: Status | None = None


def content_hash(refund: Refund) -> str:
    """SHA-256, in hex, over all that whoever approves has to agree to."""
    content = (
        refund.payment_id,
        refund.attempt_id,
        refund.amount,
        refund.method,
        refund.reason,
        refund.evidence,
        refund.requested_by,
    )
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


# What may be given back


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What one provider can do about refunds. `blackout` is when it refuses them, like "23:55-06:00 WIB"; `issuers` are
    those it can refund (empty: whichever), and `whole_after_hours` those that take all of a payment back only so many
    hours after it, and parts at once."""

    refund: bool
    partial: bool
    window_days: int | None
    blackout: str | None
    issuers: tuple[str, ...] = ()
    whole_after_hours: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in which money of a payment may go back now: at most `most` rupiah, or exactly that where `partial` is
    False. `until` is when it ends, `sent_from` when the provider takes it again; `why_not` is empty when it is open;
    `remarks` say what else is worth knowing."""

    method: Method
    most: int
    partial: bool = True
    attempt: Attempt | None = None
    until: datetime | None = None
    blackout: str | None = None
    sent_from: datetime | None = None
    why_not: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def left_of(payment: Payment, open_refunds: Iterable[Refund]) -> int:
    """The rupiah of a payment that are neither given back nor promised."""
    return payment.amount_paid - payment.amount_refunded - sum(refund.amount for refund in open_refunds)


def ways(
    payment: Payment,
    attempts: Sequence[Attempt],
    open_refunds: Sequence[Refund],
    abilities: Mapping[str, Ability],
    now: datetime,
) -> list[Way]:
    """Every way to give money of this payment back: by the provider of each attempt that was paid, newest first, then
    by hand. `abilities` are those of the providers that are on."""
    left = max(left_of(payment, open_refunds), 0)
    paid = sorted((one for one in attempts if one.amount_paid), key=lambda one: -one.number)
    by_provider = [
        _way_of(payment, attempt, left, open_refunds, abilities.get(attempt.provider), now) for attempt in paid
    ]
    why_not = () if left else (_nothing_left(payment),)
    return [
        *by_provider,
        *(Way(method=method, most=left, why_not=why_not) for method in (Method.CASH, Method.TRANSFER)),
    ]


def _way_of(
    payment: Payment, attempt: Attempt, left: int, open_refunds: Sequence[Refund], can: Ability | None, now: datetime
) -> Way:
    promised = sum(refund.amount for refund in open_refunds if refund.attempt_id == attempt.id)
    most = max(min(left, attempt.amount_paid - attempt.amount_refunded - promised), 0)
    way = Way(method=Method.PROVIDER, most=most, attempt=attempt)
    if can is None:
        return replace(way, why_not=(f"{attempt.provider} is no longer configured here",))
    if not can.refund:
        return replace(way, why_not=(f"{attempt.provider} gives no money back for us: give it back by hand",))
    parts_only = most == attempt.amount_paid and _takes_parts_only(payment, attempt, can, now)
    return replace(
        way,
        most=most - 1 if parts_only and can.partial else most,
        partial=can.partial,
        until=window_end(payment, attempt, can),
        blackout=can.blackout,
        sent_from=blackout_end(can.blackout, now),
        why_not=_why_not(payment, attempt, can, most, now, parts_only=parts_only),
        remarks=_remarks(attempt, can, parts_only=parts_only),
    )


def _why_not(
    payment: Payment, attempt: Attempt, can: Ability, most: int, now: datetime, *, parts_only: bool
) -> tuple[str, ...]:
    """Why this provider, which gives money back, cannot give back this money."""
    why_not = [] if most else [_nothing_left(payment)]
    until = window_end(payment, attempt, can)
    if until is not None and now >= until:
        why_not.append(f"{attempt.provider} gives money back for {can.window_days} days: give it back by hand")
    if not can.partial and 0 < most < attempt.amount_paid:
        why_not.append(f"{attempt.provider} gives back all or nothing, and a part is gone or promised")
    issuer = issuers.meant(attempt.issuer)
    if can.issuers and issuer is not None and issuer not in can.issuers:
        why_not.append(f"{attempt.provider} cannot refund payments from {issuer}: give it back by hand")
    if parts_only and not can.partial:
        why_not.append(_whole_later(attempt, can))
    return tuple(why_not)


def _remarks(attempt: Attempt, can: Ability, *, parts_only: bool) -> tuple[str, ...]:
    """What whoever asks should know of the payer's bank or wallet. One that nobody here knows is no reason to refuse:
    the provider's answer decides."""
    if parts_only:
        return (_whole_later(attempt, can),)
    if not can.issuers or issuers.meant(attempt.issuer) is not None:
        return ()
    some = f"{attempt.provider} refunds payments from some banks and wallets only, and"
    if attempt.issuer is None:
        return (f"{some} did not say who the payer's is: it may refuse",)
    return (f"{some} it is not known whether {attempt.issuer} is one of them: it may refuse",)


def _takes_parts_only(payment: Payment, attempt: Attempt, can: Ability, now: datetime) -> bool:
    hours = can.whole_after_hours.get(issuers.meant(attempt.issuer) or "")
    return hours is not None and now < (payment.paid_at or attempt.created_at) + timedelta(hours=hours)


def _whole_later(attempt: Attempt, can: Ability) -> str:
    issuer = issuers.meant(attempt.issuer) or ""
    hours = can.whole_after_hours[issuer]
    return f"{issuer} takes all of it back only {hours} hours after the payment, and a part at once"


def window_end(payment: Payment, attempt: Attempt, can: Ability) -> datetime | None:
    """When the provider stops giving back what came by this attempt; None when it never does."""
    if can.window_days is None:
        return None
    return (payment.paid_at or attempt.created_at) + timedelta(can.window_days)


def _nothing_left(payment: Payment) -> str:
    if not payment.amount_paid:
        return "no money has come"
    return "all that came was given back already, or is promised to be"


def blackout_end(blackout: str | None, now: datetime) -> datetime | None:
    """When the blackout that `now` lies in is over; None outside of it, or when there is none. Raises ValueError for a
    text that is no blackout."""
    if blackout is None:
        return None
    found = _BLACKOUT.fullmatch(blackout)
    if found is None:
        raise ValueError(f"{blackout!r} is no blackout; write it like 23:55-06:00 WIB")
    local = now.astimezone(timezone(timedelta(hours=_OFFSETS_H[found[5]])))
    start = local.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    end = local.replace(hour=int(found[3]), minute=int(found[4]), second=0, microsecond=0)
    if start <= end:
        return end.astimezone(now.tzinfo) if start <= local < end else None
    if local >= start:
        end += timedelta(days=1)
    elif local >= end:
        return None
    return end.astimezone(now.tzinfo)


# What a provider says was given back


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What a sum given back at the provider comes to: refunds of ours that it was, and what is left of it."""

    refunds: tuple[Refund, ...]
    rest: int


def absorb(open_refunds: Iterable[Refund], amount: int, named: str | None) -> Absorbed:
    """Find the refunds of one attempt that `amount` rupiah given back are: `named`, of which the provider speaks, then
    those accepted, those sent, and, only where the sum is exactly theirs, those not sent: somebody was faster there.
    Refunds that were sent and make up the sum exactly come before others: those may still be on their way."""
    order = sorted(open_refunds, key=lambda one: (one.id != named, _TAKEN_FIRST.index(one.status), one.created_at))
    exactly = () if named is not None else _exactly([one for one in order if one.status in SENT], amount)
    if exactly:
        return Absorbed(exactly, 0)
    taken: list[Refund] = []
    for refund in order:
        if refund.id == named or refund.amount == amount or (refund.amount < amount and refund.status in SENT):
            taken.append(refund)
            amount = max(amount - refund.amount, 0)
    return Absorbed(tuple(taken), amount)


def _exactly(sent: Sequence[Refund], amount: int) -> tuple[Refund, ...]:
    """The fewest refunds that are together exactly `amount`; none where there are none such."""
    considered = sent[:_SUMMED_AT_MOST]
    for count in range(1, len(considered) + 1):
        for some in combinations(considered, count):
            if sum(one.amount for one in some) == amount:
                return some
    return ()


def crowded_out(open_refunds: Iterable[Refund], left: int) -> list[Refund]:
    """The refunds, newest first, that must give way when `left`, what is left besides them all, is below zero: only
    those that were not sent can."""
    gone: list[Refund] = []
    for refund in sorted((one for one in open_refunds if one.status in UNSENT), key=lambda one: one.id, reverse=True):
        if left >= 0:
            break
        gone.append(refund)
        left += refund.amount
    return gone


# When it is tried next


def retry_at(tries: int, now: datetime) -> datetime:
    """When a refund that could not be sent is sent again."""
    return now + timedelta(seconds=min(2 ** min(tries, 16), LONGEST_PAUSE_S))


def refused_until(tries: int, now: datetime) -> datetime:
    """When a refund is sent again that the balance at the provider was too small for, after this many tries."""
    pause_s = FIRST_REFUSED_PAUSE_S * 2 ** min(max(tries - 1, 0), 16)
    return now + timedelta(seconds=min(pause_s, LONGEST_REFUSED_PAUSE_S))


def ask_at(status: Status, tries: int, now: datetime) -> datetime:
    """When the provider is asked next about a refund that was sent."""
    if status is Status.UNKNOWN:
        return now + timedelta(seconds=UNKNOWN_DELAYS_S[min(max(tries - 1, 0), len(UNKNOWN_DELAYS_S) - 1)])
    return now + timedelta(seconds=min(5 * 2 ** min(tries, 16), LONGEST_PENDING_PAUSE_S))


def never_arrived(refund: Refund, now: datetime) -> bool:
    """True when the provider, which has just said once more that it has no such refund, may be taken at its word, so
    that it is sent again under the same reference."""
    assert refund.sent_at is not None, "it was sent"
    return now - refund.sent_at >= timedelta(seconds=ABSENCE_GRACE_S) and refund.absences + 1 >= ABSENCES_NEEDED


# What it posts


def reserved(refund: Refund, now: datetime) -> Entry:
    """The entry of a refund that is asked for."""
    return _entry(refund, Kind.REFUND_RESERVED, REFUNDS, REFUNDS_RESERVED, now)


def released(refund: Refund, now: datetime) -> Entry:
    """The entry of a refund that ended without money going back."""
    return _entry(refund, Kind.REFUND_RELEASED, REFUNDS_RESERVED, REFUNDS, now)


def given_back(refund: Refund, provider: str, now: datetime) -> Entry:
    """The entry of a refund that is done: by `provider`, or by hand out of the till or the bank account."""
    source = _HAND_ACCOUNTS.get(refund.method) or receivable(provider)
    return _entry(refund, Kind.REFUND_DONE, REFUNDS_RESERVED, source, now)


def _entry(refund: Refund, kind: Kind, debit: str, credit: str, now: datetime) -> Entry:
    return Entry(
        kind=kind,
        debit=debit,
        credit=credit,
        amount=refund.amount,
        payment_id=refund.payment_id,
        refund_id=refund.id,
        reason=refund.reason,
        happened_at=now,
    )
