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
from qrisd.providers.base import Cancels, Charge, Diagnoses, Provider, RefundOrder, Refunds, RefundStatus
from qrisd.providers.http import ProviderHttp
from qrisd.providers.xendit.account import XenditSettings
from qrisd.providers.xendit.payment_requests import XenditPaymentRequests
from qrisd.providers.xendit.qr_codes import XenditQrCodes
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.fakes.xendit import FakeXendit
from tests.support import payments as sample

KEY = "xnd_development_EXAMPLEKEY0123456789"
BASIC = "eG5kX2RldmVsb3BtZW50X0VYQU1QTEVLRVkwMTIzNDU2Nzg5Og=="
TOKEN = "WHTOKEN-EXAMPLE-0123456789abcdef"
NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
NOTIFY_URL = "https://shop.example/webhooks/xendit"
LOSING_FAULTS = [
    Fault.DROP_BEFORE_EFFECT,
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
]
Adapter = XenditPaymentRequests | XenditQrCodes


@pytest.fixture
async def fake() -> AsyncIterator[FakeXendit]:
    server = FakeXendit(secret_key=KEY, webhook_token=TOKEN)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


@pytest.fixture
async def xendit(fake: FakeXendit, http: ProviderHttp) -> XenditPaymentRequests:
    return requests_api(fake.url, http)


@pytest.fixture
async def codes(fake: FakeXendit, http: ProviderHttp) -> XenditQrCodes:
    return codes_api(fake.url, http)


@pytest.fixture(params=["payment_requests", "qr_codes"])
async def either(request: pytest.FixtureRequest, xendit: XenditPaymentRequests, codes: XenditQrCodes) -> Adapter:
    return xendit if request.param == "payment_requests" else codes


def settings(url: str, **changes: Any) -> XenditSettings:
    values = {"secret_key": SecretStr(KEY), "webhook_token": SecretStr(TOKEN), "base_url": url, "timeout": 5.0}
    return XenditSettings(**{**values, **changes})


def requests_api(url: str, http: ProviderHttp, **changes: Any) -> XenditPaymentRequests:
    return XenditPaymentRequests("xendit", settings(url, **changes), http, lambda: NOW, NOTIFY_URL)


def codes_api(url: str, http: ProviderHttp, **changes: Any) -> XenditQrCodes:
    return XenditQrCodes("xendit", settings(url, api="qr_codes", **changes), http, NOTIFY_URL)


def charge(**changes: Any) -> Charge:
    values: dict[str, Any] = {"reference": REFERENCE, "amount": 10_000, "expires_in": 900}
    return Charge(**{**values, "expires_at": datetime.now(UTC) + timedelta(seconds=900), **changes})


def attempt(trx_id: str | None = None, **changes: Any) -> Attempt:
    return sample.attempt(provider="xendit", reference=REFERENCE, amount=10_000, provider_trx_id=trx_id, **changes)


async def charged(adapter: Adapter, **changes: Any) -> Attempt:
    """A live QR's attempt."""
    return attempt((await adapter.create_qr(charge())).provider_trx_id, **changes)


def error(status: int, code: str, message: str = "no", **headers: str) -> Reply:
    body = Reply.json(status, {"error_code": code, "message": message}).body
    return Reply(status, body, {"Content-Type": "application/json", **headers})


def test_payment_requests_cancel_and_refund_and_qr_codes_do_not(
    xendit: XenditPaymentRequests, codes: XenditQrCodes
) -> None:
    new: Provider = xendit
    old: Provider = codes
    assert isinstance(new, Cancels)
    assert isinstance(new, Refunds)
    assert not isinstance(old, Cancels)
    assert not isinstance(old, Refunds)
    assert isinstance(new, Diagnoses)
    assert isinstance(old, Diagnoses)
    assert (new.capabilities.settable_expiry, old.capabilities.settable_expiry) == (False, True)
    assert not new.capabilities.webhook_proves_status
    assert (new.capabilities.cancel, new.capabilities.refund, new.capabilities.refund_window_days) == (True, True, 7)
    assert (old.capabilities.cancel, old.capabilities.refund) == (False, False)


# Asking for a QR


