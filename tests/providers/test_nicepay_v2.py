import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

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
from qrisd.providers.nicepay.settings import NicepaySettings
from qrisd.providers.nicepay.v2 import NicepayV2
from qrisd.providers.nicepay.v2_wire import merchant_token
from tests.fakes.nicepay import FAILED, PROCESSING, REFUNDED, FakeNicepay
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.support import payments as sample

IMID, KEY = "TESTMID001", "test-merchant-key-0001"
TRX_ID = "TESTMID00108202501311015300001"
REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
NOTIFY_URL = "https://shop.example/webhooks/nicepay"
NOW = datetime(2025, 1, 31, 3, 15, 30, tzinfo=UTC)
WIB = timezone(timedelta(hours=7))
NOTIFIED = "3d29a244c3f758ebd7eceefd4a5838c52d154d397ff5537f8e45aa5c020d8f25"

LOST_ANSWERS = [
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


@pytest.fixture
async def fake() -> AsyncIterator[FakeNicepay]:
    server = FakeNicepay(IMID, KEY)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


@pytest.fixture
async def nicepay(fake: FakeNicepay, http: ProviderHttp) -> NicepayV2:
    return adapter(fake, http)


def adapter(fake: FakeNicepay | str, http: ProviderHttp, notify_url: str | None = NOTIFY_URL, **more: Any) -> NicepayV2:
    url, clock = (fake, lambda: NOW) if isinstance(fake, str) else (fake.url, lambda: fake.now)
    values = {"api": "v2", "imid": IMID, "merchant_key": SecretStr(KEY), "base_url": url, "timeout": 5.0, **more}
    return NicepayV2("nicepay", NicepaySettings(**values), http, clock, notify_url)


def charge(fake: FakeNicepay, **changes: Any) -> Charge:
    ends = fake.now + timedelta(seconds=900)
    values: dict[str, Any] = {"reference": REFERENCE, "amount": 15_000, "expires_in": 900, "expires_at": ends}
    return Charge(**{**values, **changes})


def attempt(**changes: Any) -> Attempt:
    ends = datetime.now(UTC) + timedelta(seconds=900)
    values = {"reference": REFERENCE, "provider_trx_id": TRX_ID, "expires_at": ends}
    return sample.attempt(provider="nicepay", **{**values, **changes})


async def live(nicepay: NicepayV2, fake: FakeNicepay) -> Attempt:
    """An attempt whose QR is live at NICEPAY."""
    seen = await nicepay.create_qr(charge(fake))
    return attempt(provider_trx_id=seen.provider_trx_id)


async def paid(nicepay: NicepayV2, fake: FakeNicepay) -> Attempt:
    live_one = await live(nicepay, fake)
    fake.pay(REFERENCE)
    return replace(live_one, amount_paid=15_000, status=Status.PAID)


def verbs(fake: FakeNicepay) -> list[str]:
    return [call.path.rsplit("/", 1)[1] for call in fake.calls]


def test_it_is_a_provider_that_cancels_refunds_and_diagnoses(nicepay: NicepayV2) -> None:
    provider: Provider = nicepay
    assert isinstance(provider, Cancels)
    assert isinstance(provider, Refunds)
    assert isinstance(provider, Diagnoses)
    can = provider.capabilities
    assert (can.min_expires_in, can.max_expires_in, can.refund_window_days) == (300, 1200, 90)
    assert (can.cancel, can.refund, can.partial_refund, can.webhook_proves_status) == (True, True, True, False)


# Tokens


@pytest.mark.parametrize(
    ("parts", "token"),
    [
        (
            ("20250131101530", IMID, "QRISD-20250131-0001", "15000", KEY),
            "1c92b52b637a78cd76f6242d4749d29778529962b7275b4129fd6f91a2dd9f56",
        ),
        (
            ("20250131101530", IMID, TRX_ID, "15000", KEY),
            "1b7c79fd4248327388c3b296c7d5581c728fb163db5e896f55c4e00d5fdb3895",
        ),
        ((IMID, TRX_ID, "15000", KEY), NOTIFIED),
    ],
)
def test_tokens_are_the_hash_of_the_parts_run_together(parts: tuple[str, ...], token: str) -> None:
    assert merchant_token(*parts) == token


async def test_registration_inquiry_and_cancel_are_signed_for_what_they_name(
    fake: FakeNicepay, http: ProviderHttp
) -> None:
    nicepay = NicepayV2("nicepay", adapter(fake, http)._settings, http, lambda: NOW, None)
    for verb in ("charge", "status", "cancel"):
        fields = {"resultCd": "0000", "tXid": TRX_ID, "referenceNo": "QRISD-20250131-0001", "status": "3"}
        fake.script.next(verb, reply=Reply.json(200, fields), times=2)
    named = {"reference": "QRISD-20250131-0001"}
    await nicepay.create_qr(charge(fake, **named, expires_at=NOW + timedelta(seconds=900)))
    await nicepay.cancel_qr(attempt(**named))
    sent = {call.path.rsplit("/", 1)[1]: call.json() for call in fake.calls}
    assert {body["timeStamp"] for body in sent.values()} == {"20250131101530"}
    keyed = "1c92b52b637a78cd76f6242d4749d29778529962b7275b4129fd6f91a2dd9f56"
    assert (sent["registration"]["merchantToken"], sent["inquiry"]["merchantToken"]) == (keyed, keyed)
    assert sent["cancel"]["merchantToken"] == "1b7c79fd4248327388c3b296c7d5581c728fb163db5e896f55c4e00d5fdb3895"


# Registering


async def test_a_registration_answers_a_live_qr(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    seen = await nicepay.create_qr(charge(fake))
    order = fake.book[REFERENCE]
    assert (seen.source, seen.status, seen.contradiction) == (Source.PROVIDER, Status.PENDING, None)
    assert (seen.amount, seen.currency, seen.provider_trx_id) == (15_000, "IDR", order.trx_id)
    assert seen.qris_payload == fake.payload(order)
    assert seen.expires_at == order.expires_at.replace(microsecond=0)


async def test_a_registration_says_what_nicepay_needs_and_no_more(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    order = charge(fake, description="Kopi Susu", metadata={"table": "7"})
    await nicepay.create_qr(order)
    sent = fake.calls[0].json()
    ends = order.expires_at.astimezone(WIB)
    assert fake.calls[0].headers["content-type"] == "application/json"
    assert (sent.pop("timeStamp")[:8], len(sent.pop("merchantToken"))) == (f"{fake.now.astimezone(WIB):%Y%m%d}", 64)
    assert sent == {
        "iMid": IMID,
        "payMethod": "08",
        "currency": "IDR",
        "amt": "15000",
        "referenceNo": REFERENCE,
        "goodsNm": f"Order-{REFERENCE}",
        "billingNm": "Customer",
        "billingPhone": "0210000000",
        "billingEmail": "customer@qrisd.invalid",
        "billingCity": "Jakarta",
        "billingState": "Jakarta",
        "billingPostCd": "10110",
        "billingCountry": "Indonesia",
        "dbProcessUrl": NOTIFY_URL,
        "userIP": "127.0.0.1",
        "cartData": '{"count":"1","item":[{"goods_id":"1","goods_name":"Order-7Q2M0K8R5T1V9X3Z6B4C",'
        '"goods_amt":"15000","goods_quantity":"1"}]}',
        "mitraCd": "QSHP",
        "shopId": "NICEPAY",
        "paymentExpDt": f"{ends:%Y%m%d}",
        "paymentExpTm": f"{ends:%H%M%S}",
    }


async def test_the_shops_own_data_stands_for_the_buyer(fake: FakeNicepay, http: ProviderHttp) -> None:
    shop = {"name": "Warung", "phone": "0221234", "email": "kasir@warung.example", "city": "Bandung"}
    await adapter(fake, http, billing=shop, store_id="SHOP1").create_qr(charge(fake))
    sent = fake.calls[0].json()
    assert (sent["billingNm"], sent["billingPhone"], sent["billingCity"]) == ("Warung", "0221234", "Bandung")
    assert (sent["billingEmail"], sent["shopId"]) == ("kasir@warung.example", "SHOP1")


async def test_without_a_public_address_notifications_go_nowhere(fake: FakeNicepay, http: ProviderHttp) -> None:
    await adapter(fake, http, notify_url=None).create_qr(charge(fake))
    assert fake.calls[0].json()["dbProcessUrl"].startswith("https://qrisd.invalid/")


async def test_the_shortest_qr_still_lives_five_minutes_when_it_arrives(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    seen = await nicepay.create_qr(charge(fake, expires_in=300, expires_at=fake.now + timedelta(seconds=299)))
    assert seen.expires_at is not None
    assert 300 <= (seen.expires_at - fake.now).total_seconds() <= 310


async def test_a_known_reference_is_uncertain_and_its_lookup_settles_it(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    live_one = await live(nicepay, fake)
    with pytest.raises(ProviderUncertain, match="already") as raised:
        await nicepay.create_qr(charge(fake))
    assert raised.value.provider_code == "9009"
    assert (await nicepay.fetch_status(live_one)).status is Status.PENDING
    assert len(fake.book) == 1


@pytest.mark.parametrize("fault", LOST_ANSWERS)
async def test_a_lost_registration_is_uncertain_and_found_by_reference_where_nicepay_allows_it(
    fake: FakeNicepay, http: ProviderHttp, fault: Fault
) -> None:
    nicepay = adapter(fake, http, timeout=1.0)
    fake.finds_by_reference = True
    fake.script.next("charge", fault)
    with pytest.raises(ProviderUncertain):
        await nicepay.create_qr(charge(fake))
    seen = await nicepay.fetch_status(attempt(status=Status.CREATED, provider_trx_id=None, qris_payload=None))
    assert (seen.status, seen.provider_trx_id) == (Status.PENDING, fake.book[REFERENCE].trx_id)
    assert "tXid" not in fake.calls[-1].json()


async def test_a_lost_registration_that_is_told_by_nobody_is_absent_once_its_time_is_over(
    nicepay: NicepayV2, fake: FakeNicepay
) -> None:
    lost = attempt(status=Status.CREATED, provider_trx_id=None, expires_at=fake.now + timedelta(seconds=900))
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await nicepay.create_qr(charge(fake))
    with pytest.raises(ProviderUncertain, match="was lost"):
        await nicepay.fetch_status(lost)
    fake.advance(950)
    with pytest.raises(ProviderUncertain, match="was lost"):
        await nicepay.fetch_status(lost)
    fake.advance(20)
    assert (await nicepay.fetch_status(lost)).absent


@pytest.mark.parametrize("code", ["1003", "9002", "9101", "9507"])
async def test_a_busy_nicepay_never_makes_a_lost_registration_absent(
    nicepay: NicepayV2, fake: FakeNicepay, code: str
) -> None:
    fake.script.next("status", reply=Reply.json(200, {"resultCd": code, "resultMsg": "busy"}))
    with pytest.raises(ProviderUncertain):
        await nicepay.fetch_status(attempt(provider_trx_id=None, expires_at=fake.now - timedelta(days=1)))


@pytest.mark.parametrize("code", ["9010", "9011", "9012"])
async def test_a_refused_account_never_makes_a_lost_registration_absent(
    nicepay: NicepayV2, fake: FakeNicepay, code: str
) -> None:
    fake.script.next("status", reply=Reply.json(200, {"resultCd": code}))
    with pytest.raises(ProviderRejected):
        await nicepay.fetch_status(attempt(provider_trx_id=None, expires_at=fake.now - timedelta(days=1)))


async def test_nobody_listening_is_unreachable(http: ProviderHttp, fake: FakeNicepay) -> None:
    with pytest.raises(ProviderUnreachable):
        await adapter("http://127.0.0.1:1", http).create_qr(charge(fake))


@pytest.mark.parametrize(("seconds", "when"), [(30.0, "in 30 seconds"), (None, "in a while")])
async def test_a_rate_limit_leaves_nothing_and_says_when(
    nicepay: NicepayV2, fake: FakeNicepay, seconds: float | None, when: str
) -> None:
    fake.script.next("charge", Fault.RATE_LIMITED, seconds=seconds)
    with pytest.raises(ProviderUnreachable, match=when) as raised:
        await nicepay.create_qr(charge(fake))
    assert raised.value.provider_code == "429"
    assert fake.book == {}


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        ("9008", "refused: 9008"),
        ("9010", "merchant key"),
        ("9011", "imid"),
        ("9012", "payment method 08"),
        ("9020", "refused"),
        ("9023", "cart"),
        ("9031", "time synchronisation"),
        ("9109", "refused"),
        ("9502", "refused"),
    ],
)
async def test_a_refusal_is_rejected_with_code_and_advice(
    nicepay: NicepayV2, fake: FakeNicepay, code: str, phrase: str
) -> None:
    fake.script.next("charge", reply=Reply.json(200, {"resultCd": code, "resultMsg": f"no, key {KEY}"}))
    with pytest.raises(ProviderRejected, match=phrase) as raised:
        await nicepay.create_qr(charge(fake))
    assert raised.value.provider_code == code
    assert KEY not in str(raised.value)


async def test_a_wrong_key_and_a_wrong_imid_are_refused_by_name(fake: FakeNicepay, http: ProviderHttp) -> None:
    with pytest.raises(ProviderRejected, match="merchant key"):
        await adapter(fake, http, merchant_key=SecretStr("wrong")).create_qr(charge(fake))
    with pytest.raises(ProviderRejected, match="imid"):
        await adapter(fake, http, imid="OTHER00001").create_qr(charge(fake))


@pytest.mark.parametrize(
    "answer",
    [
        *(Reply.json(200, {"resultCd": code}) for code in ("1001", "1004", "9002", "9021", "9101", "9507", "7777", "")),
        Reply.json(200, {"resultMsg": "SUCCESS"}),
        Reply.json(200, {"resultCd": "0000"}),
        Reply.json(200, {"resultCd": "0000", "tXid": TRX_ID}),
        Reply.json(200, {"resultCd": "0000", "referenceNo": REFERENCE}),
        Reply.json(200, {"resultCd": ["0000"]}),
        Reply.json(200, ["0000"]),
        Reply.json(404, {"resultCd": "0000", "tXid": TRX_ID, "referenceNo": REFERENCE}),
        Reply.json(403, {"message": "forbidden"}),
        Reply.json(503, {"resultCd": "9010"}),
    ],
)
async def test_an_answer_that_does_not_settle_it_is_uncertain(
    nicepay: NicepayV2, fake: FakeNicepay, answer: Reply
) -> None:
    fake.script.next("charge", reply=answer)
    with pytest.raises(ProviderUncertain):
        await nicepay.create_qr(charge(fake))


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"referenceNo": "SOMEBODY-ELSES"}, "reference_mismatch"),
        ({"iMid": "OTHER00001"}, "merchant_mismatch"),
        ({"amt": "15000.50"}, "amount_format"),
        ({"amt": "15.000"}, "amount_format"),
        ({"amt": "-1"}, "amount_format"),
    ],
)
@pytest.mark.parametrize("action", ["charge", "status"])
async def test_an_answer_for_something_else_is_a_contradiction(
    nicepay: NicepayV2, fake: FakeNicepay, fields: dict[str, str], contradiction: str, action: str
) -> None:
    if action == "charge":
        fake.script.next("charge", fields=fields)
        assert (await nicepay.create_qr(charge(fake))).contradiction == contradiction
        return
    live_one = await live(nicepay, fake)
    fake.script.next("status", fields=fields)
    assert (await nicepay.fetch_status(live_one)).contradiction == contradiction


