"""Settlement reports and their lines."""

from __future__ import annotations

from typing import Final

from qrisd.store.verify.rules import Check, Rule

RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "settlement_posted",
        "What a settled line says was kept and handed over is in the ledger once, and nothing of a line that is not.",
        """SELECT s.id || ' of file ' || s.file_id || ', row ' || s.row_number FROM settlements s LEFT JOIN (
             SELECT settlement_id,
               sum(CASE kind WHEN 'fee' THEN amount WHEN 'fee_back' THEN -amount ELSE 0 END) AS fee,
               sum(CASE kind WHEN 'settled' THEN amount WHEN 'settled_back' THEN -amount ELSE 0 END) AS net_amount
             FROM ledger_entries WHERE settlement_id IS NOT NULL GROUP BY settlement_id) l ON l.settlement_id = s.id
           WHERE (coalesce(l.fee, 0), coalesce(l.net_amount, 0))
             != (iif(s.is_settled, s.fee, 0), iif(s.is_settled, s.net_amount, 0))
           UNION ALL SELECT DISTINCT 'ledger entry of settlement ' || settlement_id FROM ledger_entries
           WHERE settlement_id IS NOT NULL AND settlement_id NOT IN (SELECT id FROM settlements)""",
    ),
    # What belonged to no payment when it was booked may have been matched since.
    Rule(
        "settlement_booked",
        "Every ledger entry of a settlement line is of its provider and of its payment.",
        """SELECT 'entry ' || l.id || ' of settlement ' || s.id FROM ledger_entries l
           JOIN settlements s ON s.id = l.settlement_id
           WHERE 'receivable:' || s.provider NOT IN (l.debit_account, l.credit_account)
           OR (l.payment_id IS NOT NULL AND l.payment_id IS NOT s.payment_id)""",
    ),
    Rule(
        "settlement_net",
        "The net amount of a settlement line is its amount less its fee.",
        "SELECT id FROM settlements WHERE net_amount != amount - fee",
    ),
    Rule(
        "settlement_match",
        "A settlement line is about the payment of its attempt.",
        """SELECT s.id FROM settlements s LEFT JOIN attempts a ON a.id = s.attempt_id
           WHERE s.payment_id IS NOT a.payment_id""",
    ),
    Rule(
        "settlement_files",
        "The counts and sums of an imported report are those of the lines it brought.",
        """SELECT f.id FROM settlement_files f LEFT JOIN (
             SELECT file_id, count(*) AS lines, sum(amount) AS amount, sum(fee) AS fee, sum(net_amount) AS net_amount
             FROM (SELECT file_id, amount, fee, net_amount FROM settlements
                   UNION ALL SELECT file_id, amount, fee, net_amount FROM settlement_changes)
             GROUP BY file_id) l ON l.file_id = f.id
           WHERE (f.lines, f.amount, f.fee, f.net_amount) IS NOT
             (coalesce(l.lines, 0), coalesce(l.amount, 0), coalesce(l.fee, 0), coalesce(l.net_amount, 0))""",
    ),
)
