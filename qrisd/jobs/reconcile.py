"""The nightly reconciliation: every day that is over, one by one, however long the server was off."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from typing import Final

import structlog

from qrisd.domain.business_day import Zones
from qrisd.services.reconciling import Reconciling
from qrisd.store import day_sales, findings, reconciliations
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

EVERY_S: Final = 20.0
# A day whose providers could not all be asked is tried again this much later.
RETRY_S: Final = 900.0
# What was never reconciled at night begins this long ago at most.
FIRST_REACH: Final = timedelta(days=31)
# Open exceptions of days older than this are left to people.
OPEN_REACH: Final = timedelta(days=62)


class Nightly:
    """Reconciles each business day once it is over and `at` has come, in the merchant's zone. Afterwards the days
    whose money is on its way, or that have open exceptions, are compared again with the reports that came since."""

    def __init__(
        self,
        *,
        db: Database,
        reconciling: Reconciling,
        zones: Zones,
        at: str,
        settles_after_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._reconciling = reconciling
        self._zones = zones
        self._at = time_of_day.fromisoformat(at)
        self._settling = timedelta(days=settles_after_days + 1)
        self._clock = clock
        self._not_before = float("-inf")
        self._compared_on: date | None = None

    async def run(self) -> None:
        """Do what is due, the oldest day first."""
        if time.monotonic() < self._not_before:
            return
        last = last_due(self._clock(), self._zones, self._at)
        due = await self._db.read(partial(missed, zones=self._zones, last=last))
        if due:
            await self._tell_of_left_out(last)
        for day in due:
            report = await self._reconciling.run(day, by=None)
            log.info("reconciled", day=str(day), exceptions=len(report.open), unasked=report.summary.unasked)
            if report.summary.unasked:
                self._not_before = time.monotonic() + RETRY_S
        if self._compared_on != last:
            await self._compare_again(last, due)
            self._compared_on = last

    async def _tell_of_left_out(self, last: date) -> None:
        days = await self._db.read(partial(left_out, zones=self._zones, last=last))
        if days:
            first, end = days[0].isoformat(), days[-1].isoformat()
            told = f"days left out: for each of them that you want, run `qrisd reconcile --date {first}`"
            log.warning(told, first=first, last=end, days=len(days))

    async def _compare_again(self, last: date, just_done: list[date]) -> None:
        since = min(last - OPEN_REACH, last - self._settling)
        done = await self._db.read(partial(reconciliations.days_done, since=since))
        unexplained = await self._db.read(partial(_unexplained, since=since))
        days = {day for day in done if day >= last - self._settling} | {day for day in unexplained if day in done}
        for day in sorted(days - set(just_done)):
            await self._reconciling.compare_again(day)


def _unexplained(conn: Connection, since: date) -> list[date]:
    """The days with open exceptions, and those whose money was on its way at providers that report by now."""
    waiting = reconciliations.days_waiting(conn, since, day_sales.providers_reporting(conn))
    return [*findings.days_with_open(conn, since), *waiting]


def last_due(now: datetime, zones: Zones, at: time_of_day) -> date:
    """The newest business day that is to be reconciled by `now`: yesterday once it is `at`, else the day before; none
    that is not over in every outlet."""
    local = now.astimezone(zones.merchant)
    last = local.date() - timedelta(days=1 if local.time() >= at else 2)
    return last if zones.reach(last)[1] <= now else last - timedelta(days=1)


def missed(conn: Connection, zones: Zones, last: date) -> list[date]:
    """The business days up to `last` whose whole was not reconciled after they had ended, the oldest first."""
    first = reconciliations.first_nightly(conn)
    if first is None:
        began = day_sales.first_day(conn, zones)
        if began is None:
            return []
        first = max(began, last - FIRST_REACH)
    return _undone(conn, zones, first, last)


def left_out(conn: Connection, zones: Zones, last: date) -> list[date]:
    """The business days that the first night ever, up to `last`, does not go back to though there were payments by
    then, and that nobody reconciled; none on any later night."""
    if reconciliations.first_nightly(conn) is not None:
        return []
    began = day_sales.first_day(conn, zones)
    return [] if began is None else _undone(conn, zones, began, last - FIRST_REACH - timedelta(days=1))


def _undone(conn: Connection, zones: Zones, first: date, last: date) -> list[date]:
    done = reconciliations.days_done(conn, first)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [day for day in days if day not in done or done[day] < zones.reach(day)[1]]
