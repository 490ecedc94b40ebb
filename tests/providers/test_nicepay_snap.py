"""NICEPAY's dialect of SNAP: what is NICEPAY's own about it. How SNAP itself is spoken is tested with the adapter."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import SecretStr

from qrisd.domain.errors import ProviderRejected, ProviderUncertain, SettingsError, WebhookUnreadable, WebhookUnsigned
from qrisd.domain.payment import Attempt, Status
from qrisd.providers.base import Cancels, Charge, Diagnoses, Provider, RefundOrder, Refunds, RefundStatus
from qrisd.providers.http import ProviderHttp
from qrisd.providers.nicepay import NicepaySettings, make_nicepay
from qrisd.providers.nicepay.v2 import NicepayV2
from qrisd.providers.snap.signing import body_hash, hmac_signature, minify, rsa_matches, service_text, token_text
from tests.fakes.nicepay import snap_nicepay
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.fakes.snap import FakeSnap, private_pem, public_pem
from tests.support import payments as sample

IMID, SECRET = "TESTMID001", "test-nicepay-secret-0001"
TOKEN = "test-access-token-0001"
SENT_AT = "2025-01-31T10:15:30+07:00"
NOTIFIED_AT = "2025-01-31T10:20:05+07:00"
NOW = datetime(2025, 1, 31, 3, 20, 10, tzinfo=UTC)
REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
NOTIFY_URL = "https://shop.example/webhooks/nicepay"
PATH = "/api/v1.0/qr/qr-mpm-generate"
# A key made for these vectors and thrown away.
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAv4PiUPVKRraD3WqVJ0n3
wCSOeCWtygFYZhxpUmJ+882ijylhiqJNRqAZPtf4nt8fwW5pl33B8NbWJImKclzv
SOtnBFtqQ0kW7eMCRX5LKO1ka5eEY5AlwS7JUi7UDreJGUcbCwgu+qiSY1fsG+it
MV7zA6PGT3hwndviz2ds37RQaT1iIApknA7BR1drw0drdBwT32q5+HJcHM2cOtSN
AoYnrAZZ8nkOGCH90zVyZJAl66hD4OCASrXtaf/q3xKLfKmxFLSGpHMlplBmVybE
G6bM0QAx9AAlrRu0H22hWD4cQ6utewOxbMlOhDRHGBC0RO3THA7P8YNDyvOtjCoX
SwIDAQAB
-----END PUBLIC KEY-----
"""
TOKEN_SIGNATURE = (
    "oau+9+EjJst9z4KFjDjDXHY78szsaBowBll5SJeMSPCwfs18z75yu7M5vghV99LfRMUgCmeeBsF58rpvN+Go9VFYOYdDv3r1iq7C"
    "IzBHfFadQN3F0/XKE9abUyXr4d6q+6qLqQ1lU3C3A4lm/yFK/6gfNsltE77ZO9cqD4BrKCNuXfl4W9LcjDuHr5urT9RlrdysNqGi"
    "ozk0wsSABAPCWGf52bMwWKD0bjUDszd4jgZF33WM583ZF+lCZIeIAIRls4swYgENwLV2x5sgnDR5xtIqUCi+0HZatGHJKJwHIvvF"
    "b85wM84P0Vx6GVP6Mp6/jI3v47MkdZpGrxZb26Z4+g=="
)
NOTIFY_SIGNATURE = (
    "f3Z7SCbNb8PCj1xyFg0AoZt4VlcdSgl2Ex8/DhNwRrk2eStV4XN87az5dsr9WP1ftjeilNQ1xCwH14Pn7Gwk0Q294GduBzcdST0X"
    "cVidW3xoYSTR78AsfOhqcfb4ZJpgtau5yFL3wygoDSaRLm+AvnNt6WJ/1pbFxeF5ZLmffqAP2BJ6g5usDti6r4NFgJ/X6AaJynDT"
    "B84stYCFVjL2fuBT9CdOLNLhGd2iXTfqefVrlj/e0Z3Uf6OY0vHitdcpIR7a1VkRn2+PMa9SE+TJjoPo+odP4pf4zTZNSkh2OYff"
    "iJiLsaHUahor1rrKMEr5ygzMo1SUgD6MmmQsOUJeYw=="
)
GENERATE = (
    '{"partnerReferenceNo":"QRISD-20250131-0001","amount":{"value":"15000.00","currency":"IDR"},"merchant'
    'Id":"TESTMID001","storeId":"NICEPAY","validityPeriod":"2025-01-31T10:30:30+07:00","additionalInfo":{'
    '"goodsNm":"Order-0001","billingNm":"Budi","billingPhone":"081200000000","billingEmail":"budi@example'
    '.test","billingCity":"Jakarta","billingState":"DKI","billingPostCd":"12345","billingCountry":"Indone'
    'sia","dbProcessUrl":"https://merchant.example/hooks/nicepay","callBackUrl":"https://merchant.example'
    '/return","userIP":"127.0.0.1","cartData":"{\\"count\\":\\"1\\",\\"item\\":[{\\"goods_id\\":\\"1\\",\\"goods_nam'
    'e\\":\\"Order-0001\\",\\"goods_amt\\":\\"15000\\",\\"goods_quantity\\":\\"1\\"}]}","mitraCd":"QSHP"}}'
)
NOTIFICATION = (
    '{"originalReferenceNo":"TESTMID00108202501311015300001","originalPartnerReferenceNo":"QRISD-20250131'
    '-0001","amount":{"value":"15000.00","currency":"IDR"},"latestTransactionStatus":"00","transactionSta'
    'tusDesc":"Success","externalStoreID":"NICEPAY","additionalInfo":{"transactionDateTime":"2025-01-31T1'
    '0:20:00+07:00"}}'
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeSnap]:
    server = snap_nicepay(IMID, SECRET)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    files = {"private_key_file": private_pem("merchant"), "provider_public_key_file": public_pem("bank")}
    for name, pem in files.items():
        (tmp_path / name).write_bytes(pem)
    return {name: tmp_path / name for name in files}


