"""Every rule, and the rows that break it, read at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from qrisd.store.db import Connection
from qrisd.store.verify import (
    database,
    events,
    history,
    ledger,
    payments,
    reconciliation,
    refunds,
    settlements,
    webhooks,
)

OFFENDERS_MAX: Final = 100
RULES: Final = (
    *payments.RULES,
    *history.RULES,
    *events.RULES,
    *webhooks.RULES,
    *refunds.RULES,
    *ledger.RULES,
    *settlements.RULES,
    *reconciliation.RULES,
    *database.RULES,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule with at most OFFENDERS_MAX of those that break it."""

    rule: str
    says: str
    is_warning: bool
    offenders: tuple[str, ...]


def violations(conn: Connection, now: datetime | None = None) -> list[Finding]:
    """The rules that do not hold, each with its offenders. Without `now` nothing is judged by its age."""
    return [finding for finding in findings(conn, now) if finding.offenders]


def findings(conn: Connection, now: datetime | None = None) -> Iterator[Finding]:
    """Every rule with its offenders, read in one transaction; changes nothing."""
    with _one_moment(conn):
        for rule in RULES:
            if now is not None or not rule.is_warning:
                yield Finding(rule.name, rule.says, rule.is_warning, _first(rule.offenders(conn, now)))


@contextmanager
def _one_moment(conn: Connection) -> Iterator[None]:
    conn.execute("BEGIN")
    try:
        yield
    finally:
        conn.execute("ROLLBACK")


def _first(offenders: Iterator[str]) -> tuple[str, ...]:
    """At most OFFENDERS_MAX of them. What damage or a foreign hand makes unreadable is itself an offence."""
    try:
        return tuple(islice(offenders, OFFENDERS_MAX))
    except (sqlite3.DatabaseError, ValueError) as error:
        return (f"cannot be checked: {error}",)