async def test_a_payment_request_answers_a_live_qr_that_ends_after_48_hours(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    seen = await xendit.create_qr(charge())
    entry = fake.book[REFERENCE]
    assert (seen.source, seen.status, seen.contradiction) == (Source.PROVIDER, Status.PENDING, None)
    assert (seen.amount, seen.currency, seen.provider_trx_id) == (10_000, "IDR", entry.id)
    assert seen.qris_payload == fake.payload(entry)
    assert seen.expires_at is not None
    assert abs(seen.expires_at - (entry.created_at + timedelta(hours=48))) < timedelta(seconds=1)


async def test_without_a_time_of_making_the_48_hours_count_from_our_clock(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    fake.script.next("charge", fields={"created": None})
    assert (await xendit.create_qr(charge())).expires_at == NOW + timedelta(hours=48)


async def test_a_payment_request_says_what_xendit_needs_and_no_more(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    await xendit.create_qr(charge(description="2 kopi susu"))
    sent = fake.calls[0]
    assert (sent.method, sent.path) == ("POST", "/v3/payment_requests")
    assert sent.json() == {
        "reference_id": REFERENCE,
        "type": "PAY",
        "country": "ID",
        "currency": "IDR",
        "request_amount": 10_000,
        "capture_method": "AUTOMATIC",
        "channel_code": "QRIS",
        "description": "2 kopi susu",
    }
    assert sent.headers["authorization"] == f"Basic {BASIC}"
    assert sent.headers["api-version"] == "2024-11-11"
    assert len(sent.headers["idempotency-key"]) == 36


async def test_a_qr_code_ends_when_we_say(codes: XenditQrCodes, fake: FakeXendit) -> None:
    ends_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=900)
    seen = await codes.create_qr(charge(expires_at=ends_at))
    assert (seen.status, seen.amount, seen.expires_at) == (Status.PENDING, 10_000, ends_at)
    assert seen.qris_payload == fake.payload(fake.book[REFERENCE])
    sent = fake.calls[0]
    assert sent.json() == {
        "reference_id": REFERENCE,
        "type": "DYNAMIC",
        "currency": "IDR",
        "amount": 10_000,
        "expires_at": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert (sent.headers["api-version"], len(sent.headers["x-idempotency-key"])) == ("2022-07-31", 36)


async def test_a_repeat_carries_the_same_key(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    await xendit.create_qr(charge())
    await xendit.create_qr(charge())
    await xendit.create_qr(charge(reference="OTHER"))
    keys = [call.headers["idempotency-key"] for call in fake.calls]
    assert keys[0] == keys[1] != keys[2]


async def test_a_stand_in_text_of_test_mode_is_passed_on_and_said(either: Adapter, fake: FakeXendit) -> None:
    fake.stand_in_text = True
    seen = await either.create_qr(charge())
    assert str(seen.qris_payload).startswith("mock-QR-string")
    assert "stand-in text of test mode" in str(seen.detail)


@pytest.mark.parametrize("fault", LOSING_FAULTS)
async def test_a_lost_answer_is_uncertain_and_nobody_paid_what_nobody_saw(
    fake: FakeXendit, http: ProviderHttp, fault: Fault
) -> None:
    for adapter in (requests_api(fake.url, http, timeout=0.7), codes_api(fake.url, http, timeout=0.7)):
        fake.script.next("charge", fault)
        with pytest.raises(ProviderUncertain):
            await adapter.create_qr(charge())
        seen = await adapter.fetch_status(attempt(status=Status.CREATED, qris_payload=None))
        assert (seen.absent, seen.status) == (True, None)


async def test_money_for_a_request_whose_answer_was_lost_is_found_by_our_reference(
    either: Adapter, fake: FakeXendit
) -> None:
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await either.create_qr(charge())
    fake.pay(REFERENCE)
    seen = await either.fetch_status(attempt(status=Status.CREATED, qris_payload=None))
    assert (seen.status, seen.amount, seen.currency, seen.absent) == (Status.PAID, 10_000, "IDR", False)
    if isinstance(either, XenditPaymentRequests):
        assert seen.provider_trx_id == fake.book[REFERENCE].id
        assert seen.provider_ref_no == fake.book[REFERENCE].payments[0].receipt


async def test_nobody_listening_is_unreachable(http: ProviderHttp) -> None:
    for adapter in (requests_api("http://127.0.0.1:1", http), codes_api("http://127.0.0.1:1", http)):
        with pytest.raises(ProviderUnreachable):
            await adapter.create_qr(charge())


@pytest.mark.parametrize(
    ("headers", "wait_s", "when"),
    [({"Rate-Limit-Reset": "12.5"}, 12.5, "in 12 seconds"), ({"Retry-After": "30"}, 30, "in 30"), ({}, None, "while")],
)
async def test_a_rate_limit_leaves_nothing_and_says_when(
    either: Adapter, fake: FakeXendit, headers: dict[str, str], wait_s: float | None, when: str
) -> None:
    fake.script.next("charge", reply=error(429, "RATE_LIMIT_EXCEEDED", **headers))
    with pytest.raises(ProviderUnreachable, match=when) as raised:
        await either.create_qr(charge())
    assert (raised.value.provider_code, raised.value.retry_after_s) == ("RATE_LIMIT_EXCEEDED", wait_s)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "PAYMENT_REQUEST_RATE_LIMITED"),
        (400, "TEMPORARILY_UNAVAILABLE"),
        (503, "CHANNEL_UNAVAILABLE"),
    ],
)
async def test_what_stands_before_the_work_may_be_repeated(
    either: Adapter, fake: FakeXendit, status: int, code: str
) -> None:
    fake.script.next("charge", reply=error(status, code))
    with pytest.raises(ProviderUnreachable) as raised:
        await either.create_qr(charge())
    assert raised.value.provider_code == code
    assert code in either.capabilities.retry_codes


@pytest.mark.parametrize(
    ("status", "code", "phrase"),
    [
        (400, "API_VALIDATION_ERROR", "Xendit refused: API_VALIDATION_ERROR; no"),
        (401, "INVALID_API_KEY", "does not know this secret key"),
        (403, "REQUEST_FORBIDDEN_ERROR", "may not do that"),
        (403, "INVALID_MERCHANT_SETTINGS", "QRIS is not active"),
        (404, "DATA_NOT_FOUND", "refused"),
    ],
)
async def test_a_refusal_is_rejected_with_code_and_advice(
    either: Adapter, fake: FakeXendit, status: int, code: str, phrase: str
) -> None:
    fake.script.next("charge", reply=error(status, code))
    with pytest.raises(ProviderRejected, match=phrase) as raised:
        await either.create_qr(charge())
    assert raised.value.provider_code == code


async def test_a_refusal_names_the_field_and_the_request_and_no_secret(either: Adapter, fake: FakeXendit) -> None:
    body = {
        "error_code": "API_VALIDATION_ERROR",
        "message": f"bad header Basic {BASIC} of {KEY}, {TOKEN}",
        "errors": [{"field": ["amount"], "messages": ["must be a number"]}],
    }
    answer = Reply(400, json.dumps(body).encode(), {"Request-Id": "req-1"})
    fake.script.next("charge", reply=answer)
    with pytest.raises(ProviderRejected, match="must be a number") as raised:
        await either.create_qr(charge())
    said = str(raised.value)
    assert "Request-Id req-1" in said
    assert not [secret for secret in (KEY, BASIC, TOKEN) if secret in said]


@pytest.mark.parametrize(
    "answer",
    [
        error(500, "SERVER_ERROR"),
        error(503, "SOMETHING_ELSE"),
        error(409, "DUPLICATE_ERROR"),
        error(409, "IDEMPOTENCY_ERROR"),
        error(408, "REQUEST_TIMEOUT"),
        Reply(502, b"<html>Bad gateway</html>"),
        Reply(403, b"<html>Access denied</html>"),
        Reply(404, b'{"message": "no route"}'),
        Reply(400, b'{"error_code": {"a": 1}}'),
        Reply.json(200, {}),
        Reply.json(201, {"payment_request_id": "pr-1", "id": "qr_1"}),
        Reply.json(201, {"payment_request_id": ["pr-1"], "id": ["qr_1"], "reference_id": REFERENCE}),
        Reply(200, b"[]"),
    ],
)
async def test_an_answer_that_says_nothing_about_our_qr_is_uncertain(
    either: Adapter, fake: FakeXendit, answer: Reply
) -> None:
    fake.script.next("charge", reply=answer)
    with pytest.raises(ProviderUncertain):
        await either.create_qr(charge())


@pytest.mark.parametrize("amount", ["10000.5", 10000.5, "1e4", "-1", "10.000"])
async def test_a_malformed_amount_is_a_contradiction(either: Adapter, fake: FakeXendit, amount: Any) -> None:
    fake.script.next("charge", fields={"request_amount": amount, "amount": amount})
    assert (await either.create_qr(charge())).contradiction == "amount_format"


@pytest.mark.parametrize("amount", [10_000, 10_000.0, "10000"])
async def test_an_amount_may_be_written_with_decimals(either: Adapter, fake: FakeXendit, amount: Any) -> None:
    fake.script.next("charge", fields={"request_amount": amount, "amount": amount})
    assert (await either.create_qr(charge())).amount == 10_000


async def test_an_answer_with_another_reference_is_a_contradiction(either: Adapter, fake: FakeXendit) -> None:
    fake.script.next("charge", fields={"reference_id": "SOMEBODY-ELSES"})
    assert (await either.create_qr(charge())).contradiction == "reference_mismatch"
    live = await charged(either)
    fake.pay(REFERENCE)
    fake.script.next("status", fields={"reference_id": "SOMEBODY-ELSES"})
    assert (await either.fetch_status(live)).contradiction == "reference_mismatch"


async def test_another_amount_and_currency_are_passed_on(either: Adapter, fake: FakeXendit) -> None:
    fake.script.next("charge", fields={"request_amount": 9_000, "amount": 9_000, "currency": "PHP"})
    seen = await either.create_qr(charge())
    assert (seen.amount, seen.currency) == (9_000, "PHP")


# Asking how it stands


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("REQUIRES_ACTION", Status.PENDING),
        ("PENDING", Status.PENDING),
        ("ACCEPTING_PAYMENTS", Status.PENDING),
        ("AUTHORIZED", Status.PENDING),
        ("SUCCEEDED", Status.PAID),
        ("FAILED", Status.FAILED),
        ("EXPIRED", Status.EXPIRED),
        ("CANCELED", Status.CANCELLED),
        ("VOIDED", Status.CANCELLED),
        ("MELTED", None),
    ],
)
async def test_each_status_of_a_request_is_translated(
    xendit: XenditPaymentRequests, fake: FakeXendit, theirs: str, ours: Status | None
) -> None:
    live = await charged(xendit)
    fake.script.next("status", fields={"status": theirs})
    seen = await xendit.fetch_status(live)
    assert (seen.status, seen.source, seen.provider_trx_id) == (ours, Source.LOOKUP, live.provider_trx_id)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("ACTIVE", Status.PENDING), ("INACTIVE", Status.EXPIRED), ("MELTED", None)]
)
async def test_each_status_of_a_qr_code_is_translated(
    codes: XenditQrCodes, fake: FakeXendit, theirs: str, ours: Status | None
) -> None:
    live = await charged(codes)
    fake.script.next("status", fields={"status": theirs})
    assert (await codes.fetch_status(live)).status is ours


