"""A day that is wrong in eight ways is reconciled: every difference is found and rightly classed, none is invented, the
payments are advanced that may be, and a second run changes nothing. With --kill the first run is killed midway, and the
one after it ends with the very same report.

python -m tests.faults.reconciliation_campaign --payments 10000 --wrong 0.05 --seed 1 [--kill]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from qrisd.services.sweeping import AT_ONCE_PER_PROVIDER
from qrisd.store.db import connect
from tests.fakes.midtrans import FakeMidtrans
from tests.faults.history import database_violations
from tests.faults.reconciliation_stage import WAYS, ZONE, Seeded, Seeding, facts_of, found_in, settings_for

DAYS_AGO: Final = 10
FILES: Final = ("report.html", "differences.csv")


@dataclass(slots=True)
class Outcome:
    """What was found wrong with the product, and what it took."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the command: its exit code, what it printed, and the files it wrote."""

    code: int
    output: bytes
    error: str
    files: tuple[bytes, ...]

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output)
        return found


async def campaign(root: Path, count: int, share_wrong: float, seed: int, *, kill: bool = False) -> Outcome:
    """Seed a day below `root`, reconcile it with the real command, and judge what came of it."""
    outcome = Outcome()
    shop = root / "shop"
    shop.mkdir()
    fake = FakeMidtrans()
    await fake.start()
    try:
        (shop / "qrisd.toml").write_text(settings_for(fake.url))
        day = (datetime.now(UTC).astimezone(ZONE) - timedelta(days=DAYS_AGO)).date()
        began = time.monotonic()
        seeded = await asyncio.to_thread(Seeding(shop, fake, day, seed).run, count, share_wrong)
        outcome.figures["seeded in"] = f"{time.monotonic() - began:.1f} s"
        copy = root / "killed"
        if kill:
            await asyncio.to_thread(shutil.copytree, shop, copy)
        first = await _first(shop, seeded, fake, outcome)
        await _again(shop, day, first, fake, outcome)
        if kill:
            await _killed(copy, day, first, fake, outcome, random.Random(seed))
    finally:
        await fake.stop()
    return outcome


async def _first(shop: Path, seeded: Seeded, fake: FakeMidtrans, outcome: Outcome) -> Ran:
    began = time.monotonic()
    ran = await reconcile(shop, seeded.day)
    outcome.figures["first run"] = f"{time.monotonic() - began:.1f} s"
    outcome.figures["questions"] = str(len(fake.calls))
    outcome.violations += _judge(ran, seeded)
    with closing(connect(shop / "data" / "qrisd.db", read_only=True)) as conn:
        outcome.violations += database_violations(conn)
        outcome.violations += _advanced(conn, seeded)
    wrong = Counter(kind for kind, _ in seeded.wrong)
    outcome.figures["seeded differences"] = ", ".join(f"{kind} {wrong[kind]}" for kind in WAYS.values())
    return ran


def _judge(ran: Ran, seeded: Seeded) -> Iterator[str]:
    if ran.code != 2:
        yield f"the command ended with {ran.code}: {ran.error[-500:]}"
        return
    report, found = ran.report, found_in(ran.report)
    yield from (f"not found: {kind} {about}" for kind, about in sorted(seeded.wrong - found))
    yield from (f"invented: {kind} {about}" for kind, about in sorted(found - seeded.wrong))
    if len(report["exceptions"]) != len(found):
        yield "a difference is told of twice"
    if report["unasked"]:
        yield f"{report['unasked']} were not asked about"
    for one in report["exceptions"]:
        if (one["status"] == "healed") != (one["class"] == "missing_here"):
            yield f"{one['class']} {one['order_id']} is {one['status']}"
    yield from (
        f"payout of {one['date']}: Rp{one['residual']} unexplained" for one in report["payouts"] if one["residual"]
    )


