"""The ledger: which accounts there are, and what each fact about money posts.

An entry is one transfer from an account (credited) to another (debited), so that no entry can be out of balance.
Entries are only ever added; a mistake is put right by a further entry.

    receivable:<provider>  what a provider has taken for us and not paid out yet
    sales                  what payments were for
    unapplied              money that came for payments that are not paid in full
    overpaid               money above what was asked, or paid a second time
    refunds                promised or given back, of whatever had come
    refunds_reserved       promised, not given back yet
    fees                   what providers kept (MDR)
    bank, cash             where money went to, and came from

Money a marketplace holds for others, and what they may withdraw, will be further accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from qrisd.domain.payment import MONEY, Attempt, Payment

SALES: Final = "sales"
UNAPPLIED: Final = "unapplied"
OVERPAID: Final = "overpaid"
REFUNDS: Final = "refunds"
REFUNDS_RESERVED: Final = "refunds_reserved"
FEES: Final = "fees"
BANK: Final = "bank"
CASH: Final = "cash"

# Accounts that grow by being debited; the others grow by being credited.
_DEBIT_SIDE: Final = frozenset({REFUNDS, FEES, BANK, CASH})
_RECEIVABLE: Final = "receivable:"


class Kind(StrEnum):
    """Which fact an entry posts."""

    PAID = "paid"
    UNDERPAID = "underpaid"
    APPLIED = "applied"
    OVERPAID = "overpaid"
    REFUND_RESERVED = "refund_reserved"
    REFUND_RELEASED = "refund_released"
    REFUND_DONE = "refund_done"
    REFUNDED_THERE = "refunded_there"
    FEE = "fee"
    FEE_BACK = "fee_back"
    SETTLED = "settled"
    SETTLED_BACK = "settled_back"
    ADJUSTED = "adjusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One transfer of `amount` whole rupiah. `happened_at` is when the money moved."""

    kind: Kind
    debit: str
    credit: str
    amount: int
    happened_at: datetime
    payment_id: str | None = None
    refund_id: str | None = None
    settlement_id: int | None = None
    reason: str | None = None


def receivable(provider: str) -> str:
    """The account of what this provider owes us."""
    return _RECEIVABLE + provider


def grows_by_debit(account: str) -> bool:
    """Whether a debit adds to the account's balance."""
    return account in _DEBIT_SIDE or account.startswith(_RECEIVABLE)


def of_arrival(before: Payment, old: Attempt, after: Payment, attempt: Attempt, now: datetime) -> tuple[Entry, ...]:
    """What money that arrived on `attempt` posts: the sale, what came short of it, or on top of it."""
    extra = attempt.amount_paid - old.amount_paid
    if extra <= 0:
        return ()
    account = receivable(attempt.provider)
    if before.status in MONEY:
        return (_transfer(Kind.OVERPAID, account, OVERPAID, extra, after, now),)
    if after.status not in MONEY:
        return (_transfer(Kind.UNDERPAID, account, UNAPPLIED, extra, after, now),)
    entries = (
        _transfer(Kind.PAID, account, SALES, attempt.amount - old.amount_paid, after, now),
        _transfer(Kind.APPLIED, UNAPPLIED, SALES, old.amount_paid, after, now),
        _transfer(Kind.OVERPAID, account, OVERPAID, attempt.amount_paid - attempt.amount, after, now),
        _transfer(Kind.OVERPAID, UNAPPLIED, OVERPAID, before.amount_paid - old.amount_paid, after, now),
    )
    return tuple(entry for entry in entries if entry.amount > 0)


def of_return(old: Attempt, after: Payment, attempt: Attempt, now: datetime) -> tuple[Entry, ...]:
    """What money posts that a provider gave back without being asked by us."""
    extra = attempt.amount_refunded - old.amount_refunded
    if extra <= 0:
        return ()
    return (_transfer(Kind.REFUNDED_THERE, REFUNDS, receivable(attempt.provider), extra, after, now),)


def _transfer(kind: Kind, debit: str, credit: str, amount: int, payment: Payment, now: datetime) -> Entry:
    happened_at = payment.paid_at if kind is Kind.PAID and payment.paid_at else now
    return Entry(kind=kind, debit=debit, credit=credit, amount=amount, payment_id=payment.id, happened_at=happened_at)
