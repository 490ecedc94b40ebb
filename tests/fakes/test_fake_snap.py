"""The fake bank speaks SNAP: official clients are the judges."""

import asyncio
import json
import secrets
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from doku_python_library.src.commons import config
from doku_python_library.src.services.token_service import TokenService
from doku_python_library.src.snap import DokuSNAP
from flask import Flask

from qrisd.providers.snap.signing import hmac_signature, rsa_signature, service_text, token_text
from tests.fakes.doku import DIALECT, FakeDoku
from tests.fakes.snap import WIB, Dialect, FakeSnap, key, private_pem, public_pem

MODULES = Path(__file__).parents[2] / ".cache" / "node" / "node_modules"
SENT_AT = "2025-01-31T10:15:30+07:00"


@pytest.fixture
async def doku(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDoku]:
    fake = FakeDoku()
    await fake.start()
    monkeypatch.setattr(config._Development, "BASE_URL", fake.url)
    yield fake
    await fake.stop()


async def client(fake: FakeDoku, **changes: str) -> Any:
    """DOKU's official client; making it fetches a token, synchronously."""
    values: dict[str, Any] = {
        "private_key": private_pem("merchant").decode(),
        "client_id": fake.client_id,
        "is_production": False,
        "public_key": public_pem("bank").decode(),
        "issuer": "qrisd",
        "secret_key": fake.client_secret,
        "merchant_public_key": public_pem("merchant").decode(),
        **changes,
    }
    return await asyncio.to_thread(lambda: DokuSNAP(**values))


# DOKU's client


async def test_dokus_client_gets_a_token(doku: FakeDoku) -> None:
    official = await client(doku)
    assert official.token in doku.tokens
    assert official.token_expires_in == 890


async def test_dokus_client_with_another_key_gets_none(doku: FakeDoku) -> None:
    official = await client(doku, private_key=private_pem("stranger").decode())
    assert doku.tokens == {}
    assert official.token is None


async def test_dokus_client_accepts_our_bank_asking_for_a_token_and_no_other(doku: FakeDoku) -> None:
    official = await client(doku)
    for signer, code in (("bank", "2007300"), ("stranger", "4017300")):
        with Flask("merchant").test_request_context(headers=doku.token_headers(signer=signer)):
            assert official.validate_signature_and_generate_token().body.response_code == code


def test_dokus_client_signs_as_we_do() -> None:
    body = {"merchantId": "47435", "amount": {"value": "15000.00", "currency": "IDR"}, "note": "Kopi 1/2"}
    raw = json.dumps(body, separators=(",", ":")).encode()
    path = f"{DIALECT.qr_path}/qr-mpm-generate"
    theirs = TokenService.generate_symmetric_signature("POST", path, "token", body, SENT_AT, "SK-1")
    assert theirs == hmac_signature("SK-1", service_text("POST", path, "token", raw, SENT_AT))
    text = token_text("BRN-1", SENT_AT)
    assert TokenService.create_signature(private_pem("merchant").decode(), text) == rsa_signature(key("merchant"), text)


# Midtrans' client, on the standard dialect


async def ask(fake: FakeSnap, *calls: tuple[str, dict[str, Any]], **more: Any) -> list[Any]:
    orders = {
        "url": fake.url,
        "clientId": fake.client_id,
        "clientSecret": fake.client_secret,
        "privateKey": private_pem("merchant").decode(),
        "publicKey": public_pem("bank").decode(),
        "externalId": secrets.token_hex(8),
        "calls": [{"action": action, "body": body} for action, body in calls],
        "notifications": [],
        **more,
    }
    script = Path(__file__).with_name("snap_client.js")
    run = await asyncio.to_thread(
        subprocess.run,
        ["node", str(script), str(MODULES)],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answers: list[Any] = json.loads(run.stdout.splitlines()[-1])
    return answers


@pytest.fixture
async def bank() -> AsyncIterator[FakeSnap]:
    fake = FakeSnap(Dialect(minifies=False, notify_scheme="rsa_body"))
    await fake.start()
    yield fake
    await fake.stop()


def order(fake: FakeSnap) -> dict[str, Any]:
    return {
        "partnerReferenceNo": "QRISD-1",
        "amount": {"value": "15000.00", "currency": "IDR"},
        "merchantId": fake.merchant_id,
        "validityPeriod": (fake.now + timedelta(minutes=15)).astimezone(WIB).isoformat(timespec="seconds"),
        "additionalInfo": {"note": "Kopi 1/2 é"},
    }


ORIGINAL = {"originalPartnerReferenceNo": "QRISD-1", "merchantId": "MCH0001"}


async def test_midtrans_client_makes_asks_for_and_cancels_a_qr(bank: FakeSnap) -> None:
    made, asked, cancelled, after, twice = await ask(
        bank,
        ("createPayment", order(bank)),
        ("getStatus", {**ORIGINAL, "serviceCode": "47"}),
        ("cancel", {**ORIGINAL, "reason": "cancelled-by-cashier"}),
        ("getStatus", {**ORIGINAL, "serviceCode": "47"}),
        ("createPayment", order(bank)),
    )
    assert (made["responseCode"], made["qrContent"]) == ("2004700", bank.payload(bank.book["QRISD-1"]))
    assert (asked["responseCode"], asked["latestTransactionStatus"]) == ("2005100", "03")
    assert (cancelled["responseCode"], after["latestTransactionStatus"]) == ("2007700", "05")
    assert twice["responseCode"] == "4094701"


async def test_midtrans_client_refunds_a_payment(bank: FakeSnap) -> None:
    await ask(bank, ("createPayment", order(bank)))
    bank.pay("QRISD-1")
    refund = {
        **ORIGINAL,
        "partnerRefundNo": "RFND-1",
        "refundAmount": {"value": "15000.00", "currency": "IDR"},
        "reason": "customer-request",
    }
    refunded, again, asked = await ask(
        bank, ("refund", refund), ("refund", refund), ("getStatus", {**ORIGINAL, "serviceCode": "47"})
    )
    assert (refunded["responseCode"], refunded["refundAmount"]["value"]) == ("2007800", "15000.00")
    assert (again["responseCode"], asked["latestTransactionStatus"]) == ("4097801", "04")


async def test_midtrans_client_with_a_wrong_secret_or_key_is_refused(bank: FakeSnap) -> None:
    (wrong_secret,) = await ask(bank, ("createPayment", order(bank)), clientSecret="wrong")
    (wrong_key,) = await ask(bank, ("createPayment", order(bank)), privateKey=private_pem("stranger").decode())
    assert (wrong_secret["responseCode"], wrong_key["responseCode"]) == ("4014700", "4017300")


async def test_midtrans_client_accepts_our_banks_notification_and_no_changed_one(bank: FakeSnap) -> None:
    await ask(bank, ("createPayment", order(bank)))
    bank.pay("QRISD-1")
    body = bank.outbox[-1]
    headers = bank.notify_headers("/v1.0/qr/qr-mpm-notify", json.dumps(body, separators=(",", ":")).encode())
    seen = {
        "body": body,
        "path": "/v1.0/qr/qr-mpm-notify",
        "signature": headers["X-SIGNATURE"],
        "timestamp": headers["X-TIMESTAMP"],
    }
    changed = {**seen, "body": {**body, "latestTransactionStatus": "03"}}
    assert await ask(bank, notifications=[seen, changed]) == [True, False]
