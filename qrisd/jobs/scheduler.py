"""Runs jobs by the clock, inside the server's own loop. A job that fails is logged and tried again, later each time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

log = structlog.get_logger()

MAX_BACKOFF_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Job:
    """`run` is awaited every `every_s` seconds after it last ended; it never overlaps itself. While it fails it is
    tried less and less often, but at least every `longest_s`."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[None]]
    longest_s: float = MAX_BACKOFF_S


@dataclass(slots=True)
class Record:
    """How a job has fared in this process; `last_success` is seconds since the epoch."""

    runs: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    last_success: float | None = None
    last_error: str | None = field(default=None, repr=False)


class Scheduler:
    """Durations come from the monotonic clock, so that a jump of the wall clock neither storms nor stalls."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self.records = {job.name: Record() for job in jobs}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin running every job; the first time at once."""
        self._tasks = [asyncio.create_task(self._keep_running(job), name=f"job {job.name}") for job in self._jobs]

    async def stop(self) -> None:
        """Stop all jobs; whatever they had in a transaction is committed or was never begun."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_running(self, job: Job) -> None:
        while True:
            await self.run_once(job)
            await asyncio.sleep(self._pause_s(job))

    async def run_once(self, job: Job) -> None:
        """Run a job and note how it went; whatever it raises is logged and counted."""
        record = self.records[job.name]
        record.runs += 1
        try:
            await job.run()
        except Exception as error:
            record.failures += 1
            record.failures_in_a_row += 1
            record.last_error = f"{type(error).__name__}: {error}"
            # The same trouble again and again must not flood the log: its trace is written when it begins.
            log.error(
                "job failed", job=job.name, in_a_row=record.failures_in_a_row, exc_info=record.failures_in_a_row == 1
            )
        else:
            record.failures_in_a_row = 0
            record.last_success = time.time()

    def _pause_s(self, job: Job) -> float:
        failures = self.records[job.name].failures_in_a_row
        longest = max(job.longest_s, job.every_s)
        pause_s = min(job.every_s * 2**failures, longest) if failures < 20 else longest
        return pause_s * random.uniform(1.0, 1.1) if failures else pause_s
