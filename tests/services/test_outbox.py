"""The merchant's server is told: soon, surely, and whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qrisd.callback_secrets import CallbackSecrets
from qrisd.domain.callback import PAUSES_S
from qrisd.store.db import connect
from tests.fakes.receiver import FakeReceiver
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.support.clock import FakeClock
from tests.support.installation import Installation

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
OLD_SECRET = "whsec_" + "MzIxMFpZWFdWVVRTUlFQT05NTEtKSUhHRkVEQ0JB"


@dataclass(slots=True)
class Stage:
    """A shop and the server it wants told."""

    shop: Installation
    receiver: FakeReceiver
    clock: FakeClock

    async def order(self, order_id: str = "INV-1", url: str | None = None) -> dict[str, Any]:
        return await self.shop.create(order_id, callback_url=url or self.receiver.url)

    def rows(self, what: str = "*") -> list[dict[str, Any]]:
        return [dict(row) for row in self.shop.rows(f"SELECT {what} FROM callbacks ORDER BY event_id")]

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(1_000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not come about")

    async def tried(self, count: int) -> None:
        """Once `count` tries are stored."""
        await self.until(lambda: len(self.shop.rows("SELECT id FROM callback_tries")) >= count)

    def is_tried(self, times: int) -> bool:
        """True once the first callback has been tried so often."""
        return bool(self.rows()[0]["tries"] == times)

    def is_told(self, order_id: str) -> bool:
        """True once the first event of an order has been tried, or given up."""
        sql = "SELECT c.tries, c.status FROM callbacks c JOIN payments p ON p.id = c.payment_id WHERE p.order_id = ?"
        return any(row["tries"] or row["status"] == "DEAD" for row in self.shop.rows(sql, order_id))

    async def let_pass(self, seconds: float) -> None:
        """Move the clock; the outbox looks at it again within half a second."""
        self.clock.advance(seconds)


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    fake = FakeReceiver(SECRET)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def stage(tmp_path: Path, receiver: FakeReceiver) -> AsyncIterator[Stage]:
    clock = FakeClock(datetime.now(UTC))
    callbacks = {"allow_loopback": True, "secret": SECRET, "old_secret": OLD_SECRET}
    async with Installation(tmp_path / "data", clock, {"callbacks": callbacks}).running() as shop:
        yield Stage(shop, receiver, clock)


async def test_every_change_is_told_once_with_its_final_body_and_a_signature(stage: Stage) -> None:
    payment = await stage.order()
    await stage.shop.webhook(payment)
    await stage.receiver.wait_for(2)
    pending, paid = stage.receiver.book
    assert [pending.event["type"], paid.event["type"]] == ["payment.pending", "payment.paid"]
    assert [pending.event["sequence"], paid.event["sequence"]] == [1, 2]
    assert paid.event["data"]["id"] == payment["id"]
    assert paid.event["data"]["status"] == "PAID"
    assert pending.is_genuine
    assert paid.is_genuine
    assert pending.id != paid.id
    await stage.until(lambda: {row["status"] for row in stage.rows()} == {"DELIVERED"})


async def test_two_secrets_are_live_while_receivers_change_over(stage: Stage) -> None:
    stage.receiver.secret = OLD_SECRET
    await stage.order()
    (told,) = await stage.receiver.wait_for(1)
    assert told.is_genuine
    assert len(told.headers["webhook-signature"].split()) == 2


async def test_a_payment_without_a_callback_url_is_told_to_nobody(stage: Stage) -> None:
    await stage.shop.create()
    assert stage.rows() == []


@pytest.mark.parametrize(
    "fault",
    [Fault.ERROR_AFTER_EFFECT, Fault.DROP_AFTER_EFFECT, Fault.REDIRECT, Fault.RATE_LIMITED],
)
async def test_a_failed_try_is_followed_by_another_under_the_same_id(stage: Stage, fault: Fault) -> None:
    stage.receiver.script.next("callback", fault)
    await stage.order()
    await stage.tried(1)
    assert stage.rows("status, tries")[0] == {"status": "WAITING", "tries": 1}
    await stage.let_pass(6)
    first, second = await stage.receiver.wait_for(2)
    assert first.id == second.id
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    await stage.until(lambda: stage.rows()[0]["status"] == "DELIVERED")


async def test_tries_come_later_and_later_until_it_is_given_up(stage: Stage) -> None:
    stage.receiver.script.next("callback", times=99, reply=Reply(500, b"no"))
    await stage.order()
    for number, pause in enumerate(PAUSES_S[1:], 1):
        await stage.until(partial(stage.is_tried, number))
        due = datetime.fromisoformat(stage.rows()[0]["next_try_at"])
        assert pause <= (due - stage.clock.now).total_seconds() <= pause * 1.1 + 1
        await stage.let_pass(pause * 1.1 + 0.01)
    await stage.until(lambda: stage.rows()[0]["status"] == "DEAD")
    first = stage.rows()[0]
    assert first["reason"] == "given up after 10 tries: answered HTTP 500"
    assert len([told for told in stage.receiver.book if told.id == first["id"]]) == len(PAUSES_S)


@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [("60", 60, 67), ("1", 5, 6), ("-5", 5, 6), ("soon", 5, 6), ("999999999999", 86_400, 95_041), ("0", 5, 6)],
)
async def test_a_pause_the_receiver_asks_for_is_kept_within_bounds(
    stage: Stage, asked: str, least_s: float, most_s: float
) -> None:
    stage.receiver.script.next("callback", reply=Reply(503, headers={"Retry-After": asked}))
    await stage.order()
    await stage.tried(1)
    pause_s = (datetime.fromisoformat(stage.rows()[0]["next_try_at"]) - stage.clock.now).total_seconds()
    assert least_s - 0.01 <= pause_s <= most_s


async def test_a_receiver_that_is_gone_is_switched_off_and_told_nothing_more(stage: Stage) -> None:
    stage.receiver.script.next("callback", reply=Reply(410))
    await stage.order("INV-1")
    await stage.until(lambda: stage.rows()[0]["status"] == "DEAD")
    await stage.order("INV-2", stage.receiver.url + "?order=2")
    await stage.until(lambda: [row["status"] for row in stage.rows()] == ["DEAD", "DEAD"])
    assert len(stage.receiver.book) == 1
    (endpoint,) = stage.shop.rows("SELECT * FROM callback_endpoints")
    assert (endpoint["url"], endpoint["reason"]) == (stage.receiver.url, "it answered 410 Gone")


async def test_a_receiver_that_has_failed_for_days_is_switched_off(stage: Stage) -> None:
    stage.receiver.script.next("callback", times=99, reply=Reply(500))
    for day in range(6):
        await stage.order(f"INV-{day}")
        await stage.until(partial(stage.is_told, f"INV-{day}"))
        await stage.let_pass(86_400)
    await stage.until(lambda: {row["status"] for row in stage.rows()} == {"DEAD"})
    (endpoint,) = stage.shop.rows("SELECT reason FROM callback_endpoints")
    assert endpoint["reason"] == "every try has failed for 5 days; last: answered HTTP 500"


async def test_a_receiver_that_failed_weeks_ago_has_all_its_tries_again(stage: Stage) -> None:
    stage.receiver.script.next("callback", times=99, reply=Reply(500))
    await stage.order("INV-1")
    await stage.tried(1)
    with closing(connect(stage.shop.data_dir.database)) as conn:
        conn.execute("UPDATE callbacks SET status = 'DEAD', next_try_at = NULL")
    await stage.let_pass(21 * 86_400)
    await stage.order("INV-2")
    await stage.until(lambda: stage.rows()[-1]["tries"] == 1)
    assert stage.rows()[-1]["status"] == "WAITING"


async def test_after_the_clock_was_far_ahead_nothing_waits_for_that_day(stage: Stage) -> None:
    stage.receiver.script.next("callback", reply=Reply(500))
    await stage.let_pass(30 * 86_400)
    await stage.order()
    await stage.tried(1)
    await stage.let_pass(-30 * 86_400)
    await stage.receiver.wait_for(2)


async def test_a_secret_made_between_two_tries_signs_the_second(tmp_path: Path, receiver: FakeReceiver) -> None:
    clock = FakeClock(datetime.now(UTC))
    receiver.script.next("callback", reply=Reply(500))
    async with Installation(tmp_path / "data", clock, {"callbacks": {"allow_loopback": True}}).running() as shop:
        secrets = CallbackSecrets(shop.data_dir.callback_secrets, (), clock)
        receiver.secret = secrets.live()[0]
        await shop.create(callback_url=receiver.url)
        await receiver.wait_for(1)
        receiver.secret, _ = secrets.rotate()
        await asyncio.sleep(0.1)
        clock.advance(6)
        first, second = await receiver.wait_for(2)
    assert (first.is_genuine, second.is_genuine) == (True, True)
    assert len(second.headers["webhook-signature"].split()) == 2


async def test_what_waited_when_the_process_ended_is_sent_after_the_start(
    tmp_path: Path, receiver: FakeReceiver
) -> None:
    clock = FakeClock(datetime.now(UTC))
    installation = Installation(tmp_path / "data", clock, {"callbacks": {"allow_loopback": True, "secret": SECRET}})
    receiver.script.next("callback", Fault.DROP_AFTER_EFFECT)
    async with installation.running() as shop:
        await shop.create(callback_url=receiver.url)
        await receiver.wait_for(1)
    clock.advance(6)
    async with installation.running():
        first, second = await receiver.wait_for(2)
    assert first.id == second.id


async def test_one_try_never_waits_for_a_server_that_hangs(stage: Stage) -> None:
    hanging = FakeReceiver(SECRET)
    await hanging.start()
    hanging.script.next("callback", Fault.TIMEOUT, times=99)
    for number in range(20):
        await stage.order(f"SLOW-{number}", hanging.url)
    await stage.order("INV-1")
    await stage.receiver.wait_for(1, within_s=2)
    assert len(hanging.book) == 2
    await hanging.stop()


async def test_every_try_is_kept_with_what_the_server_answered_and_no_secret(stage: Stage) -> None:
    said = b'{"error": "down", "token":"abc123", "seen": "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"}'
    stage.receiver.script.next("callback", reply=Reply(500, said))
    await stage.order()
    await stage.tried(1)
    (tried,) = stage.shop.rows("SELECT * FROM callback_tries")
    assert (tried["status_code"], tried["address"], tried["error"]) == (500, "127.0.0.1", None)
    assert tried["latency_ms"] >= 0
    assert "down" in tried["answer"]
    assert "QUJD" not in tried["answer"]
    assert "abc123" not in tried["answer"]


async def test_a_url_that_may_not_be_called_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    async with Installation(tmp_path / "data", FakeClock()).running() as shop:
        order = {"order_id": "INV-1", "amount": 15_000, "callback_url": "http://127.0.0.1:9999/hook"}
        answer = await shop.client.post("/payments", json=order)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "callback_url"
        assert "allow_loopback" in answer.json()["errors"][0]["message"]
        assert shop.rows("SELECT id FROM payments") == []
