"""Midtrans through the whole product: `qrisd serve` as a process, a Midtrans on loopback, everything over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import Fault
from tests.support.server import LiveServer

KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
WITHIN_S = 12.0


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    midtrans = FakeMidtrans(server_key=KEY)
    await midtrans.start()
    yield midtrans
    await midtrans.stop()


@pytest.fixture
async def server(tmp_path: Path, fake: FakeMidtrans) -> AsyncIterator[LiveServer]:
    env = {
        "QRISD_DEFAULT_PROVIDER": "midtrans",
        "QRISD_PROVIDERS__MIDTRANS__SERVER_KEY": KEY,
        "QRISD_PROVIDERS__MIDTRANS__BASE_URL": fake.url,
        "QRISD_PROVIDERS__MIDTRANS__TIMEOUT": "2",
    }
    running = LiveServer(tmp_path / "data", env)
    await asyncio.to_thread(running.start)
    yield running
    await asyncio.to_thread(running.kill)


@pytest.fixture
async def client(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as session:
        yield session


async def create(client: httpx.AsyncClient, wanted: int = 201) -> dict[str, Any]:
    answer = await client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    assert answer.status_code == wanted, answer.text
    payment: dict[str, Any] = answer.json()
    return payment


async def reached(client: httpx.AsyncClient, payment: dict[str, Any], status: str) -> dict[str, Any]:
    """The payment, once it is there."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        present: dict[str, Any] = (await client.get(f"/payments/{payment['id']}?wait=1")).json()
        if present["status"] == status:
            return present
    raise AssertionError(f"still {present['status']}, not {status}")


def only_order(fake: FakeMidtrans) -> str:
    (order_id,) = fake.book
    return order_id


async def test_a_settlement_is_believed_after_its_notification_was_confirmed_by_asking(
    client: httpx.AsyncClient, fake: FakeMidtrans, server: LiveServer
) -> None:
    payment = await create(client)
    fake.book[only_order(fake)].notify_urls = [f"{server.url}/webhooks/midtrans"]
    fake.pay(only_order(fake))
    assert await fake.deliver(copies=3) == [200, 200, 200]
    paid = await reached(client, payment, "PAID")
    assert paid["provider_ref_no"] == fake.book[only_order(fake)].cross_reference
    assert paid["amount_paid"] == 15_000


async def test_a_payment_whose_notification_never_comes_is_found_by_polling(
    client: httpx.AsyncClient, fake: FakeMidtrans
) -> None:
    payment = await create(client)
    fake.pay(only_order(fake))
    assert (await reached(client, payment, "PAID"))["exception"] is None


async def test_a_cancel_closes_the_qr_at_midtrans(client: httpx.AsyncClient, fake: FakeMidtrans) -> None:
    payment = await create(client)
    answer = await client.post(f"/payments/{payment['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    assert fake.book[only_order(fake)].status == "cancel"


async def test_a_cancel_that_comes_after_the_money_finds_the_money(
    client: httpx.AsyncClient, fake: FakeMidtrans
) -> None:
    payment = await create(client)
    fake.pay(only_order(fake))
    answer = await client.post(f"/payments/{payment['id']}/cancel")
    assert answer.status_code == 409, answer.text
    assert (answer.json()["code"], answer.json()["payment_status"]) == ("wrong_state", "PAID")


async def test_an_expiry_at_midtrans_expires_the_payment_and_a_renewal_makes_a_new_order(
    client: httpx.AsyncClient, fake: FakeMidtrans
) -> None:
    payment = await create(client)
    fake.advance(16 * 60)
    await reached(client, payment, "EXPIRED")
    renewed = (await client.post(f"/payments/{payment['id']}/renew")).json()
    assert (renewed["status"], renewed["attempt"]) == ("PENDING", 2)
    assert len(fake.book) == 2


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.ERROR_AFTER_EFFECT, Fault.TIMEOUT, Fault.HTML])
async def test_a_charge_whose_answer_is_lost_is_found_again_and_never_charged_twice(
    client: httpx.AsyncClient, fake: FakeMidtrans, fault: Fault
) -> None:
    fake.script.next("charge", fault)
    payment = await create(client, wanted=202)
    assert payment["status"] == "CREATED"
    live = await reached(client, payment, "PENDING")
    assert live["qris_payload"] == fake.payload(fake.book[only_order(fake)])
    assert sum(call.path == "/v2/charge" for call in fake.calls) == 1


async def test_a_charge_that_shows_up_late_is_still_the_one_charge(
    client: httpx.AsyncClient, fake: FakeMidtrans
) -> None:
    fake.hidden_s = 4.0
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    payment = await create(client, wanted=202)
    await reached(client, payment, "PENDING")
    assert len(fake.book) == 1


async def test_a_signed_notification_with_another_status_is_not_believed(
    client: httpx.AsyncClient, fake: FakeMidtrans
) -> None:
    payment = await create(client)
    transaction = fake.book[only_order(fake)]
    body = fake.notification(transaction) | {"transaction_status": "settlement", "status_code": "200"}
    body["signature_key"] = fake.signature(body["order_id"], "200", body["gross_amount"])
    assert (await client.post("/webhooks/midtrans", json=body)).status_code == 200
    await asyncio.sleep(1)
    assert (await client.get(f"/payments/{payment['id']}")).json()["status"] == "PENDING"


async def test_a_qr_for_another_amount_is_never_shown(client: httpx.AsyncClient, fake: FakeMidtrans) -> None:
    fake.script.next("charge", fields={"gross_amount": "1.00"})
    answer = await client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")


async def test_a_provider_that_is_down_is_503_and_the_same_request_works_when_it_is_back(
    client: httpx.AsyncClient, fake: FakeMidtrans
) -> None:
    fake.script.next("charge", Fault.RATE_LIMITED)
    headers = {"Idempotency-Key": "till-1-order-1"}
    order = {"order_id": "INV-1", "amount": 15_000}
    first = await client.post("/payments", json=order, headers=headers)
    assert (first.status_code, first.json()["code"]) == (503, "provider_unavailable")
    second = await client.post("/payments", json=order, headers=headers)
    assert (second.status_code, second.json()["status"]) == (201, "PENDING")
    third = await client.post("/payments", json=order, headers=headers)
    assert (third.status_code, third.headers["Idempotent-Replayed"]) == (201, "true")
    assert third.content == second.content
