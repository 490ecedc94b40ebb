"""How long somebody must wait after trying in vain. Nobody is locked out for good: every wait ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

FORGET_AFTER: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Rule:
    """`free` tries, then a wait that doubles from `first` up to `longest`."""

    free: int
    first: timedelta
    longest: timedelta

    def wait(self, failures: int) -> timedelta:
        """The wait after so many tries in vain."""
        if failures < self.free:
            return timedelta(0)
        doublings = min(failures - self.free, 20)
        return min(self.first * (1 << doublings), self.longest)


# Hard enough for a PIN of four digits (24 tries a day at the most), and the same for everybody: how long one has to
# wait must not tell who is a cashier, or who is anybody at all.
ACCOUNT: Final = Rule(5, timedelta(seconds=30), timedelta(hours=1))
# Many people may sit behind the one address of a shop.
SOURCE: Final = Rule(20, timedelta(seconds=60), timedelta(minutes=15))
CODE: Final = Rule(5, timedelta(seconds=60), timedelta(hours=1))
