"""Refunds, asked for and decided. Each is a plain function of the connection, for one transaction: the API and the
commands share them. What is approved is carried out by `services/refunding.py`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from uuid_utils import uuid7

from qrisd.domain import ids
from qrisd.domain import refund as rules
from qrisd.domain.errors import (
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    Invalid,
    NotFound,
    SelfApproval,
    Unauthorized,
    WrongRefundState,
    WrongState,
)
from qrisd.domain.money import rupiah
from qrisd.domain.payment import OPEN as OPEN_PAYMENT
from qrisd.domain.payment import Payment
from qrisd.domain.permissions import Outlets, may, reaches
from qrisd.domain.refund import BY_HAND, OPEN, SENT, UNSENT, Ability, Decision, Method, Refund, Status, Way
from qrisd.providers.base import Provider
from qrisd.providers.base import Refunds as GivesBack
from qrisd.schemas import AskRefund
from qrisd.services.api_keys import Caller
from qrisd.services.creating import Answer, Key
from qrisd.services.payments import ABSENT, known_to
from qrisd.services.returning import fail
from qrisd.store import api_keys, attempts, audit_log, idempotency, ledger, payment_logs, payments, refunds, users
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection
from qrisd.store.users import User

POLICY: Final = "policy"
CLOCK: Final = "clock"
APPROVE: Final = "refunds:approve"
REQUEST: Final = "refunds:request"


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings refunds are made under: rupiah up to which nobody has to approve, and how long one who has may take.
    `abilities` are those of the providers that are on."""

    approval_above: int
    approval_expires_in: timedelta
    abilities: Mapping[str, Ability]


@dataclass(frozen=True, slots=True)
class Party:
    """Who asks or decides: a person, or a machine (`user_id` None); `api_key_id` is the key they use, if any, and
    `outlets` are its limits."""

    actor: Actor
    user_id: str | None
    outlets: Outlets = None
    api_key_id: str | None = None


def party_of(caller: Caller, source: str) -> Party:
    """Who calls with an API key, from this address."""
    return Party(caller.acting(source), caller.user_id, caller.outlets, caller.id)


def abilities_of(providers: Mapping[str, Provider]) -> dict[str, Ability]:
    """What each provider can do about refunds, as far as its adapter and its account go."""
    return {name: _ability(provider) for name, provider in providers.items()}


def _ability(provider: Provider) -> Ability:
    can = provider.capabilities
    return Ability(
        refund=can.refund and isinstance(provider, GivesBack) and not can.confirmed_by_person,
        partial=can.partial_refund,
        window_days=can.refund_window_days,
        blackout=can.refund_blackout,
        issuers=can.refund_issuers,
        whole_after_hours=can.whole_refund_after_hours,
    )


# Asking


def ways(conn: Connection, payment: Payment, terms: Terms, now: datetime) -> list[Way]:
    """Every way in which money of this payment may go back now, and why not in others."""
    return rules.ways(
        payment, attempts.of_payment(conn, payment.id), refunds.open_of(conn, payment.id), terms.abilities, now
    )


def request_once(
    conn: Connection,
    key: Key,
    payment_id: str,
    ask: AskRefund,
    by: Party,
    terms: Terms,
    now: datetime,
    *,
    shown: Callable[[Refund], str],
) -> Answer:
    """As `request`, once for every Idempotency-Key; `shown` makes the body that is answered, then and later.

    Raises IdempotencyKeyReused besides."""
    assert key.idempotency_key is not None, "it is required"
    wanted = ask.fingerprint(payment_id)
    entry = idempotency.find(conn, key.api_key_id, key.idempotency_key)
    if entry is not None and (entry.request_hash != wanted or entry.status_code is None or entry.body is None):
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with another request. Use a new one for a new refund."
        )
    if entry is not None and entry.status_code is not None and entry.body is not None:
        return Answer(entry.status_code, entry.body, replayed=True)
    body = shown(request(conn, payment_id, ask, by, terms, now))
    idempotency.add(conn, key.api_key_id, key.idempotency_key, wanted, payment_id, now)
    idempotency.finish(conn, key.api_key_id, key.idempotency_key, 201, body)
    return Answer(201, body, replayed=False)