async def test_a_paid_qr_tells_of_money_receipt_and_time(either: Adapter, fake: FakeXendit) -> None:
    live = await charged(either)
    fake.pay(REFERENCE, amount=12_000)
    seen = await either.fetch_status(live)
    payment = fake.book[REFERENCE].payments[0]
    assert (seen.status, seen.amount, seen.currency) == (Status.PAID, 12_000, "IDR")
    assert (seen.provider_ref_no, seen.provider_trx_id) == (payment.receipt, live.provider_trx_id)
    assert seen.paid_at is not None
    assert abs(seen.paid_at - payment.paid_at) < timedelta(seconds=1)
    assert seen.contradiction is None


async def test_a_live_qr_is_told_again_with_its_text(either: Adapter, fake: FakeXendit) -> None:
    live = await charged(either)
    seen = await either.fetch_status(live)
    assert (seen.status, seen.qris_payload) == (Status.PENDING, fake.payload(fake.book[REFERENCE]))


@pytest.mark.parametrize("notes", [True, False])
async def test_money_after_the_end_is_found(either: Adapter, fake: FakeXendit, notes: bool) -> None:
    fake.notes_late_payments = notes
    live = await charged(either)
    fake.advance(49 * 3600)
    assert (await either.fetch_status(live)).status is Status.EXPIRED
    fake.pay(REFERENCE)
    seen = await either.fetch_status(live)
    assert (seen.status, seen.amount, seen.provider_trx_id) == (Status.PAID, 10_000, live.provider_trx_id)
    assert seen.provider_ref_no == fake.book[REFERENCE].payments[0].receipt


