"""What is told to the outside: events, and the callbacks that carry them."""

from __future__ import annotations

from typing import Final

from qrisd.store.verify.rules import MONEY, Check, Rule

RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "events",
        "A payment's events are numbered 1 to its sequence, without a gap.",
        """SELECT p.id FROM payments p LEFT JOIN events e ON e.payment_id = p.id GROUP BY p.id
           HAVING count(e.id) != p.sequence OR coalesce(min(e.sequence), 1) != 1
           OR coalesce(max(e.sequence), 0) != p.sequence""",
    ),
    Rule(
        "event_body",
        "An event's body says its own type, sequence and payment.",
        """SELECT payment_id || ' event ' || sequence FROM events WHERE NOT json_valid(body)
           OR body ->> '$.type' IS NOT type OR body ->> '$.sequence' IS NOT sequence
           OR body ->> '$.data.id' IS NOT payment_id""",
    ),
    Rule(
        "event_payment",
        "Every event tells its payment's order id and amount, and when it was paid.",
        """SELECT e.payment_id || ' event ' || e.sequence FROM events e JOIN payments p ON p.id = e.payment_id
           WHERE e.body ->> '$.data.order_id' IS NOT p.order_id OR e.body ->> '$.data.amount' IS NOT p.amount
           OR coalesce(e.body ->> '$.data.paid_at', p.paid_at) IS NOT p.paid_at""",
    ),
    Rule(
        "paid_event",
        "A payment has one payment.paid event when it is paid, and none when it is not.",
        f"""SELECT p.id FROM payments p WHERE (p.status IN {MONEY}) !=
            (SELECT count(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.paid')""",
    ),
    Rule(
        "status_event",
        "A payment's present status was told by an event.",
        """SELECT p.id FROM payments p WHERE p.status != 'CREATED' AND NOT EXISTS
           (SELECT 1 FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.' || lower(p.status))""",
    ),
    Rule(
        "exception_event",
        "A payment's exception was told by an event.",
        """SELECT p.id FROM payments p WHERE p.exception IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.exception'
            AND e.body ->> '$.data.exception' = p.exception)""",
    ),
    Rule(
        "callbacks",
        "Every event of a payment with a callback_url has one callback, to that URL, and no other event has any.",
        """SELECT e.payment_id || ' event ' || e.sequence FROM events e JOIN payments p ON p.id = e.payment_id
           LEFT JOIN callbacks c ON c.event_id = e.id
           WHERE p.callback_url IS NOT c.url OR (c.id IS NOT NULL AND c.payment_id IS NOT e.payment_id)""",
    ),
    Rule(
        "callback_done",
        "A DELIVERED callback has a try that was answered with 2xx.",
        """SELECT c.id FROM callbacks c WHERE c.status = 'DELIVERED' AND NOT EXISTS (SELECT 1 FROM callback_tries t
           WHERE t.callback_id = c.id AND t.status_code BETWEEN 200 AND 299)""",
    ),
    Rule(
        "callback_reason",
        "A callback that was given up, or tried and not delivered, says why.",
        "SELECT id FROM callbacks WHERE reason IS NULL AND (status = 'DEAD' OR (status = 'WAITING' AND tries > 0))",
    ),
    Rule(
        "callback_waiting",
        "No callback has been due for more than an hour, unless its receiver is in trouble.",
        """SELECT id FROM callbacks WHERE status = 'WAITING' AND next_try_at < :overdue
           AND endpoint NOT IN (SELECT url FROM callback_endpoints)""",
    ),
)
