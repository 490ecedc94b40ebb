"""Thousands of attempts to get more money back than came, or past the rule that two people agree.

python -m tests.faults.refund_campaign --attempts 10000 --seed 1

Each round is a paid payment at which several try at once: refunds above what came, approvals by two at a time, of one's
own request, of a content that was edited before or after, by somebody who is demoted meanwhile. The provider loses a
third of its answers and notifies early. At the end its own book and the database are compared. Exit code 1 on any
violation.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from qrisd.domain.permissions import Role
from qrisd.store.db import connect
from tests.fakes.refund_book import RefundBook, in_place_of_the_simulator
from tests.faults.history import database_violations
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.refunds import Json, ask, decide, paid, person

AMOUNT: Final = 100_000
GENEROUS: Final = {"rate_limit": {"per_key": "100000000/minute"}}
FAULTS: Final = ("lost", "lost_before", "unreachable", "rejected", "low_balance", "pending", "refuse", "odd")
PEOPLE: Final = {"sri": Role.FINANCE, "tono": Role.OWNER, "ani": Role.SUPERVISOR, "dewi": Role.FINANCE}
EDITS: Final = {"amount": 1, "reason": "another", "requested_by": "another"}
SETTLE_ROUNDS: Final = 400
Told = Callable[[int], None]


class ChancyBook(RefundBook):
    """A third of what it answers goes wrong."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.is_well = False

    async def refund(self, order: Any) -> Any:
        if not self.is_well and self._chance.random() < 1 / 3:
            self.script.append(self._chance.choice(FAULTS))
        return await super().refund(order)

    async def fetch_refund(self, order: Any) -> Any:
        if not self.is_well and self._chance.random() < 1 / 3:
            self.questions.append(self._chance.choice(("lost", "odd", "absent")))
        self.pending.discard(order.reference)
        return await super().fetch_refund(order)


@dataclass(slots=True)
class Outcome:
    """What a campaign found: violations, and figures in the order they are shown."""

    violations: list[str]
    figures: dict[str, str]


@dataclass(slots=True)
class Run:
    """The shop, the provider's book, everybody's key, and what was tried and answered."""

    shop: Installation
    book: ChancyBook
    chance: random.Random
    ids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    asked: dict[str, Json] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    approvals: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def attempts(self) -> int:
        return self.tried.total()

    def somebody(self) -> str:
        return self.chance.choice(list(self.keys))

    def wrong(self, text: str) -> None:
        self.violations.append(text)

    def write(self, sql: str, *values: Any) -> None:
        self.shop.write(sql, *values)


async def campaign(root: Path, attempts: int, seed: int, told: Told = lambda done: None) -> Outcome:
    """So many attempts in a new installation under `root`."""
    chance, clock = random.Random(seed), FakeClock()
    book = ChancyBook(random.Random(seed + 1))
    began = time.monotonic()
    with in_place_of_the_simulator(book):
        async with Installation(root / "data", clock, GENEROUS).running() as shop:
            run = Run(shop, book, chance)
            _hire(run)
            number = 0
            while run.attempts < attempts:
                number += 1
                await _round(run, number)
                clock.advance(chance.choice((1, 5, 90)))
                told(min(run.attempts, attempts))
            await _settle(run)
        violations = [*run.violations, *_judged(run)]
    return Outcome(violations, _figures(run, time.monotonic() - began))


def _hire(run: Run) -> None:
    for name, role in PEOPLE.items():
        run.ids[name], run.keys[name] = person(run.shop, role, name)
    run.keys["machine"] = run.shop.new_key(name="machine")


async def _round(run: Run, number: int) -> None:
    payment = await paid(run.shop, f"INV-{number}", AMOUNT)
    await _over_refund(run, payment)
    refunds = [one for one in run.asked.values() if one["payment_id"] == payment["id"]]
    for refund in refunds:
        await run.chance.choice((_double_approve, _self_approve, _edit, _demote))(run, refund)
    if run.chance.random() < 0.5:
        await _notify_early(run, payment)


