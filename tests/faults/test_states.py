"""SM: moves that are not allowed, pay against cancel, money after expiry, jobs that overlap."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from qrisd.domain.errors import ProviderError, ProviderUncertain
from qrisd.domain.payment import Attempt, Observation
from qrisd.providers.simulator import Simulator
from tests.support.installation import Installation

pytestmark = pytest.mark.usefixtures("check_everything")

STATES = ("CREATED", "PENDING", "PAID", "EXPIRED", "FAILED", "CANCELLED", "PARTIALLY_REFUNDED", "REFUNDED")
ALLOWED = {
    "cancel": ("CREATED", "PENDING"),
    "renew": ("PENDING", "EXPIRED", "FAILED"),
}


async def _payment_in(shop: Installation, state: str, order_id: str = "INV-1") -> dict[str, Any]:
    """A payment brought to `state` from outside."""
    if state == "CREATED":
        return await shop.create(order_id, metadata={"simulator": "lose_answer"})
    payment = await shop.create(order_id)
    if state == "CANCELLED":
        await shop.client.post(f"/payments/{payment['id']}/cancel")
    elif state in ("EXPIRED", "FAILED"):
        await shop.webhook(payment, state)
    elif state != "PENDING":
        await shop.webhook(payment)
        if state != "PAID":
            await shop.webhook(payment, "REFUNDED", amount=5_000 if state == "PARTIALLY_REFUNDED" else 15_000)
    after = await shop.get(payment["id"])
    assert after["status"] == state
    return after


def _everything(shop: Installation) -> list[list[dict[str, Any]]]:
    return [shop.rows(f"SELECT * FROM {table} ORDER BY id") for table in ("payments", "payment_logs", "events")]


@pytest.mark.parametrize("action", ALLOWED)
@pytest.mark.parametrize("state", STATES)
async def test_an_action_the_state_forbids_is_409_and_changes_nothing(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, state: str, action: str
) -> None:
    """SM-09"""
    monkeypatch.setattr(Simulator, "fetch_status", _silent)
    payment = await _payment_in(shop, state)
    before = _everything(shop)
    answer = await shop.client.post(f"/payments/{payment['id']}/{action}")
    if state in ALLOWED[action]:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
        assert answer.json()["payment_status"] == state
        assert _everything(shop) == before


@pytest.mark.parametrize("said", ["PENDING", "FAILED", "EXPIRED", "CANCELLED", "weird"])
@pytest.mark.parametrize("state", ["PAID", "PARTIALLY_REFUNDED", "REFUNDED"])
async def test_no_provider_can_take_money_back_by_saying_something_older(
    shop: Installation, state: str, said: str
) -> None:
    """SM-09"""
    payment = await _payment_in(shop, state)
    before = _everything(shop)
    assert (await shop.webhook(payment, said)).status_code == 200
    assert _everything(shop) == before


@pytest.mark.parametrize("said", ["FAILED", "EXPIRED", "PENDING"])
@pytest.mark.parametrize("state", ["EXPIRED", "FAILED", "CANCELLED"])
async def test_a_closed_payment_is_reopened_only_by_money(shop: Installation, state: str, said: str) -> None:
    """SM-09"""
    payment = await _payment_in(shop, state)
    await shop.webhook(payment, said)
    assert (await shop.get(payment["id"]))["status"] == state
    await shop.webhook(payment)
    after = await shop.get(payment["id"])
    assert (after["status"], after["exception"]) == ("PAID", "after_cancel" if state == "CANCELLED" else "late")


async def test_pay_against_cancel_a_thousand_times_never_loses_money(shop: Installation) -> None:
    """SM-01"""
    chance = random.Random(1)
    seen = set()
    for batch in range(20):
        payments = [await shop.create(f"INV-{batch}-{number}") for number in range(50)]
        races = [race for payment in payments for race in (_cancel(shop, payment), _pay_soon(shop, payment, chance))]
        answers = await asyncio.gather(*races)
        assert {answer.status_code for answer in answers} <= {200, 409}
        for payment in payments:
            after = await shop.get(payment["id"])
            assert (after["status"], after["amount_paid"]) == ("PAID", 15_000)
            seen.add(after["exception"])
    assert seen == {None, "after_cancel"}  # both sides have won
    told = shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.paid'")
    assert told == [{"told": 1000}]


async def _pay_soon(shop: Installation, payment: dict[str, Any], chance: random.Random) -> Any:
    await asyncio.sleep(chance.uniform(0, 0.1))
    return await shop.webhook(payment)


async def _cancel(shop: Installation, payment: dict[str, Any]) -> Any:
    return await shop.client.post(f"/payments/{payment['id']}/cancel")


async def test_a_cancel_that_lost_the_race_says_so(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """SM-01"""
    payment = await shop.create()
    cancel_qr = Simulator.cancel_qr

    async def paid_meanwhile(self: Simulator, attempt: Attempt) -> Observation:
        await shop.webhook(payment)
        return await cancel_qr(self, attempt)

    monkeypatch.setattr(Simulator, "cancel_qr", paid_meanwhile)
    answer = await _cancel(shop, payment)
    assert (answer.status_code, answer.json()["code"], answer.json()["payment_status"]) == (409, "wrong_state", "PAID")
    assert (await shop.get(payment["id"]))["exception"] is None


async def test_late_money_is_told_with_an_event_of_its_own(shop: Installation) -> None:
    """SM-02"""
    payment = await shop.create(expires_in=60)
    shop.clock.advance(61)
    await _reach(shop, payment["id"], "EXPIRED")
    await shop.webhook(payment)
    after = await shop.get(payment["id"])
    assert (after["status"], after["exception"], after["amount_paid"]) == ("PAID", "late", 15_000)
    told = [row["type"] for row in shop.rows("SELECT type FROM events ORDER BY id")]
    assert told == ["payment.pending", "payment.expired", "payment.paid", "payment.exception"]


async def test_expiry_against_money_a_hundred_times_never_loses_it(shop: Installation) -> None:
    """SM-02"""
    payments = [await shop.create(f"INV-{number}", expires_in=60) for number in range(100)]
    shop.clock.advance(61)

    async def pay(payment: dict[str, Any]) -> None:
        await asyncio.sleep(random.Random(payment["order_id"]).uniform(0, 1.5))
        await shop.webhook(payment)

    await asyncio.gather(*map(pay, payments))
    after = [await shop.get(payment["id"]) for payment in payments]
    assert {one["status"] for one in after} == {"PAID"}
    assert {one["amount_paid"] for one in after} == {15_000}
    assert {one["exception"] for one in after} == {None, "late"}  # both sides have won
    assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.paid'") == [{"told": 100}]


async def test_money_that_arrives_while_the_provider_is_asked_is_not_overwritten_by_its_older_answer(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SM-02"""
    payment = await shop.create(expires_in=60)
    fetch_status = Simulator.fetch_status

    async def paid_meanwhile(self: Simulator, attempt: Attempt) -> Observation:
        seen = await fetch_status(self, attempt)
        await shop.webhook(payment)
        return seen

    monkeypatch.setattr(Simulator, "fetch_status", paid_meanwhile)
    shop.clock.advance(61)
    await _reach(shop, payment["id"], "PAID")
    assert (await shop.get(payment["id"]))["exception"] is None


