"""Is this proof of payment good? Reading what a cashier types or pastes, and judging it by our records alone.

Nothing that a person or a picture claims counts as paid: it only says where to look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from qrisd.domain.payment import MONEY, OPEN, Payment

# A proof is shown right after paying. What was paid longer ago has bought something else.
FRESH: Final = timedelta(minutes=15)
MAX_TEXT: Final = 2_000
MAX_AMOUNTS: Final = 4
MAX_NAMES: Final = 24
MAX_AMOUNT: Final = 10**12

_NUMBER: Final = r"[0-9]{1,3}(?:[.][0-9]{3})+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12}"
# "Rp50.000", "IDR 50,000.00", "50rb", "1,5 juta", "50.000": a currency before it, a thousand after it, or dots inside.
_AMOUNT: Final = re.compile(
    rf"\b(?:rp\.?|idr)[ \t]*(?P<marked>{_NUMBER})(?:[.,]00)?(?![0-9])"
    r"|(?<![\w.,-])(?P<whole>[0-9]{1,6})(?:[.,](?P<tenths>[0-9]))?[ \t]*(?P<scale>rb|ribu|k|jt|juta)(?![\w-])"
    r"|(?<![\w.,-])(?P<dotted>[0-9]{1,3}(?:[.][0-9]{3})+)(?:,00)?(?![\w.,-])",
    re.IGNORECASE,
)
_BARE: Final = re.compile(r"[0-9]{1,8}")
_SCALES: Final = {"rb": 1_000, "ribu": 1_000, "k": 1_000, "jt": 1_000_000, "juta": 1_000_000}
# Receipts write long numbers in groups.
_GROUPED: Final = re.compile(r"(?<![0-9])[0-9]{3,6}(?: [0-9]{3,6}){1,6}(?![0-9])")
_NAME: Final = re.compile(r"[A-Za-z0-9._~:/#@+-]{1,64}")
SHORTEST_PASTED: Final = 6
MOST_TYPED_WORDS: Final = 2


@dataclass(frozen=True, slots=True)
class Query:
    """Where to look: amounts in whole rupiah, and `names`, each a reference number or an order id, or neither.
    `is_pasted`: it is a text somebody brought rather than a thing the cashier typed."""

    amounts: tuple[int, ...]
    names: tuple[str, ...]
    is_pasted: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.amounts and not self.names


def read(text: str) -> Query:
    """What a line or a pasted receipt may refer to; empty when nothing in it can be looked up."""
    text = text.strip()[:MAX_TEXT]
    if _BARE.fullmatch(text):
        return Query(amounts=_amounts([int(text)]), names=())
    amounts = [_whole_rupiah(found) for found in _AMOUNT.finditer(text)]
    rest = _AMOUNT.sub(" | ", text)
    is_pasted = len(text.split()) > MOST_TYPED_WORDS
    return Query(amounts=_amounts(amounts), names=_names(rest, is_pasted=is_pasted), is_pasted=is_pasted)


def _whole_rupiah(found: re.Match[str]) -> int:
    if found["scale"]:
        times = _SCALES[found["scale"].lower()]
        return int(found["whole"]) * times + int(found["tenths"] or 0) * times // 10
    return int((found["marked"] or found["dotted"]).replace(".", "").replace(",", ""))


def _amounts(found: Sequence[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(one for one in found if 0 < one <= MAX_AMOUNT))[:MAX_AMOUNTS]


def _names(text: str, *, is_pasted: bool) -> tuple[str, ...]:
    """Words that may name something: with a digit, and in a pasted text too long to be a part of a date."""
    joined = [found.replace(" ", "") for found in _GROUPED.findall(text)]
    words = [word.strip(".:/#") for word in _NAME.findall(text)]
    shortest = SHORTEST_PASTED if is_pasted else 1
    named = [word for word in words if len(word) >= shortest and any(map(str.isdigit, word))]
    longest = sorted([*joined, *named], key=len, reverse=True)
    return tuple(dict.fromkeys(name for one in longest for name in (one, one.upper())))[:MAX_NAMES]


class Match(StrEnum):
    """Why a payment may be the one that is meant, the surest first."""

    ORDER = "order"
    REFERENCE = "reference"
    AMOUNT = "amount"
    ALIKE = "alike"  # nobody named it: it asks for as much as one that was named


@dataclass(frozen=True, slots=True)
class Candidate:
    """A payment that may be the one that is meant."""

    payment: Payment
    match: Match


class Finding(StrEnum):
    """What the cashier is told."""

    PAID = "paid"
    USED = "used"  # the money is there, but it came too long ago to be for what is sold now
    MISMATCH = "mismatch"  # the number is real, the amount is not
    ODD = "odd"  # money came, but not as it should: a person has to look
    RETURNED = "returned"
    ABSENT = "absent"  # no money, or not yet
    UNKNOWN = "unknown"  # no money that we know of, and the provider could not be asked
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `payment` is the one with the money, found by `match`; `waiting` one without, which could be mistaken
    for it, or which is what was asked about."""

    finding: Finding
    payment: Payment | None = None
    match: Match | None = None
    waiting: Payment | None = None


def judge(candidates: Sequence[Candidate], query: Query, now: datetime, *, is_certain: bool) -> Verdict:
    """What the records say of `query`. `is_certain`: the providers of all open candidates were asked just now.

    A typed order id is about that order, however old; everything else is a proof, which is good once."""
    if query.is_empty:
        return Verdict(Finding.UNREADABLE)
    newest = sorted(candidates, key=lambda one: one.payment.created_at, reverse=True)
    of = {match: [one.payment for one in newest if one.match is match] for match in Match}
    named = [*of[Match.ORDER], *of[Match.REFERENCE]]
    for match in (Match.ORDER, Match.REFERENCE) if named else (Match.AMOUNT,):
        with_money = [one for one in of[match] if one.amount_paid > 0]
        if with_money:
            payment = max(with_money, key=lambda one: one.paid_at or one.updated_at)
            finding = _finding(payment, match, query, now)
            alike = [one.payment for one in newest if _is_of(one.payment, (payment.amount, payment.amount_due))]
            return Verdict(finding, payment, match, _open(alike) if finding in (Finding.PAID, Finding.USED) else None)
    meant = named or of[Match.AMOUNT]
    waiting = _open(meant) or next(iter(meant), None)
    return Verdict(Finding.ABSENT if is_certain else Finding.UNKNOWN, waiting=waiting)


def _finding(payment: Payment, match: Match, query: Query, now: datetime) -> Finding:
    """What to say of a payment with money."""
    if match is not Match.AMOUNT and query.amounts and not _is_of(payment, query.amounts):
        return Finding.MISMATCH
    if payment.amount_refunded > 0:
        return Finding.RETURNED
    if payment.status not in MONEY or payment.exception is not None:
        return Finding.ODD
    is_of_the_order = match is Match.ORDER and not query.is_pasted
    return Finding.PAID if is_of_the_order or _is_fresh(payment, now) else Finding.USED


def _is_of(payment: Payment, amounts: Sequence[int]) -> bool:
    return not {payment.amount, payment.amount_due, payment.amount_paid}.isdisjoint(amounts)


def _is_fresh(payment: Payment, now: datetime) -> bool:
    return payment.paid_at is not None and now - payment.paid_at <= FRESH


def _open(payments: Sequence[Payment]) -> Payment | None:
    return next((one for one in payments if one.status in OPEN), None)