async def _over_refund(run: Run, payment: Json) -> None:
    """Many ask at once for parts that do not all fit, some of them twice under one key."""
    wishes = [run.chance.choice((AMOUNT, 60_000, 34_000, 25_001, 7_000, AMOUNT + 1)) for _ in range(8)]
    calls = []
    for step, amount in enumerate(wishes):
        once = f"{payment['id']}-{step}"
        key = run.keys[run.somebody()]
        calls += [ask(run.shop, payment, key, once=once, amount=amount) for _ in range(run.chance.choice((1, 1, 2)))]
    run.tried["over-refund"] += len(calls)
    for answer in await _together(run, calls):
        if answer.status_code == 201:
            refund = answer.json()
            run.asked[refund["id"]] = refund
        elif answer.status_code not in (409, 422):
            run.wrong(f"a request was answered {answer.status_code}: {answer.text}")
    promised = sum(one["amount"] for one in run.asked.values() if one["payment_id"] == payment["id"])
    if promised > AMOUNT:
        run.wrong(f"{payment['id']}: {promised} were promised of {AMOUNT}")


async def _double_approve(run: Run, refund: Json) -> None:
    """Everybody but the requester decides at once, some twice."""
    names = [name for name in (*PEOPLE, *PEOPLE) if run.ids[name] != refund["requested_by"]]
    words = [run.chance.choice(("approve", "approve", "approve", "reject")) for _ in names]
    calls = [
        decide(run.shop, refund, word, run.keys[name], reason="so") for word, name in zip(words, names, strict=True)
    ]
    run.tried["double approve"] += len(calls)
    answers = await _together(run, calls)
    won = [word for word, answer in zip(words, answers, strict=True) if answer.status_code == 200]
    run.approvals += won.count("approve")
    if len(won) > 1 and not _was_voided(run, refund):
        run.wrong(f"{refund['id']}: decided {len(won)} times: {won}")


async def _self_approve(run: Run, refund: Json) -> None:
    """The requester tries with every key there is of theirs; a machine tries too."""
    own = [name for name, user_id in run.ids.items() if user_id == refund["requested_by"]]
    keys = [run.keys[name] for name in own] + [run.shop.new_key(user_id=run.ids[name]) for name in own]
    calls = [
        decide(run.shop, refund, word, key, reason="x")
        for key in (*keys, run.keys["machine"])
        for word in ("approve", "reject")
    ]
    run.tried["self-approve"] += len(calls)
    for answer in await _together(run, calls):
        if answer.status_code != 403:
            run.wrong(f"{refund['id']}: its own requester was answered {answer.status_code}")
    await _approve(run, refund)


async def _edit(run: Run, refund: Json) -> None:
    """The content is edited behind everybody's back, before the approval or while it is carried out."""
    column = run.chance.choice(list(EDITS))
    edit = f"UPDATE refunds SET {column} = ? WHERE id = ? AND status IN ('REQUESTED', 'APPROVED')"
    run.tried["approve after edit"] += 1
    if run.chance.random() < 0.5:
        await _approve(run, refund)
        run.write(edit, EDITS[column], refund["id"])
    else:
        run.write(edit, EDITS[column], refund["id"])
        before = run.approvals
        await _approve(run, refund)
        if run.approvals != before:
            run.wrong(f"{refund['id']}: approved after its {column} was edited")
    await asyncio.sleep(run.chance.choice((0, 0.3)))
    run.write(f"UPDATE refunds SET {column} = ? WHERE id = ?", refund[column], refund["id"])


async def _demote(run: Run, refund: Json) -> None:
    """Who approves is demoted before, while or after it is carried out, and comes back later."""
    name = await _approve(run, refund)
    run.tried["demoted approver"] += 1
    run.write("UPDATE users SET role = 'cashier' WHERE id = ?", run.ids[name])
    await asyncio.sleep(run.chance.choice((0, 0.1)))
    run.write("UPDATE users SET role = ? WHERE id = ?", PEOPLE[name], run.ids[name])


async def _approve(run: Run, refund: Json) -> str:
    name = run.chance.choice([name for name in PEOPLE if run.ids[name] != refund["requested_by"]])
    run.approvals += (await decide(run.shop, refund, "approve", run.keys[name])).status_code == 200
    return name