def _advanced(conn: sqlite3.Connection, seeded: Seeded) -> Iterator[str]:
    """Nothing was advanced but what is paid there and was not here; each once, and marked as reconciliation's."""
    sql = "SELECT p.order_id, p.status, count(*) FROM payments p JOIN payment_logs l ON l.payment_id = p.id "
    rows = conn.execute(f"{sql} WHERE l.event = 'RECONCILE' GROUP BY p.id").fetchall()
    expected = {about for kind, about in seeded.wrong if kind == "missing_here"}
    advanced = {row[0] for row in rows}
    yield from (f"{order} was advanced" for order in sorted(advanced - expected))
    yield from (f"{order} was not advanced" for order in sorted(expected - advanced))
    yield from (f"{row[0]} is {row[1]} after {row[2]} rows" for row in rows if (row[1], row[2]) != ("PAID", 1))


async def _again(shop: Path, day: date, first: Ran, fake: FakeMidtrans, outcome: Outcome) -> None:
    before = facts_of(shop)
    began = time.monotonic()
    second = await reconcile(shop, day)
    outcome.figures["second run"] = f"{time.monotonic() - began:.1f} s"
    if facts_of(shop) != before:
        outcome.violations.append("the second run changed something")
    outcome.violations += _same(first, second, "second run")


def _same(first: Ran, other: Ran, name: str) -> Iterator[str]:
    if (other.code, other.output) != (first.code, first.output):
        yield f"{name}: exit {other.code} instead of {first.code}, or another report; {other.error[-300:]}"
    yield from (f"{name}: another {file}" for file, a, b in zip(FILES, first.files, other.files, strict=True) if a != b)


async def _killed(
    shop: Path, day: date, first: Ran, fake: FakeMidtrans, outcome: Outcome, chance: random.Random
) -> None:
    """Kill the run at some question to the provider, three times, then let it end."""
    before, questions, kills = len(fake.calls), int(outcome.figures["questions"]), 0
    for share in (0.1, 0.4, 0.8):
        kills += await _kill(shop, day, fake, before + int(questions * share) + chance.randrange(10))
    asked = len(fake.calls)
    last = await reconcile(shop, day)
    left = len(fake.calls) - asked
    outcome.figures["killed"] = f"{kills} times; {left} questions were left for the last run"
    if len(fake.calls) - before > questions + kills * AT_ONCE_PER_PROVIDER:
        outcome.violations.append("questions that were answered before a kill were asked again")
    outcome.violations += _same(first, last, "run after the kills")
    with closing(connect(shop / "data" / "qrisd.db", read_only=True)) as conn:
        outcome.violations += database_violations(conn)


async def _kill(shop: Path, day: date, fake: FakeMidtrans, at_call: int) -> bool:
    process = await _start(shop, _arguments(day))
    while process.returncode is None and len(fake.calls) < at_call:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    if process.returncode is not None:
        return False
    os.kill(process.pid, signal.SIGKILL)
    await process.communicate()
    return True


async def reconcile(shop: Path, day: date, env: dict[str, str] | None = None) -> Ran:
    """Run `qrisd reconcile` on the shop, as people do."""
    process = await _start(shop, _arguments(day), env)
    output, error = await process.communicate()
    files = tuple((shop / name).read_bytes() if (shop / name).exists() else b"" for name in FILES)
    assert process.returncode is not None
    return Ran(process.returncode, output, error.decode(), files)


def _arguments(day: date) -> Sequence[str]:
    return ("reconcile", "--date", str(day), "--json", "--html", FILES[0], "--csv", FILES[1])


async def _start(shop: Path, arguments: Sequence[str], env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    here = {name: value for name, value in os.environ.items() if not name.startswith("QRISD_")}
    here["PYTHONPATH"] = os.pathsep.join(sys.path)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "qrisd",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=shop,
        env={**here, **(env or {})},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--wrong", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill", action="store_true", help="kill a run midway as well, and compare")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        outcome = asyncio.run(campaign(Path(root), asked.payments, asked.wrong, asked.seed, kill=asked.kill))
    for name, figure in outcome.figures.items():
        print(f"{name}: {figure}")
    print(f"violations: {len(outcome.violations)}")
    for violation in outcome.violations[:50]:
        print(violation)
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
