"""Xendit through the whole product: `qrisd serve` as a process, a Xendit on loopback, everything over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.script import Fault
from tests.fakes.xendit import Charge, FakeXendit
from tests.support.server import LiveServer

KEY = "xnd_development_EXAMPLEKEY0123456789"
TOKEN = "WHTOKEN-EXAMPLE-0123456789abcdef"
WITHIN_S = 12.0
BOTH = pytest.mark.parametrize("api", ["payment_requests", "qr_codes"])


@pytest.fixture
async def fake() -> AsyncIterator[FakeXendit]:
    xendit = FakeXendit(secret_key=KEY, webhook_token=TOKEN)
    await xendit.start()
    yield xendit
    await xendit.stop()


@pytest.fixture
def api() -> str:
    return "payment_requests"


@pytest.fixture
async def server(tmp_path: Path, fake: FakeXendit, api: str) -> AsyncIterator[LiveServer]:
    env = {
        "QRISD_DEFAULT_PROVIDER": "xendit",
        "QRISD_PROVIDERS__XENDIT__SECRET_KEY": KEY,
        "QRISD_PROVIDERS__XENDIT__WEBHOOK_TOKEN": TOKEN,
        "QRISD_PROVIDERS__XENDIT__API": api,
        "QRISD_PROVIDERS__XENDIT__BASE_URL": fake.url,
        "QRISD_PROVIDERS__XENDIT__TIMEOUT": "2",
    }
    running = LiveServer(tmp_path / "data", env)
    await asyncio.to_thread(running.start)
    fake.notify_url = f"{running.url}/webhooks/xendit"
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


def only(fake: FakeXendit) -> Charge:
    (charge,) = fake.charges.values()
    return charge


@BOTH
async def test_a_payment_is_believed_after_its_webhook_was_confirmed_by_asking(
    client: httpx.AsyncClient, fake: FakeXendit
) -> None:
    payment = await create(client)
    assert payment["qris_payload"] == fake.payload(only(fake))
    fake.pay(only(fake).reference)
    assert await fake.deliver(copies=3) == [200, 200, 200]
    paid = await reached(client, payment, "PAID")
    assert (paid["provider_ref_no"], paid["amount_paid"]) == (only(fake).payments[0].receipt, 15_000)


@BOTH
async def test_a_payment_whose_webhook_never_comes_is_found_by_polling(
    client: httpx.AsyncClient, fake: FakeXendit
) -> None:
    payment = await create(client)
    fake.pay(only(fake).reference)
    assert (await reached(client, payment, "PAID"))["exception"] is None


async def test_a_qr_that_lives_48_hours_is_shown_for_as_long_as_was_asked(
    client: httpx.AsyncClient, fake: FakeXendit
) -> None:
    payment = await create(client)
    made_at, ends_at = (datetime.fromisoformat(payment[name]) for name in ("created_at", "expires_at"))
    assert ends_at - made_at == timedelta(seconds=900)


async def test_a_cancel_closes_the_qr_at_xendit(client: httpx.AsyncClient, fake: FakeXendit) -> None:
    payment = await create(client)
    answer = await client.post(f"/payments/{payment['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    assert only(fake).status == "CANCELED"


async def test_money_after_a_cancel_is_found_though_xendit_says_cancelled(
    client: httpx.AsyncClient, fake: FakeXendit
) -> None:
    payment = await create(client)
    await client.post(f"/payments/{payment['id']}/cancel")
    fake.pay(only(fake).reference)
    assert await fake.deliver() == [200]
    assert (await reached(client, payment, "PAID"))["exception"] == "after_cancel"


@BOTH
async def test_an_expiry_at_xendit_expires_the_payment_and_late_money_is_found(
    client: httpx.AsyncClient, fake: FakeXendit
) -> None:
    payment = await create(client)
    fake.advance(49 * 3600)
    await reached(client, payment, "EXPIRED")
    fake.pay(only(fake).reference)
    assert 200 in await fake.deliver()
    assert (await reached(client, payment, "PAID"))["exception"] == "late"


@BOTH
@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.HTML])
async def test_a_request_whose_answer_is_lost_is_not_made_twice_and_its_money_is_found(
    client: httpx.AsyncClient, fake: FakeXendit, fault: Fault
) -> None:
    fake.script.next("charge", fault)
    payment = await create(client, wanted=202)
    assert payment["status"] == "CREATED"
    fake.pay(only(fake).reference)
    assert await fake.deliver() == [200]
    assert (await reached(client, payment, "PAID"))["amount_paid"] == 15_000
    assert len(fake.charges) == 1


async def test_a_webhook_with_the_right_token_and_a_made_up_payment_is_not_believed(
    client: httpx.AsyncClient, fake: FakeXendit
) -> None:
    payment = await create(client)
    charge = only(fake)
    data = {
        "payment_request_id": charge.id,
        "reference_id": charge.reference,
        "request_amount": 15_000,
        "status": "SUCCEEDED",
    }
    body = {"event": "payment.capture", "data": data}
    answer = await client.post("/webhooks/xendit", json=body, headers={"x-callback-token": TOKEN})
    assert answer.status_code == 200
    await asyncio.sleep(1)
    assert (await client.get(f"/payments/{payment['id']}")).json()["status"] == "PENDING"


@pytest.mark.parametrize("headers", [{}, {"x-callback-token": ""}, {"x-callback-token": TOKEN + "x"}])
async def test_a_webhook_without_the_right_token_is_401(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post("/webhooks/xendit", json={"event": "payment.capture"}, headers=headers)
    assert answer.status_code == 401


async def test_a_qr_for_another_amount_is_never_shown(client: httpx.AsyncClient, fake: FakeXendit) -> None:
    fake.script.next("charge", fields={"request_amount": 1})
    answer = await client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")
