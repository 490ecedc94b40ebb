"""Forgets what need not be remembered any longer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from qrisd.domain.throttle import FORGET_AFTER
from qrisd.store import idempotency, sessions, sign_in_failures
from qrisd.store.db import Connection, Database

EVERY_S: Final = 600.0
KEEP_KEYS: Final = timedelta(hours=48)
KEEP_SESSIONS: Final = timedelta(days=30)
BATCH: Final = 1000
_KEPT: Final[tuple[tuple[Callable[[Connection, datetime, int], int], timedelta], ...]] = (
    (idempotency.forget_before, KEEP_KEYS),
    (sessions.forget_before, KEEP_SESSIONS),
    (sign_in_failures.forget_before, FORGET_AFTER),
)


class Cleanup:
    """Drops old idempotency keys, sessions and tries to sign in, a bounded batch at a time."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock

    async def run(self) -> None:
        for forget, age in _KEPT:
            await self._forget(forget, self._clock() - age)

    async def _forget(self, forget: Callable[[Connection, datetime, int], int], before: datetime) -> None:
        while await self._db.write(lambda conn: forget(conn, before, BATCH)) == BATCH:
            pass