@pytest.fixture
def nicepay(fake: FakeSnap, http: ProviderHttp, keys: dict[str, Path]) -> Any:
    return adapter(fake.url, http, keys, fake)


def adapter(url: str, http: ProviderHttp, keys: dict[str, Path], fake: FakeSnap | None = None, **changes: Any) -> Any:
    """Any, because whether it refunds is known by its profile only."""
    values = {"imid": IMID, "client_secret": SecretStr(SECRET), "base_url": url, "timeout": 5.0, **keys, **changes}
    clock = (lambda: fake.now) if fake else (lambda: NOW)
    return make_nicepay("nicepay", NicepaySettings(**values), http, clock, NOTIFY_URL)


def charge(fake: FakeSnap, **changes: Any) -> Charge:
    ends = fake.now + timedelta(seconds=900)
    values: dict[str, Any] = {"reference": REFERENCE, "amount": 15_000, "expires_in": 900, "expires_at": ends}
    return Charge(**{**values, **changes})


def attempt(fake: FakeSnap, **changes: Any) -> Attempt:
    trx_id = fake.book[REFERENCE].id if REFERENCE in fake.book else None
    values = {"provider_trx_id": trx_id, "expires_at": fake.now + timedelta(seconds=900)}
    return sample.attempt(provider="nicepay", reference=REFERENCE, **{**values, **changes})


def body_of(fake: FakeSnap, action: str) -> Any:
    return next(call.json() for call in reversed(fake.calls) if fake.action(call) == action)


# Signatures


def test_a_token_is_asked_for_with_the_imid_as_client() -> None:
    assert rsa_matches(public_key(), TOKEN_SIGNATURE, [token_text(IMID, SENT_AT)])
    assert not rsa_matches(public_key(), TOKEN_SIGNATURE, [token_text(IMID, NOTIFIED_AT)])


SHORT_PATH = "miqbdhBjb4epYp7EEx17gfQNEwaONGOmOT3ZQOrQnbs+ICHoXQ+VftfoJReyMHHI2eWKAfygZcvS/yUJEJdQ0A=="
SPACED = "vb7JaHjY3JpBOTNvWGF64HxGDpoUlNfaC/DovW+XWPpLqS2HCGeBsZLETWAUOKbYG55tj23YCQI/LDMhBYX1iw=="
LONG_PATH = "Yo6SNcdJyPpeb9Wgue3N192Ln9/X1uoEzt6HXBA3NMShSZAmIcNACd3OuMMImN5ZWtUAuFOPG3n4xXp/lcDPFQ=="


@pytest.mark.parametrize(
    ("path", "text", "signature"),
    [
        (PATH, GENERATE, SHORT_PATH),
        (PATH, json.dumps(json.loads(GENERATE)), SPACED),
        (f"/nicepay{PATH}", GENERATE, LONG_PATH),
    ],
)
def test_a_call_is_signed_over_path_token_body_and_time(path: str, text: str, signature: str) -> None:
    assert hmac_signature(SECRET, service_text("POST", path, TOKEN, text.encode(), SENT_AT)) == signature


