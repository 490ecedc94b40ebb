"""Noticing whoever reads one moment of the database for long: until they end, the write-ahead log cannot be emptied."""

from __future__ import annotations

import time
from typing import Final

import structlog

from qrisd.store.db import Database

log = structlog.get_logger()

EVERY_S: Final = 10.0
LONG_S: Final = 30.0


class LongReaders:
    """Watches the write-ahead log. `tick()` is called by the scheduler."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._emptied = 0
        self._held_since: float | None = None
        self._is_told = False

    @property
    def held_s(self) -> float:
        """For how many seconds the log could not be emptied; 0 when it can be."""
        return 0.0 if self._held_since is None else time.monotonic() - self._held_since

    async def tick(self) -> None:
        """Empty the log as far as readers allow, and say so when one has been in the way for long."""
        before = self._emptied
        pages, self._emptied = await self._db.empty_log()
        if self._emptied >= pages:
            self._held_since, self._is_told = None, False
        elif self._held_since is None or self._emptied != before:
            self._held_since, self._is_told = time.monotonic(), False
        elif self.held_s >= LONG_S and not self._is_told:
            self._is_told = True
            log.warning("a long reader keeps the write-ahead log growing", seconds=round(self.held_s), pages=pages)