async def test_another_amount_is_passed_on_to_be_refused(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    fake.script.next("charge", fields={"amt": 1500, "currency": "USD"})
    seen = await nicepay.create_qr(charge(fake))
    assert (seen.amount, seen.currency) == (1_500, "USD")


# Asking


@pytest.mark.parametrize(
    ("status", "canonical"),
    [
        ("0", Status.PAID),
        ("2", Status.REFUNDED),
        ("3", Status.PENDING),
        ("4", Status.PENDING),
        ("5", Status.EXPIRED),
        ("6", Status.FAILED),
        (0, Status.PAID),
        ("1", None),
        ("9", None),
        ("00", None),
        ("paid", None),
        (None, None),
    ],
)
async def test_their_status_becomes_ours(
    nicepay: NicepayV2, fake: FakeNicepay, status: str | int | None, canonical: Status | None
) -> None:
    live_one = await live(nicepay, fake)
    fake.script.next("status", fields={"status": status})
    seen = await nicepay.fetch_status(live_one)
    assert (seen.source, seen.status, seen.absent) == (Source.LOOKUP, canonical, False)


async def test_a_payment_names_amount_currency_time_and_number(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    seen = await nicepay.fetch_status(await paid(nicepay, fake))
    order = fake.book[REFERENCE]
    assert order.paid_at is not None
    assert (seen.status, seen.amount, seen.currency) == (Status.PAID, 15_000, "IDR")
    assert (seen.paid_at, seen.provider_ref_no) == (order.paid_at.replace(microsecond=0), order.trx_id)


async def test_the_payers_number_goes_before_nicepays(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    paid_one = await paid(nicepay, fake)
    fields = {"paymentTrxSn": "000000000001", "currency": None, "transDt": "20250131", "transTm": "102000"}
    fake.script.next("status", fields=fields)
    seen = await nicepay.fetch_status(paid_one)
    assert (seen.provider_ref_no, seen.currency) == ("000000000001", "IDR")
    assert seen.paid_at == datetime(2025, 1, 31, 3, 20, tzinfo=UTC)


async def test_a_payment_that_does_not_match_the_amount_is_a_contradiction(
    nicepay: NicepayV2, fake: FakeNicepay
) -> None:
    paid_one = await paid(nicepay, fake)
    fake.script.next("status", fields={"matchCl": "3"})
    assert (await nicepay.fetch_status(paid_one)).contradiction == "amount_mismatch"


@pytest.mark.parametrize("amount", [0, "0", "15000", 15_000, None])
async def test_a_whole_refund_is_seen(nicepay: NicepayV2, fake: FakeNicepay, amount: str | int | None) -> None:
    paid_one = await paid(nicepay, fake)
    fake.script.next("status", fields={"status": "2", "cancelAmt": amount})
    seen = await nicepay.fetch_status(paid_one)
    assert (seen.status, seen.amount_refunded) == (Status.REFUNDED, 15_000 if amount in (15_000, "15000") else None)


async def test_a_refund_that_does_not_say_how_much_leaves_a_known_part_alone(
    nicepay: NicepayV2, fake: FakeNicepay
) -> None:
    partly = replace(await paid(nicepay, fake), amount_refunded=5_000)
    fake.script.next("status", fields={"status": "2", "cancelAmt": None})
    assert (await nicepay.fetch_status(partly)).status is None
    fake.script.next("status", fields={"status": "2", "cancelAmt": "15000"})
    assert (await nicepay.fetch_status(partly)).status is Status.REFUNDED


async def test_a_refund_of_a_part_is_seen_by_its_amount(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    paid_one = await paid(nicepay, fake)
    fake.refund(REFERENCE, 5_000)
    seen = await nicepay.fetch_status(paid_one)
    assert (seen.status, seen.amount_refunded) == (Status.PARTIALLY_REFUNDED, 5_000)


async def test_an_expired_qr_is_expired_and_money_afterwards_is_money(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    live_one = await live(nicepay, fake)
    fake.advance(901)
    assert (await nicepay.fetch_status(live_one)).status is Status.EXPIRED
    fake.pay(REFERENCE)
    assert (await nicepay.fetch_status(live_one)).status is Status.PAID


async def test_an_id_nicepay_does_not_know_is_an_error_and_not_an_absence(
    nicepay: NicepayV2, fake: FakeNicepay
) -> None:
    with pytest.raises(ProviderRejected):
        await nicepay.fetch_status(attempt())


# Cancelling


async def test_cancelling_an_open_qr_ends_it(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    live_one = await live(nicepay, fake)
    seen = await nicepay.cancel_qr(live_one)
    assert (seen.status, fake.book[REFERENCE].status) == (Status.CANCELLED, "5")
    assert verbs(fake) == ["registration", "inquiry", "cancel", "inquiry"]


async def test_cancelling_paid_money_is_never_sent_because_it_would_give_it_back(
    nicepay: NicepayV2, fake: FakeNicepay
) -> None:
    seen = await nicepay.cancel_qr(await paid(nicepay, fake))
    assert (seen.status, fake.book[REFERENCE].refunded) == (Status.PAID, 0)
    assert "cancel" not in verbs(fake)


@pytest.mark.parametrize(("status", "canonical"), [(PROCESSING, Status.PENDING), (FAILED, Status.FAILED), ("8", None)])
async def test_a_qr_that_is_not_surely_unpaid_is_left_alone(
    nicepay: NicepayV2, fake: FakeNicepay, status: str, canonical: Status | None
) -> None:
    live_one = await live(nicepay, fake)
    fake.change(REFERENCE, status)
    assert (await nicepay.cancel_qr(live_one)).status is canonical
    assert "cancel" not in verbs(fake)


async def test_a_payer_who_was_faster_than_the_cancel_gets_the_money_back_and_it_is_told(
    nicepay: NicepayV2, fake: FakeNicepay
) -> None:
    live_one = await live(nicepay, fake)
    fake.pay(REFERENCE)
    fake.script.next("status", fields={"status": "3"})
    seen = await nicepay.cancel_qr(live_one)
    assert (seen.status, seen.amount_refunded) == (Status.REFUNDED, 15_000)


@pytest.mark.parametrize("code", ["9314", "9315"])
async def test_a_cancel_that_came_too_late_is_settled_by_asking(
    nicepay: NicepayV2, fake: FakeNicepay, code: str
) -> None:
    live_one = await live(nicepay, fake)
    fake.change(REFERENCE, "5")
    fake.script.next("status", fields={"status": "3"})
    fake.script.next("cancel", reply=Reply.json(200, {"resultCd": code}))
    assert (await nicepay.cancel_qr(live_one)).status is Status.CANCELLED


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.ERROR_AFTER_EFFECT, Fault.HTML])
async def test_a_lost_answer_to_a_cancel_is_uncertain(nicepay: NicepayV2, fake: FakeNicepay, fault: Fault) -> None:
    live_one = await live(nicepay, fake)
    fake.script.next("cancel", fault)
    with pytest.raises(ProviderUncertain):
        await nicepay.cancel_qr(live_one)
    assert (await nicepay.cancel_qr(live_one)).status is Status.EXPIRED


async def test_an_unclear_answer_before_a_cancel_sends_nothing(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    live_one = await live(nicepay, fake)
    for fields in ({"referenceNo": "OTHER"}, {"tXid": None}, {"resultCd": "9101"}):
        fake.script.next("status", fields=fields)
        with pytest.raises(ProviderUncertain):
            await nicepay.cancel_qr(live_one)
    assert "cancel" not in verbs(fake)


# Giving back


def refund(amount: int, before: int = 0) -> RefundOrder:
    return RefundOrder(reference="R" * 20, amount=amount, refunded_before=before, reason="asked for")


async def test_a_whole_refund_is_given_and_seen(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    paid_one = await paid(nicepay, fake)
    assert (await nicepay.fetch_refund(paid_one, refund(15_000))).absent
    seen = await nicepay.refund(paid_one, refund(15_000))
    assert (seen.status, seen.amount, fake.book[REFERENCE].refunded) == (RefundStatus.DONE, 15_000, 15_000)
    assert seen.provider_refund_id is not None
    sent = next(call.json() for call in fake.calls if call.path.endswith("/cancel"))
    assert (sent["cancelType"], sent["amt"], sent["cancelMsg"]) == ("1", "15000", "asked for")
    assert (await nicepay.fetch_refund(paid_one, refund(15_000))).status is RefundStatus.DONE


async def test_parts_are_given_one_after_the_other(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    paid_one = await paid(nicepay, fake)
    assert (await nicepay.refund(paid_one, refund(5_000))).status is RefundStatus.DONE
    assert (await nicepay.refund(paid_one, refund(10_000, before=5_000))).status is RefundStatus.DONE
    sent = [call.json() for call in fake.calls if call.path.endswith("/cancel")]
    assert [(each["cancelType"], each["amt"]) for each in sent] == [("2", "5000"), ("2", "10000")]
    assert fake.book[REFERENCE].refunded == 15_000


@pytest.mark.parametrize("fault", LOST_ANSWERS)
async def test_a_refund_whose_answer_is_lost_is_given_once(fake: FakeNicepay, http: ProviderHttp, fault: Fault) -> None:
    nicepay = adapter(fake, http, timeout=1.0)
    paid_one = await paid(nicepay, fake)
    fake.script.next("cancel", fault)
    with pytest.raises(ProviderUncertain):
        await nicepay.refund(paid_one, refund(5_000))
    assert (await nicepay.fetch_refund(paid_one, refund(5_000))).status is RefundStatus.DONE
    assert (await nicepay.refund(paid_one, refund(5_000))).status is RefundStatus.DONE
    assert fake.book[REFERENCE].refunded == 5_000


async def test_a_refund_that_never_arrived_is_absent(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    paid_one = await paid(nicepay, fake)
    fake.refund(REFERENCE, 4_000)
    fake.script.next("cancel", Fault.DROP_BEFORE_EFFECT)
    with pytest.raises(ProviderUncertain):
        await nicepay.refund(paid_one, refund(5_000, before=4_000))
    assert (await nicepay.fetch_refund(paid_one, refund(5_000, before=4_000))).absent


@pytest.mark.parametrize(("code", "phrase"), [("9314", "by hand"), ("9319", "what is left"), ("9334", "90 days")])
async def test_a_refused_refund_says_why(nicepay: NicepayV2, fake: FakeNicepay, code: str, phrase: str) -> None:
    paid_one = await paid(nicepay, fake)
    fake.script.next("cancel", reply=Reply.json(200, {"resultCd": code}))
    seen = await nicepay.refund(paid_one, refund(15_000))
    assert seen.status is RefundStatus.REFUSED
    assert phrase in str(seen.detail)


async def test_what_is_not_paid_is_not_given_back_nor_ended(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    live_one = await live(nicepay, fake)
    assert (await nicepay.refund(live_one, refund(15_000))).status is RefundStatus.REFUSED
    assert fake.book[REFERENCE].status == "3"


@pytest.mark.parametrize(
    ("fields", "before"),
    [
        ({"status": "2", "cancelAmt": "3000"}, 0),
        ({"status": "2", "cancelAmt": None}, 4_000),
        ({"status": "2", "cancelAmt": "x"}, 0),
        ({"status": "9"}, 0),
        ({"iMid": "OTHER00001"}, 0),
    ],
)
async def test_a_sum_given_back_that_does_not_tell_is_uncertain_and_sends_nothing(
    nicepay: NicepayV2, fake: FakeNicepay, fields: dict[str, str | None], before: int
) -> None:
    paid_one = await paid(nicepay, fake)
    fake.script.next("status", fields=fields)
    with pytest.raises(ProviderUncertain):
        await nicepay.refund(paid_one, refund(5_000, before))
    assert "cancel" not in verbs(fake)


@pytest.mark.parametrize("code", ["9101", "9308", "9315", "7777"])
async def test_an_unclear_answer_to_a_refund_is_uncertain(nicepay: NicepayV2, fake: FakeNicepay, code: str) -> None:
    paid_one = await paid(nicepay, fake)
    fake.script.next("cancel", reply=Reply.json(200, {"resultCd": code}))
    with pytest.raises(ProviderUncertain):
        await nicepay.refund(paid_one, refund(15_000))


# Notifications


def notification(**changes: str | None) -> bytes:
    members = {
        "tXid": TRX_ID,
        "merchantToken": NOTIFIED,
        "referenceNo": "QRISD-20250131-0001",
        "payMethod": "08",
        "amt": "15000",
        "transDt": "20250131",
        "transTm": "102000",
        "currency": "IDR",
        "goodsNm": "Order-0001",
        "billingNm": "Budi Santoso",
        "matchCl": "1",
        "status": "0",
        "mitraCd": "QSHP",
        "shopId": "NICEPAY",
        "paymentTrxSn": "000000000001",
        "userId": "",
        **changes,
    }
    return urlencode({name: value for name, value in members.items() if value is not None}).encode()


@pytest.fixture
def offline() -> NicepayV2:
    return adapter("http://127.0.0.1:1", ProviderHttp())


def test_a_signed_notification_is_a_hint(offline: NicepayV2) -> None:
    event = offline.parse_webhook({}, notification(), NOW)
    assert (event.reference, event.provider_trx_id, event.proven) == ("QRISD-20250131-0001", TRX_ID, False)
    assert (event.observation.status, event.observation.amount) == (Status.PAID, 15_000)
    assert event.observation.provider_ref_no == "000000000001"
    assert "Budi" not in json.dumps(event.payload)
    assert json.loads(json.dumps(event.payload)) == event.payload


@pytest.mark.parametrize("status", ["1", "2", "3", "5", "x", None])
def test_any_other_digit_of_a_notification_tells_nothing_by_itself(offline: NicepayV2, status: str | None) -> None:
    event = offline.parse_webhook({}, notification(status=status), NOW)
    assert (event.observation.status, event.proven) == (None, False)


def test_a_notification_without_reference_is_found_by_nicepays_id(offline: NicepayV2) -> None:
    event = offline.parse_webhook({}, notification(referenceNo=None), NOW)
    assert (event.reference, event.provider_trx_id) == (None, TRX_ID)


def test_an_amount_that_does_not_match_is_marked(offline: NicepayV2) -> None:
    assert offline.parse_webhook({}, notification(matchCl="2"), NOW).observation.contradiction == "amount_mismatch"


def test_a_token_in_capitals_is_good_too(offline: NicepayV2) -> None:
    assert offline.parse_webhook({}, notification(merchantToken=NOTIFIED.upper()), NOW).observation.status


@pytest.mark.parametrize(
    "changes",
    [
        {"merchantToken": None},
        {"merchantToken": ""},
        {"merchantToken": NOTIFIED[:-1]},
        {"merchantToken": NOTIFIED[:-1] + "0"},
        {"merchantToken": "é" * 64},
        {"tXid": TRX_ID[:-1] + "2"},
        {"tXid": None},
        {"amt": "15000.00"},
        {"amt": "1500"},
        {"amt": None},
        {"amt": ""},
    ],
)
def test_a_wrong_or_missing_token_is_unsigned_and_tells_nothing(
    offline: NicepayV2, changes: dict[str, str | None]
) -> None:
    with pytest.raises(WebhookUnsigned) as raised:
        offline.parse_webhook({}, notification(**changes), NOW)
    assert str(raised.value) == "The notification's token is missing or wrong."


@pytest.mark.parametrize("account", [{"merchant_key": SecretStr(KEY + "x")}, {"imid": "OTHER00001"}])
def test_another_accounts_token_does_not_verify(account: dict[str, Any]) -> None:
    with pytest.raises(WebhookUnsigned):
        adapter("http://127.0.0.1:1", ProviderHttp(), **account).parse_webhook({}, notification(), NOW)


@pytest.mark.parametrize("account", [{"merchant_key": None}, {"merchant_key": SecretStr(" ")}, {"imid": None}])
def test_without_an_account_nothing_verifies(account: dict[str, Any]) -> None:
    unset = adapter("http://127.0.0.1:1", ProviderHttp(), **account)
    key = "" if "merchant_key" in account else KEY
    forged = hashlib.sha256(f"{'' if 'imid' in account else IMID}{TRX_ID}15000{key}".encode()).hexdigest()
    with pytest.raises(WebhookUnsigned):
        unset.parse_webhook({}, notification(merchantToken=forged), NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"tXid=%ff",
        b"&".join(b"a%d=1" % number for number in range(200)),
        notification(junk="x" * 70_000),
        notification() + b"&amt=1",
    ],
)
def test_what_is_no_form_is_unreadable(offline: NicepayV2, body: bytes) -> None:
    with pytest.raises(WebhookUnreadable):
        offline.parse_webhook({}, body, NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b"tXid", b"&&"])
def test_what_says_nothing_is_unsigned(offline: NicepayV2, body: bytes) -> None:
    with pytest.raises(WebhookUnsigned):
        offline.parse_webhook({}, body, NOW)


def test_repeats_share_an_event_id_and_other_facts_do_not(offline: NicepayV2) -> None:
    backwards = b"&".join(reversed(notification(note="a b").split(b"&")))
    same = [notification(note="a b"), backwards]
    other = [notification(status="1"), notification(referenceNo="OTHER"), notification(transTm="102001")]
    ids = [offline.parse_webhook({}, body, NOW).event_id for body in same + other]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


async def test_the_fakes_own_notifications_verify(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    await paid(nicepay, fake)
    fake.change(REFERENCE, REFUNDED)
    bodies = [urlencode(waiting.body).encode() for waiting in fake.outbox]
    events = [nicepay.parse_webhook({}, body, NOW) for body in bodies]
    assert [event.observation.status for event in events] == [Status.PAID, None]
    assert {event.reference for event in events} == {REFERENCE}


# Diagnosing


async def test_a_good_account_is_fine_in_all_points(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    lines = await nicepay.diagnose()
    assert [fine for fine, _ in lines] == [True, True, True, True]
    assert NOTIFY_URL in lines[3][1]
    assert fake.book == {}


@pytest.mark.parametrize(
    ("account", "phrase"), [({"merchant_key": SecretStr("wrong")}, "merchant key"), ({"imid": "X"}, "iMid")]
)
async def test_a_wrong_account_is_told(
    fake: FakeNicepay, http: ProviderHttp, account: dict[str, Any], phrase: str
) -> None:
    fine, line = (await adapter(fake, http, **account).diagnose())[0]
    assert not fine
    assert phrase in line


async def test_missing_keys_and_a_missing_nicepay_are_told(http: ProviderHttp) -> None:
    assert (await adapter("http://127.0.0.1:1", http, merchant_key=None).diagnose())[0][0] is False
    lines = await adapter("http://127.0.0.1:1", http, notify_url=None).diagnose()
    assert "refuses connections" in lines[0][1]
    assert "No public base_url" in lines[1][1]


async def test_a_wrong_clock_is_told(nicepay: NicepayV2, fake: FakeNicepay) -> None:
    answer = Reply.json(200, {"resultCd": "9501"})
    late = Reply(200, answer.body, {"Date": "Thu, 15 Jan 2015 03:00:00 GMT"})
    fake.script.next("status", reply=late)
    fine, line = (await nicepay.diagnose())[2]
    assert not fine
    assert "ahead of" in line


# Settings


def test_an_account_is_on_once_its_keys_are_set() -> None:
    assert NicepaySettings(api="v2", imid=IMID, merchant_key=SecretStr(KEY)).configured
    assert not NicepaySettings(api="v2", imid=IMID, merchant_key=SecretStr(" ")).configured
    assert not NicepaySettings(api="v2", merchant_key=SecretStr(KEY)).configured
    assert not NicepaySettings(imid=IMID, merchant_key=SecretStr(KEY)).configured


def test_an_unknown_api_is_refused_without_showing_the_key() -> None:
    with pytest.raises(ValidationError) as raised:
        NicepaySettings.model_validate({"merchant_key": KEY, "api": "v1"})
    assert KEY not in str(raised.value)


async def test_every_refusal_is_a_provider_error_and_nothing_else_escapes(
    fake: FakeNicepay, http: ProviderHttp
) -> None:
    nicepay = adapter(fake, http, timeout=0.5)
    paid_one = await paid(nicepay, fake)
    for fault in Fault:
        for action in ("charge", "status", "status", "cancel", "status"):
            fake.script.next(action, fault)
        with pytest.raises(ProviderError):
            await nicepay.create_qr(charge(fake, reference="X" * 20))
        with pytest.raises(ProviderError):
            await nicepay.fetch_status(paid_one)
        with pytest.raises(ProviderError):
            await nicepay.cancel_qr(paid_one)
        with pytest.raises(ProviderError):
            await nicepay.fetch_refund(paid_one, refund(15_000))
        fake.script.take("cancel")
    assert fake.script.finished
