"""A few rupiah more, so that the amount alone tells which payment was paid."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

MOST: Final = 999


def pick(amount: int, taken: Collection[int], dice: int) -> int | None:
    """An amount 1 to 999 rupiah above `amount` that is not in `taken`, chosen by `dice` (any whole number); None when
    all are taken."""
    free = [amount + extra for extra in range(1, MOST + 1) if amount + extra not in taken]
    return free[dice % len(free)] if free else None
