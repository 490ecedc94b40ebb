"""What people do about the differences that were found: note, look after, resolve, open again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from qrisd.domain.errors import FieldError, Invalid, NotFound, WrongState
from qrisd.domain.money import rupiah
from qrisd.domain.reconciliation import Finding, FindingStatus
from qrisd.store import audit_log, findings, payouts
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection

ABSENT = "There is no such exception."


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody does: `note` and `owner` replace what there was; None leaves it. To resolve or to open again needs
    a reason, which becomes the note where none is given."""

    note: str | None = None
    owner: str | None = None
    action: Literal["resolve", "reopen"] | None = None
    reason: str | None = None


def act(conn: Connection, finding_id: str, what: Act, by: Actor, now: datetime) -> Finding:
    """Do it, and write it into the audit log. Raises NotFound, Invalid without a reason, and WrongState when the
    exception is not one that can be resolved or opened again."""
    before = findings.get(conn, finding_id)
    if before is None:
        raise NotFound(ABSENT)
    if what.action is not None and not (what.reason or "").strip():
        raise Invalid(FieldError("reason", "Say why, for whoever reads it later."))
    after = replace(
        before,
        status=_status(before, what.action),
        note=what.note if what.note is not None else what.reason or before.note,
        owner=what.owner if what.owner is not None else before.owner,
    )
    if after != before:
        findings.save(conn, after, now)
        action = f"reconciliation.{what.action or 'note'}"
        audit_log.add(
            conn, by, action, now, what=finding_id, before=_facts(before), after=_facts(after), why=what.reason
        )
    return after


def _status(finding: Finding, action: str | None) -> FindingStatus:
    if action is None:
        return finding.status
    start, end = FindingStatus.OPEN, FindingStatus.RESOLVED
    if action == "reopen":
        start, end = end, start
    if finding.status not in (start, end):
        stands = "put right by itself" if finding.status is FindingStatus.HEALED else "gone by itself"
        raise WrongState(f"This exception is {stands}; there is nothing to {action}.", finding.status)
    return end


def _facts(finding: Finding) -> dict[str, str | None]:
    return {"status": finding.status, "note": finding.note, "owner": finding.owner}


def enter_payout(
    conn: Connection, provider: str, day: date, amount: int, by: Actor, now: datetime, why: str | None = None
) -> None:
    """Store what somebody saw arrive at the bank of this provider's payout; reconciling that day compares it. What was
    entered already changes nothing; another amount needs a reason. Raises Invalid without one."""
    entered = payouts.of_day(conn, day).get(provider)
    if entered == amount:
        return
    why = (why or "").strip() or None
    if entered is not None and why is None:
        raise Invalid(FieldError("reason", f"{rupiah(entered)} was entered before; say why it changes."))
    payouts.save(conn, provider, day, amount, by.who, now)
    before = None if entered is None else {"amount": entered}
    audit_log.add(
        conn, by, "payout.enter", now, what=f"{provider} {day}", before=before, after={"amount": amount}, why=why
    )