def test_the_cart_is_text_and_survives_minifying() -> None:
    spaced = json.dumps(json.loads(GENERATE)).encode()
    assert minify(spaced) == GENERATE.encode()
    assert body_hash(GENERATE.encode()) == "56455f88cc15ceab8d8368ed9dfd9f5f190eef45a6aff7051d72910e93caf63e"
    assert body_hash(spaced) == "16e6bc01226e378c20b95fdc6d2a80ead7c6c8b83ef9391e9bf4f93a2fbb5cf9"


async def test_nicepay_is_in_the_address_and_not_in_the_signature(nicepay: Any, fake: FakeSnap) -> None:
    await nicepay.create_qr(charge(fake))
    token, call = fake.calls
    assert (token.path, call.path) == ("/nicepay/v1.0/access-token/b2b", f"/nicepay{PATH}")
    bearer = call.headers["authorization"].removeprefix("Bearer ")
    text = service_text("POST", PATH, bearer, call.body, call.headers["x-timestamp"])
    assert call.headers["x-signature"] == hmac_signature(SECRET, text)
    assert (call.headers["x-partner-id"], call.headers["channel-id"]) == (IMID, f"{IMID}01")


async def test_an_address_with_a_final_slash_is_joined_with_one(
    fake: FakeSnap, http: ProviderHttp, keys: dict[str, Path]
) -> None:
    await adapter(f"{fake.url}/", http, keys, fake, channel_id="123456").create_qr(charge(fake))
    assert fake.calls[1].path == f"/nicepay{PATH}"
    assert fake.calls[1].headers["channel-id"] == "123456"


# What is sent


def test_it_refunds_but_does_not_cancel(nicepay: Any) -> None:
    provider: Provider = nicepay
    assert isinstance(provider, Refunds)
    assert isinstance(provider, Diagnoses)
    assert not isinstance(provider, Cancels)
    can = provider.capabilities
    assert (can.min_expires_in, can.max_expires_in, can.cancel) == (300, 1200, False)
    assert (can.refund, can.partial_refund, can.webhook_proves_status) == (True, True, False)


async def test_a_qr_describes_goods_and_buyer(nicepay: Any, fake: FakeSnap) -> None:
    seen = await nicepay.create_qr(charge(fake))
    assert (seen.status, seen.qris_payload) == (Status.PENDING, fake.payload(fake.book[REFERENCE]))
    sent = body_of(fake, "charge")
    info = sent.pop("additionalInfo")
    ends = sent.pop("validityPeriod")
    assert (ends[-6:], datetime.fromisoformat(ends)) == ("+07:00", seen.expires_at)
    assert sent == {
        "partnerReferenceNo": REFERENCE,
        "amount": {"value": "15000.00", "currency": "IDR"},
        "merchantId": IMID,
        "storeId": "NICEPAY",
    }
    assert set(info) == set(json.loads(GENERATE)["additionalInfo"])
    assert (info["dbProcessUrl"], info["callBackUrl"], info["mitraCd"]) == (NOTIFY_URL, NOTIFY_URL, "QSHP")
    assert json.loads(info["cartData"])["item"][0]["goods_amt"] == "15000"


async def test_the_shortest_qr_still_lives_five_minutes_when_it_arrives(nicepay: Any, fake: FakeSnap) -> None:
    await nicepay.create_qr(charge(fake, expires_in=300, expires_at=fake.now + timedelta(seconds=299)))
    assert 300 <= (fake.book[REFERENCE].expires_at - fake.now).total_seconds() <= 310


@pytest.mark.parametrize("code", ["47", "51"])
async def test_a_query_names_the_shop_and_the_service(
    fake: FakeSnap, http: ProviderHttp, keys: dict[str, Path], code: str
) -> None:
    nicepay = adapter(fake.url, http, keys, fake, store_id="SHOP1", query_service_code=code)
    await nicepay.create_qr(charge(fake))
    await nicepay.fetch_status(attempt(fake))
    assert body_of(fake, "status") == {
        "originalReferenceNo": fake.book[REFERENCE].id,
        "originalPartnerReferenceNo": REFERENCE,
        "merchantId": IMID,
        "externalStoreId": "SHOP1",
        "serviceCode": code,
        "additionalInfo": {},
    }