async def _notify_early(run: Run, payment: Json) -> None:
    """The provider tells what it gave back so far, perhaps before it answers, and tells it twice."""
    references = [one["reference"] for one in run.asked.values() if one["payment_id"] == payment["id"]]
    total = sum(run.book.given.get(reference, 0) for reference in references)
    if total:
        run.tried["early notification"] += 2
        await _together(run, [run.shop.webhook(payment, "REFUNDED", amount=total) for _ in range(2)])


async def _together(run: Run, calls: Sequence[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    answers = list(await asyncio.gather(*calls))
    for answer in answers:
        if answer.status_code >= 500:
            run.wrong(f"answered {answer.status_code}: {answer.text}")
    return answers


def _was_voided(run: Run, refund: Json) -> bool:
    sql = "SELECT 1 FROM refund_decisions WHERE refund_id = ? AND decision = 'voided'"
    return bool(run.shop.rows(sql, refund["id"]))


async def _settle(run: Run) -> None:
    """The provider is well again: wait until all that was approved has ended."""
    run.book.is_well = True
    run.book.script.clear()
    run.book.questions.clear()
    for _ in range(SETTLE_ROUNDS):
        if not run.shop.rows("SELECT id FROM refunds WHERE status IN ('APPROVED', 'UNKNOWN', 'PENDING')"):
            return
        run.shop.clock.advance(300)
        await asyncio.sleep(0.1)
    run.wrong("something approved never ended")


def _judged(run: Run) -> Iterator[str]:
    with closing(connect(run.shop.data_dir.database, read_only=True)) as conn:
        yield from database_violations(conn)
    rows = run.shop.rows("SELECT * FROM refunds WHERE method = 'provider'")
    stored = {row["reference"]: row for row in rows}
    yield from _book(run, stored)
    for payment in run.shop.rows("SELECT * FROM payments"):
        given = sum(run.book.given.get(row["reference"], 0) for row in rows if row["payment_id"] == payment["id"])
        if given > payment["amount_paid"] or given != payment["amount_refunded"]:
            yield f"{payment['order_id']}: {given} went back there, {payment['amount_refunded']} here"
    approved = run.shop.rows("SELECT decided_by, refund_id FROM refund_decisions WHERE decision = 'approved'")
    if len(approved) != run.approvals:
        yield f"{len(approved)} approvals are stored, {run.approvals} were answered"
    for row in approved:
        if run.asked[row["refund_id"]]["requested_by"] == row["decided_by"]:
            yield f"{row['refund_id']}: approved by who asked for it"


def _book(run: Run, stored: dict[str, Json]) -> Iterator[str]:
    """What was sent is what was asked for and approved, and what was given back is done here."""
    wanted = {one["reference"]: one["amount"] for one in run.asked.values()}
    for order in run.book.sent:
        if wanted.get(order.reference) != order.amount:
            yield f"{order.reference}: {order.amount} were sent, {wanted.get(order.reference)} asked for"
    for reference in run.book.given:
        status = stored[reference]["status"] if reference in stored else "nothing"
        if status != "DONE":
            yield f"{reference}: given back there, {status} here"
    for reference, row in stored.items():
        if row["status"] == "DONE" and reference not in run.book.given:
            yield f"{reference}: done here, not there"


def _figures(run: Run, took_s: float) -> dict[str, str]:
    ended = Counter(row["status"] for row in run.shop.rows("SELECT status FROM refunds"))
    voided = run.shop.rows("SELECT count(*) AS n FROM refund_decisions WHERE decision = 'voided'")[0]["n"]
    return {
        "attempts": f"{run.attempts:,} in {took_s:.0f} s",
        **{f"  {name}": f"{count:,}" for name, count in run.tried.most_common()},
        "refunds": f"{ended.total():,}",
        **{f"  {status}": f"{count:,}" for status, count in ended.most_common()},
        "approvals": f"{run.approvals:,}, void before they were sent: {voided:,}",
        "sent to the provider": f"{len(run.book.sent):,}, given back: {len(run.book.given):,}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    columns = (TextColumn("attempts"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory() as root, Progress(*columns) as progress:
        task = progress.add_task("", total=asked.attempts)
        told = lambda done: progress.update(task, completed=done)  # noqa: E731
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):  # a line per request
            outcome = asyncio.run(campaign(Path(root), asked.attempts, asked.seed, told))
    table = Table("what", "figure", title=f"refunds, seed {asked.seed}")
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