def request(conn: Connection, payment_id: str, ask: AskRefund, by: Party, terms: Terms, now: datetime) -> Refund:
    """Ask for a refund and reserve its amount; approved at once where the policy says so.

    Raises NotFound, Forbidden, Unauthorized, WrongState when nothing (of that much) is left, and Invalid."""
    payment = payments.get(conn, payment_id)
    if payment is None:
        raise NotFound(ABSENT)
    _require(conn, known_to(by.outlets, payment), by, REQUEST)
    refund = _draft(conn, payment, ask, by, terms, now)
    promised = sum(one.amount for one in refunds.open_of(conn, payment.id))
    refunds.add(conn, refund)
    ledger.add(conn, [rules.reserved(refund, now)], now)
    _note(conn, by.actor, "requested", None, refund, refund.reason, now)
    if payment.amount_refunded + promised + refund.amount > terms.approval_above:
        return refund
    why = f"at most {rupiah(terms.approval_above)} of one payment needs no approval"
    return _decided(conn, refund, "approved", Actor(POLICY), why, now)


def _draft(conn: Connection, payment: Payment, ask: AskRefund, by: Party, terms: Terms, now: datetime) -> Refund:
    method = Method(ask.method)
    open_here = refunds.open_of(conn, payment.id)
    amount = _amount(payment, ask.amount, rules.left_of(payment, open_here))
    _check_evidence(ask, method)
    found = ways(conn, payment, terms, now)
    way = _way(found, method, amount)
    by_provider = method is Method.PROVIDER
    refund = Refund(
        id=str(uuid7()),
        payment_id=payment.id,
        attempt_id=way.attempt.id if way.attempt is not None else None,
        reference=ids.reference(now, secrets.randbits(64)) if by_provider else None,
        amount=amount,
        method=method,
        status=Status.REQUESTED,
        reason=ask.reason,
        evidence=ask.evidence,
        requested_by=by.actor.who,
        content_hash="",
        expires_at=now + terms.approval_expires_in,
        created_at=now,
        updated_at=now,
    )
    return replace(refund, content_hash=rules.content_hash(refund))


def _amount(payment: Payment, asked: int | None, left: int) -> int:
    if not payment.amount_paid:
        advice = "cancel it instead" if payment.status in OPEN_PAYMENT else "there is nothing to give back"
        raise WrongState(f"The payment is {payment.status} and no money has come: {advice}.", payment.status)
    if asked is not None and asked > payment.amount_paid:
        raise Invalid(FieldError("amount", f"Only {rupiah(payment.amount_paid)} came; send that or less."))
    if left <= 0:
        text = "All that came was given back already, or is promised to be; see its refunds."
        raise WrongState(text, payment.status)
    if asked is not None and asked > left:
        raise WrongState(f"Only {rupiah(left)} is left: the rest was given back, or is promised to be.", payment.status)
    return left if asked is None else asked


def _check_evidence(ask: AskRefund, method: Method) -> None:
    if method in BY_HAND and ask.evidence is None:
        text = "Say what proves it: the number of the receipt that was signed, or of the bank transfer."
        raise Invalid(FieldError("evidence", text))
    if method not in BY_HAND and ask.evidence is not None:
        raise Invalid(FieldError("evidence", "Leave it out: the provider is asked itself."))


def _way(found: list[Way], method: Method, amount: int) -> Way:
    """The open way that this amount can go, the newest attempt first. Raises Invalid, saying what can be done."""
    possible = [way for way in found if way.method is method]
    able = [way for way in possible if not way.why_not]
    if not able:
        why = "; ".join(dict.fromkeys(reason for way in possible for reason in way.why_not)) or "no attempt was paid"
        advice = f"The provider cannot give it back: {why}. cash and transfer need evidence."
        raise Invalid(FieldError("method", advice))
    fitting = [way for way in able if amount == way.most or (way.partial and amount < way.most)]
    if not fitting:
        most = max(way.most for way in able)
        exact = "" if any(way.partial for way in able) else " exactly: the provider gives back all or nothing"
        remarks = "".join(f" {remark}." for remark in dict.fromkeys(remark for way in able for remark in way.remarks))
        raise Invalid(FieldError("amount", f"Send {rupiah(most)}{exact or ' at most in one refund'}.{remarks}"))
    return fitting[0]


# Deciding


def approve(
    conn: Connection, refund_id: str, by: Party, now: datetime, *, why: str | None = None, seen: str | None = None
) -> Refund:
    """Approve a refund, of which the approver has seen the content with the hash `seen`; it is then carried out.

    Raises NotFound, Forbidden, SelfApproval and WrongRefundState."""
    refund = _decidable(conn, refund_id, by)
    if refund.expires_at is not None and refund.expires_at <= now:
        raise WrongRefundState("Nobody approved it in time; ask for it anew.", refund.status)
    if rules.content_hash(refund) != refund.content_hash or seen not in (None, refund.content_hash):
        raise WrongRefundState("It is not what was asked for: its content was changed.", refund.status)
    return _decided(conn, refund, "approved", by.actor, why or f"as asked: {refund.reason}", now)


