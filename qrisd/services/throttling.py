"""Counting tries before they are made, so that many at once gain nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from qrisd.domain.errors import RateLimited
from qrisd.domain.throttle import FORGET_AFTER, Rule
from qrisd.services.tokens import hashed
from qrisd.store import sign_in_failures
from qrisd.store.db import Connection
from qrisd.store.sign_in_failures import Failures


def take(conn: Connection, tries: Mapping[str, Rule], now: datetime) -> None:
    """Count one try for each of these; `forgive` takes it back when it succeeds. Raises RateLimited, counting nothing,
    while one of them has to wait."""
    present = {who: _present(conn, hashed(who), now) for who in tries}
    wait = max(one.blocked_until - now for one in present.values())
    if wait > timedelta(0):
        seconds = math.ceil(wait.total_seconds())
        raise RateLimited(f"Too many tries in vain; wait {seconds} s.", seconds)
    for who, rule in tries.items():
        count = present[who].count + 1
        sign_in_failures.put(conn, hashed(who), Failures(count, now + rule.wait(count), now))


def _present(conn: Connection, who: str, now: datetime) -> Failures:
    found = sign_in_failures.get(conn, who)
    fresh = found is not None and now - found.last_at < FORGET_AFTER
    return found if found is not None and fresh else Failures(0, now, now)


def forgive(conn: Connection, who: str) -> None:
    """It was them: forget every try."""
    sign_in_failures.drop(conn, hashed(who))


def give_back(conn: Connection, who: str, rule: Rule) -> None:
    """That one try was none in vain."""
    found = sign_in_failures.get(conn, hashed(who))
    if found is not None:
        count = max(0, found.count - 1)
        until = found.last_at + rule.wait(count)
        sign_in_failures.put(conn, hashed(who), replace(found, count=count, blocked_until=until))
