"""How often one cashier may do what the till offers."""

from __future__ import annotations

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from qrisd.domain.errors import RateLimited


class PersonLimit:
    """One rate, like "10/minute", counted for each person."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def wait_s(self, person_id: str) -> int | None:
        """Count one; the seconds this person has to wait when it was one too many, else None."""
        if self._limiter.hit(self._rate, person_id):
            return None
        window = self._limiter.get_window_stats(self._rate, person_id)
        return max(1, math.ceil(window.reset_time - time.time()))

    def count(self, person_id: str) -> None:
        """Count one. Raises RateLimited when it was one too many."""
        wait_s = self.wait_s(person_id)
        if wait_s is not None:
            raise RateLimited(f"That was often; wait {wait_s} s.", wait_s)


class PosLimits:
    """The limits of `[pos]`, each a rate."""

    def __init__(self, *, create: str, check: str, cancel: str, test_connection: str) -> None:
        self.create = PersonLimit(create)
        self.check = PersonLimit(check)
        self.cancel = PersonLimit(cancel)
        self.test_connection = PersonLimit(test_connection)