async def test_a_key_that_may_not_read_transactions_still_learns_of_the_end(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await charged(xendit)
    fake.change(REFERENCE, "EXPIRED")
    fake.script.next("transactions", reply=error(403, "REQUEST_FORBIDDEN_ERROR"))
    assert (await xendit.fetch_status(live)).status is Status.EXPIRED


async def test_an_end_is_not_believed_while_payments_cannot_be_read(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await charged(xendit)
    fake.change(REFERENCE, "EXPIRED")
    fake.script.next("transactions", Fault.ERROR_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await xendit.fetch_status(live)


async def test_a_payment_that_is_not_shown_leaves_the_requests_word(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await charged(xendit)
    fake.pay(REFERENCE)
    fake.script.next("payment", reply=error(404, "DATA_NOT_FOUND"))
    seen = await xendit.fetch_status(live)
    assert (seen.status, seen.amount, seen.provider_ref_no) == (Status.PAID, 10_000, None)


async def test_a_payment_that_cannot_be_read_now_leaves_all_open(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await charged(xendit)
    fake.pay(REFERENCE)
    fake.script.next("payment", Fault.ERROR_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await xendit.fetch_status(live)


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"payment_request_id": "pr-other"}, "reference_mismatch"),
        ({"captures": [{"capture_amount": 10000.5}]}, "amount_format"),
    ],
)
async def test_a_payment_of_something_else_is_a_contradiction(
    xendit: XenditPaymentRequests, fake: FakeXendit, fields: dict[str, Any], contradiction: str
) -> None:
    live = await charged(xendit)
    fake.pay(REFERENCE)
    fake.script.next("payment", fields=fields)
    assert (await xendit.fetch_status(live)).contradiction == contradiction


async def test_a_failed_payment_leaves_the_request_payable(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await charged(xendit)
    fake.pay(REFERENCE)
    fake.script.next("status", fields={"status": "REQUIRES_ACTION"})
    fake.script.next("payment", fields={"status": "FAILED"})
    assert (await xendit.fetch_status(live)).status is Status.PENDING


async def test_captures_are_summed_and_without_any_the_asked_amount_counts(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await charged(xendit)
    fake.pay(REFERENCE)
    fake.script.next("payment", fields={"captures": [{"capture_amount": 4_000}, {"capture_amount": "6000.00"}]})
    assert (await xendit.fetch_status(live)).amount == 10_000
    fake.script.next("payment", fields={"captures": None})
    assert (await xendit.fetch_status(live)).amount == 10_000


async def test_payments_of_a_qr_code_may_come_as_a_bare_list(codes: XenditQrCodes, fake: FakeXendit) -> None:
    live = await charged(codes)
    fake.pay(REFERENCE)
    body = [{"id": "qrpy_1", "amount": 10_000, "status": "COMPLETED", "qr_code": {"external_id": REFERENCE}}]
    fake.script.next("payments", reply=Reply.json(200, body))
    seen = await codes.fetch_status(live)
    assert (seen.status, seen.amount, seen.currency, seen.contradiction) == (Status.PAID, 10_000, "IDR", None)


@pytest.mark.parametrize("body", [b"[", b'{"data": 1}', b"<html>", b'[{"captures": 3}]', b""])
async def test_a_list_of_payments_that_cannot_be_read_leaves_all_open(
    codes: XenditQrCodes, fake: FakeXendit, body: bytes
) -> None:
    live = await charged(codes)
    fake.script.next("payments", reply=Reply(200, body))
    with pytest.raises(ProviderUncertain):
        await codes.fetch_status(live)


async def test_without_a_list_of_payments_the_transactions_tell(codes: XenditQrCodes, fake: FakeXendit) -> None:
    fake.lists_qr_payments = False
    live = await charged(codes)
    assert (await codes.fetch_status(live)).status is Status.PENDING
    fake.pay(REFERENCE)
    seen = await codes.fetch_status(live)
    assert (seen.status, seen.amount, seen.currency) == (Status.PAID, 10_000, "IDR")
    assert seen.provider_trx_id == live.provider_trx_id


async def test_a_payment_of_another_qr_code_is_a_contradiction(codes: XenditQrCodes, fake: FakeXendit) -> None:
    live = await charged(codes)
    body = {"data": [{"qr_id": "qr_other", "reference_id": REFERENCE, "amount": 1, "status": "SUCCEEDED"}]}
    fake.script.next("payments", reply=Reply.json(200, body))
    assert (await codes.fetch_status(live)).contradiction == "reference_mismatch"


async def test_an_unknown_id_is_absent(either: Adapter) -> None:
    seen = await either.fetch_status(attempt(f"pr-{uuid.uuid4()}"))
    assert (seen.absent, seen.status) == (True, None)


async def test_a_gateways_not_found_says_nothing(either: Adapter, fake: FakeXendit) -> None:
    live = await charged(either)
    fake.script.next("status", reply=Reply(404, b"<html>Not found</html>"))
    with pytest.raises(ProviderUncertain):
        await either.fetch_status(live)


async def test_a_rejected_key_rejects_the_lookup(fake: FakeXendit, http: ProviderHttp) -> None:
    for trx_id in (None, "pr-1"):
        with pytest.raises(ProviderRejected) as raised:
            await requests_api(fake.url, http, secret_key=SecretStr("wrong")).fetch_status(attempt(trx_id))
        assert raised.value.provider_code == "INVALID_API_KEY"


async def test_a_transaction_of_another_reference_or_kind_is_not_ours(either: Adapter, fake: FakeXendit) -> None:
    row = {"reference_id": REFERENCE, "type": "PAYMENT", "status": "SUCCESS", "amount": 1, "currency": "IDR"}
    others = [{**row, "reference_id": "OTHER"}, {**row, "type": "REFUND"}, {**row, "status": "REVERSED"}]
    fake.script.next("transactions", reply=Reply.json(200, {"has_more": False, "data": others}))
    assert (await either.fetch_status(attempt())).absent


# Cancelling


async def test_cancelling_an_open_request_cancels_it(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await charged(xendit)
    assert (await xendit.cancel_qr(live)).status is Status.CANCELLED
    assert fake.book[REFERENCE].status == "CANCELED"
    assert fake.calls[-1].headers["api-version"] == "2024-11-11"


async def test_cancelling_too_late_tells_of_the_money(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await charged(xendit)
    fake.pay(REFERENCE)
    seen = await xendit.cancel_qr(live)
    assert (seen.status, seen.amount, seen.source) == (Status.PAID, 10_000, Source.LOOKUP)


async def test_cancelling_twice_says_cancelled(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await charged(xendit)
    fake.script.next("cancel", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await xendit.cancel_qr(live)
    assert (await xendit.cancel_qr(live)).status is Status.CANCELLED


async def test_cancelling_what_is_not_there_is_absent(xendit: XenditPaymentRequests) -> None:
    assert (await xendit.cancel_qr(attempt(f"pr-{uuid.uuid4()}"))).absent
    assert (await xendit.cancel_qr(attempt(None))).absent


@pytest.mark.parametrize(("status", "code"), [(400, "TEMPORARILY_UNAVAILABLE"), (503, "CHANNEL_UNAVAILABLE")])
async def test_a_cancel_that_cannot_be_done_now_may_be_repeated(
    xendit: XenditPaymentRequests, fake: FakeXendit, status: int, code: str
) -> None:
    live = await charged(xendit)
    fake.script.next("cancel", reply=error(status, code))
    with pytest.raises(ProviderUnreachable):
        await xendit.cancel_qr(live)


# Refunds


def order(**changes: Any) -> RefundOrder:
    return RefundOrder(**{"reference": "R" * 20, "amount": 4_000, **changes})


async def paid(xendit: XenditPaymentRequests, fake: FakeXendit, issuer: str = "DANA") -> Attempt:
    live = await charged(xendit, status=Status.PAID)
    fake.pay(REFERENCE, issuer=issuer)
    return live


async def test_a_refund_is_on_its_way_and_then_done(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake)
    asked = await xendit.refund(live, order())
    assert (asked.status, asked.amount, asked.absent) == (RefundStatus.PENDING, 4_000, False)
    assert fake.calls[-1].json() == {
        "payment_request_id": live.provider_trx_id,
        "reference_id": "R" * 20,
        "currency": "IDR",
        "amount": 4_000,
        "reason": "REQUESTED_BY_CUSTOMER",
    }
    fake.advance(61)
    done = await xendit.fetch_refund(live, order())
    assert (done.status, done.amount, done.provider_refund_id) == (RefundStatus.DONE, 4_000, asked.provider_refund_id)


async def test_what_went_back_shows_on_the_payment(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake)
    await xendit.refund(live, order())
    assert (await xendit.fetch_status(live)).status is Status.PAID, "on its way is not there yet"
    fake.advance(61)
    part = await xendit.fetch_status(live)
    assert (part.status, part.amount_refunded) == (Status.PARTIALLY_REFUNDED, 4_000)
    fake.refund(REFERENCE, 6_000, "from the dashboard")
    whole = await xendit.fetch_status(live)
    assert (whole.status, whole.amount_refunded) == (Status.REFUNDED, 10_000)


async def test_news_of_the_money_goes_before_news_of_refunds(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refunds", Fault.ERROR_AFTER_EFFECT, times=2)
    assert (await xendit.fetch_status(attempt(live.provider_trx_id))).status is Status.PAID
    with pytest.raises(ProviderUncertain):
        await xendit.fetch_status(live)


async def test_a_repeated_refund_is_the_same_one(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await xendit.refund(live, order())
    found = await xendit.fetch_refund(live, order())
    assert (await xendit.refund(live, order())).provider_refund_id == found.provider_refund_id
    assert len(fake.book[REFERENCE].refunds) == 1


@pytest.mark.parametrize("code", ["DUPLICATE_ERROR", "IDEMPOTENCY_ERROR"])
async def test_a_refund_xendit_has_seen_is_looked_up(
    xendit: XenditPaymentRequests, fake: FakeXendit, code: str
) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", reply=error(409, code))
    with pytest.raises(ProviderUncertain):
        await xendit.refund(live, order())
    await xendit.refund(live, order())
    fake.script.next("refund", reply=error(409, code))
    assert (await xendit.refund(live, order())).status is RefundStatus.PENDING


@pytest.mark.parametrize(
    "answer", [error(403, "REQUEST_FORBIDDEN_ERROR"), error(429, "RATE_LIMIT_EXCEEDED"), error(500, "SERVER_ERROR")]
)
async def test_a_refund_xendit_has_seen_and_does_not_show_is_uncertain(
    xendit: XenditPaymentRequests, fake: FakeXendit, answer: Reply
) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", reply=error(409, "DUPLICATE_ERROR"))
    fake.script.next("refunds", reply=answer)
    with pytest.raises(ProviderUncertain):
        await xendit.refund(live, order())


async def test_a_bank_that_takes_no_refunds_is_an_answer(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake, issuer="BCA")
    seen = await xendit.refund(live, order())
    assert seen.status is RefundStatus.REFUSED
    assert "give the money back by hand" in str(seen.detail)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "REFUND_AMOUNT_EXCEEDED"),
        (400, "MAXIMUM_REFUND_AMOUNT_REACHED"),
        (400, "INELIGIBLE_TRANSACTION_STATUS"),
        (400, "INELIGIBLE_TRANSACTION"),
        (400, "PARTIAL_REFUND_COUNTS_EXCEEDED"),
        (400, "REFUND_NOT_SUPPORTED"),
        (403, "PARTIAL_REFUND_NOT_SUPPORTED"),
        (404, "DATA_NOT_FOUND"),
    ],
)
async def test_a_refused_refund_is_an_answer_whatever_its_http_status(
    xendit: XenditPaymentRequests, fake: FakeXendit, status: int, code: str
) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", reply=error(status, code))
    seen = await xendit.refund(live, order())
    assert (seen.status, code in str(seen.detail)) == (RefundStatus.REFUSED, True)


async def test_a_refund_the_balance_is_too_small_for_may_be_asked_for_again(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await paid(xendit, fake)
    fake.balance = 3_999
    seen = await xendit.refund(live, order())
    assert (seen.status, "balance is too small" in str(seen.detail)) == (RefundStatus.LATER, True)
    fake.balance = 4_000
    assert (await xendit.refund(live, order())).status is RefundStatus.PENDING
    assert len(fake.book[REFERENCE].refunds) == 1


async def test_a_refund_xendit_took_and_then_had_no_balance_for_is_over(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", fields={"status": "FAILED", "failure_code": "INSUFFICIENT_BALANCE"})
    seen = await xendit.refund(live, order())
    assert seen.status is RefundStatus.REFUSED
    assert "ask for another refund" in str(seen.detail)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(400, "REFUND_IN_PROGRESS"), ProviderUnreachable),
        (error(503, "CHANNEL_UNAVAILABLE"), ProviderUnreachable),
        (error(401, "INVALID_API_KEY"), ProviderRejected),
        (error(500, "SERVER_ERROR"), ProviderUncertain),
        (Reply.json(200, {"id": "rfd-1", "status": "SUCCEEDED", "amount": 4000}), ProviderUncertain),
    ],
)
async def test_a_refund_that_was_not_answered_is_no_refusal(
    xendit: XenditPaymentRequests, fake: FakeXendit, answer: Reply, kind: type[ProviderError]
) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", reply=answer)
    with pytest.raises(kind):
        await xendit.refund(live, order())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("FAILED", RefundStatus.REFUSED), ("CANCELLED", RefundStatus.REFUSED), ("MELTED", None)],
)
async def test_each_status_of_a_refund_is_translated(
    xendit: XenditPaymentRequests, fake: FakeXendit, theirs: str, ours: RefundStatus | None
) -> None:
    live = await paid(xendit, fake)
    fake.script.next("refund", fields={"status": theirs})
    assert (await xendit.refund(live, order())).status is ours


async def test_a_refund_that_was_never_sent_is_absent(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake)
    fake.refund(REFERENCE, 1_000, "another")
    assert (await xendit.fetch_refund(live, order())).absent
    assert (await xendit.fetch_refund(attempt(None), order())).absent
    assert (await xendit.refund(attempt(None), order())).status is RefundStatus.REFUSED


async def test_a_refund_is_found_on_a_later_page(xendit: XenditPaymentRequests, fake: FakeXendit) -> None:
    live = await paid(xendit, fake)
    for number in range(60):
        fake.refund(REFERENCE, 1, f"small-{number}")
    await xendit.refund(live, order())
    assert (await xendit.fetch_refund(live, order())).status is RefundStatus.PENDING


async def test_a_list_without_end_and_refunds_of_others_settle_nothing(
    xendit: XenditPaymentRequests, fake: FakeXendit
) -> None:
    live = await paid(xendit, fake)
    other = {
        "id": "rfd-1",
        "payment_request_id": "pr-other",
        "reference_id": "R" * 20,
        "amount": 1,
        "status": "PENDING",
    }
    fake.script.next("refunds", reply=Reply.json(200, {"data": [other], "has_more": False}))
    assert (await xendit.fetch_refund(live, order())).absent
    fake.script.next("refunds", reply=Reply.json(200, {"data": [other], "has_more": True}), times=30)
    with pytest.raises(ProviderUncertain, match="does not end"):
        await xendit.fetch_refund(live, order())


# Webhooks


V3 = {
    "event": "payment.capture",
    "business_id": "5f0000000000000000000001",
    "created": "2026-01-15T03:03:21.566Z",
    "api_version": "v3",
    "data": {
        "payment_id": "py-33333333-2222-4333-8444-555555555555",
        "payment_request_id": "pr-11111111-2222-4333-8444-555555555555",
        "reference_id": REFERENCE,
        "type": "PAY",
        "currency": "IDR",
        "request_amount": 10_000,
        "captures": [{"capture_amount": 10_000, "capture_timestamp": "2026-01-15T03:03:20.927Z"}],
        "status": "SUCCEEDED",
        "payment_details": {"issuer_name": "DANA", "receipt_id": "000111666"},
        "created": "2026-01-15T03:03:20.000Z",
    },
}
QR_V2 = {
    "event": "qr.payment",
    "api_version": "2022-07-31",
    "created": "2026-01-15T03:03:21.566Z",
    "data": {
        "id": "qrpy_33333333-2222-4333-8444-555555555555",
        "currency": "IDR",
        "amount": 10_000,
        "status": "SUCCEEDED",
        "created": "2026-01-15T03:03:20.927Z",
        "qr_id": "qr_11111111-2222-4333-8444-555555555555",
        "reference_id": REFERENCE,
        "metadata": None,
        "payment_detail": {"receipt_id": "000111666", "source": "GOPAY", "name": None},
    },
}
QR_V1 = {
    "event": "qr.payment",
    "id": "qrpy_33333333-2222-4333-8444-555555555555",
    "amount": 10_000,
    "status": "COMPLETED",
    "created": "2026-01-15T03:03:20.927Z",
    "qr_code": {"id": "qr_11111111-2222-4333-8444-555555555555", "external_id": REFERENCE, "metadata": None},
    "payment_details": {"source": "BNI", "receipt_id": "000111666"},
}
V2 = {
    "event": "payment.succeeded",
    "api_version": None,
    "data": {
        "id": "py-33333333-2222-4333-8444-555555555555",
        "payment_request_id": "pr-11111111-2222-4333-8444-555555555555",
        "reference_id": REFERENCE,
        "currency": "IDR",
        "amount": 10000.0,
        "status": "SUCCEEDED",
        "payment_detail": {"receipt_id": "000111666"},
        "created": "2026-01-15T03:03:20.927Z",
    },
}
REFUND = {
    "event": "refund.succeeded",
    "data": {
        "id": "rfd-55555555-2222-4333-8444-555555555555",
        "payment_request_id": "pr-11111111-2222-4333-8444-555555555555",
        "amount": 5_000,
        "status": "SUCCEEDED",
        "reference_id": "QRISD-RF-0001",
    },
}
SIGNED = {"x-callback-token": TOKEN}


@pytest.mark.parametrize(("body", "issuer"), [(V3, "DANA"), (QR_V2, "GOPAY"), (QR_V1, "BNI"), (V2, None)])
def test_who_issued_the_payers_wallet_is_told_by_every_generation(
    offline: XenditPaymentRequests, body: dict[str, Any], issuer: str | None
) -> None:
    assert offline.parse_webhook(SIGNED, raw(body), NOW).observation.issuer == issuer


@pytest.mark.parametrize("told", [None, 7, {"name": "DANA"}, ["DANA"]])
def test_an_issuer_of_another_shape_costs_nothing(offline: XenditPaymentRequests, told: Any) -> None:
    details = {"issuer_name": told, "receipt_id": "000111666"}
    body = {**V3, "data": {**V3["data"], "payment_details": details}}  # type: ignore[dict-item]
    seen = offline.parse_webhook(SIGNED, raw(body), NOW).observation
    assert (seen.status, seen.issuer) == (Status.PAID, None)


def raw(body: object) -> bytes:
    return json.dumps(body).encode()


@pytest.fixture(params=["payment_requests", "qr_codes"])
def offline(request: pytest.FixtureRequest) -> Adapter:
    make = requests_api if request.param == "payment_requests" else codes_api
    return make("http://127.0.0.1:1", ProviderHttp())


@pytest.mark.parametrize(
    ("body", "trx_id"),
    [
        (V3, "pr-11111111-2222-4333-8444-555555555555"),
        (V2, "pr-11111111-2222-4333-8444-555555555555"),
        (QR_V2, "qr_11111111-2222-4333-8444-555555555555"),
        (QR_V1, "qr_11111111-2222-4333-8444-555555555555"),
        ({**V3, "data": {"data": V3["data"]}}, "pr-11111111-2222-4333-8444-555555555555"),
    ],
)
def test_the_webhooks_of_all_generations_are_read_and_prove_nothing(
    offline: Adapter, body: dict[str, Any], trx_id: str
) -> None:
    event = offline.parse_webhook(SIGNED, raw(body), NOW)
    seen = event.observation
    assert (event.reference, event.provider_trx_id, event.proven) == (REFERENCE, trx_id, False)
    assert (seen.source, seen.status, seen.amount, seen.currency) == (Source.WEBHOOK, Status.PAID, 10_000, "IDR")
    assert (seen.provider_ref_no, seen.contradiction) == ("000111666", None)
    assert seen.paid_at == datetime(2026, 1, 15, 3, 3, 20, 927_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "status", "ours"),
    [
        ("payment.failure", "FAILED", Status.FAILED),
        ("payment.authorization", "AUTHORIZED", Status.PENDING),
        ("payment_request.expiry", "EXPIRED", Status.EXPIRED),
        ("payment.capture", "PENDING", Status.PENDING),
        ("payment.authorization", "SUCCEEDED", None),
        ("something.new", "SUCCEEDED", None),
        (None, "SUCCEEDED", None),
        (["payment.capture"], "MELTED", None),
    ],
)
def test_paid_needs_a_success_in_an_event_of_payment(
    offline: Adapter, event: Any, status: str, ours: Status | None
) -> None:
    data: Any = V3["data"]
    seen = offline.parse_webhook(SIGNED, raw({**V3, "event": event, "data": {**data, "status": status}}), NOW)
    assert seen.observation.status is ours
    assert seen.reference == REFERENCE


@pytest.mark.parametrize("body", [REFUND, {**REFUND, "data": REFUND}])
def test_a_refund_is_traced_by_its_payment_request_and_decides_nothing(offline: Adapter, body: Any) -> None:
    event = offline.parse_webhook(SIGNED, raw(body), NOW)
    assert (event.reference, event.provider_trx_id) == (None, "pr-11111111-2222-4333-8444-555555555555")
    assert (event.observation.status, event.proven) == (None, False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-callback-token": ""},
        {"x-callback-token": "WHTOKEN-EXAMPLE-0123456789abcdeF"},
        {"x-callback-token": TOKEN + "0"},
        {"x-callback-token": TOKEN + " "},
        {"x-callback-token": TOKEN[:-1]},
        {"x-callback-token": "é" * 32},
        {"authorization": TOKEN},
        {"x-callback-tokens": TOKEN},
    ],
)
def test_a_missing_or_wrong_token_is_unsigned_and_tells_nothing(offline: Adapter, headers: dict[str, str]) -> None:
    for body in (raw(V3), b"{"):
        with pytest.raises(WebhookUnsigned) as raised:
            offline.parse_webhook(headers, body, NOW)
        assert str(raised.value) == "The webhook's token is missing or wrong."


@pytest.mark.parametrize("token", [None, SecretStr(""), SecretStr("  ")])
@pytest.mark.parametrize("given", [{}, {"x-callback-token": ""}, {"x-callback-token": "  "}])
def test_without_a_token_every_webhook_is_refused(token: SecretStr | None, given: dict[str, str]) -> None:
    for make in (requests_api, codes_api):
        with pytest.raises(WebhookUnsigned):
            make("http://127.0.0.1:1", ProviderHttp(), webhook_token=token).parse_webhook(given, raw(V3), NOW)


def test_a_token_pasted_with_white_space_works() -> None:
    adapter = requests_api("http://127.0.0.1:1", ProviderHttp(), webhook_token=SecretStr(f" {TOKEN}\n"))
    assert adapter.parse_webhook(SIGNED, raw(V3), NOW).reference == REFERENCE


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b"[" * 60_000, b'{"a": NaN}', raw({"junk": "x" * 70_000}), raw({"captures": 1})],
)
def test_what_cannot_be_understood_is_unreadable(offline: Adapter, body: bytes) -> None:
    with pytest.raises(WebhookUnreadable):
        offline.parse_webhook(SIGNED, body, NOW)


