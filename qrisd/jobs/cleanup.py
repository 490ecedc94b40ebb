"""Forgets what need not be remembered any longer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from qrisd.store import idempotency
from qrisd.store.db import Database

EVERY_S: Final = 600.0
KEEP_KEYS: Final = timedelta(hours=48)
BATCH: Final = 1000


class Cleanup:
    """Drops idempotency keys older than two days, a bounded batch at a time."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock

    async def run(self) -> None:
        old = self._clock() - KEEP_KEYS
        while await self._db.write(lambda conn: idempotency.forget_before(conn, old, BATCH)) == BATCH:
            pass
