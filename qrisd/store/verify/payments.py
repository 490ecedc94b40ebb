"""Payments and their attempts: amounts, states, QRs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qrisd.domain.qr_check import qr_problem
from qrisd.store.db import Connection
from qrisd.store.verify.rules import MONEY, Check, Rule


def _unreadable_qrs(conn: Connection) -> Iterator[str]:
    """Only QRs that can be paid now: those of closed payments were checked when they were shown."""
    rows = conn.execute(
        "SELECT p.id, p.qris_payload, a.amount FROM payments p "
        "JOIN attempts a ON a.payment_id = p.id AND a.number = p.attempt WHERE p.status = 'PENDING'"
    )
    for payment_id, payload, amount in rows:
        problem = qr_problem(payload or "", amount, None)
        if problem is not None:
            yield f"{payment_id} {problem}"


RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "amount_paid",
        "A payment's amount_paid is the sum of what its attempts received.",
        """SELECT p.id FROM payments p WHERE p.amount_paid !=
           (SELECT coalesce(sum(a.amount_paid), 0) FROM attempts a WHERE a.payment_id = p.id)""",
    ),
    Rule(
        "paid_status",
        "A payment counts as paid exactly when one of its attempts received its whole amount.",
        f"""SELECT p.id FROM payments p WHERE (p.status IN {MONEY}) !=
            EXISTS (SELECT 1 FROM attempts a WHERE a.payment_id = p.id AND a.amount_paid >= a.amount)""",
    ),
    Rule(
        "paid_at",
        "A payment has paid_at exactly when it counts as paid.",
        f"SELECT id FROM payments WHERE (status IN {MONEY}) != (paid_at IS NOT NULL)",
    ),
    Rule(
        "attempt_paid",
        "An attempt is PAID exactly when it received its whole amount.",
        """SELECT payment_id || ' attempt ' || number FROM attempts
           WHERE (status = 'PAID') != (amount_paid >= amount)""",
    ),
    Rule(
        "exception",
        "The exception says what the amounts say: underpaid is unpaid with money, every other one is paid.",
        f"""SELECT id FROM payments
            WHERE (status NOT IN {MONEY} AND amount_paid > 0) != (exception IS 'underpaid')
            OR (exception IN ('late', 'after_cancel', 'overpaid', 'duplicate') AND status NOT IN {MONEY})
            OR (exception IS 'overpaid' AND amount_paid <= amount)""",
    ),
    Rule(
        "duplicate",
        "A payment is marked duplicate only when two attempts received money.",
        """SELECT p.id FROM payments p WHERE p.exception = 'duplicate' AND
           (SELECT count(*) FROM attempts a WHERE a.payment_id = p.id AND a.amount_paid > 0) < 2""",
    ),
    Rule(
        "refunds",
        "Refunds never exceed what was paid, and the status of a paid payment says how much went back.",
        f"""SELECT id FROM payments WHERE amount_refunded NOT BETWEEN 0 AND amount_paid
            OR (status IN {MONEY} AND (amount_refunded > 0) != (status != 'PAID'))
            OR (status = 'PARTIALLY_REFUNDED' AND amount_refunded = amount_paid)
            OR (status = 'REFUNDED' AND amount_refunded < amount_paid
                AND coalesce(exception, '') NOT IN ('overpaid', 'duplicate'))""",
    ),
    # The log of a payment's making says what its first attempt asked for.
    Rule(
        "attempt_amount",
        "An attempt asks for its payment's amount or a few rupiah more, as it did when it was made.",
        """SELECT a.payment_id || ' attempt ' || a.number FROM attempts a JOIN payments p ON p.id = a.payment_id
           WHERE a.amount < p.amount OR (a.number = p.attempt AND a.amount != p.amount_due)
           OR (a.number = 1 AND a.amount != (SELECT l.payload ->> 'amount' FROM payment_logs l
                                             WHERE l.payment_id = p.id AND l.event = 'CREATED'))""",
    ),
    Rule(
        "attempts",
        "A payment's attempts are numbered 1 to its present one.",
        """SELECT p.id FROM payments p LEFT JOIN attempts a ON a.payment_id = p.id GROUP BY p.id
           HAVING count(a.id) != p.attempt OR min(a.number) IS NOT 1 OR max(a.number) IS NOT p.attempt""",
    ),
    Rule(
        "open_attempt",
        "While a payment is open, its present attempt stands where it stands.",
        """SELECT p.id FROM payments p JOIN attempts a ON a.payment_id = p.id AND a.number = p.attempt
           WHERE p.status IN ('CREATED', 'PENDING') AND a.status != p.status""",
    ),
    Rule(
        "watched",
        "Every open attempt has a time when it is looked at next.",
        """SELECT payment_id || ' attempt ' || number FROM attempts
           WHERE status IN ('CREATED', 'PENDING') AND next_check_at IS NULL""",
    ),
    Rule(
        "idempotency",
        "Every idempotency key belongs to a payment.",
        """SELECT k.api_key_id || ' ' || k.key FROM idempotency_keys k LEFT JOIN payments p ON p.id = k.payment_id
           WHERE p.id IS NULL""",
    ),
    Rule(
        "unknown_outcome",
        "No provider's answer has been missing for more than an hour: look at the provider, it may hold a live QR.",
        """SELECT payment_id || ' attempt ' || number || ' at ' || provider FROM attempts
           WHERE status = 'CREATED' AND created_at < :overdue""",
    ),
    Check("qr", "Every QR that can be paid now is whole and asks for its attempt's amount.", _unreadable_qrs),
)