@pytest.mark.parametrize("details", [None, [], "text", {}, {"receipt_id": None}, {"receipt_id": ""}])
def test_a_missing_receipt_is_none(offline: Adapter, details: Any) -> None:
    data: Any = V3["data"]
    event = offline.parse_webhook(SIGNED, raw({**V3, "data": {**data, "payment_details": details}}), NOW)
    assert (event.observation.provider_ref_no, event.observation.status) == (None, Status.PAID)


def test_a_webhook_about_something_else_is_kept_without_a_reference(offline: Adapter) -> None:
    event = offline.parse_webhook(SIGNED, raw({"event": "payout.succeeded", "data": {"id": "disb-1"}}), NOW)
    assert (event.reference, event.provider_trx_id, event.observation.status) == (None, None, None)


@pytest.mark.parametrize("amount", [10000.5, "1e4", "ten", -1])
def test_a_malformed_amount_in_a_webhook_is_a_contradiction(offline: Adapter, amount: Any) -> None:
    data: Any = QR_V2["data"]
    event = offline.parse_webhook(SIGNED, raw({**QR_V2, "data": {**data, "amount": amount}}), NOW)
    assert event.observation.contradiction == "amount_format"


def test_a_webhook_sent_again_keeps_its_event_id_whatever_its_envelope(offline: Adapter) -> None:
    again = {**dict(reversed(V3.items())), "created": "2026-01-16T00:00:00Z"}
    ids = {offline.parse_webhook(SIGNED, raw(body), NOW).event_id for body in (V3, again)}
    ids.add(offline.parse_webhook(SIGNED, json.dumps(V3, indent=2).encode(), NOW).event_id)
    assert len(ids) == 1


