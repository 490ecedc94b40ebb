"""How often one and the same may do something: a person at the till, a stranger's address."""

from __future__ import annotations

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from qrisd.domain.errors import RateLimited


class Limit:
    """One rate, like "10/minute", counted for each who does it."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, who: str) -> None:
        """Count one. Raises RateLimited when it was one too many."""
        if not self._limiter.hit(self._rate, who):
            window = self._limiter.get_window_stats(self._rate, who)
            wait_s = max(1, math.ceil(window.reset_time - time.time()))
            raise RateLimited(f"That was often; wait {wait_s} s.", wait_s)


class PosLimits:
    """The limits of `[pos]`, each a rate."""

    def __init__(self, *, create: str, check: str, cancel: str, test_connection: str) -> None:
        self.create = Limit(create)
        self.check = Limit(check)
        self.cancel = Limit(cancel)
        self.test_connection = Limit(test_connection)
