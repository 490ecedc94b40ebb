"""Thousands of charges at a provider that gets a third of everything wrong, then its return; three records must agree.

python -m tests.faults.provider_campaign --charges 10000 --seed 1 [--kind midtrans] [--outage SECONDS]

The records are the history of requests, the provider's own book, and the database. Exit code 1 on any violation.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from qrisd.store.db import connect
from tests.faults.faulty_provider import WRONG
from tests.faults.history import History, Request, database_violations
from tests.faults.outage import Trouble, outage
from tests.faults.provider_stage import Stage, stage
from tests.providers.kinds import KINDS

WORKERS: Final = 24
SHARE_PAID: Final = 1 / 3
SHARE_NOT_TOLD: Final = 0.1
BLINK_EVERY: Final = 500
SETTLED_WITHIN_S: Final = 120.0
# Money nobody told us of is found when its QR's turn to be asked about comes, among all that are live.
FOUND_WITHIN_S_OF_A_THOUSAND: Final = 60.0
# 4xx is looked at by itself: 409 is a repeat that came while the first was running.
ANSWERS: Final = frozenset({200, 201, 202, 409, 502, 503})
Told = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What a merchant wants, and the Idempotency-Key it uses for it, if any."""

    order_id: str
    amount: int
    key: str | None


@dataclass(slots=True)
class Merchant:
    """Sends orders, and again until each has its QR."""

    stage: Stage
    chance: random.Random
    history: History = field(default_factory=History)
    done: set[str] = field(default_factory=set)

    async def order(self, order: Order) -> None:
        """Send it until it has its QR or is known to be under way; now and then twice at once, or once more after."""
        for _ in range(100):
            copies = 2 if self.chance.random() < 0.1 else 1
            sent = await asyncio.gather(*(self.send(order) for _ in range(copies)))
            if any(request.status in (200, 201) for request in sent):
                self.done.add(order.order_id)
            unknown = any(request.status == 202 for request in sent)
            if self.chance.random() < 0.1 and (order.order_id in self.done or unknown):
                await self.read(sent)
                continue
            if order.order_id in self.done or unknown:
                return
            await asyncio.sleep(self.chance.uniform(0.2, 1.0))

    async def send(self, order: Order) -> Request:
        asked = {"order_id": order.order_id, "amount": order.amount}
        headers = {"Idempotency-Key": order.key} if order.key else {}
        call = partial(self.stage.client.post, "/payments", json=asked, headers=headers)
        return await self.history.send("create", asked, call)

    async def read(self, sent: list[Request]) -> None:
        for request in sent:
            if request.acknowledged:
                call = partial(self.stage.client.get, f"/payments/{request.body['id']}")
                await self.history.send("get", request.asked, call)


@dataclass(slots=True)
class Payer:
    """Pays a share of what is in the provider's book; most of it is notified. Where the QR of a lost answer is found
    again, some is paid before it has been shown."""

    stage: Stage
    chance: random.Random
    paid: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    _seen: int = 0
    _due: list[tuple[float, str]] = field(default_factory=list)

    async def run(self, done: asyncio.Event) -> None:
        """Until `done`; then everything that was chosen is paid."""
        while not done.is_set():
            await self.turn(time.monotonic())
            await asyncio.sleep(0.2)
        await self.turn(time.monotonic() + 60)

    def _is_payable(self, reference: str) -> bool:
        fates = self.stage.script.fates.get(reference, [])
        return WRONG not in fates if self.stage.habits.recovers else fates == ["well"]

    async def turn(self, now: float) -> None:
        """Choose among what is new, pay what is due by `now`, send the notifications."""
        book = list(self.stage.fake.book)
        for reference in book[self._seen :]:
            if self.chance.random() < SHARE_PAID and self._is_payable(reference):
                self._due.append((now + self.chance.uniform(0, 3), reference))
        self._seen = len(book)
        ready = [reference for at, reference in self._due if at <= now]
        self._due = [one for one in self._due if one[0] > now]
        for reference in ready:
            notified = self.chance.random() >= SHARE_NOT_TOLD
            self.paid[reference] = self.stage.pay(reference, notified=notified)
            self.told |= {reference} if notified else set()
        if self.stage.fake.outbox:
            self.answers.update(await self.stage.fake.deliver(copies=self.chance.choice((1, 1, 2))))


