import hashlib
import json
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from qrisd.domain.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    WebhookUnreadable,
    WebhookUnsigned,
)
from qrisd.domain.payment import Attempt, Source, Status
from qrisd.providers.base import Cancels, Charge, Diagnoses, Provider, Refunds
from qrisd.providers.http import ProviderHttp
from qrisd.providers.midtrans.account import MidtransSettings
from qrisd.providers.midtrans.qris import Midtrans
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.support import payments as sample

KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
NOTIFY_URL = "https://shop.example/webhooks/midtrans"

# Signatures of order QRISD-20260115-0001 over 10000.00 with KEY, by status code.
SIGNATURES = {
    "200": "c88118734efdc49327bbccfaf17bfd273e3a36027a7317012193f3ad17db39d6"
    "15f45b541284b3b06cb762cefdb1cdef7c20db048076b4feeb4b3c9baf3d420b",
    "201": "d3d0615cfcdf299677d7d75a45cd91526fb20ae31ad6810e8a7e1e03959f98ac"
    "b5b520f33776be3c5c5bcc5aaebf6c5bb202c4610283d8314fcb1d44057cf171",
    "202": "f75fbd84e9c451ec0bffe772e252b9d58362b34b1153129590617f02647c1667"
    "561ce6f92cea81e7490de5cf6fd010f5836e72eaec29729f4f6bf50771d8b41c",
    "407": "9ad37ef3f8eb02ae7b87e8c8b31a9574ec822d6c3ea762649fa56c42d5463019"
    "baaa006292469983edb6623ac5d06b40842b9c4727a73f891fd69d2878457cdd",
}
SIGNATURE_OVER_10000 = (
    "2c55e59fb621b5b1b296e55009579da089640f8175b0a31d722efec379202730"
    "fe83193ecc3cae4023a2aab51b1be31e7670dd38bbf2b0e2f283bea6a1cfdd3a"
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    server = FakeMidtrans(server_key=KEY)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


@pytest.fixture
async def midtrans(fake: FakeMidtrans, http: ProviderHttp) -> Midtrans:
    return adapter(fake.url, http)


def adapter(url: str, http: ProviderHttp, notify_url: str | None = NOTIFY_URL, **changes: Any) -> Midtrans:
    values = {"server_key": SecretStr(KEY), "base_url": url, "timeout": 5.0, **changes}
    return Midtrans("midtrans", MidtransSettings(**values), http, notify_url)


def charge(**changes: Any) -> Charge:
    values: dict[str, Any] = {"reference": REFERENCE, "amount": 10_000, "expires_in": 900}
    return Charge(**{**values, "expires_at": NOW + timedelta(seconds=900), **changes})


def attempt(**changes: Any) -> Attempt:
    return sample.attempt(**{"provider": "midtrans", "reference": REFERENCE, "amount": 10_000, **changes})


def sent_body(fake: FakeMidtrans, index: int = 0) -> Any:
    return fake.calls[index].json()


def test_it_is_a_provider_that_cancels_refunds_and_diagnoses(midtrans: Midtrans) -> None:
    provider: Provider = midtrans
    assert isinstance(provider, Cancels)
    assert isinstance(provider, Refunds)
    assert isinstance(provider, Diagnoses)
    assert not provider.capabilities.webhook_proves_status
    assert (provider.capabilities.min_expires_in, provider.capabilities.max_expires_in) == (60, 604_800)


# Charging


async def test_a_charge_answers_a_live_qr(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    seen = await midtrans.create_qr(charge())
    entry = fake.book[REFERENCE]
    assert (seen.source, seen.status, seen.contradiction) == (Source.PROVIDER, Status.PENDING, None)
    assert (seen.amount, seen.currency, seen.provider_trx_id) == (10_000, "IDR", entry.id)
    assert seen.qris_payload == fake.payload(entry)
    assert seen.expires_at == entry.expires_at.replace(microsecond=0)


async def test_a_charge_says_what_midtrans_needs_and_no_more(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    sent = fake.calls[0]
    assert sent_body(fake) == {
        "payment_type": "qris",
        "transaction_details": {"order_id": REFERENCE, "gross_amount": 10_000},
        "qris": {"acquirer": "gopay"},
        "custom_expiry": {"expiry_duration": 15, "unit": "minute"},
    }
    assert sent.headers["authorization"] == f"Basic {b64encode(f'{KEY}:'.encode()).decode()}"
    assert sent.headers["accept"] == sent.headers["content-type"] == "application/json"
    assert sent.headers["x-override-notification"] == NOTIFY_URL


async def test_without_a_public_address_no_notification_url_is_sent(fake: FakeMidtrans, http: ProviderHttp) -> None:
    await adapter(fake.url, http, notify_url=None).create_qr(charge())
    assert "x-override-notification" not in fake.calls[0].headers


async def test_seconds_that_make_no_whole_minutes_are_sent_as_seconds(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge(expires_in=95))
    assert sent_body(fake)["custom_expiry"] == {"expiry_duration": 95, "unit": "second"}


async def test_gopay_is_charged_without_an_acquirer_and_read_from_its_picture(
    fake: FakeMidtrans, http: ProviderHttp
) -> None:
    seen = await adapter(fake.url, http, payment_type="gopay").create_qr(charge())
    assert "qris" not in sent_body(fake)
    assert fake.calls[1].path == f"/v2/gopay/{seen.provider_trx_id}/qr-code"
    assert seen.qris_payload == fake.payload(fake.book[REFERENCE])


async def test_idempotency_keys_are_stable_and_differ_by_action(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    await midtrans.create_qr(charge())
    await midtrans.cancel_qr(attempt())
    keys = [call.headers["idempotency-key"] for call in fake.calls]
    assert keys[0] == keys[1] != keys[2]
    assert {len(key) for key in keys} == {36}


async def test_a_repeated_charge_gets_the_first_answer(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    assert await midtrans.create_qr(charge()) == await midtrans.create_qr(charge())
    assert len(fake.book) == 1


async def test_a_duplicate_order_id_is_looked_up_and_adopted(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    first = await midtrans.create_qr(charge())
    fake.advance(301)
    again = await midtrans.create_qr(charge())
    assert (again.status, again.qris_payload) == (Status.PENDING, first.qris_payload)
    assert again.provider_trx_id == first.provider_trx_id
    assert [call.path.rsplit("/", 1)[1] for call in fake.calls] == ["charge", "charge", "status", "qr-code"]


@pytest.mark.parametrize("answer", [Reply.json(409, {"message": "conflict"}), Reply.json(406, {"status_code": "406"})])
async def test_a_conflict_told_by_http_is_adopted_too(midtrans: Midtrans, fake: FakeMidtrans, answer: Reply) -> None:
    await midtrans.create_qr(charge())
    fake.script.next("charge", reply=answer)
    assert (await midtrans.create_qr(charge())).status is Status.PENDING


async def test_an_order_of_another_amount_is_not_adopted(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge(amount=9_000))
    fake.advance(301)
    fake.pay(REFERENCE)
    assert (await midtrans.create_qr(charge())).contradiction == "amount_mismatch"


@pytest.mark.parametrize("fault", [Fault.RATE_LIMITED, Fault.DROP_BEFORE_EFFECT, Fault.HTML, Fault.TIMEOUT])
async def test_a_duplicate_that_cannot_be_looked_up_is_uncertain(
    midtrans: Midtrans, fake: FakeMidtrans, fault: Fault
) -> None:
    await midtrans.create_qr(charge())
    fake.advance(301)
    fake.script.next("status", fault)
    with pytest.raises(ProviderUncertain):
        await midtrans.create_qr(charge())


async def test_a_duplicate_that_midtrans_refuses_to_show_is_uncertain(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("charge", reply=Reply.json(200, {"status_code": "406", "status_message": "conflict"}))
    with pytest.raises(ProviderUncertain, match="does not show it yet"):
        await midtrans.create_qr(charge())
    fake.script.next("charge", reply=Reply.json(200, {"status_code": "406", "status_message": "conflict"}))
    fake.script.next("status", reply=Reply.json(401, {"status_code": "401", "status_message": "unknown"}))
    with pytest.raises(ProviderUncertain) as raised:
        await midtrans.create_qr(charge())
    assert raised.value.provider_code == "401"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROP_AFTER_EFFECT,
        Fault.ERROR_AFTER_EFFECT,
        Fault.TIMEOUT,
        Fault.DRIP,
        Fault.HTML,
        Fault.EMPTY,
        Fault.CUT_JSON,
        Fault.CUT_BODY,
        Fault.HUGE,
        Fault.GZIP_BOMB,
        Fault.REDIRECT,
    ],
)
async def test_a_lost_answer_is_uncertain_and_the_lookup_completes_it(
    fake: FakeMidtrans, http: ProviderHttp, fault: Fault
) -> None:
    midtrans = adapter(fake.url, http, timeout=1.0)
    fake.script.next("charge", fault)
    with pytest.raises(ProviderUncertain):
        await midtrans.create_qr(charge())
    seen = await midtrans.fetch_status(attempt(status=Status.CREATED, qris_payload=None))
    assert (seen.status, seen.qris_payload) == (Status.PENDING, fake.payload(fake.book[REFERENCE]))
    assert len(fake.book) == 1


async def test_nobody_listening_is_unreachable(http: ProviderHttp) -> None:
    with pytest.raises(ProviderUnreachable):
        await adapter("http://127.0.0.1:1", http).create_qr(charge())


@pytest.mark.parametrize(("seconds", "when"), [(30.0, "in 30 seconds"), (None, "in a while")])
async def test_a_rate_limit_leaves_nothing_and_says_when(
    midtrans: Midtrans, fake: FakeMidtrans, seconds: float | None, when: str
) -> None:
    fake.script.next("charge", Fault.RATE_LIMITED, seconds=seconds)
    with pytest.raises(ProviderUnreachable, match=when) as raised:
        await midtrans.create_qr(charge())
    assert raised.value.provider_code == "429"
    assert fake.book == {}


async def test_a_rate_limit_in_the_body_is_one_too(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("charge", reply=Reply.json(200, {"status_code": "429", "status_message": "slow down"}))
    with pytest.raises(ProviderUnreachable):
        await midtrans.create_qr(charge())


@pytest.mark.parametrize(
    ("status", "code", "phrase"),
    [
        (400, "400", "One or more"),
        (401, "401", "does not know this server key"),
        (200, "402", "ask Midtrans to activate it"),
        (200, "202", "denied"),
        (403, "403", "support"),
        (200, "413", "malformed"),
    ],
)
async def test_a_refusal_is_rejected_with_code_and_advice(
    midtrans: Midtrans, fake: FakeMidtrans, status: int, code: str, phrase: str
) -> None:
    words = {"400": "One or more parameters", "202": "denied by the bank", "413": "malformed syntax"}
    body = {"status_code": code, "status_message": words.get(code, "no")}
    fake.script.next("charge", reply=Reply.json(status, body))
    with pytest.raises(ProviderRejected, match=phrase) as raised:
        await midtrans.create_qr(charge())
    assert raised.value.provider_code == code


@pytest.mark.parametrize(
    "answer",
    [
        Reply.json(200, {"status_code": "500", "status_message": "sorry"}),
        Reply.json(200, {"status_code": "503"}),
        Reply.json(503, {"status_code": "503"}),
        Reply.json(502, {"status_code": "201", "order_id": REFERENCE, "transaction_status": "pending"}),
        Reply.json(307, {"status_code": "201", "order_id": REFERENCE, "transaction_status": "pending"}),
        Reply.json(202, {}),
        Reply.json(200, {"status_code": "407x"}),
        Reply.json(200, {"status_code": {"a": 1}}),
        Reply.json(200, {"status_code": "201", "actions": "none"}),
        Reply.json(200, {"status_code": "201"}),
        Reply.json(200, {"status_code": "404"}),
        Reply.json(408, {"message": "request timeout"}),
        Reply.json(404, {"message": "no Route matched"}),
        Reply.json(200, {}),
    ],
)
async def test_an_answer_that_says_nothing_about_our_order_is_uncertain(
    midtrans: Midtrans, fake: FakeMidtrans, answer: Reply
) -> None:
    fake.script.next("charge", reply=answer)
    with pytest.raises(ProviderUncertain):
        await midtrans.create_qr(charge())


async def test_a_first_request_still_running_makes_the_repeat_uncertain(
    midtrans: Midtrans, fake: FakeMidtrans, http: ProviderHttp
) -> None:
    hurried = adapter(fake.url, http, timeout=0.3)
    fake.script.next("charge", delay_s=1.0)
    with pytest.raises(ProviderUncertain):
        await hurried.create_qr(charge())
    with pytest.raises(ProviderUncertain, match="still working"):
        await midtrans.create_qr(charge())


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"order_id": "SOMEBODY-ELSES"}, "reference_mismatch"),
        ({"gross_amount": "9000.00"}, "amount_mismatch"),
        ({"gross_amount": "10000.50"}, "amount_format"),
        ({"gross_amount": "10.000"}, "amount_format"),
        ({"merchant_id": "G999999999"}, "merchant_mismatch"),
    ],
)
async def test_an_answer_for_something_else_is_a_contradiction_and_shows_no_picture(
    fake: FakeMidtrans, http: ProviderHttp, fields: dict[str, str], contradiction: str
) -> None:
    fake.script.next("charge", fields={**fields, "qr_string": None})
    midtrans = adapter(fake.url, http, merchant_id="G000000001")
    seen = await midtrans.create_qr(charge())
    assert (seen.contradiction, seen.qris_payload) == (contradiction, None)
    assert len(fake.calls) == 1


async def test_another_currency_is_passed_on(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("charge", fields={"currency": "USD"})
    assert (await midtrans.create_qr(charge())).currency == "USD"


async def test_a_key_repeated_by_midtrans_is_not_shown(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    basic = b64encode(f"{KEY}:".encode()).decode()
    body = {"status_code": "400", "status_message": f"bad header Basic {basic}", "validation_messages": [f"key {KEY}"]}
    fake.script.next("charge", reply=Reply.json(400, body))
    with pytest.raises(ProviderRejected) as raised:
        await midtrans.create_qr(charge())
    assert KEY not in str(raised.value)
    assert basic not in str(raised.value)


# The QR's text, recovered from its picture


async def test_a_charge_without_qr_text_reads_the_frameless_picture(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.sends_qr_string.clear()
    seen = await midtrans.create_qr(charge())
    assert seen.qris_payload == fake.payload(fake.book[REFERENCE])
    assert fake.calls[1].path == f"/v2/qris/{seen.provider_trx_id}/qr-code"


async def test_an_action_on_another_host_is_asked_at_ours(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    action = {"name": "generate-qr-code", "url": "http://127.0.0.1:1/v2/qris/legacy/qr-code?a=b"}
    fake.script.next("charge", fields={"qr_string": None, "actions": [action]})
    await midtrans.create_qr(charge())
    assert fake.calls[1].path == "/v2/qris/legacy/qr-code"


@pytest.mark.parametrize("url", ["@127.0.0.1:1/x", ":1/x", ".example/x", "", None])
async def test_an_action_that_would_leave_our_host_is_never_followed(
    midtrans: Midtrans, fake: FakeMidtrans, url: str | None
) -> None:
    fake.script.next("charge", fields={"qr_string": None, "actions": [{"name": "generate-qr-code", "url": url}]})
    seen = await midtrans.create_qr(charge())
    assert seen.qris_payload == fake.payload(fake.book[REFERENCE])
    assert [call.path for call in fake.calls[1:]] == [f"/v2/qris/{seen.provider_trx_id}/qr-code"]


async def test_an_action_that_is_no_address_leaves_the_qr_without_text(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    action = {"name": "generate-qr-code", "url": "http://[bad"}
    fake.script.next("charge", fields={"qr_string": None, "actions": [action]})
    seen = await midtrans.create_qr(charge())
    assert (seen.status, seen.qris_payload) == (Status.PENDING, None)


async def test_an_error_in_place_of_the_picture_is_told(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("charge", fields={"qr_string": None})
    fake.script.next("picture", Fault.ERROR_AFTER_EFFECT)
    assert "HTTP 500 instead of a picture" in str((await midtrans.create_qr(charge())).detail)


@pytest.mark.parametrize(
    "fault", [Fault.HTML, Fault.DROP_AFTER_EFFECT, Fault.TIMEOUT, Fault.EMPTY, Fault.HUGE, Fault.ERROR_AFTER_EFFECT]
)
async def test_a_picture_that_cannot_be_read_leaves_the_qr_without_text(
    fake: FakeMidtrans, http: ProviderHttp, fault: Fault
) -> None:
    midtrans = adapter(fake.url, http, timeout=1.0)
    fake.script.next("charge", fields={"qr_string": None})
    fake.script.next("picture", fault)
    seen = await midtrans.create_qr(charge())
    assert (seen.status, seen.qris_payload) == (Status.PENDING, None)
    assert "picture could not be read" in str(seen.detail)
    assert (await midtrans.fetch_status(attempt(qris_payload=None))).qris_payload is not None


async def test_a_known_qr_text_is_not_fetched_again(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    await midtrans.fetch_status(attempt())
    assert [call.path.rsplit("/", 1)[1] for call in fake.calls] == ["charge", "status"]


# Asking


@pytest.mark.parametrize(
    ("transaction_status", "fraud_status", "status"),
    [
        ("pending", "accept", Status.PENDING),
        ("PENDING", None, Status.PENDING),
        ("authorize", "accept", Status.PENDING),
        ("settlement", "accept", Status.PAID),
        ("settlement", None, Status.PAID),
        ("capture", "accept", Status.PAID),
        ("settlement", "challenge", Status.PENDING),
        ("capture", "challenge", Status.PENDING),
        ("settlement", "deny", Status.FAILED),
        ("capture", "deny", Status.FAILED),
        ("settlement", "shrug", None),
        ("deny", "deny", Status.FAILED),
        ("failure", None, Status.FAILED),
        ("expire", "accept", Status.EXPIRED),
        ("cancel", "accept", Status.CANCELLED),
        ("refund", "accept", Status.REFUNDED),
        ("chargeback", "accept", None),
        ("partial_chargeback", "accept", None),
        ("teleported", "accept", None),
        (None, None, None),
    ],
)
async def test_their_status_becomes_ours(
    midtrans: Midtrans, fake: FakeMidtrans, transaction_status: str, fraud_status: str | None, status: Status | None
) -> None:
    await midtrans.create_qr(charge())
    fake.script.next("status", fields={"transaction_status": transaction_status, "fraud_status": fraud_status})
    seen = await midtrans.fetch_status(attempt())
    assert (seen.source, seen.status, seen.absent) == (Source.LOOKUP, status, False)


async def test_a_payment_names_amount_time_and_the_acquirers_number(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.pay(REFERENCE)
    seen = await midtrans.fetch_status(attempt())
    entry = fake.book[REFERENCE]
    assert (seen.status, seen.amount, seen.currency) == (Status.PAID, 10_000, "IDR")
    assert entry.settled_at is not None
    assert seen.paid_at == entry.settled_at.replace(microsecond=0)
    assert seen.provider_ref_no == entry.cross_reference


async def test_shopeepays_number_is_found_too(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.script.next("status", fields={"shopeepay_reference_number": "0123", "reference_id": "9"})
    assert (await midtrans.fetch_status(attempt())).provider_ref_no == "0123"


async def test_times_without_offset_are_wib(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.script.next("status", fields={"settlement_time": "2026-01-15 10:03:21", "expiry_time": "soon"})
    seen = await midtrans.fetch_status(attempt())
    assert seen.paid_at == datetime(2026, 1, 15, 3, 3, 21, tzinfo=UTC)
    assert seen.expires_at is None


async def test_an_expired_order_answers_407_and_is_no_error(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.advance(901)
    assert (await midtrans.fetch_status(attempt())).status is Status.EXPIRED
    fake.script.next("status", fields={"transaction_status": None})
    assert (await midtrans.fetch_status(attempt())).status is Status.EXPIRED


async def test_an_unknown_order_is_absent(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    seen = await midtrans.fetch_status(attempt())
    assert (seen.absent, seen.status) == (True, None)


@pytest.mark.parametrize(
    "answer", [Reply.json(404, {"message": "no Route matched"}), Reply(404, b"<html>Not found</html>")]
)
async def test_a_gateways_not_found_says_nothing_about_the_order(
    midtrans: Midtrans, fake: FakeMidtrans, answer: Reply
) -> None:
    fake.script.next("status", reply=answer)
    with pytest.raises(ProviderUncertain):
        await midtrans.fetch_status(attempt())


async def test_a_charge_that_shows_late_is_absent_first(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.hidden_s = 30
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await midtrans.create_qr(charge())
    assert (await midtrans.fetch_status(attempt())).absent
    fake.script.next("charge", reply=Reply.json(200, {"status_code": "406"}))
    with pytest.raises(ProviderUncertain, match="does not show it yet"):
        await midtrans.create_qr(charge())
    fake.advance(31)
    assert (await midtrans.fetch_status(attempt())).status is Status.PENDING


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"order_id": "OTHER"}, "reference_mismatch"),
        ({"merchant_id": "G999999999"}, "merchant_mismatch"),
        ({"gross_amount": "1e4"}, "amount_format"),
        ({"gross_amount": "-1.00"}, "amount_format"),
        ({"transaction_status": "partial_refund"}, "refund_amount_missing"),
        ({"transaction_status": "refund", "refunds": [{"refund_amount": "x"}]}, "amount_format"),
        ({"transaction_status": "refund", "refunds": [{}]}, "amount_format"),
    ],
)
async def test_a_status_for_something_else_is_a_contradiction(
    fake: FakeMidtrans, http: ProviderHttp, fields: dict[str, Any], contradiction: str
) -> None:
    midtrans = adapter(fake.url, http, merchant_id="G000000001")
    await midtrans.create_qr(charge())
    fake.script.next("status", fields=fields)
    assert (await midtrans.fetch_status(attempt())).contradiction == contradiction


async def test_refunds_are_summed_from_the_list(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.pay(REFERENCE)
    fake.refund(REFERENCE, 3_000, "a")
    fake.refund(REFERENCE, 2_000, "b")
    fake.script.next("status", fields={"refund_amount": "2000.00"})
    seen = await midtrans.fetch_status(attempt())
    assert (seen.status, seen.amount_refunded, seen.amount) == (Status.PARTIALLY_REFUNDED, 5_000, 10_000)
    fake.script.next("status", fields={"refunds": None, "refund_amount": "5000.00"})
    assert (await midtrans.fetch_status(attempt())).amount_refunded == 5_000
    fake.refund(REFERENCE, 5_000, "c")
    assert (await midtrans.fetch_status(attempt())).status is Status.REFUNDED


async def test_a_rejected_key_rejects_the_lookup(fake: FakeMidtrans, http: ProviderHttp) -> None:
    with pytest.raises(ProviderRejected) as raised:
        await adapter(fake.url, http, server_key=SecretStr("wrong")).fetch_status(attempt())
    assert raised.value.provider_code == "401"


# Cancelling


async def test_cancelling_an_open_qr_cancels_it(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    assert (await midtrans.cancel_qr(attempt())).status is Status.CANCELLED
    assert fake.book[REFERENCE].status == "cancel"


async def test_cancelling_too_late_tells_of_the_money(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.pay(REFERENCE)
    seen = await midtrans.cancel_qr(attempt())
    assert (seen.status, seen.amount, seen.source) == (Status.PAID, 10_000, Source.LOOKUP)


async def test_cancelling_an_expired_qr_says_expired(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.advance(901)
    assert (await midtrans.cancel_qr(attempt())).status is Status.EXPIRED
    fake.script.next("cancel", reply=Reply.json(200, {"status_code": "407", "order_id": REFERENCE}))
    assert (await midtrans.cancel_qr(attempt())).status is Status.EXPIRED


async def test_cancelling_what_is_not_there_is_absent(midtrans: Midtrans) -> None:
    assert (await midtrans.cancel_qr(attempt())).absent


async def test_a_lost_answer_to_a_cancel_is_uncertain(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.script.next("cancel", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await midtrans.cancel_qr(attempt())
    assert (await midtrans.cancel_qr(attempt())).status is Status.CANCELLED


# Notifications


def notification(code: str = "200", **changes: Any) -> dict[str, Any]:
    body = {
        "transaction_status": "settlement",
        "transaction_id": "11111111-2222-4333-8444-555555555555",
        "status_code": code,
        "signature_key": SIGNATURES.get(code),
        "settlement_time": "2026-01-15 10:03:21",
        "order_id": "QRISD-20260115-0001",
        "merchant_id": "G000000001",
        "gross_amount": "10000.00",
        "fraud_status": "accept",
        "currency": "IDR",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def raw(body: object) -> bytes:
    return json.dumps(body).encode()


@pytest.fixture
def offline() -> Midtrans:
    return adapter("http://127.0.0.1:1", ProviderHttp())


@pytest.mark.parametrize(
    ("code", "transaction_status", "status"),
    [
        ("200", "settlement", Status.PAID),
        ("201", "pending", Status.PENDING),
        ("202", "expire", Status.EXPIRED),
        ("202", "cancel", Status.CANCELLED),
        ("202", "deny", Status.FAILED),
        ("200", "refund", Status.REFUNDED),
        ("407", "expire", Status.EXPIRED),
        ("200", "weird", None),
    ],
)
def test_a_signed_notification_is_a_hint(
    offline: Midtrans, code: str, transaction_status: str, status: Status | None
) -> None:
    event = offline.parse_webhook({}, raw(notification(code, transaction_status=transaction_status)), NOW)
    assert (event.reference, event.provider_trx_id) == ("QRISD-20260115-0001", "11111111-2222-4333-8444-555555555555")
    assert (event.proven, event.observation.status, event.observation.source) == (False, status, Source.WEBHOOK)
    assert event.payload["gross_amount"] == "10000.00"


@pytest.mark.parametrize(
    "changes",
    [
        {"signature_key": None},
        {"signature_key": ""},
        {"signature_key": SIGNATURES["200"][:-1]},
        {"signature_key": SIGNATURES["200"].upper()},
        {"signature_key": SIGNATURES["201"]},
        {"signature_key": "é" * 128},
        {"signature_key": [SIGNATURES["200"]]},
        {"signature_key": True},
        {"gross_amount": "10000"},
        {"gross_amount": "10000", "signature_key": SIGNATURE_OVER_10000[:-1] + "0"},
        {"gross_amount": 10000},
        {"gross_amount": 10000, "signature_key": SIGNATURE_OVER_10000},
        {"gross_amount": None},
        {"gross_amount": ""},
        {"order_id": "QRISD-20260115-0002"},
        {"order_id": None},
        {"order_id": 1},
        {"status_code": None},
        {"status_code": 200},
    ],
)
def test_a_wrong_or_missing_proof_is_unsigned_and_tells_nothing(offline: Midtrans, changes: dict[str, Any]) -> None:
    with pytest.raises(WebhookUnsigned) as raised:
        offline.parse_webhook({}, raw(notification(**changes)), NOW)
    assert str(raised.value) == "The notification's signature is missing or wrong."


def test_another_accounts_key_does_not_verify() -> None:
    other = adapter("http://127.0.0.1:1", ProviderHttp(), server_key=SecretStr(KEY + "c"))
    with pytest.raises(WebhookUnsigned):
        other.parse_webhook({}, raw(notification()), NOW)


@pytest.mark.parametrize("key", [None, SecretStr(""), SecretStr("  ")])
def test_without_a_key_nothing_verifies(key: SecretStr | None) -> None:
    forged = hashlib.sha512(b"QRISD-20260115-000120010000.00").hexdigest()
    unset = adapter("http://127.0.0.1:1", ProviderHttp(), server_key=key)
    with pytest.raises(WebhookUnsigned):
        unset.parse_webhook({}, raw(notification(signature_key=forged)), NOW)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 60_000, b'{"a": NaN}', raw(notification(junk="x" * 70_000))]
)
def test_what_is_no_json_object_is_unreadable(offline: Midtrans, body: bytes) -> None:
    with pytest.raises(WebhookUnreadable):
        offline.parse_webhook({}, body, NOW)


def test_a_signed_notification_of_wrong_types_is_unreadable(offline: Midtrans) -> None:
    with pytest.raises(WebhookUnreadable):
        offline.parse_webhook({}, raw(notification(refunds="many")), NOW)


def test_unknown_members_are_ignored(offline: Midtrans) -> None:
    event = offline.parse_webhook({}, raw(notification(payment_amounts=[], new={"a": 1.5})), NOW)
    assert event.observation.status is Status.PAID
    assert json.loads(json.dumps(event.payload)) == event.payload


def test_repeats_share_an_event_id_whatever_their_member_order(offline: Midtrans) -> None:
    body = notification()
    backwards = dict(reversed(body.items()))
    ids = {offline.parse_webhook({}, raw(each), NOW).event_id for each in (body, backwards)}
    ids.add(offline.parse_webhook({}, json.dumps(body, indent=2).encode(), NOW).event_id)
    assert len(ids) == 1


def test_different_events_have_different_ids(offline: Midtrans) -> None:
    refund = {"refund_chargeback_id": 1, "refund_amount": "10000.00"}
    bodies = [
        notification(),
        notification("201", transaction_status="pending"),
        notification("202", transaction_status="expire"),
        notification("202", transaction_status="cancel"),
        notification(transaction_status="refund", refunds=[refund]),
        notification(transaction_status="refund", refunds=[{**refund, "bank_confirmed_at": "2026-01-15 11:00:00"}]),
    ]
    assert len({offline.parse_webhook({}, raw(body), NOW).event_id for body in bodies}) == len(bodies)


def test_a_notification_for_another_merchant_is_marked() -> None:
    midtrans = adapter("http://127.0.0.1:1", ProviderHttp(), merchant_id="G999999999")
    event = midtrans.parse_webhook({}, raw(notification()), NOW)
    assert event.observation.contradiction == "merchant_mismatch"


async def test_the_fakes_own_notifications_verify(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.create_qr(charge())
    fake.pay(REFERENCE)
    fake.refund(REFERENCE, 4_000)
    events = [midtrans.parse_webhook({}, raw(waiting.body), NOW) for waiting in fake.outbox]
    assert [event.observation.status for event in events] == [
        Status.PENDING,
        Status.PAID,
        Status.PARTIALLY_REFUNDED,
        Status.PARTIALLY_REFUNDED,
    ]
    assert len({event.event_id for event in events}) == 4


# Diagnosing


async def test_a_good_account_is_fine_in_all_points(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    lines = await midtrans.diagnose()
    assert [fine for fine, _ in lines] == [True, True, True, True]
    assert "accepts the server key" in lines[0][1]
    assert "QRIS is active" in lines[1][1]
    assert NOTIFY_URL in lines[3][1]
    assert fake.book == {}


async def test_a_wrong_key_is_told_with_advice(fake: FakeMidtrans, http: ProviderHttp) -> None:
    lines = await adapter(fake.url, http, server_key=SecretStr("wrong")).diagnose()
    assert lines[0][0] is False
    assert "does not know this server key" in lines[0][1]


async def test_a_missing_key_is_told(http: ProviderHttp) -> None:
    assert (await adapter("http://127.0.0.1:1", http, server_key=None).diagnose())[0][0] is False


async def test_an_unreachable_midtrans_is_told(http: ProviderHttp) -> None:
    lines = await adapter("http://127.0.0.1:1", http).diagnose()
    assert lines[0] == (
        False,
        "sandbox, http://127.0.0.1:1: midtrans could not be reached: it refuses connections. Nothing was sent.",
    )


async def test_a_wrong_clock_is_told(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    answer = Reply.json(200, {"status_code": "404", "status_message": "Transaction doesn't exist."})
    late = Reply(answer.status, answer.body, {"Date": "Thu, 15 Jan 2015 03:00:00 GMT"})
    fake.script.next("status", reply=late)
    fine, line = (await midtrans.diagnose())[2]
    assert not fine
    assert "ahead of" in line


async def test_a_missing_public_address_is_told(fake: FakeMidtrans, http: ProviderHttp) -> None:
    assert "No public base_url" in (await adapter(fake.url, http, notify_url=None).diagnose())[-1][1]


# Settings


def test_the_environment_picks_the_address() -> None:
    http = ProviderHttp()
    addresses = {
        kind: Midtrans("m", MidtransSettings(environment=kind), http, None)._account.base_url
        for kind in ("sandbox", "production")
    }
    assert addresses == {"sandbox": "https://api.sandbox.midtrans.com", "production": "https://api.midtrans.com"}


@pytest.mark.parametrize(("key", "configured"), [(None, False), ("", False), (" ", False), (KEY, True)])
def test_it_is_configured_once_a_key_is_set(key: str | None, configured: bool) -> None:
    assert MidtransSettings(server_key=None if key is None else SecretStr(key)).configured is configured


def test_an_unknown_payment_type_is_refused_without_showing_the_key() -> None:
    with pytest.raises(ValidationError) as raised:
        MidtransSettings.model_validate({"server_key": KEY, "payment_type": "cash"})
    assert KEY not in str(raised.value)


async def test_every_refusal_is_a_provider_error_and_nothing_else_escapes(
    fake: FakeMidtrans, http: ProviderHttp
) -> None:
    midtrans = adapter(fake.url, http, timeout=0.5)
    for fault in Fault:
        for action in ("charge", "status", "cancel"):
            fake.script.next(action, fault)
        reference = uuid.uuid4().hex[:20].upper()
        with pytest.raises(ProviderError):
            await midtrans.create_qr(charge(reference=reference))
        with pytest.raises(ProviderError):
            await midtrans.fetch_status(attempt(reference=reference))
        with pytest.raises(ProviderError):
            await midtrans.cancel_qr(attempt(reference=reference))
    assert fake.script.finished
