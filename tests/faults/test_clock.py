"""SM-04: the wall clock jumps, by a day or by the hours of a wrong time zone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from qrisd.domain.errors import ProviderUncertain
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.simulator import Simulator
from qrisd.services.health import Health
from qrisd.store.db import Database
from tests.support.clock import FakeClock
from tests.support.installation import Installation

pytestmark = pytest.mark.usefixtures("check_everything")

DAY_S = 86_400
JUMPS_S = (DAY_S, -DAY_S, 7 * 3600, -7 * 3600)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A provider with a clock of its own, by which every QR is still live; it notes who is asked about."""
    book: list[str] = []

    async def still_open(self: Simulator, attempt: Attempt) -> Observation:
        book.append(attempt.reference)
        return Observation(source=Source.LOOKUP, status=Status.PENDING, amount=attempt.amount, currency="IDR")

    monkeypatch.setattr(Simulator, "fetch_status", still_open)
    return book


@pytest.mark.parametrize("jump_s", JUMPS_S)
async def test_a_jump_of_the_clock_expires_nothing_that_is_live_at_the_provider(
    shop: Installation, asked: list[str], jump_s: int
) -> None:
    payments = [await shop.create(f"INV-{number}") for number in range(20)]
    await asyncio.sleep(1.2)  # the health job has seen the clock run
    shop.clock.advance(jump_s)
    await asyncio.sleep(2.5)
    assert {(await shop.get(payment["id"]))["status"] for payment in payments} == {"PENDING"}
    assert len(asked) <= 2 * len(payments)  # each is asked about, nobody storms
    assert [(await shop.webhook(payment)).status_code for payment in payments] == [200] * 20
    assert {(await shop.get(payment["id"]))["status"] for payment in payments} == {"PAID"}


async def test_time_that_passes_without_a_jump_still_expires(shop: Installation, asked: list[str]) -> None:
    payment = await shop.create(expires_in=60)
    for _ in range(14):
        await asyncio.sleep(0.25)
        shop.clock.advance(5)
    await asyncio.sleep(1.5)
    assert (await shop.get(payment["id"]))["status"] == "EXPIRED"
    assert len(asked) >= 1  # never without asking


@pytest.mark.parametrize("jump_s", JUMPS_S)
async def test_an_unknown_outcome_is_asked_about_whatever_the_clock_does(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    fetch_status = Simulator.fetch_status

    async def silent(self: Simulator, attempt: Attempt) -> Observation:
        raise ProviderUncertain(self.name, "No answer.")

    monkeypatch.setattr(Simulator, "fetch_status", silent)
    payment = await shop.create(metadata={"simulator": "lose_answer"}, expires_in=7 * DAY_S)
    await asyncio.sleep(1.2)
    monkeypatch.setattr(Simulator, "fetch_status", fetch_status)
    shop.clock.advance(jump_s)
    for _ in range(60):
        if (await shop.get(payment["id"]))["status"] == "PENDING":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the payment is stuck: nobody asks the provider about it")


@pytest.mark.parametrize("jump_s", JUMPS_S)
async def test_the_clock_is_distrusted_from_the_moment_it_jumped(shop: Installation, jump_s: int) -> None:
    clock = FakeClock()
    health = Health(Database(shop.data_dir.database), clock)
    await health.tick()
    assert health.clock_is_trusted()
    clock.advance(jump_s)
    assert not health.clock_is_trusted()  # though no tick has noticed


async def test_a_clock_far_behind_the_newest_payment_makes_us_not_ready(shop: Installation) -> None:
    await shop.create()
    shop.clock.now -= timedelta(days=2)
    answer = await shop.client.get("/readyz")
    assert (answer.status_code, list(answer.json()["problems"])) == (503, ["clock"])


async def test_idempotency_keys_do_not_come_back_to_life_or_end_by_a_jump_of_a_day(shop: Installation) -> None:
    order, headers = {"order_id": "INV-1", "amount": 15_000}, {"Idempotency-Key": "k"}
    first = await shop.client.post("/payments", json=order, headers=headers)
    for jump_s in (DAY_S, -2 * DAY_S):
        shop.clock.advance(jump_s)
        again = await shop.client.post("/payments", json=order, headers=headers)
        assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
