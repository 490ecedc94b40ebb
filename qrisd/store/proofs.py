"""Finding the payments that a proof of payment may be about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from qrisd.domain.payment import OPEN, Payment
from qrisd.domain.permissions import Outlets
from qrisd.domain.proof import Candidate, Match, Query
from qrisd.domain.times import to_text
from qrisd.store import payments
from qrisd.store.db import Connection
from qrisd.store.rows import marks

MOST_OF_AN_AMOUNT: Final = 20
_ASKED_FOR: Final = ("amount = ?", "amount_due = ? AND amount_due != amount")
_BROUGHT: Final = ("amount_paid = ? AND amount_paid NOT IN (0, amount)",)


def find(conn: Connection, query: Query, outlets: Outlets, since: datetime) -> list[Candidate]:
    """What `query` may be about, for somebody limited to these outlets. What has a name is found however old it is; by
    amount, payments made after `since`, and beside what was named those that ask for as much as it does."""
    found = _candidates(conn, _by_order(conn, query.names, outlets), Match.ORDER)
    found = _candidates(conn, _by_reference(conn, query.names, outlets), Match.REFERENCE) | found
    named = {amount for one in found.values() for amount in (one.payment.amount, one.payment.amount_due)}
    typed = _by_amount(conn, query.amounts, (*_ASKED_FOR, *_BROUGHT), outlets, since)
    found = _candidates(conn, typed, Match.AMOUNT) | found
    alike = _by_amount(conn, sorted(named - set(query.amounts)), _ASKED_FOR, outlets, since)
    return list((_candidates(conn, alike, Match.ALIKE) | found).values())


def newest_open(conn: Connection, outlets: Outlets, since: datetime, limit: int) -> list[Payment]:
    """At most `limit` payments made after `since` that wait for money, newest first."""
    clause, limits = _within(outlets)
    sql = (
        f"SELECT id FROM payments WHERE created_at >= ? AND status IN ({marks(OPEN)}){clause} "
        "ORDER BY created_at DESC, id DESC LIMIT ?"
    )
    ids = [row[0] for row in conn.execute(sql, (to_text(since), *OPEN, *limits, limit))]
    return [payment for one in ids if (payment := payments.get(conn, one)) is not None]


def _by_order(conn: Connection, names: Sequence[str], outlets: Outlets) -> list[str]:
    clause, limits = _within(outlets)
    sql = f"SELECT id FROM payments WHERE order_id IN ({marks(names)}){clause}"
    return [row[0] for row in conn.execute(sql, (*names, *limits))]


def _by_reference(conn: Connection, names: Sequence[str], outlets: Outlets) -> list[str]:
    """By the number of the payment network or by the provider's own id, whichever of a payment's QRs has it."""
    clause, limits = _within(outlets)
    sql = (
        "SELECT id FROM payments WHERE id IN ("
        f"SELECT payment_id FROM attempts WHERE provider_ref_no IN ({marks(names)}) UNION "
        f"SELECT payment_id FROM attempts WHERE provider_trx_id IN ({marks(names)})){clause}"
    )
    return [row[0] for row in conn.execute(sql, (*names, *names, *limits))]


def _by_amount(
    conn: Connection, amounts: Sequence[int], wheres: Sequence[str], outlets: Outlets, since: datetime
) -> list[str]:
    clause, limits = _within(outlets)
    found: list[str] = []
    for where in wheres:
        sql = f"SELECT id FROM payments WHERE {where} AND created_at >= ?{clause} ORDER BY created_at DESC LIMIT ?"
        for amount in amounts:
            found += [row[0] for row in conn.execute(sql, (amount, to_text(since), *limits, MOST_OF_AN_AMOUNT))]
    return found


def _within(outlets: Outlets) -> tuple[str, tuple[Any, ...]]:
    return ("", ()) if outlets is None else (f" AND outlet IN ({marks(outlets)})", tuple(outlets))


def _candidates(conn: Connection, ids: Sequence[str], match: Match) -> dict[str, Candidate]:
    found = {payment_id: payments.get(conn, payment_id) for payment_id in ids}
    return {payment_id: Candidate(payment, match) for payment_id, payment in found.items() if payment is not None}
