"""Thousands of callbacks to servers that get most of them wrong for a while, beside two that are well.

python -m tests.faults.callback_campaign --events 10000 --failures 50000 --seed 1

Every event fails as often as planned, 0 to 10 times, and ends received or given up and listed. The clock runs fast, so
that the three days of the schedule pass in minutes; what the healthy servers wait is real time. Exit code 1 on any
violation.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from qrisd.domain.callback import PAUSES_S, Callback, CallbackStatus, origin_of
from qrisd.services.observing import Recorded
from qrisd.store import callbacks
from qrisd.store.callbacks import Filter
from qrisd.store.db import Connection, connect
from tests.faults.callback_stage import SECRET, FastClock, Stage, stage
from tests.faults.faulty_receiver import FAILURES, FaultyReceiver
from tests.faults.history import database_violations

# Of the clock: a day takes a minute and a half.
SPEED: Final = 1_000.0
# One try in all, in real time: what hangs or drips takes so long.
TOTAL_S: Final = 0.5
# Servers that get it wrong; each is sent only a few callbacks at once, so that with one alone it would take hours.
FAULTY: Final = 6
HEALTHY: Final = 2
HEALTHY_EVERY_S: Final = 0.25
SELLERS: Final = 8
PAGE: Final = 1_000
MEDIAN_BELOW_S: Final = 2.0
P99_BELOW_S: Final = 10.0
GIVES_UP_AFTER_S: Final = 3_600.0
Told = Callable[[int], None]


@dataclass(slots=True)
class Outcome:
    """What a campaign found: violations, and figures in the order they are shown."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """One campaign under way. `stored_at` has the moment of each commit, by payment and sequence."""

    stage: Stage
    events: int
    faulty: list[FaultyReceiver]
    healthy: list[FaultyReceiver]
    stored_at: dict[tuple[str, int], float]

    async def run(self, told: Told) -> None:
        """Until every event of the faulty servers is done with, and then nothing waits any more."""
        async with asyncio.timeout(GIVES_UP_AFTER_S):
            beside = [asyncio.create_task(self._sell_on(receiver.url)) for receiver in self.healthy]
            await asyncio.gather(*(self._sell(number) for number in range(SELLERS)))
            await self._until_done(self.faulty, told)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._until_done(self.all, told)

    async def _sell(self, first: int) -> None:
        for number in range(first, self.events // 2, SELLERS):
            await self.stage.pay(await self.stage.sell(self.faulty[number % FAULTY].url))

    async def _sell_on(self, url: str) -> None:
        while True:
            await self.stage.pay(await self.stage.sell(url))
            await asyncio.sleep(HEALTHY_EVERY_S)

    async def _until_done(self, receivers: list[FaultyReceiver], told: Told) -> None:
        """Once nothing waits for them."""
        origins = [origin_of(receiver.url) for receiver in receivers]
        places = ", ".join("?" * len(origins))
        sql = f"SELECT count(*) FROM callbacks WHERE status = 'WAITING' AND origin IN ({places})"
        while await self.stage.db.read(lambda conn: conn.execute(sql, origins).fetchone()[0]):
            told(self.injected.total())
            await asyncio.sleep(0.5)

    @property
    def all(self) -> list[FaultyReceiver]:
        return [*self.faulty, *self.healthy]

    @property
    def injected(self) -> Counter[str]:
        """What went wrong as planned, by its name."""
        return sum((receiver.injected for receiver in self.faulty), Counter())

    def waits_s(self) -> list[float]:
        """The real seconds from each commit to its first arrival at a healthy server, in the order of the commits."""
        arrivals = [entry for receiver in self.healthy for entry in receiver.book.values()]
        arrivals.sort(key=lambda entry: self.stored_at[entry.event])
        return [entry.first_at - self.stored_at[entry.event] for entry in arrivals]


async def campaign(
    root: Path, events: int, failures: int, seed: int, speed: float = SPEED, told: Told = lambda count: None
) -> Outcome:
    """`events` to faulty servers until `failures` of its answers were wrong, then compare their books and the database.
    `told` hears how many failures were injected so far."""
    clock, chance, stored_at = FastClock(speed), random.Random(seed), {}

    def stored(recorded: Recorded) -> None:
        stored_at[recorded.payment.id, recorded.payment.sequence] = time.monotonic()

    async with AsyncExitStack() as open_:
        plan = plan_of(events, failures, chance)
        faulty = [
            await open_.enter_async_context(FaultyReceiver(SECRET, clock, chance, plan[number::FAULTY]))
            for number in range(FAULTY)
        ]
        healthy = [await open_.enter_async_context(FaultyReceiver(SECRET, clock, chance)) for _ in range(HEALTHY)]
        on = await open_.enter_async_context(stage(root, clock, total_s=TOTAL_S, stored=stored))
        run = Run(on, events, faulty, healthy, stored_at)
        began = time.monotonic()
        await run.run(told)
        return _compared(run, time.monotonic() - began)


def plan_of(events: int, failures: int, chance: random.Random) -> list[list[str]]:
    """What goes wrong with each event, one after the other: 0 to 10 times, `failures` in all."""
    counts = [chance.randint(0, len(PAUSES_S)) for _ in range(events)]
    while (missing := failures - sum(counts)) != 0:
        step = 1 if missing > 0 else -1
        able = [number for number, count in enumerate(counts) if 0 <= count + step <= len(PAUSES_S)]
        for number in chance.sample(able, min(len(able), abs(missing))):
            counts[number] += step
    names, weights = list(FAILURES), [weight for weight, _ in FAILURES.values()]
    return [chance.choices(names, weights, k=count) for count in counts]


def _compared(run: Run, took_s: float) -> Outcome:
    with closing(connect(run.stage.data_dir.database, read_only=True)) as conn:
        dead = {callback.id: callback for callback in _all(conn, CallbackStatus.DEAD)}
        delivered = {callback.id for callback in _all(conn, CallbackStatus.DELIVERED)}
        waiting = callbacks.count_waiting(conn)
        violations = [
            *(f"verify: {line}" for line in database_violations(conn)),
            *_unfinished(run, dead, delivered, waiting),
            *_lost(run, dead, delivered),
            *_changed_ids(run),
            *_slow(run.waits_s()),
        ]
    return Outcome(violations, _figures(run, dead, delivered, took_s))


def _all(conn: Connection, status: CallbackStatus) -> Iterator[Callback]:
    """As the command and the API list them, page by page."""
    wanted = Filter(status=status)
    while page := callbacks.find(conn, wanted, PAGE):
        yield from page
        wanted = Filter(status=status, before=page[-1].event_id)


def _unfinished(run: Run, dead: dict[str, Callback], delivered: set[str], waiting: int) -> Iterator[str]:
    """Every event is delivered or given up, and whoever was given up is told of as such, with all its tries."""
    total = run.stage.rows("SELECT count(*) FROM events")[0][0]
    if waiting or len(dead) + len(delivered) != total or len(run.stored_at) != total:
        yield f"{total} events: {len(delivered)} delivered, {len(dead)} given up, {waiting} wait"
    counted = run.stage.rows("SELECT callback_id, count(*) AS tries FROM callback_tries GROUP BY callback_id")
    tries = {row["callback_id"]: row["tries"] for row in counted}
    for callback in dead.values():
        if tries[callback.id] < len(PAUSES_S):
            yield f"{callback.id}: given up after {tries[callback.id]} tries: {callback.reason}"


def _lost(run: Run, dead: Container[str], delivered: set[str]) -> Iterator[str]:
    """What counts as delivered was taken, with a good signature; what was planned to go wrong did, unless it was given
    up before, because a try had failed that was not planned to."""
    taken = {callback_id for one in run.all for callback_id, entry in one.book.items() if entry.taken}
    yield from (f"{callback_id}: delivered, never taken" for callback_id in delivered - taken)
    for receiver in run.all:
        yield from receiver.complaints
        for callback_id, entry in receiver.book.items():
            if entry.fates and callback_id not in dead:
                yield f"{callback_id}: was still to fail {entry.fates}"


def _changed_ids(run: Run) -> Iterator[str]:
    """No event came under two ids, and none came that was not stored."""
    seen = Counter(entry.event for one in run.all for entry in one.book.values())
    yield from (f"{event}: came under {count} ids" for event, count in seen.items() if count > 1)
    yield from (f"{event}: was never stored" for event in seen.keys() - run.stored_at.keys())
    stored = {row["id"] for row in run.stage.rows("SELECT id FROM callbacks")}
    came = {callback_id for one in run.all for callback_id in one.book}
    yield from (f"{callback_id}: not an id of ours" for callback_id in came - stored)


def _slow(waits_s: list[float]) -> Iterator[str]:
    """CB-04, in every tenth of the run."""
    tenth = max(2, len(waits_s) // 10)
    for start in range(0, len(waits_s) - tenth + 1, tenth):
        median_s = statistics.median(waits_s[start : start + tenth])
        if median_s >= MEDIAN_BELOW_S:
            yield f"healthy servers waited {median_s:.1f} s (median) in the tenth from {start}"
    if _p99(waits_s) >= P99_BELOW_S:
        yield f"healthy servers waited {_p99(waits_s):.1f} s (99th percentile)"


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _figures(run: Run, dead: dict[str, Callback], delivered: set[str], took_s: float) -> dict[str, str]:
    waits_s, injected = run.waits_s(), run.injected
    again, again_faulty = (sum(one.again for one in of_kind) for of_kind in (run.healthy, run.faulty))
    tries = run.stage.rows("SELECT count(*) FROM callback_tries")[0][0]
    return {
        "events for the faulty servers": f"{sum(len(one.book) for one in run.faulty):,}",
        "failures injected": f"{injected.total():,}",
        **{f"  {name}": f"{count:,}" for name, count in injected.most_common()},
        "events for the healthy servers": f"{len(waits_s):,}",
        "tries": f"{tries:,} in {took_s:.0f} s, {tries / took_s:.0f}/s",
        "delivered": f"{len(delivered):,}",
        "given up and listed": f"{len(dead):,}",
        "sent again after they were taken": f"{again_faulty:,} faulty, {again:,} healthy",
        "healthy: from commit to arrival": f"median {statistics.median(waits_s) * 1000:.0f} ms, "
        f"p99 {_p99(waits_s) * 1000:.0f} ms, slowest {max(waits_s):.1f} s",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--failures", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    columns = (TextColumn("failures injected"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory() as root, Progress(*columns) as progress:
        task = progress.add_task("", total=asked.failures)
        told = lambda count: progress.update(task, completed=count)  # noqa: E731
        outcome = asyncio.run(campaign(Path(root), asked.events, asked.failures, asked.seed, told=told))
    table = Table("what", "figure", title=f"callbacks, seed {asked.seed}")
    for name, figure in outcome.figures.items():
        table.add_row(name, figure)
    table.add_row("violations", str(len(outcome.violations)))
    console = Console()
    console.print(table)
    for violation in outcome.violations[:50]:
        console.print(violation, markup=False)
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
