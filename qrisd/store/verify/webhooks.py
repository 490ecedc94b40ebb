"""What providers told us."""

from __future__ import annotations

from typing import Final

from qrisd.store.verify.rules import Check, Rule

RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "webhook_done",
        "A webhook event has processed_at exactly when nothing is left to do about it.",
        "SELECT id FROM webhook_events WHERE (status = 'PENDING') != (processed_at IS NULL)",
    ),
    Rule(
        "webhook_waiting",
        "No webhook has waited more than an hour for its provider to confirm it.",
        "SELECT id FROM webhook_events WHERE status = 'PENDING' AND received_at < :overdue",
    ),
)
