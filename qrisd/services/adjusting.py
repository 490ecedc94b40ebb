"""Putting the ledger right by hand, by a person, for a reason."""

from __future__ import annotations

from datetime import datetime

from qrisd.domain.errors import FieldError, Forbidden, Invalid
from qrisd.domain.ledger import Entry, Kind
from qrisd.domain.permissions import may
from qrisd.store import audit_log, ledger
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection
from qrisd.store.users import User


def adjust(conn: Connection, by: User, *, debit: str, credit: str, amount: int, reason: str, now: datetime) -> Entry:
    """Post an entry that no fact of a payment posts, such as an agreed correction. Inside the caller's transaction.

    Both accounts must be in use already: a new one is a typing error. Raises Invalid, and Forbidden when this person
    may not."""
    if by.disabled_at is not None or not may(by.role, "ledger:adjust"):
        raise Forbidden(f"{by.username} may not adjust the ledger.")
    if by.outlets is not None:
        raise Forbidden(f"The accounts are those of all outlets; {by.username} is limited to some.")
    _check(conn, debit, credit, amount, reason)
    entry = Entry(kind=Kind.ADJUSTED, debit=debit, credit=credit, amount=amount, reason=reason.strip(), happened_at=now)
    ledger.add(conn, [entry], now)
    after = {"debit": debit, "credit": credit, "amount": amount}
    audit_log.add(conn, Actor(by.id), "ledger.adjust", now, after=after, why=entry.reason)
    return entry


def _check(conn: Connection, debit: str, credit: str, amount: int, reason: str) -> None:
    known = ", ".join(ledger.balances(conn))
    problems = [
        FieldError(name, f"There is no account {account}. There are: {known or 'none yet'}.")
        for name, account in (("debit", debit), ("credit", credit))
        if account not in ledger.balances(conn)
    ]
    if debit == credit:
        problems.append(FieldError("credit", "Name two different accounts."))
    if amount <= 0:
        problems.append(FieldError("amount", "Give whole rupiah above 0."))
    if not reason.strip():
        problems.append(FieldError("reason", "Say why, for whoever reads the books later."))
    if problems:
        raise Invalid(*problems)
