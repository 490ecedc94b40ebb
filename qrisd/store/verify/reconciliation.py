"""What people said about a day: what arrived at the bank, and what became of its differences."""

from __future__ import annotations

from typing import Final

from qrisd.store.verify.rules import Check, Rule

_ACTIONS: Final = "('reconciliation.note', 'reconciliation.resolve', 'reconciliation.reopen')"

RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "payout_entered",
        "What was seen at the bank is what the audit log says was entered last.",
        """SELECT p.provider || ' ' || p.day FROM payouts p WHERE p.amount !=
             (SELECT a.after ->> 'amount' FROM audit_log a WHERE a.what = p.provider || ' ' || p.day
              AND a.action = 'payout.enter' ORDER BY a.id DESC LIMIT 1)
           UNION ALL SELECT DISTINCT what || ' is gone' FROM audit_log WHERE action = 'payout.enter'
           AND what NOT IN (SELECT provider || ' ' || day FROM payouts)""",
    ),
    Rule(
        "exception_noted",
        "Whatever is resolved, noted or looked after is so by the last row of the audit log about it.",
        f"""SELECT e.id FROM reconciliation_exceptions e LEFT JOIN audit_log a ON a.id =
              (SELECT max(b.id) FROM audit_log b WHERE b.what = e.id AND b.action IN {_ACTIONS})
            WHERE (e.note, e.owner) IS NOT (a.after ->> 'note', a.after ->> 'owner')
            OR (e.status = 'RESOLVED' AND a.after ->> 'status' IS NOT 'RESOLVED')
            UNION ALL SELECT DISTINCT what || ' is gone' FROM audit_log WHERE action IN {_ACTIONS}
            AND what NOT IN (SELECT id FROM reconciliation_exceptions)""",
    ),
)
