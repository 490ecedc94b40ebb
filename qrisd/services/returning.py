"""What money that went back means for the refunds of its payment. Part of the one door, inside its transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from uuid_utils import uuid7

from qrisd.domain import refund as rules
from qrisd.domain.ledger import Entry, of_return
from qrisd.domain.payment import Attempt, Observation, Payment
from qrisd.domain.refund import OPEN, UNSENT, Method, Refund, Status
from qrisd.store import refunds
from qrisd.store.db import Connection

FASTER = "given back at the provider before it was sent"
CROWDED_OUT = "money was given back at the provider meanwhile, and too little is left"


@dataclass(frozen=True, slots=True)
class Returned:
    """What follows from money that went back: the entries to post, and the refunds it was."""

    entries: tuple[Entry, ...] = ()
    refund_ids: tuple[str, ...] = ()


def settle(
    conn: Connection, before: Attempt, after: Payment, attempt: Attempt, seen: Observation, now: datetime
) -> Returned:
    """End the refunds that the money was; what is nobody's becomes a refund made elsewhere, and what no longer fits
    besides it fails. `after` and `attempt` are how both stand now."""
    extra = attempt.amount_refunded - before.amount_refunded
    if extra <= 0 and seen.refund_id is None:
        return Returned()
    waiting = refunds.open_of(conn, after.id)
    if seen.given_by_hand:
        return _end(conn, (one for one in waiting if one.id == seen.refund_id), attempt, now)
    own = [one for one in waiting if one.attempt_id == attempt.id and one.method is Method.PROVIDER]
    absorbed = rules.absorb(own, extra, seen.refund_id)
    ended = _end(conn, absorbed.refunds, attempt, now)
    if not absorbed.rest:
        return ended
    foreign = _add_foreign(conn, after, attempt, absorbed.rest, now)
    told = of_return(replace(attempt, amount_refunded=attempt.amount_refunded - absorbed.rest), after, attempt, now)
    entries = (*ended.entries, *(replace(entry, refund_id=foreign.id) for entry in told), *_make_room(conn, after, now))
    return Returned(entries, (*ended.refund_ids, foreign.id))


def _end(conn: Connection, done: Iterable[Refund], attempt: Attempt, now: datetime) -> Returned:
    found = tuple(done)
    for refund in found:
        unasked = refund.status in UNSENT and refund.method is Method.PROVIDER
        detail = FASTER if unasked else refund.detail
        ended = replace(refund, status=Status.DONE, detail=detail, next_try_at=None, done_at=now, updated_at=now)
        refunds.save(conn, ended)
    entries = tuple(rules.given_back(refund, attempt.provider, now) for refund in found)
    return Returned(entries, tuple(refund.id for refund in found))


def _add_foreign(conn: Connection, payment: Payment, attempt: Attempt, amount: int, now: datetime) -> Refund:
    refund = Refund(
        id=str(uuid7()),
        payment_id=payment.id,
        attempt_id=attempt.id,
        reference=None,
        amount=amount,
        method=Method.ELSEWHERE,
        status=Status.DONE,
        reason="given back at the provider",
        evidence=None,
        requested_by=f"provider:{attempt.provider}",
        content_hash="",
        done_at=now,
        created_at=now,
        updated_at=now,
    )
    refunds.add(conn, refund)
    return refund


def _make_room(conn: Connection, payment: Payment, now: datetime) -> tuple[Entry, ...]:
    """Fail what does not fit any more beside what was given back without us."""
    waiting = refunds.open_of(conn, payment.id)
    gone = rules.crowded_out(waiting, rules.left_of(payment, waiting))
    return tuple(fail(conn, refund, CROWDED_OUT, now) for refund in gone)


def fail(conn: Connection, refund: Refund, why: str, now: datetime, status: Status = Status.FAILED) -> Entry:
    """End an open refund without money, whose reserve the entry releases."""
    assert refund.status in OPEN, "an end is an end"
    refunds.save(conn, replace(refund, status=status, detail=why, next_try_at=None, expires_at=None, updated_at=now))
    return rules.released(refund, now)
