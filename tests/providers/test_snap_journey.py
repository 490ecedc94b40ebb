"""SNAP banks through the whole product: `qrisd serve` as a process, a bank and a DOKU on loopback, over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.doku import FakeDoku
from tests.fakes.script import Fault
from tests.fakes.snap import FakeSnap
from tests.providers.snap_bank import key_files
from tests.support.server import LiveServer

WITHIN_S = 12.0


@pytest.fixture
async def bank() -> AsyncIterator[FakeSnap]:
    fake = FakeSnap()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def doku() -> AsyncIterator[FakeDoku]:
    fake = FakeDoku()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def server(tmp_path: Path, bank: FakeSnap, doku: FakeDoku) -> AsyncIterator[LiveServer]:
    keys = {name.upper(): str(path) for name, path in key_files(tmp_path).items()}
    bri = {
        "TYPE": "snap",
        "BASE_URL": bank.url,
        "CLIENT_ID": bank.client_id,
        "CLIENT_SECRET": bank.client_secret,
        "MERCHANT_ID": bank.merchant_id,
        "CANCEL": "true",
        "TIMEOUT": "2",
        **keys,
    }
    own = {
        "BASE_URL": doku.url,
        "CLIENT_ID": doku.client_id,
        "SECRET_KEY": doku.client_secret,
        "MERCHANT_ID": doku.merchant_id,
        "TERMINAL_ID": "A01",
        "POSTAL_CODE": "12190",
        "TIMEOUT": "2",
        **keys,
    }
    env = {"QRISD_DEFAULT_PROVIDER": "bri"}
    env |= {f"QRISD_PROVIDERS__BRI__{name}": value for name, value in bri.items()}
    env |= {f"QRISD_PROVIDERS__DOKU__{name}": value for name, value in own.items()}
    running = LiveServer(tmp_path / "data", env)
    await asyncio.to_thread(running.start)
    bank.notify_url, doku.notify_url = f"{running.url}/webhooks/bri", f"{running.url}/webhooks/doku"
    yield running
    await asyncio.to_thread(running.kill)


@pytest.fixture
async def client(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as session:
        yield session


async def create(client: httpx.AsyncClient, wanted: int = 201, **more: Any) -> dict[str, Any]:
    answer = await client.post("/payments", json={"order_id": "INV-1", "amount": 15_000, **more})
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


def only(fake: FakeSnap) -> str:
    (reference,) = fake.book
    return reference


async def test_a_bank_fetches_its_token_and_its_notification_is_believed(
    client: httpx.AsyncClient, bank: FakeSnap
) -> None:
    payment = await create(client)
    assert payment["qris_payload"] == bank.payload(bank.book[only(bank)])
    bank.pay(only(bank))
    assert await bank.deliver(copies=3) == [200, 200, 200]
    paid = await reached(client, payment, "PAID")
    assert (paid["amount_paid"], paid["provider_ref_no"]) == (15_000, bank.book[only(bank)].rrn)


async def test_a_payment_whose_notification_never_comes_is_found_by_asking(
    client: httpx.AsyncClient, bank: FakeSnap
) -> None:
    payment = await create(client)
    bank.pay(only(bank))
    assert (await reached(client, payment, "PAID"))["exception"] is None


@pytest.mark.parametrize("form", ["snap", "jokul"])
async def test_dokus_notifications_lead_to_a_question_and_its_answer_is_believed(
    client: httpx.AsyncClient, doku: FakeDoku, form: str
) -> None:
    doku.form = form
    payment = await create(client, provider="doku")
    doku.pay(only(doku))
    assert await doku.deliver() == [200]
    assert (await reached(client, payment, "PAID"))["provider"] == "doku"


@pytest.mark.usefixtures("bank")
async def test_a_forged_notification_is_refused_in_snaps_words(client: httpx.AsyncClient) -> None:
    headers = {"X-SIGNATURE": "AAAA", "X-TIMESTAMP": "2025-01-31T10:15:30+07:00", "Authorization": "Bearer x"}
    answer = await client.post("/webhooks/bri", json={"latestTransactionStatus": "00"}, headers=headers)
    assert (answer.status_code, answer.json()["responseCode"]) == (401, "4015200")
    token = await client.post("/webhooks/bri/v1.0/access-token/b2b", json={"grantType": "client_credentials"})
    assert (token.status_code, token.json()["responseCode"]) == (401, "4017300")


async def test_a_cancel_closes_the_qr_at_the_bank(client: httpx.AsyncClient, bank: FakeSnap) -> None:
    payment = await create(client)
    answer = await client.post(f"/payments/{payment['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
    assert bank.book[only(bank)].status == "05"


async def test_a_charge_whose_answer_is_lost_ends_failed_and_a_renewal_makes_a_new_qr(
    client: httpx.AsyncClient, bank: FakeSnap
) -> None:
    bank.script.next("charge", Fault.DROP_AFTER_EFFECT)
    payment = await create(client, wanted=202)
    await reached(client, payment, "FAILED")
    renewed = (await client.post(f"/payments/{payment['id']}/renew")).json()
    assert (renewed["status"], renewed["attempt"]) == ("PENDING", 2)
    assert len(bank.book) == 2


async def test_a_bank_without_a_token_for_us_is_503_and_the_same_request_works_later(
    client: httpx.AsyncClient, bank: FakeSnap
) -> None:
    bank.script.next("token", Fault.HTML)
    headers = {"Idempotency-Key": "till-1-order-1"}
    order = {"order_id": "INV-1", "amount": 15_000}
    first = await client.post("/payments", json=order, headers=headers)
    assert (first.status_code, first.json()["code"]) == (503, "provider_unavailable")
    second = await client.post("/payments", json=order, headers=headers)
    assert (second.status_code, second.json()["status"]) == (201, "PENDING")