@dataclass(slots=True)
class Outcome:
    """What a campaign found, and its figures in the order they are shown."""

    violations: list[str]
    figures: dict[str, str]


async def campaign(
    root: Path,
    kind: str,
    charges: int,
    seed: int,
    told: Told = lambda done, text: None,
    *,
    may_do_nothing: bool = True,
) -> Outcome:
    """Send `charges` orders through the faults, let the provider return, wait, and compare the three records."""
    chance = random.Random(seed)
    async with stage(root, kind, chance, 0.3, may_do_nothing=may_do_nothing) as on:
        merchant, payer, circuit = Merchant(on, chance), Payer(on, chance), Counter[str]()
        orders = [_order(number, chance) for number in range(charges)]
        began = time.monotonic()
        every = min(BLINK_EVERY, charges // 2) if may_do_nothing else charges
        await _through_the_faults(on, merchant, payer, circuit, orders, every, told)
        faulty_s = time.monotonic() - began
        figures = {"orders": f"{charges}", "with faults": f"{faulty_s:.0f} s", **_figures(on, merchant, payer, circuit)}
        violations = [*await _through_the_return(on, merchant, payer, orders, told, figures)]
        verified = await asyncio.to_thread(on.server.run, "verify")
        on.server.terminate()
        if verified.returncode:
            violations.append(f"qrisd verify: {verified.stdout[-500:]}")
        violations += _compare(on, merchant.history, payer, orders)
        return Outcome(violations, figures)


def _order(number: int, chance: random.Random) -> Order:
    return Order(f"INV-{number}", chance.randint(1_000, 500_000), f"key-{number}" if chance.random() < 0.6 else None)


async def _through_the_faults(
    on: Stage,
    merchant: Merchant,
    payer: Payer,
    circuit: Counter[str],
    orders: list[Order],
    blink_every: int,
    told: Told,
) -> None:
    waiting = list(reversed(orders))

    async def work() -> None:
        while waiting:
            order = waiting.pop()
            if waiting and len(waiting) % blink_every == 0:
                await _blink(on)
            await merchant.order(order)
            told(len(orders) - len(waiting), f"{len(payer.paid)} paid, circuit {circuit.most_common(1)}")

    done = asyncio.Event()
    aside = [asyncio.create_task(payer.run(done)), asyncio.create_task(_watch_circuit(on, circuit, done))]
    async with asyncio.TaskGroup() as workers:
        for _ in range(WORKERS):
            workers.create_task(work())
    done.set()
    await asyncio.gather(*aside)


async def _blink(on: Stage) -> None:
    """For a moment nobody listens: connections break, new ones are refused."""
    await on.fake.stop()
    await asyncio.sleep(0.2)
    await on.fake.start()


async def _watch_circuit(on: Stage, seen: Counter[str], done: asyncio.Event) -> None:
    while not done.is_set():
        seen[await on.circuit()] += 1
        await asyncio.sleep(0.25)


async def _through_the_return(
    on: Stage, merchant: Merchant, payer: Payer, orders: list[Order], told: Told, figures: dict[str, str]
) -> list[str]:
    """The faults stop: what is unknown must become known by itself, then what was refused may be ordered again."""
    on.script.share, began = 0.0, time.monotonic()
    figures["unknown at the return"] = str(_count(on, "SELECT count(*) FROM payments WHERE status = 'CREATED'"))
    created = "SELECT order_id FROM payments WHERE status = 'CREATED'"
    stuck = await _until_empty(on, created, SETTLED_WITHIN_S, lambda left: told(len(orders), f"{left} unknown"))
    figures["all known after"] = f"{time.monotonic() - began:.1f} s"
    problems = [f"{row[0]}: still unknown {SETTLED_WITHIN_S:.0f} s after the return" for row in stuck]
    without = _without_qr(on)
    again = [order for order in orders if order.order_id in without]
    figures["ordered again"] = str(len(again))
    for order in again:
        await merchant.order(order)
    left_s = SETTLED_WITHIN_S - (time.monotonic() - began)
    missing = await _until_empty(on, _unpaid(payer.told), left_s, lambda left: told(len(orders), f"{left} told of"))
    figures["money told of known after"] = f"{time.monotonic() - began:.1f} s"
    problems += [f"{row[0]}: told of, but {row[1]} {SETTLED_WITHIN_S:.0f} s after the return" for row in missing]
    patience_s = FOUND_WITHIN_S_OF_A_THOUSAND * max(1.0, len(orders) / 1000)
    late = await _until_empty(on, _unpaid(payer.paid), patience_s, lambda left: told(len(orders), f"{left} unpaid"))
    figures["money nobody told of found after"] = f"{time.monotonic() - began:.1f} s"
    problems += [f"{row[0]}: paid at the provider, {row[1]} here" for row in late]
    return problems


def _unpaid(paid: Iterable[str]) -> str:
    """The query for who paid at the provider and is not known as paid here."""
    references = ", ".join(f"'{reference}'" for reference in paid)
    return (
        "SELECT p.order_id, p.status FROM payments p JOIN attempts a ON a.payment_id = p.id "
        f"WHERE a.reference IN ({references}) AND p.status != 'PAID'"
    )


def _without_qr(on: Stage) -> set[str]:
    """Orders whose payment never had a QR."""
    return {row[0] for row in on.rows("SELECT order_id FROM payments WHERE status = 'FAILED'")}


async def _until_empty(on: Stage, sql: str, within_s: float, told: Callable[[int], None]) -> list[Any]:
    deadline = time.monotonic() + within_s
    while (found := await asyncio.to_thread(on.rows, sql)) and time.monotonic() < deadline:
        told(len(found))
        await asyncio.sleep(0.5)
    return found


def _count(on: Stage, sql: str) -> int:
    return int(on.rows(sql)[0][0])


def _figures(on: Stage, merchant: Merchant, payer: Payer, circuit: Counter[str]) -> dict[str, str]:
    answers = Counter(str(request.status or "none") for request in merchant.history.of("create"))
    faults = sum(count for name, count in on.script.counts.items() if name != "well")
    opened = on.server.log.read_text().count("provider left alone")
    return {
        "answers": ", ".join(f"{status} {count}" for status, count in sorted(answers.items())),
        "requests at the provider": f"{sum(on.script.counts.values())}, of them {faults} gone wrong",
        "faults": ", ".join(f"{name} {count}" for name, count in Counter(on.script.counts).most_common()),
        "charges in its book": str(len(on.fake.book)),
        "paid": f"{len(payer.paid)}, webhooks answered {dict(payer.answers)}",
        "circuit": f"opened {opened} times; seen {dict(circuit)}",
    }


def _compare(on: Stage, history: History, payer: Payer, orders: list[Order]) -> list[str]:
    """Every way in which history, book and database contradict one another; empty when all is well."""
    attempts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in on.rows("SELECT a.*, p.order_id FROM attempts a JOIN payments p ON p.id = a.payment_id ORDER BY number"):
        attempts[row["order_id"]].append(dict(row))
    with closing(connect(on.server.data_dir / "qrisd.db", read_only=True)) as conn:
        database = database_violations(conn)
    return [
        *database,
        *_answers(history),
        *_shown(history, attempts, on),
        *_acknowledged(on, history, orders),
        *_known(on, attempts),
        *_charged_again(on, attempts),
        *_money(on, payer.paid),
    ]


def _answers(history: History) -> Iterator[str]:
    for request in history.requests:
        if request.status not in ANSWERS:
            yield f"{request.asked['order_id']}: answered {request.status} {request.body}"


def _shown(history: History, attempts: Mapping[str, list[Mapping[str, Any]]], on: Stage) -> Iterator[str]:
    """One QR at most was ever shown for an order, and it is one of the order's own, for its amount."""
    shown: dict[str, set[str]] = defaultdict(set)
    for request in history.requests:
        if request.acknowledged and request.body["qris_payload"] is not None:
            shown[request.asked["order_id"]].add(request.body["qris_payload"])
    for order_id, payloads in shown.items():
        if len(payloads) > 1:
            yield f"{order_id}: {len(payloads)} QRs were shown"
        own = [one["reference"] for one in attempts[order_id] if _made(on, one)]
        sound = [reference for reference in own if WRONG not in on.script.fates[reference]]
        if not payloads <= {on.fake.payload(on.fake.book[reference]) for reference in sound}:
            yield f"{order_id}: the QR that was shown is none of its own, or came in an answer {WRONG}"


def _acknowledged(on: Stage, history: History, orders: list[Order]) -> Iterator[str]:
    """Every order is stored once as it was acknowledged, and in the end had its QR."""
    stored = {row["order_id"]: row for row in on.rows("SELECT * FROM payments")}
    amounts = {order.order_id: order.amount for order in orders}
    for order_id, amount in amounts.items():
        row = stored.get(order_id)
        if row is None or row["amount"] != amount:
            yield f"{order_id}: stored as {row and tuple(row)}"
        elif row["qris_payload"] is None and row["status"] != "PAID":
            yield f"{order_id}: {row['status']} without a QR in the end"
    for request in history.requests:
        if request.acknowledged and request.body["id"] != stored[request.asked["order_id"]]["id"]:
            yield f"{request.asked['order_id']}: acknowledged under another id"


def _known(on: Stage, attempts: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[str]:
    """Every charge in the book is an attempt here, for its amount."""
    known = {one["reference"]: one["amount"] for of_one in attempts.values() for one in of_one}
    for reference, entry in on.fake.book.items():
        if known.get(reference) != entry.amount:
            yield f"{reference}: {entry.amount} in the provider's book, {known.get(reference)} here"
    for reference, fates in on.script.fates.items():
        if on.kind.name == "xendit" and len(fates) > 1:
            yield f"{reference}: sent {len(fates)} times to a provider that charges each time"


def _charged_again(on: Stage, attempts: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[str]:
    """An order is charged anew only when its earlier charge is known to be void: never after an unknown outcome, where
    the provider shows what it has."""
    for order_id, of_one in attempts.items():
        for earlier in of_one[:-1]:
            if earlier["status"] != "FAILED":
                yield f"{order_id}: charged again while attempt {earlier['number']} was {earlier['status']}"
            fates = on.script.fates.get(earlier["reference"], [])
            if on.habits.recovers and _made(on, earlier) and WRONG not in fates:
                yield f"{order_id}: charged again though attempt {earlier['number']} lives there ({fates})"


def _made(on: Stage, attempt: Mapping[str, Any]) -> bool:
    return attempt["reference"] in on.fake.book


def _money(on: Stage, paid: Mapping[str, int]) -> Iterator[str]:
    """What was paid there is paid here, and nothing else is."""
    sql = "SELECT a.reference, a.amount_paid, p.amount, p.amount_paid AS total, p.status, p.exception FROM attempts a "
    for row in on.rows(f"{sql} JOIN payments p ON p.id = a.payment_id"):
        expected = paid.get(row["reference"], 0)
        if row["amount_paid"] != expected:
            yield f"{row['reference']}: paid {expected} there, {row['amount_paid']} here"
        if expected and (row["status"], row["total"], row["exception"]) != ("PAID", row["amount"], None):
            yield f"{row['reference']}: paid there, here {row['status']} {row['total']} {row['exception']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--charges", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=list(KINDS), default="midtrans")
    parser.add_argument("--outage", type=float, metavar="SECONDS", help="no answer at all for so long, instead")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        trouble = asyncio.run(_run(Path(root), asked))
    table = Table("what", "figure", title="outage" if asked.outage else f"{asked.kind}, seed {asked.seed}")
    for name, figure in trouble.figures.items():
        table.add_row(name, figure)
    table.add_row("violations", str(len(trouble.violations)))
    console = Console()
    console.print(table)
    for sort, count in Counter(violation.partition(":")[2] for violation in trouble.violations).most_common(20):
        console.print(f"{count} times:{sort}", markup=False)
    for violation in trouble.violations[:50]:
        console.print(violation, markup=False)
    sys.exit(1 if trouble.violations else 0)


async def _run(root: Path, asked: argparse.Namespace) -> Outcome | Trouble:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("starting", total=int(asked.outage or asked.charges))
        told = lambda done, text: progress.update(task, completed=done, description=text)  # noqa: E731
        if asked.outage:
            return await outage(root, asked.kind, asked.outage, asked.seed, told)
        return await campaign(root, asked.kind, asked.charges, asked.seed, told)


if __name__ == "__main__":
    main()