async def test_the_same_look_many_times_at_once_asks_and_expires_once(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SM-03"""
    asked: list[str] = []
    monkeypatch.setattr(Simulator, "fetch_status", _counted(asked))
    payment = await shop.create(expires_in=60)
    shop.clock.advance(61)
    checks = (shop.client.post(f"/payments/{payment['id']}/check") for _ in range(50))
    assert {answer.status_code for answer in await asyncio.gather(*checks)} == {200}
    await asyncio.sleep(1)  # the job has come by as well
    assert (await shop.get(payment["id"]))["status"] == "EXPIRED"
    assert len(asked) == 1
    assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.expired'") == [{"told": 1}]


async def test_a_slow_look_is_not_started_again_by_the_next_tick(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SM-03"""
    asked: list[str] = []
    monkeypatch.setattr(Simulator, "fetch_status", _counted(asked, takes_s=1.5))
    payment = await shop.create(expires_in=60)
    shop.clock.advance(61)
    await _reach(shop, payment["id"], "EXPIRED")
    assert len(asked) == 1
    assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.expired'") == [{"told": 1}]


async def test_renewing_ten_times_at_once_makes_one_new_qr(shop: Installation, charged: list[str]) -> None:
    """SM-03"""
    payment = await _payment_in(shop, "EXPIRED")
    answers = await asyncio.gather(*(shop.client.post(f"/payments/{payment['id']}/renew") for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    renewed = [answer.json() for answer in answers if answer.status_code == 200]
    assert {(one["attempt"], one["status"]) for one in renewed} == {(2, "PENDING")}
    assert len({one["qris_payload"] for one in renewed}) == 1
    assert len(charged) == len(shop.rows("SELECT id FROM attempts")) == 2


def _counted(asked: list[str], takes_s: float = 0.05) -> Callable[..., Any]:
    fetch_status = Simulator.fetch_status

    async def noted(self: Simulator, attempt: Attempt) -> Observation:
        asked.append(attempt.reference)
        await asyncio.sleep(takes_s)
        return await fetch_status(self, attempt)

    return noted


async def _silent(self: Simulator, attempt: Attempt) -> Observation:
    error: ProviderError = ProviderUncertain(self.name, "No answer.")
    raise error


async def _reach(shop: Installation, payment_id: str, status: str) -> None:
    for _ in range(200):
        if (await shop.get(payment_id))["status"] == status:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not {status}: {await shop.get(payment_id)}")
