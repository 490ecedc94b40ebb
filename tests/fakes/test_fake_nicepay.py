"""The fake against NICEPAY's own Python client: what that client sends is taken, signatures and all."""

import asyncio
import json
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes.nicepay import SNAP, FakeNicepay, snap_nicepay
from tests.fakes.script import Fault
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.fakes.snap import FakeSnap, key

CLIENT = Path(__file__).with_name("nicepay_client.py")


@pytest.fixture
async def fake() -> AsyncIterator[FakeNicepay]:
    server = FakeNicepay()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def bank() -> AsyncIterator[FakeSnap]:
    server = snap_nicepay()
    await server.start()
    yield server
    await server.stop()


async def ask(verb: str, **asked: Any) -> Any:
    """The client's answer, or what it printed when it failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TZ": "Asia/Jakarta"},
    )
    out, errors = await process.communicate(json.dumps({"verb": verb, **asked}).encode())
    assert process.returncode == 0, errors.decode()
    return json.loads(out.decode().splitlines()[-1])


async def v2(fake: FakeNicepay, verb: str, body: dict[str, Any], merchant_key: str | None = None) -> Any:
    more = {"imid": fake.imid, "key": merchant_key or fake.merchant_key, "notify_url": "http://127.0.0.1:1/n"}
    return await ask(verb, url=fake.url, body=body, **more)


QRIS = {"payMethod": "08", "mitraCd": "QSHP", "shopId": "NICEPAY", "paymentExpDt": "", "paymentExpTm": "", "amt": 10000}


async def test_a_qr_of_the_client_goes_through_its_life(fake: FakeNicepay) -> None:
    made = await v2(fake, "registration", QRIS)
    assert (made["resultCd"], made["amt"]) == ("0000", "10000")
    original = {"tXid": made["tXid"], "referenceNo": made["referenceNo"], "amt": "10000"}
    assert (await v2(fake, "inquiry", original))["status"] == "3"
    fake.pay(made["referenceNo"])
    assert (await v2(fake, "inquiry", original))["status"] == "0"
    back = {**original, "payMethod": "08", "cancelMsg": "no", "cancelUserId": "a"}
    part = {**back, "cancelType": "2", "amt": "4000"}
    assert (await v2(fake, "cancel", part))["resultCd"] == "0000"
    seen = await v2(fake, "inquiry", original)
    assert (seen["status"], seen["cancelAmt"]) == ("2", "4000")
    assert (await v2(fake, "cancel", {**back, "cancelType": "1"}))["resultCd"] == "9319"


async def test_the_client_ends_an_unpaid_qr(fake: FakeNicepay) -> None:
    made = await v2(fake, "registration", QRIS)
    original = {"tXid": made["tXid"], "referenceNo": made["referenceNo"], "amt": "10000"}
    await v2(fake, "cancel", {**original, "payMethod": "08", "cancelType": "1"})
    assert (await v2(fake, "inquiry", original))["status"] == "5"


async def test_the_clients_mistakes_are_told_by_code(fake: FakeNicepay) -> None:
    assert (await v2(fake, "registration", QRIS, merchant_key="wrong"))["resultCd"] == "9010"
    assert (await v2(fake, "registration", {**QRIS, "payMethod": "05"}))["resultCd"] == "9012"
    unknown = {"tXid": "x", "referenceNo": "y", "amt": "1"}
    assert (await v2(fake, "inquiry", unknown))["resultCd"] == "9501"


async def test_snap_takes_what_the_client_signs(bank: FakeSnap) -> None:
    private = key("merchant").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    common = {"url": bank.url, "imid": bank.client_id, "key": bank.client_secret}
    common["private_key"] = b64encode(private).decode()
    amount = {"value": "10000.00", "currency": "IDR"}
    info = dict.fromkeys(SNAP.needed_info, "x")
    original = {"originalPartnerReferenceNo": "OrdNo1", "merchantId": bank.merchant_id, "externalStoreId": "NICEPAY"}
    generate = {"partnerReferenceNo": "OrdNo1", "merchantId": bank.merchant_id, "storeId": "NICEPAY"}
    await ask(
        "snap-generate", body={**generate, "amount": amount, "validityPeriod": "", "additionalInfo": info}, **common
    )
    await ask("snap-query", body={**original, "serviceCode": "47", "additionalInfo": {}}, **common)
    bank.pay("OrdNo1")
    refund = {"partnerRefundNo": "51", "refundAmount": amount, "reason": "Test Refund QRIS SNAP"}
    await ask("snap-refund", body={**original, **refund, "additionalInfo": {"cancelType": "1"}}, **common)
    assert (bank.book["OrdNo1"].amount, bank.book["OrdNo1"].refunded) == (10_000, 10_000)
    assert [bank.action(call) for call in bank.calls] == ["token", "charge", "token", "status", "token", "refund"]


async def test_a_form_is_taken_as_well_as_json(fake: FakeNicepay) -> None:
    token = fake.token("20250131101530", fake.imid, "y", "1")
    asked = {"timeStamp": "20250131101530", "iMid": fake.imid, "referenceNo": "y", "amt": "1", "merchantToken": token}
    async with httpx.AsyncClient(trust_env=False) as client:
        for sent in ({"json": {**asked, "amt": 1}}, {"data": asked}):
            answer = await client.post(f"{fake.url}/direct/v2/inquiry", **sent)
            assert answer.json()["resultCd"] == "9501"


async def test_notifications_are_forms_and_sent_until_they_are_taken(fake: FakeNicepay) -> None:
    received: list[Request] = []

    async def receive(request: Request) -> Reply:
        received.append(request)
        return Reply(503 if len(received) == 1 else 200)

    merchant = LoopbackServer(receive)
    await merchant.start()
    made = await v2(fake, "registration", QRIS)
    fake.notify_url = f"{merchant.url}/webhooks/nicepay"
    fake.pay(made["referenceNo"])
    assert await fake.deliver() == [503, 200]
    await merchant.stop()
    assert received[1].body == urlencode(fake.notification(fake.book[made["referenceNo"]])).encode()


async def test_scripted_faults_happen_once(fake: FakeNicepay) -> None:
    fake.script.next("status", Fault.ERROR_AFTER_EFFECT)
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = [await client.post(f"{fake.url}/direct/v2/inquiry", json={}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 200]
