"""Whether we are fit to serve: database, scheduler, disk and clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from qrisd.domain.errors import QrisdError
from qrisd.store import attempts, heartbeat, payments
from qrisd.store.db import Database

log = structlog.get_logger()

MIB: Final = 1024 * 1024
LITTLE_ROOM_BYTES: Final = 500 * MIB
NO_ROOM_BYTES: Final = 24 * MIB  # kept free for webhooks, which bring money, when new payments are refused
STALLED_AFTER_S: Final = 30.0
JUMP_S: Final = 30.0
DISTRUST_S: Final = 300.0
PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
PLAUSIBLE_TO: Final = datetime(2090, 1, 1, tzinfo=UTC)


def clock_problem(now: datetime) -> str | None:
    """Why the wall clock cannot be right, or None."""
    if PLAUSIBLE_FROM <= now < PLAUSIBLE_TO:
        return None
    return f"the clock says {now:%Y-%m-%d %H:%M} UTC, which cannot be; set the date and time (timedatectl set-ntp true)"


class Health:
    """Watches what everything else stands on. `tick()` is called every second by the scheduler."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock
        self._ticked_at: float | None = None
        self._offset_s: float | None = None
        self._distrust_until = 0.0
        self._went_back = False
        self._free_bytes: int | None = None

    async def tick(self) -> None:
        """Note that the scheduler lives, how the clock runs and how much room the disk has.

        When the clock went back, every next look lies too far ahead: all open attempts are then looked at anew."""
        now = time.monotonic()
        self._ticked_at = now
        self._watch_clock(now)
        self._watch_disk()
        if self._went_back:
            wall_now = self._clock()
            await self._db.write(lambda conn: attempts.look_at_all(conn, wall_now))
            self._went_back = False

    def _watch_clock(self, now: float) -> None:
        """A jump shows as a change between the wall clock and the monotonic one."""
        offset_s = self._clock().timestamp() - now
        before, self._offset_s = self._offset_s, offset_s
        if before is not None and abs(offset_s - before) > JUMP_S:
            self._distrust_until = now + DISTRUST_S
            self._went_back |= offset_s < before
            log.warning("the clock jumped", by_s=round(offset_s - before))

    def _watch_disk(self) -> None:
        before, self._free_bytes = self._free_bytes, self._db.free_bytes()
        crossed = before is None or (before < LITTLE_ROOM_BYTES) != (self._free_bytes < LITTLE_ROOM_BYTES)
        if crossed and self._free_bytes < LITTLE_ROOM_BYTES:
            log.warning("the disk is nearly full", free_mib=self._free_bytes // MIB)

    def clock_is_trusted(self) -> bool:
        """False for some minutes after the clock jumped: nothing may then be closed because of the time alone."""
        now = time.monotonic()
        self._watch_clock(now)  # it may have jumped since the last tick
        return now >= self._distrust_until

    def has_room(self) -> bool:
        """True while the disk may take another payment."""
        return self._free_bytes is None or self._free_bytes >= NO_ROOM_BYTES

    async def problems(self) -> Mapping[str, str]:
        """Why we are not ready, by part; empty when we are."""
        found = {"database": await self._database_problem(), "scheduler": self._scheduler_problem()}
        found["disk"] = None if self.has_room() else "nearly full: no new payments are taken until there is room"
        found["clock"] = clock_problem(self._clock()) or await self._clock_behind()
        return {part: problem for part, problem in found.items() if problem is not None}

    async def _database_problem(self) -> str | None:
        now = self._clock()
        try:
            await self._db.write(lambda conn: heartbeat.beat(conn, now))
        except QrisdError as error:
            return str(error)
        return None

    def _scheduler_problem(self) -> str | None:
        if self._ticked_at is not None and time.monotonic() - self._ticked_at < STALLED_AFTER_S:
            return None
        return "the scheduler does not tick"

    async def _clock_behind(self) -> str | None:
        newest = await self._db.read(payments.newest_created_at)
        if newest is not None and newest > self._clock() + timedelta(days=1):
            return "the clock is more than a day behind the newest payment"
        return None