# What comes back


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("00", Status.PAID),
        ("03", Status.PENDING),
        ("04", Status.REFUNDED),
        ("05", Status.CANCELLED),
        ("06", Status.FAILED),
        ("01", None),
        ("08", None),
        ("0", None),
    ],
)
async def test_their_status_becomes_ours(nicepay: Any, fake: FakeSnap, code: str, status: Status | None) -> None:
    await nicepay.create_qr(charge(fake))
    fake.script.next("status", fields={"latestTransactionStatus": code})
    assert (await nicepay.fetch_status(attempt(fake))).status is status


async def test_canceled_past_its_time_is_expired(nicepay: Any, fake: FakeSnap) -> None:
    await nicepay.create_qr(charge(fake))
    live = attempt(fake)
    fake.advance(901)
    assert (await nicepay.fetch_status(live)).status is Status.EXPIRED


async def test_a_payment_names_amount_currency_and_time(nicepay: Any, fake: FakeSnap) -> None:
    await nicepay.create_qr(charge(fake))
    fake.pay(REFERENCE)
    seen = await nicepay.fetch_status(attempt(fake))
    assert (seen.status, seen.amount, seen.currency) == (Status.PAID, 15_000, "IDR")
    assert seen.paid_at == fake.book[REFERENCE].paid_at.replace(microsecond=0)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"originalPartnerReferenceNo": "OTHER"}, "reference_mismatch"),
        ({"merchantId": "OTHER00001"}, "merchant_mismatch"),
        ({"amount": {"value": "15000.50", "currency": "IDR"}}, "amount_format"),
    ],
)
async def test_an_answer_about_something_else_is_a_contradiction(
    nicepay: Any, fake: FakeSnap, fields: dict[str, Any], contradiction: str
) -> None:
    await nicepay.create_qr(charge(fake))
    fake.script.next("status", fields=fields)
    assert (await nicepay.fetch_status(attempt(fake))).contradiction == contradiction


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.ERROR_AFTER_EFFECT, Fault.HTML, Fault.CUT_BODY])
async def test_a_lost_answer_is_uncertain_and_found_by_our_reference(
    nicepay: Any, fake: FakeSnap, fault: Fault
) -> None:
    fake.script.next("charge", fault)
    with pytest.raises(ProviderUncertain):
        await nicepay.create_qr(charge(fake))
    seen = await nicepay.fetch_status(attempt(fake, provider_trx_id=None))
    assert (seen.status, seen.provider_trx_id) == (Status.PENDING, fake.book[REFERENCE].id)


async def test_a_wrong_secret_is_refused(fake: FakeSnap, http: ProviderHttp, keys: dict[str, Path]) -> None:
    with pytest.raises(ProviderRejected):
        await adapter(fake.url, http, keys, fake, client_secret=SecretStr("no")).create_qr(charge(fake))


# Giving back


@pytest.mark.parametrize(("amount", "kind"), [(15_000, "1"), (5_000, "2")])
async def test_a_refund_says_whether_it_is_whole(nicepay: Any, fake: FakeSnap, amount: int, kind: str) -> None:
    await nicepay.create_qr(charge(fake))
    fake.pay(REFERENCE)
    paid = attempt(fake, status=Status.PAID, amount_paid=15_000)
    seen = await nicepay.refund(paid, RefundOrder(reference="R" * 20, amount=amount))
    entry = fake.book[REFERENCE].refunds["R" * 20]
    assert (seen.status, seen.amount, seen.provider_refund_id) == (RefundStatus.DONE, amount, entry["id"])
    sent = body_of(fake, "refund")
    assert (sent["additionalInfo"], sent["externalStoreId"]) == ({"cancelType": kind}, "NICEPAY")
    assert sent["refundAmount"] == {"value": f"{amount}.00", "currency": "IDR"}


async def test_a_refund_past_its_window_is_refused_with_their_words(nicepay: Any, fake: FakeSnap) -> None:
    await nicepay.create_qr(charge(fake))
    fake.pay(REFERENCE)
    paid = attempt(fake, status=Status.PAID, amount_paid=15_000)
    answer = {"responseCode": "4037815", "responseMessage": "Transaction Not Permitted"}
    fake.script.next("refund", reply=Reply.json(403, answer))
    seen = await nicepay.refund(paid, RefundOrder(reference="R" * 20, amount=15_000))
    assert seen.status is RefundStatus.REFUSED
    assert "Not Permitted" in str(seen.detail)


# Notifications