def test_different_facts_have_different_event_ids(offline: Adapter) -> None:
    data: Any = V3["data"]
    bodies = [
        V3,
        {**V3, "event": "payment.failure"},
        {**V3, "data": {**data, "status": "FAILED"}},
        {**V3, "data": {**data, "payment_id": "py-2"}},
        V2,
        QR_V1,
        QR_V2,
        REFUND,
    ]
    assert len({offline.parse_webhook(SIGNED, raw(body), NOW).event_id for body in bodies}) == len(bodies)


@pytest.mark.parametrize("text", ["2026-01-15T03:03:20Z", "2026-01-15T03:03:20.5Z", "2026-01-15T03:03:20.123456Z"])
def test_times_are_read_with_any_number_of_decimals(offline: Adapter, text: str) -> None:
    data: Any = QR_V2["data"]
    event = offline.parse_webhook(SIGNED, raw({**QR_V2, "data": {**data, "created": text}}), NOW)
    assert event.observation.paid_at is not None
    assert event.observation.paid_at.replace(microsecond=0) == datetime(2026, 1, 15, 3, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize("text", ["soon", None, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_cannot_be_read_is_none(offline: Adapter, text: str | None) -> None:
    data: Any = QR_V2["data"]
    event = offline.parse_webhook(SIGNED, raw({**QR_V2, "data": {**data, "created": text}}), NOW)
    assert event.observation.paid_at is None


async def test_the_fakes_own_webhooks_are_taken(either: Adapter, fake: FakeXendit) -> None:
    fake.notify_url = "http://127.0.0.1:1/"
    live = await charged(either)
    fake.pay(REFERENCE)
    old = fake.webhook_of_qr_v1(fake.book[REFERENCE])
    for body in (fake.outbox[0].body, old):
        event = either.parse_webhook({"x-callback-token": fake.webhook_token}, raw(body), NOW)
        assert (event.reference, event.provider_trx_id) == (REFERENCE, live.provider_trx_id)
        assert event.observation.status is Status.PAID


# Diagnosing


async def test_a_good_account_is_fine_in_all_points(either: Adapter, fake: FakeXendit) -> None:
    lines = await either.diagnose()
    assert [fine for fine, _ in lines] == [True] * 5
    assert "accepts the secret key" in lines[0][1]
    assert f"{NOTIFY_URL} at Xendit: dashboard, Settings, Webhooks" in lines[4][1]
    assert fake.book == {}


async def test_a_wrong_key_is_told_with_advice(fake: FakeXendit, http: ProviderHttp) -> None:
    lines = await requests_api(fake.url, http, secret_key=SecretStr("wrong")).diagnose()
    assert lines[0][0] is False
    assert "does not know this secret key" in lines[0][1]
    assert len(lines) == 3


async def test_a_missing_right_and_a_missing_token_are_told(fake: FakeXendit, http: ProviderHttp) -> None:
    fake.script.next("transactions", reply=error(403, "REQUEST_FORBIDDEN_ERROR"))
    lines = await requests_api(fake.url, http, webhook_token=None).diagnose()
    wrong = [line for fine, line in lines if not fine]
    assert len(wrong) == 2
    assert "Transaction Read" in wrong[0]
    assert "webhook_token is not set" in wrong[1]


async def test_a_missing_key_is_told(http: ProviderHttp) -> None:
    assert (await requests_api("http://127.0.0.1:1", http, secret_key=None).diagnose())[0][0] is False


async def test_an_unreachable_xendit_and_a_stranger_are_told(fake: FakeXendit, http: ProviderHttp) -> None:
    assert "refuses connections" in (await requests_api("http://127.0.0.1:1", http).diagnose())[0][1]
    fake.script.next("status", reply=Reply.json(200, {}))
    assert (await requests_api(fake.url, http).diagnose())[0] == (
        False,
        f"sandbox, {fake.url} does not answer as Xendit does: check base_url.",
    )


# Settings


def test_the_key_makes_the_credentials() -> None:
    assert b64encode(f"{KEY}:".encode()).decode() == BASIC


@pytest.mark.parametrize(("key", "configured"), [(None, False), ("", False), (" ", False), (KEY, True)])
def test_it_is_configured_once_a_key_is_set(key: str | None, configured: bool) -> None:
    assert XenditSettings(secret_key=None if key is None else SecretStr(key)).configured is configured


@pytest.mark.parametrize(
    ("key", "environment", "fits"),
    [
        ("xnd_development_a", "sandbox", True),
        ("xnd_production_a", "production", True),
        ("xnd_development_a", "production", False),
        ("xnd_production_a", "sandbox", False),
        ("something_else", "production", True),
    ],
)
def test_a_key_of_the_other_environment_is_refused_without_showing_it(key: str, environment: str, fits: bool) -> None:
    table = {"secret_key": key, "environment": environment}
    if fits:
        assert XenditSettings.model_validate(table).configured
        return
    with pytest.raises(ValidationError, match="set environment") as raised:
        XenditSettings.model_validate(table)
    assert key not in str(raised.value)


def test_an_unknown_api_is_refused() -> None:
    with pytest.raises(ValidationError):
        XenditSettings.model_validate({"api": "invoices"})


async def test_every_failure_is_a_provider_error_and_nothing_else_escapes(fake: FakeXendit, http: ProviderHttp) -> None:
    fast = requests_api(fake.url, http, timeout=0.4)
    old = codes_api(fake.url, http, timeout=0.4)
    live = attempt("pr-1", status=Status.PAID)
    for fault in Fault:
        for action in ("charge", "status", "cancel", "refund", "refunds"):
            fake.script.next(action, fault)
        for call in (fast.create_qr(charge()), fast.fetch_status(live), fast.cancel_qr(live)):
            with pytest.raises(ProviderError):
                await call
        for asked in (fast.refund(live, order()), fast.fetch_refund(live, order())):
            with pytest.raises(ProviderError):
                await asked
        fake.script.next("charge", fault)
        fake.script.next("transactions", fault)
        for call in (old.create_qr(charge()), old.fetch_status(attempt())):
            with pytest.raises(ProviderError):
                await call
    assert fake.script.finished
