"""Reconciling a business day: ask every provider, compare with their reports, advance what is safe, keep the rest for a
person. The same facts give the same result, however often it is run and wherever it was cut off."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Final

from qrisd.domain import business_day
from qrisd.domain.business_day import Zones
from qrisd.domain.errors import FieldError, Invalid
from qrisd.domain.reconciliation_report import Report, sort_key
from qrisd.services.comparing import SUMMARY, Comparing
from qrisd.services.sweeping import Sweep
from qrisd.store import audit_log, findings, reconciliations, settlement_matching
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database
from qrisd.store.reconciliations import Origin, Run

LOCK_POLL_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `asking` providers or `comparing`, and how many of how many payments are behind it."""

    stage: str = "waiting"
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """The last run over a day, and how many of its exceptions wait for a person."""

    run: Run
    open: int


Told = Callable[[Progress], None]


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[Report]
    progress: Progress


class Reconciling:
    """Reconciles days, one at a time on this machine. `lock` is a file that two processes do not hold at once."""

    def __init__(
        self,
        *,
        db: Database,
        sweep: Sweep,
        comparing: Comparing,
        providers: Collection[str],
        zones: Zones,
        lock: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._sweep = sweep
        self._comparing = comparing
        self._providers = providers
        self._zones = zones
        self._lock = lock
        self._clock = clock
        self._running: dict[tuple[date, str | None], _Running] = {}
        self._turn = asyncio.Lock()

    @property
    def today(self) -> date:
        """The merchant's business day."""
        return business_day.of(self._clock(), self._zones.merchant)

    async def run(
        self, day: date, provider: str | None = None, *, by: Actor | None, told: Told | None = None
    ) -> Report:
        """Reconcile `day`, of one provider or of all; joins a run of the same that is under way, and goes on with one
        that was cut off. That `by` wants it is in the audit log before anything is asked; None is the clock. Raises
        Invalid for a day to come and a provider that is not configured."""
        self._check(day, provider)
        key = (day, provider)
        running = self._running.get(key)
        if running is None:
            running = _Running(asyncio.create_task(self._run(day, provider, by, told)), Progress())
            self._running[key] = running
            running.task.add_done_callback(lambda done: self._ended(key, done))
        else:
            await self._note(by, day, provider)
        return await asyncio.shield(running.task)

    async def _note(self, by: Actor | None, day: date, provider: str | None) -> None:
        """Write into the audit log that somebody wants this day reconciled."""
        if by is not None:
            await self._db.write(partial(_note, by=by, day=day, provider=provider, now=self._clock()))

    def _ended(self, key: tuple[date, str | None], done: asyncio.Task[Report]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()

    def _check(self, day: date, provider: str | None) -> None:
        if day > self.today:
            raise Invalid(FieldError("date", f"{day} is still to come; today is {self.today}."))
        if provider is not None and provider not in self._providers:
            known = ", ".join(self._providers)
            raise Invalid(FieldError("provider", f"There is no provider {provider} here; there are {known}."))

    def progress(self, day: date, provider: str | None = None) -> Progress | None:
        """How far the run that is under way in this process is; None when there is none."""
        running = self._running.get((day, provider))
        return None if running is None else running.progress

    async def finish(self) -> None:
        """Stop what is under way; another run goes on where it was."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, day: date, provider: str | None, by: Actor | None, told: Told | None) -> Report:
        asked_at = self._clock()
        origin: Origin = "nightly" if by is None else "person"
        await self._note(by, day, provider)
        async with self._alone():
            done = await self._db.read(partial(reconciliations.latest, day=day, provider=provider))
            if done is not None and done.finished_at is not None and done.finished_at > asked_at:
                return await self._required(day, provider)  # somebody else has just done it
            now = self._clock()
            begin = partial(reconciliations.begin, day=day, provider=provider, origin=origin, now=now)
            run = await self._db.write(begin)

            def tell(stage: str, done: int, total: int) -> None:
                progress = Progress(stage, done, total)
                if (day, provider) in self._running:
                    self._running[day, provider].progress = progress
                if told is not None:
                    told(progress)

            unasked = await self._sweep.run(run, partial(tell, "asking"))
            await self._db.write(self._match_lines)
            await self._comparing.run(run, unasked, partial(tell, "comparing"))
        return await self._required(day, provider)

    def _match_lines(self, conn: Connection) -> None:
        """Lines that belonged to nobody when they came may be about what providers have just told us of."""
        for provider in self._providers:
            settlement_matching.match(conn, "settlements", provider)

    async def compare_again(self, day: date) -> None:
        """Compare a reconciled day once more with what is known by now, without asking anybody."""
        async with self._alone():
            run = await self._db.read(partial(reconciliations.latest, day=day, provider=None, status="DONE"))
            if run is not None:
                await self._comparing.run(run, run.unasked, lambda done, total: None)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Nobody else on this machine reconciles inside the block."""
        async with self._turn:
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                while not _taken(file):  # noqa: ASYNC110 - another process cannot wake us
                    await asyncio.sleep(LOCK_POLL_S)
                yield
            finally:
                os.close(file)

    @property
    def timezone(self) -> str:
        """The merchant's zone, by its name."""
        return self._zones.merchant.key

    async def days(self, before: date | None, limit: int) -> list[Day]:
        """The newest reconciled days, each with how many exceptions wait for a person."""
        return await self._db.read(partial(_days, before=before, limit=limit))

    async def report(self, day: date, provider: str | None = None) -> Report | None:
        """The day as it was reconciled last; None when it never was."""
        return await self._db.read(partial(report, zones=self._zones, day=day, provider=provider))

    async def _required(self, day: date, provider: str | None) -> Report:
        found = await self.report(day, provider)
        assert found is not None, "the run is done"
        return found


def report(conn: Connection, zones: Zones, day: date, provider: str | None = None) -> Report | None:
    """The day as it was reconciled last, with its findings as they stand now; None when it never was."""
    run = reconciliations.latest(conn, day, provider, "DONE")
    if run is None or run.summary is None:
        return None
    found = sorted(findings.of_day(conn, day, provider), key=sort_key)
    return Report(
        day=day,
        provider=provider,
        timezone=zones.merchant.key,
        summary=SUMMARY.validate_json(run.summary),
        findings=tuple(found),
    )


def _note(conn: Connection, by: Actor, day: date, provider: str | None, now: datetime) -> None:
    audit_log.add(conn, by, "reconciliation.run", now, what=day.isoformat(), after={"provider": provider})


def _days(conn: Connection, before: date | None, limit: int) -> list[Day]:
    runs = reconciliations.newest_days(conn, before, limit)
    open_by_day = findings.open_by_day(conn, [run.day for run in runs])
    return [Day(run, open_by_day.get(run.day, 0)) for run in runs]


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
