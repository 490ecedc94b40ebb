"""Which provider is asked, when a next one may be, and when never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qrisd.domain.routing import route
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import Fault
from tests.support.clock import FakeClock
from tests.support.installation import Installation

KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
NOWHERE = "http://127.0.0.1:9"  # nothing listens there


@asynccontextmanager
async def two_providers(root: Path, clock: FakeClock, first: str, second: str) -> AsyncIterator[Installation]:
    def table(url: str) -> dict[str, Any]:
        return {"type": "midtrans", "server_key": KEY, "base_url": url, "timeout": 1}

    flags: dict[str, Any] = {
        "providers": {"first": table(first), "second": table(second)},
        "default_provider": "first",
        "routing": {"order": ["first", "second"]},
    }
    async with Installation(root / "data", clock, flags).running() as running:
        yield running


@pytest.fixture
async def fakes() -> AsyncIterator[tuple[FakeMidtrans, FakeMidtrans]]:
    first, second = FakeMidtrans(KEY), FakeMidtrans(KEY)
    await first.start()
    await second.start()
    yield first, second
    await first.stop()
    await second.stop()


async def test_when_the_first_is_down_the_seconds_qr_is_shown_in_the_same_request(
    tmp_path: Path, clock: FakeClock, fakes: tuple[FakeMidtrans, FakeMidtrans]
) -> None:
    async with two_providers(tmp_path, clock, NOWHERE, fakes[1].url) as shop:
        payment = await shop.create()
        assert (payment["status"], payment["provider"], payment["attempt"]) == ("PENDING", "second", 2)
        attempts = shop.rows("SELECT number, provider, status FROM attempts ORDER BY number")
        assert [(one["provider"], one["status"]) for one in attempts] == [("first", "FAILED"), ("second", "PENDING")]


async def test_a_refusal_by_the_first_is_followed_by_the_second(
    tmp_path: Path, clock: FakeClock, fakes: tuple[FakeMidtrans, FakeMidtrans]
) -> None:
    fakes[0].active.clear()
    async with two_providers(tmp_path, clock, fakes[0].url, fakes[1].url) as shop:
        assert (await shop.create())["provider"] == "second"


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.DROP_AFTER_EFFECT, Fault.ERROR_AFTER_EFFECT, Fault.EMPTY])
async def test_after_an_unknown_outcome_no_other_provider_is_asked_and_the_one_charge_is_found(
    tmp_path: Path, clock: FakeClock, fakes: tuple[FakeMidtrans, FakeMidtrans], fault: Fault
) -> None:
    fakes[0].script.next("charge", fault)
    async with two_providers(tmp_path, clock, fakes[0].url, fakes[1].url) as shop:
        payment = await shop.create()
        assert payment["status"] == "CREATED"
        clock.advance(2)
        for _ in range(100):
            payment = await shop.get(payment["id"])
            if payment["status"] == "PENDING":
                break
            await asyncio.sleep(0.05)
        assert (payment["status"], payment["provider"], payment["attempt"]) == ("PENDING", "first", 1)
        assert (len(fakes[0].book), len(fakes[1].book)) == (1, 0)


async def test_when_all_are_down_nothing_exists_and_the_same_request_may_come_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with two_providers(tmp_path, clock, NOWHERE, NOWHERE) as shop:
        order = {"order_id": "INV-1", "amount": 15_000}
        answer = await shop.client.post("/payments", json=order)
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
        assert "Retry-After" in answer.headers
        again = await shop.client.post("/payments", json=order)
        assert again.status_code == 503
        assert len(shop.rows("SELECT id FROM payments")) == 1


async def test_a_request_that_names_a_provider_gets_that_one_or_nothing(
    tmp_path: Path, clock: FakeClock, fakes: tuple[FakeMidtrans, FakeMidtrans]
) -> None:
    async with two_providers(tmp_path, clock, NOWHERE, fakes[1].url) as shop:
        order = {"order_id": "INV-1", "amount": 15_000, "provider": "first"}
        assert (await shop.client.post("/payments", json=order)).status_code == 503
        assert not fakes[1].book


async def test_a_provider_that_keeps_failing_is_left_alone_and_shown_as_such(
    tmp_path: Path, clock: FakeClock, fakes: tuple[FakeMidtrans, FakeMidtrans]
) -> None:
    async with two_providers(tmp_path, clock, NOWHERE, fakes[1].url) as shop:
        for number in range(6):
            await shop.create(f"INV-{number}")
        shown = (await shop.client.get("/providers")).json()["data"]
        assert {one["name"]: one["circuit"] for one in shown}["first"] == "open"
        assert (await shop.client.get("/readyz")).json()["providers"]["first"] == "open"
        assert 'qrisd_provider_circuit_closed{provider="first"} 0.0' in (await shop.client.get("/metrics")).text
        payment = await shop.create("INV-9")
        assert (payment["provider"], payment["attempt"]) == ("second", 1)


async def test_money_on_the_attempt_that_was_given_up_finds_its_payment(
    tmp_path: Path, clock: FakeClock, fakes: tuple[FakeMidtrans, FakeMidtrans]
) -> None:
    """Both of two attempts paid: a duplicate, with both amounts visible."""
    async with two_providers(tmp_path, clock, fakes[0].url, fakes[1].url) as shop:
        first = await shop.create()
        (first_order,) = fakes[0].book
        clock.advance(901)
        fakes[0].advance(901)
        for _ in range(100):
            if (await shop.get(first["id"]))["status"] == "EXPIRED":
                break
            await asyncio.sleep(0.05)
        await shop.client.post(f"/payments/{first['id']}/renew")
        fakes[0].pay(first_order)
        await shop.client.post("/webhooks/first", json=fakes[0].notification(fakes[0].book[first_order]))
        for _ in range(100):
            payment = await shop.get(first["id"])
            if payment["status"] == "PAID":
                break
            await asyncio.sleep(0.05)
        assert payment["status"] == "PAID"
        second_order = next(order for order in fakes[0].book if order != first_order)
        fakes[0].pay(second_order)
        await shop.client.post("/webhooks/first", json=fakes[0].notification(fakes[0].book[second_order]))
        for _ in range(100):
            payment = await shop.get(first["id"])
            if payment["exception"] == "duplicate":
                break
            await asyncio.sleep(0.05)
        assert (payment["exception"], payment["amount_paid"]) == ("duplicate", 30_000)


def test_resting_providers_come_last_in_their_order() -> None:
    assert route(("a", "b", "c"), None, lambda name: name in "ac") == ("b", "a", "c")
    assert route(("a", "b"), "a", lambda name: True) == ("a",)