@pytest.fixture
def offline(keys: dict[str, Path]) -> Any:
    keys["provider_public_key_file"].write_text(PUBLIC_KEY)
    return adapter("http://127.0.0.1:1/nicepay", ProviderHttp(), keys)


def headers(**changes: str) -> dict[str, str]:
    return {"x-client-key": IMID, "x-timestamp": NOTIFIED_AT, "x-signature": NOTIFY_SIGNATURE, **changes}


def test_a_signed_notification_is_a_hint(offline: Any) -> None:
    event = offline.parse_webhook(headers(), NOTIFICATION.encode(), NOW)
    assert (event.reference, event.proven) == ("QRISD-20250131-0001", False)
    assert (event.provider_trx_id, event.observation.status) == ("TESTMID00108202501311015300001", Status.PAID)
    assert (event.observation.amount, event.observation.paid_at) == (15_000, datetime(2025, 1, 31, 3, 20, tzinfo=UTC))


def test_another_body_under_a_good_signature_is_taken_and_never_believed(offline: Any) -> None:
    lie = NOTIFICATION.replace("15000.00", "99000.00")
    assert not offline.parse_webhook(headers(), lie.encode(), NOW).proven
    ids = {offline.parse_webhook(headers(), text.encode(), NOW).event_id for text in (lie, NOTIFICATION, NOTIFICATION)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"x-signature": ""},
        {"x-signature": TOKEN_SIGNATURE},
        {"x-signature": NOTIFY_SIGNATURE[:-4] + "AA=="},
        {"x-timestamp": SENT_AT},
        {"x-timestamp": "2025-01-31T03:20:05Z"},
        {"x-client-key": "OTHER00001"},
    ],
)
def test_a_wrong_or_missing_signature_is_unsigned(offline: Any, changes: dict[str, str]) -> None:
    with pytest.raises(WebhookUnsigned):
        offline.parse_webhook(headers(**changes), NOTIFICATION.encode(), NOW)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_notification_of_another_time_is_unsigned(offline: Any, minutes: int) -> None:
    with pytest.raises(WebhookUnsigned):
        offline.parse_webhook(headers(), NOTIFICATION.encode(), NOW + timedelta(minutes=minutes))


def test_without_nicepays_key_nothing_verifies(keys: dict[str, Path]) -> None:
    unset = adapter("http://127.0.0.1:1/nicepay", ProviderHttp(), {**keys, "provider_public_key_file": None})  # type: ignore[dict-item]
    with pytest.raises(WebhookUnsigned):
        unset.parse_webhook(headers(), NOTIFICATION.encode(), NOW)


def test_a_form_of_the_other_api_is_not_taken(offline: Any) -> None:
    with pytest.raises(WebhookUnreadable):
        offline.parse_webhook(headers(), b"tXid=1&amt=15000", NOW)


async def test_the_fakes_own_notifications_verify(nicepay: Any, fake: FakeSnap) -> None:
    await nicepay.create_qr(charge(fake))
    fake.pay(REFERENCE)
    body = json.dumps(fake.outbox[-1]).encode()
    given = {name.lower(): value for name, value in fake.notify_headers("/webhooks/nicepay", body).items()}
    assert nicepay.parse_webhook(given, body, fake.now).observation.status is Status.PAID


# The account


async def test_a_good_account_is_fine(nicepay: Any) -> None:
    assert [fine for fine, _ in await nicepay.diagnose()] == [True] * len(await nicepay.diagnose())


def test_the_settings_choose_the_api(keys: dict[str, Path]) -> None:
    v2 = NicepaySettings(api="v2", imid=IMID, merchant_key=SecretStr("k"))
    assert isinstance(make_nicepay("nicepay", v2, ProviderHttp(), lambda: NOW, None), NicepayV2)
    snap = NicepaySettings(imid=IMID, client_secret=SecretStr(SECRET), private_key_file=keys["private_key_file"])
    assert snap.configured
    assert not snap.model_copy(update={"client_secret": None}).configured
    assert make_nicepay("nicepay", snap, ProviderHttp(), lambda: NOW, None).name == "nicepay"


def test_a_key_file_that_is_no_key_is_told_by_setting(keys: dict[str, Path]) -> None:
    keys["private_key_file"].write_text("no key")
    with pytest.raises(SettingsError, match=r"providers\.nicepay\.private_key_file"):
        adapter("http://127.0.0.1:1", ProviderHttp(), keys)


def public_key() -> RSAPublicKey:
    read = load_pem_public_key(PUBLIC_KEY.encode())
    assert isinstance(read, RSAPublicKey)
    return read
