"""Refunds whose facts come in an odd order: sums told before answers, settings that change on the way, people who
decide while the provider is being asked, and a look at the database that is older than what was stored since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from qrisd.domain.errors import ProviderUnreachable
from qrisd.domain.permissions import Role
from qrisd.domain.refund import Refund, Status
from qrisd.providers.base import RefundObservation, RefundOrder
from qrisd.services import refunds as service
from qrisd.services.refunds import Party
from qrisd.store import refunds
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, connect
from tests.fakes.refund_book import NAME, RefundBook, in_place_of_the_simulator
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import add_person
from tests.support.refunds import Json, asked, becomes, decide, paid, person, says, shown

pytestmark = pytest.mark.usefixtures("check_everything")
SMALL_IS_FREE = {"refunds": {"approval_above": 10_000}}


class SlowBook(RefundBook):
    """Holds calls to `refund` and questions whose word is `slow` until the gate opens; then it is as if nothing had
    arrived. `holding` is set while it holds one."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = asyncio.Event()

    async def refund(self, order: RefundOrder) -> RefundObservation:
        if self.script and self.script[0] == "slow" and self.gate is not None:
            self.script.popleft()
            self.sent.append(order)
            self.holding.set()
            await self.gate.wait()
            raise ProviderUnreachable(NAME, "Nothing was sent.")
        return await super().refund(order)

    async def fetch_refund(self, order: RefundOrder) -> RefundObservation:
        if self.questions and self.questions[0] == "slow" and self.gate is not None:
            self.questions[0] = "absent"
            self.holding.set()
            await self.gate.wait()
        return await super().fetch_refund(order)


@pytest.fixture
def book() -> Iterator[SlowBook]:
    with in_place_of_the_simulator(SlowBook()) as opened:
        assert isinstance(opened, SlowBook)
        yield opened


@pytest.fixture
async def sri(shop: Installation) -> str:
    return person(shop, Role.FINANCE, "sri")[1]


async def approved(shop: Installation, key: str, payment: Json, **body: Any) -> Json:
    refund = await asked(shop, payment, **body)
    assert (await decide(shop, refund, "approve", key)).status_code == 200
    return refund


# Sums told before answers


async def test_a_sum_that_is_exactly_one_refund_leaves_another_that_is_under_way(
    shop: Installation, book: SlowBook, sri: str
) -> None:
    payment = await paid(shop)
    book.script.append("pending")
    slow = await approved(shop, sri, payment, amount=4_000)
    await becomes(shop, slow, "PENDING")
    book.script.append("lost")
    quick = await approved(shop, sri, payment, amount=10_000)
    await becomes(shop, quick, "UNKNOWN")
    await shop.webhook(payment, "REFUNDED", amount=10_000)
    await becomes(shop, quick, "DONE", steps_s=2)
    assert (await shown(shop, slow))["status"] == "PENDING"
    assert (await shop.get(payment["id"]))["amount_refunded"] == 10_000
    assert shop.rows("SELECT id FROM refunds WHERE method = 'elsewhere'") == []
    book.pending.clear()
    await becomes(shop, slow, "DONE", steps_s=60)
    assert (await shop.get(payment["id"]))["amount_refunded"] == 14_000


# Settings that change on the way


async def test_less_that_goes_without_approval_counts_all_refunds_of_a_payment(
    tmp_path: Path, clock: FakeClock, book: SlowBook
) -> None:
    async with Installation(tmp_path / "lenient", clock, SMALL_IS_FREE).running() as shop:
        payment = await paid(shop)
        book.script.extend(["unreachable"] * 2)
        parts = []
        for _ in range(2):
            parts.append(await asked(shop, payment, amount=5_000))
            assert parts[-1]["status"] == "APPROVED"
            await says(shop, parts[-1], "Nothing was sent")
    book.sent.clear()
    stricter = Installation(tmp_path / "lenient", clock, {"refunds": {"approval_above": 5_000}})
    stricter.key = shop.key
    async with stricter.running():
        clock.advance(600)
        await becomes(stricter, parts[0], "DONE")
        await becomes(stricter, parts[1], "REQUESTED", steps_s=5)
        assert len(book.sent) == 1


async def test_what_went_by_itself_goes_though_more_was_asked_for_later(
    tmp_path: Path, clock: FakeClock, book: SlowBook
) -> None:
    async with Installation(tmp_path / "lenient", clock, SMALL_IS_FREE).running() as shop:
        payment = await paid(shop)
        book.script.append("unreachable")
        small = await asked(shop, payment, amount=5_000)
        await says(shop, small, "Nothing was sent")
        assert (await asked(shop, payment, amount=9_000))["status"] == "REQUESTED"
        await becomes(shop, small, "DONE", steps_s=60)


# People who decide while the provider is being asked


def two_people_say(shop: Installation, refund: Json, outcome: Status) -> None:
    now = shop.clock()
    with closing(connect(shop.data_dir.database)) as conn:
        for name, role in (("tono", Role.OWNER), ("wati", Role.FINANCE)):
            by = add_person(shop, role, name)
            conn.execute("BEGIN IMMEDIATE")
            service.resolve(conn, refund["id"], Party(Actor(by.id), by.id), now, outcome=outcome, why="their letter")
            conn.execute("COMMIT")


async def test_what_two_people_settled_while_the_provider_was_asked_is_not_sent_again(
    shop: Installation, book: SlowBook, sri: str
) -> None:
    book.gate = asyncio.Event()
    book.script.append("lost_before")
    book.questions.extend(["absent", "slow"])
    refund = await approved(shop, sri, await paid(shop))
    await says(shop, refund, "No answer")
    shop.clock.advance(2)
    await says(shop, refund, "no such refund")
    shop.clock.advance(120)
    await asyncio.wait_for(book.holding.wait(), 5)
    two_people_say(shop, refund, Status.DONE)
    book.gate.set()
    await becomes(shop, refund, "DONE", steps_s=300)
    assert len(book.sent) == 1


async def test_what_two_people_settled_while_it_was_sent_is_not_sent_again(
    shop: Installation, book: SlowBook, sri: str
) -> None:
    book.gate = asyncio.Event()
    book.script.append("slow")
    refund = await approved(shop, sri, await paid(shop))
    await asyncio.wait_for(book.holding.wait(), 5)
    two_people_say(shop, refund, Status.FAILED)
    book.gate.set()
    await becomes(shop, refund, "FAILED", "DONE", steps_s=300)
    assert (len(book.sent), book.total) == (1, 0)


# A look that is older than what was stored since


async def test_an_old_look_at_what_is_due_sends_nothing_again(
    shop: Installation, book: SlowBook, sri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Refund] = []
    due = refunds.due

    def noted(conn: Connection, now: datetime, limit: int) -> list[Refund]:
        found = due(conn, now, limit)
        seen.extend(one for one in found if one.status is Status.APPROVED)
        return found

    monkeypatch.setattr(refunds, "due", noted)
    book.script.append("lost_before")
    refund = await approved(shop, sri, await paid(shop))
    await says(shop, refund, "No answer")
    monkeypatch.setattr(refunds, "due", lambda conn, now, limit: seen[:1])
    await asyncio.sleep(0.8)
    assert len(book.sent) == 1
