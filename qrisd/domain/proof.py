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
    USED = "used"  # the money is there, but for another order than the one that is sold now
    MISMATCH = "mismatch"  # the number is real, the amount is not
    ODD = "odd"  # money came, but not as it should: a person has to look
    RETURNED = "returned"
    ABSENT = "absent"  # no money, or not yet
    UNKNOWN = "unknown"  # no money that we know of, and not everything could be asked: see `Doubt`
    UNREADABLE = "unreadable"


class Doubt(StrEnum):
    """Why there may be money that we do not know of, the gravest first."""

    SILENT = "silent"  # a provider did not answer, or not in time
    UNASKABLE = "unaskable"  # only a person can see whether that money came
    MANY = "many"  # more payments wait than are asked about at once


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `payment` is the one with the money, found by `match`; `waiting` one without, which could be mistaken
    for it, or which is what was asked about. What is UNKNOWN is so because of `doubt`."""

    finding: Finding
    payment: Payment | None = None
    match: Match | None = None
    waiting: Payment | None = None
    doubt: Doubt | None = None


def judge(candidates: Sequence[Candidate], query: Query, now: datetime, doubt: Doubt | None = None) -> Verdict:
    """What the records say of `query`. Without `doubt` the providers of all open candidates were asked just now.

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
            asked = (payment.amount, payment.amount_due)
            waiting = _open([one.payment for one in newest if _is_of(one.payment, asked)])
            finding = _finding(payment, match, query, now, waiting)
            return Verdict(finding, payment, match, waiting if finding in (Finding.PAID, Finding.USED) else None)
    meant = named or of[Match.AMOUNT]
    waiting = _open(meant) or next(iter(meant), None)
    return Verdict(Finding.UNKNOWN if doubt else Finding.ABSENT, waiting=waiting, doubt=doubt)


def _finding(payment: Payment, match: Match, query: Query, now: datetime, waiting: Payment | None) -> Finding:
    """What to say of a payment with money; `waiting` is the newest open one that asks for as much."""
    if match is not Match.AMOUNT and query.amounts and not _is_of(payment, query.amounts):
        return Finding.MISMATCH
    if payment.amount_refunded > 0:
        return Finding.RETURNED
    if payment.status not in MONEY or payment.exception is not None:
        return Finding.ODD
    if match is Match.ORDER and not query.is_pasted:
        return Finding.PAID
    return Finding.PAID if _is_fresh(payment, now) and not _is_followed(payment, waiting) else Finding.USED


def _is_followed(payment: Payment, waiting: Payment | None) -> bool:
    """Whether `waiting` began after this one was paid: then it is most likely the one that the cashier asks about."""
    return waiting is not None and payment.paid_at is not None and waiting.created_at > payment.paid_at


def _is_of(payment: Payment, amounts: Sequence[int]) -> bool:
    return not {payment.amount, payment.amount_due, payment.amount_paid}.isdisjoint(amounts)


def _is_fresh(payment: Payment, now: datetime) -> bool:
    return payment.paid_at is not None and now - payment.paid_at <= FRESH


def _open(payments: Sequence[Payment]) -> Payment | None:
    return next((one for one in payments if one.status in OPEN), None)