def reject(conn: Connection, refund_id: str, by: Party, now: datetime, *, why: str) -> Refund:
    """Say no to a refund that waits for approval. Raises as `approve` does."""
    return _decided(conn, _decidable(conn, refund_id, by), "rejected", by.actor, why, now)


def cancel(conn: Connection, refund_id: str, by: Party, now: datetime, *, why: str | None = None) -> Refund:
    """Withdraw a refund that was not sent yet: by who asked for it, or by a person who may approve.

    Raises NotFound, Forbidden and WrongRefundState."""
    refund, payment = get(conn, refund_id, by.outlets)
    is_own = by.actor.who == refund.requested_by
    _require(conn, payment, by, REQUEST if is_own else APPROVE)
    if refund.status not in UNSENT:
        raise WrongRefundState(
            f"The refund is {refund.status}; only one that was not sent can be withdrawn.", refund.status
        )
    return _decided(conn, refund, "cancelled", by.actor, why or "withdrawn", now)


def resolve(conn: Connection, refund_id: str, by: Party, now: datetime, *, outcome: Status, why: str) -> Decision:
    """Say how a stuck refund ended, for a reason that others can check. The first who says so proposes it; another who
    says the same makes it so. Raises NotFound, Forbidden, SelfApproval and WrongRefundState."""
    refund, payment = get(conn, refund_id, by.outlets)
    _require(conn, payment, by, APPROVE)
    if refund.status not in SENT:
        raise WrongRefundState(f"The refund is {refund.status}; its outcome is not in doubt.", refund.status)
    last = next(reversed(refunds.decisions(conn, refund.id)), None)
    if last is not None and last.decision == "resolved":
        raise WrongRefundState("It is resolved already.", refund.status)
    agrees = last is not None and last.decision == "proposed" and last.outcome is outcome
    if agrees and last is not None and last.by == by.actor.who:
        _refuse_own("Another person has to confirm what you proposed.", refund, by)
    word = "resolved" if agrees else "proposed"
    decision = Decision(
        refund_id=refund.id,
        decision=word,
        by=by.actor.who,
        content_hash=refund.content_hash,
        why=why,
        at=now,
        outcome=outcome,
    )
    refunds.decide(conn, decision)
    after = replace(refund, next_try_at=now, updated_at=now) if agrees else refund
    refunds.save(conn, after)
    _note(conn, by.actor, word, refund, after, why, now, outcome=outcome)
    return decision


def get(conn: Connection, refund_id: str, outlets: Outlets) -> tuple[Refund, Payment]:
    """The refund and its payment. Raises NotFound, also when it is of an outlet out of reach."""
    refund = refunds.get(conn, refund_id)
    payment = payments.get(conn, refund.payment_id) if refund is not None else None
    if refund is None or payment is None or not reaches(outlets, payment.outlet):
        raise NotFound("There is no such refund.")
    return refund, payment


def note_refused(conn: Connection, refused: SelfApproval, now: datetime) -> None:
    """Write down that somebody tried to decide about their own request: in a transaction of its own, since nothing of
    the one that was refused is stored."""
    actor = Actor(refused.who, refused.source)
    audit_log.add(conn, actor, "refund.self_approval_refused", now, what=refused.refund_id, why=str(refused))


def _decidable(conn: Connection, refund_id: str, by: Party) -> Refund:
    """The refund that waits for a decision this person may make."""
    refund, payment = get(conn, refund_id, by.outlets)
    _require(conn, payment, by, APPROVE)
    if by.actor.who == refund.requested_by:
        _refuse_own("Another person has to decide about what you asked for.", refund, by)
    if refund.status is not Status.REQUESTED:
        raise WrongRefundState(f"The refund is {refund.status}; it does not wait for a decision.", refund.status)
    return refund


def _refuse_own(text: str, refund: Refund, by: Party) -> None:
    raise SelfApproval(text, refund.id, by.actor.who, by.actor.source)


