"""The ledger: that it says what the payments, the refunds and the settlement lines say."""

from __future__ import annotations

from typing import Final

from qrisd.store.verify.rules import MONEY, Check, Rule

RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "ledger_paid",
        "A payment has one entry of its sale in the ledger exactly when it counts as paid.",
        f"""SELECT p.id FROM payments p WHERE (p.status IN {MONEY}) !=
            (SELECT count(*) FROM ledger_entries l WHERE l.payment_id = p.id AND l.kind = 'paid')""",
    ),
    Rule(
        "ledger_arrived",
        "What the ledger says came in for a payment is what its attempts received, for each provider.",
        """SELECT DISTINCT payment_id FROM (
             SELECT payment_id, 'receivable:' || provider AS account, amount_paid AS amount
             FROM attempts WHERE amount_paid > 0
             UNION ALL SELECT payment_id, debit_account, -amount FROM ledger_entries
             WHERE kind IN ('paid', 'underpaid', 'overpaid') AND debit_account != 'unapplied'
             AND payment_id IS NOT NULL)
           GROUP BY payment_id, account HAVING sum(amount) != 0""",
    ),
    Rule(
        "ledger_sale",
        "A sale in the ledger is of what an attempt at that provider asked for and received.",
        """SELECT coalesce(l.payment_id, 'entry ' || l.id) FROM ledger_entries l WHERE l.kind = 'paid' AND NOT EXISTS
           (SELECT 1 FROM attempts a WHERE a.payment_id = l.payment_id AND a.amount_paid >= a.amount
            AND 'receivable:' || a.provider = l.debit_account AND a.amount = l.amount +
              (SELECT coalesce(sum(b.amount), 0) FROM ledger_entries b
               WHERE b.payment_id = l.payment_id AND b.kind = 'applied'))""",
    ),
    Rule(
        "ledger_paid_at",
        "A sale in the ledger happened when its payment was paid.",
        """SELECT p.id FROM ledger_entries l JOIN payments p ON p.id = l.payment_id
           WHERE l.kind = 'paid' AND l.happened_at IS NOT p.paid_at""",
    ),
    Rule(
        "ledger_names",
        "Every entry of the ledger names the payment, the refund or the settlement line it is of, an adjustment none.",
        """SELECT 'entry ' || id FROM ledger_entries WHERE CASE
             WHEN kind = 'adjusted' THEN coalesce(payment_id, refund_id, settlement_id) IS NOT NULL
             WHEN kind IN ('refund_reserved', 'refund_released', 'refund_done')
             THEN payment_id IS NULL OR refund_id IS NULL OR settlement_id IS NOT NULL
             WHEN kind IN ('fee', 'fee_back', 'settled', 'settled_back')
             THEN settlement_id IS NULL OR refund_id IS NOT NULL
             WHEN kind = 'refunded_there' THEN payment_id IS NULL OR settlement_id IS NOT NULL
             ELSE payment_id IS NULL OR coalesce(refund_id, settlement_id) IS NOT NULL END""",
    ),
    Rule(
        "ledger_refund",
        "Every entry of a refund finds it, and is of its payment.",
        """SELECT 'entry ' || l.id || ' of refund ' || l.refund_id FROM ledger_entries l
           LEFT JOIN refunds r ON r.id = l.refund_id
           WHERE l.refund_id IS NOT NULL AND r.payment_id IS NOT l.payment_id""",
    ),
    Rule(
        "ledger_adjusted",
        "Every adjustment in the ledger has its row in the audit log, and every such row its adjustment.",
        """SELECT iif(sum(count) > 0, 'not in the audit log: ', 'not in the ledger: ')
             || at || ' ' || debit || ' <- ' || credit || ' ' || amount FROM (
             SELECT created_at AS at, debit_account AS debit, credit_account AS credit, amount, reason AS why,
               1 AS count FROM ledger_entries WHERE kind = 'adjusted'
             UNION ALL SELECT at, after ->> 'debit', after ->> 'credit', after ->> 'amount', why, -1 FROM audit_log
             WHERE action = 'ledger.adjust')
           GROUP BY at, debit, credit, amount, why HAVING sum(count) != 0""",
    ),
    # An insert that is undone leaves its id to the next one.
    Rule(
        "ledger_ids",
        "The entries of the ledger are numbered from 1, without a gap.",
        """SELECT CASE WHEN id < 1 THEN 'entry ' || id || ' stands before the first'
             WHEN before + 2 = id THEN 'entry ' || (id - 1) || ' is missing'
             ELSE 'entries ' || (before + 1) || ' to ' || (id - 1) || ' are missing' END
           FROM (SELECT id, max(lag(id, 1, 0) OVER (ORDER BY id), 0) AS before FROM ledger_entries)
           WHERE id != before + 1""",
    ),
    Rule(
        "ledger_accounts",
        "No account of the ledger is below zero, but for what providers owe, bank, cash and fees.",
        """SELECT account FROM (
             SELECT debit_account AS account, amount FROM ledger_entries
             UNION ALL SELECT credit_account, -amount FROM ledger_entries)
           WHERE account NOT GLOB 'receivable:*' AND account NOT IN ('bank', 'cash', 'fees') GROUP BY account
           HAVING iif(account = 'refunds', sum(amount), -sum(amount)) < 0""",
    ),
)
