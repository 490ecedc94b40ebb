"""Money that comes late, short, twice or too much, and goes back by the provider, by hand or without us, in any order:
the books agree with the provider's own, to the rupiah."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from qrisd.domain.ledger import grows_by_debit
from qrisd.domain.permissions import Role
from qrisd.jobs import refunds
from qrisd.providers.base import RefundObservation, RefundOrder
from qrisd.store.db import connect
from tests.fakes.refund_book import RefundBook, in_place_of_the_simulator
from tests.faults.history import database_violations
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.refunds import Json, ask, decide, person

AMOUNT: Final = 15_000
FAULTS: Final = ("ok", "ok", "lost", "lost_before", "pending", "refuse", "low_balance", "unreachable")
PAYMENTS: Final = 6
STEPS: Final = 20
SEEDS: Final = int(os.environ.get("MONEY_SEEDS", "12"))


@dataclass(slots=True)
class Charge:
    """One attempt as its provider has it: what came, and what it gave back without us."""

    attempt_id: str
    trx_id: str
    came: int = 0
    foreign: int = 0


class CarefulBook(RefundBook):
    """Never gives back more of a charge than came."""

    def __init__(self) -> None:
        super().__init__()
        self.stories: list[Story] = []

    async def refund(self, order: RefundOrder) -> RefundObservation:
        charge, story = next(
            (charge, story)
            for story in self.stories
            for charge in story.charges
            if order.reference in story.ours(charge)
        )
        if order.reference not in self.given and order.amount > charge.came - story.given(charge):
            self.script.appendleft("refuse")
        return await super().refund(order)


@dataclass(slots=True)
class Story:
    """One payment and what really happened to its money."""

    shop: Installation
    book: RefundBook
    chance: random.Random
    approver: str
    payment: Json
    charges: list[Charge] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def step(self) -> None:
        act = self.chance.choice(
            (self._pay, self._pay, self._renew, self._ask, self._ask, self._decide, self._elsewhere)
        )
        self.told.append(act.__name__)
        await act()

    def __post_init__(self) -> None:
        self._note_charge()

    def _note_charge(self) -> None:
        sql = "SELECT id, provider_trx_id FROM attempts WHERE payment_id = ? ORDER BY number DESC LIMIT 1"
        newest = self.shop.rows(sql, self.payment["id"])[0]
        if newest["id"] not in [one.attempt_id for one in self.charges]:
            self.charges.append(Charge(newest["id"], newest["provider_trx_id"]))

    async def _pay(self) -> None:
        charge = self.chance.choice(self.charges)
        charge.came = max(charge.came, self.chance.choice((4_000, 9_000, AMOUNT, AMOUNT, AMOUNT, 21_000)))
        self.told.append(f"{charge.came} on {self.charges.index(charge)}")
        await self._notify(charge, "PAID", charge.came)

    async def _notify(self, charge: Charge, status: str, amount: int) -> None:
        told = {"provider_trx_id": charge.trx_id, "order_id": None, "amount": amount}
        assert (await self.shop.webhook(self.payment, status, **told)).status_code == 200

    async def _renew(self) -> None:
        path = f"/payments/{self.payment['id']}"
        if self.chance.random() < 0.2:
            await self.shop.client.post(f"{path}/cancel")
        self.shop.clock.advance(self.chance.choice((1, 901)))
        await self.shop.client.post(f"{path}/check")
        if (await self.shop.client.post(f"{path}/renew")).status_code == 200:
            self._note_charge()

    async def _ask(self) -> None:
        method = self.chance.choice(("provider", "provider", "cash", "transfer"))
        body: Json = {"method": method}
        if method != "provider":
            body["evidence"] = "receipt 7"
        if self.chance.random() < 0.7:
            body["amount"] = self.chance.choice((1_000, 4_000, 5_000, 9_000, AMOUNT))
        answer = await ask(self.shop, self.payment, **body)
        assert answer.status_code in (201, 409, 422), answer.text
        self.told.append(f"{body} {answer.status_code}")
        if answer.status_code == 201 and self.chance.random() < 0.7:
            self.book.script.append(self.chance.choice(FAULTS))
            await decide(self.shop, answer.json(), "approve", self.approver)
            await asyncio.sleep(self.chance.choice((0, 0.02)))

    async def _decide(self) -> None:
        waiting = self._refunds("REQUESTED")
        if waiting:
            word = self.chance.choice(("approve", "reject", "cancel"))
            await decide(self.shop, self.chance.choice(waiting), word, self.approver, reason="so")

    async def _elsewhere(self) -> None:
        """The provider gives something back without us, or tells again what it gave back so far."""
        charge = self.chance.choice(self.charges)
        left = charge.came - self.given(charge)
        if left > 0:
            charge.foreign += min(left, self.chance.choice((0, 1_000, 4_000, 5_000, left)))
        if self.given(charge):
            self.told.append(f"{self.given(charge)} of {self.charges.index(charge)}")
            await self._notify(charge, "PAID", charge.came)
            await self._notify(charge, "REFUNDED", self.given(charge))

    def given(self, charge: Charge) -> int:
        """Rupiah the provider gave back of this attempt, by its own book."""
        return charge.foreign + sum(self.book.given.get(reference, 0) for reference in self.ours(charge))

    def ours(self, charge: Charge) -> list[str]:
        """The references of the refunds of this attempt that were asked for here."""
        sql = "SELECT reference FROM refunds WHERE attempt_id = ? AND method = 'provider'"
        return [row["reference"] for row in self.shop.rows(sql, charge.attempt_id)]

    def _refunds(self, *statuses: str) -> list[Json]:
        rows = self.shop.rows("SELECT * FROM refunds WHERE payment_id = ?", self.payment["id"])
        return [row for row in rows if row["status"] in statuses]

    async def settle(self) -> None:
        """Wait until all that was approved has ended, then hear once more what was given back."""
        for _ in range(400):
            if not self._refunds("APPROVED", "UNKNOWN", "PENDING"):
                break
            self.shop.clock.advance(100)
            await asyncio.sleep(0.01)
        for charge in self.charges:
            if self.given(charge):
                await self._notify(charge, "REFUNDED", self.given(charge))

    def wrong(self) -> list[str]:
        """How the stored payment and its accounts contradict what happened."""
        row = self.shop.rows("SELECT * FROM payments WHERE id = ?", self.payment["id"])[0]
        came = sum(charge.came for charge in self.charges)
        by_provider = sum(self.given(charge) for charge in self.charges)
        done = self._refunds("DONE")
        in_cash, by_transfer = (sum(r["amount"] for r in done if r["method"] == how) for how in ("cash", "transfer"))
        by_hand = in_cash + by_transfer
        reserved = sum(one["amount"] for one in self._refunds("REQUESTED", "APPROVED", "UNKNOWN", "PENDING"))
        accounts = self._accounts()
        is_paid = row["paid_at"] is not None
        facts = {
            "amount_paid": (row["amount_paid"], came),
            "receivable": (accounts["receivable:simulator"], came - by_provider),
            "arrived": (accounts["sales"] + accounts["unapplied"] + accounts["overpaid"], came),
            "sales": (accounts["sales"], AMOUNT if is_paid else 0),
            "cash": (-accounts["cash"], in_cash),
            "bank": (-accounts["bank"], by_transfer),
            "reserved": (accounts["refunds_reserved"], reserved),
            "refunds": (accounts["refunds"], by_provider + by_hand + reserved),
            "amount_refunded": (row["amount_refunded"], min(came, by_provider + by_hand)),
        }
        found = [f"{name}: {here}, not {there}" for name, (here, there) in facts.items() if here != there]
        found += [
            f"{name} is below zero" for name, sum_ in accounts.items() if sum_ < 0 and name not in ("bank", "cash")
        ]
        foreign = sum(charge.foreign for charge in self.charges)
        if reserved + by_provider + by_hand > came and not foreign:
            found.append(f"{reserved} promised and {by_provider + by_hand} given back of {came}")
        return [f"{row['order_id']} {one}: {self.told}" for one in found]

    def _accounts(self) -> Counter[str]:
        sums: Counter[str] = Counter()
        rows = self.shop.rows("SELECT * FROM ledger_entries WHERE payment_id = ?", self.payment["id"])
        for row in rows:
            for account, amount in ((row["debit_account"], row["amount"]), (row["credit_account"], -row["amount"])):
                sums[account] += amount if grows_by_debit(account) else -amount
        return sums


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_comes_and_goes_back_the_books_agree(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(refunds, "EVERY_S", 0.005)
    chance = random.Random(seed)
    book = CarefulBook()
    with in_place_of_the_simulator(book):
        async with Installation(tmp_path / "data", clock).running() as shop:
            approver = person(shop, Role.FINANCE, "sri")[1]
            made = [await shop.create(f"INV-{number}", AMOUNT) for number in range(PAYMENTS)]
            stories = book.stories = [Story(shop, book, chance, approver, payment) for payment in made]
            for _ in range(STEPS):
                for story in stories:
                    await story.step()
            book.script.clear()
            book.pending.clear()
            for story in stories:
                await story.settle()
            with closing(connect(shop.data_dir.database, read_only=True)) as conn:
                assert [one for story in stories for one in story.wrong()] + database_violations(conn) == []