def _require(conn: Connection, payment: Payment, by: Party, permission: str) -> None:
    """Raise Unauthorized when the key was ended a moment ago, and Forbidden unless this person may now; a machine never
    decides."""
    if by.api_key_id is not None and not api_keys.is_live(conn, by.api_key_id):
        raise Unauthorized("The API key was revoked.")
    if by.user_id is None:
        if permission == APPROVE:
            raise Forbidden("Only a person can decide about a refund: use an API key that acts for one.")
    elif not is_entitled(users.get(conn, by.user_id), payment, permission):
        raise Forbidden(f"This needs the permission {permission} at the outlet {payment.outlet}.")


def is_entitled(user: User | None, payment: Payment, permission: str) -> bool:
    """Whether this person, as they are now, has this permission where the payment was made."""
    if user is None or user.disabled_at is not None:
        return False
    return may(user.role, permission) and reaches(user.outlets, payment.outlet)


# What every decision leaves behind

_AFTER: Final = {
    "approved": Status.APPROVED,
    "rejected": Status.REJECTED,
    "cancelled": Status.CANCELLED,
    "expired": Status.EXPIRED,
}


def _decided(conn: Connection, refund: Refund, word: str, by: Actor, why: str, now: datetime) -> Refund:
    status = _AFTER[word]
    decision = Decision(
        refund_id=refund.id, decision=word, by=by.who, content_hash=rules.content_hash(refund), why=why, at=now
    )
    refunds.decide(conn, decision)
    if status is Status.APPROVED:
        refunds.save(conn, replace(refund, status=status, expires_at=None, next_try_at=now, updated_at=now))
    else:
        ledger.add(conn, [fail(conn, refund, why, now, status)], now)
    after = refunds.get(conn, refund.id)
    assert after is not None, "refunds are never deleted"
    _note(conn, by, word, refund, after, why, now)
    return after


def void(conn: Connection, refund: Refund, why: str, terms: Terms, now: datetime) -> None:
    """Take back an approval that no longer counts: the refund waits for another one."""
    decision = Decision(
        refund_id=refund.id, decision="voided", by=CLOCK, content_hash=rules.content_hash(refund), why=why, at=now
    )
    refunds.decide(conn, decision)
    expires_at = now + terms.approval_expires_in
    after = replace(
        refund, status=Status.REQUESTED, detail=why, next_try_at=None, expires_at=expires_at, updated_at=now
    )
    refunds.save(conn, after)
    _note(conn, Actor(CLOCK), "voided", refund, after, why, now)


def why_void(conn: Connection, refund: Refund, payment: Payment, terms: Terms) -> str | None:
    """Why the approval of this refund does not count any more, as things are now; None while it does."""
    approval = next((one for one in reversed(refunds.decisions(conn, refund.id)) if one.decision == "approved"), None)
    if approval is None:
        return "nobody approved it"
    if approval.content_hash != rules.content_hash(refund):
        return "its content was changed after it was approved"
    if approval.by == POLICY:
        return None if _given_with(conn, refund) <= terms.approval_above else "it needs approval now"
    if not is_entitled(users.get(conn, approval.by), payment, APPROVE):
        return "who approved it may not any longer"
    return None


def _given_with(conn: Connection, refund: Refund) -> int:
    """Rupiah of this refund and of those of its payment before it that are given back or promised: what the policy
    was asked about."""
    total = 0
    for one in refunds.of_payment(conn, refund.payment_id):
        total += one.amount if one.status in OPEN or one.status is Status.DONE else 0
        if one.id == refund.id:
            break
    return total


def expire(conn: Connection, now: datetime, limit: int) -> int:
    """End at most `limit` refunds that nobody approved in time; how many there were."""
    late = refunds.too_late(conn, now, limit)
    for refund in late:
        _decided(conn, refund, "expired", Actor(CLOCK), "nobody approved it in time", now)
    return len(late)


def _note(
    conn: Connection,
    by: Actor,
    word: str,
    before: Refund | None,
    after: Refund,
    why: str | None,
    now: datetime,
    **more: Any,
) -> None:
    """The rows of the audit log and of the payment's log about what was done to a refund."""
    was = None if before is None else {"status": before.status}
    facts = {
        "status": after.status,
        "payment": after.payment_id,
        "amount": after.amount,
        "method": after.method,
        "content_hash": after.content_hash,
        **more,
    }
    audit_log.add(conn, by, f"refund.{word}", now, what=after.id, before=was, after=facts, why=why)
    told = {"refund": after.id, "status": after.status, "amount": after.amount, "method": after.method, "by": by.who}
    payment_logs.add(conn, after.payment_id, f"REFUND_{word.upper()}", {**told, "why": why, **more}, now)
