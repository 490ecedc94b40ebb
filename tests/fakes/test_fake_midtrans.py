"""The fake speaks Midtrans: its official client is the judge."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import httpx
import midtransclient
import pytest
from midtransclient.error_midtrans import MidtransAPIError

from qrisd.qr_image import decode
from tests.fakes.midtrans import WIB, FakeMidtrans
from tests.fakes.script import Fault
from tests.fakes.server import LoopbackServer, Reply, Request

ORDER = "QRISD-20260115-0001"


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    server = FakeMidtrans(server_key="SB-Mid-server-EXAMPLEKEY1234567890ab")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def core(fake: FakeMidtrans) -> Any:
    return client(fake)


def client(fake: FakeMidtrans, key: str | None = None, **headers: str) -> Any:
    api = midtransclient.CoreApi(is_production=False, server_key=key or fake.server_key, client_key="")
    api.api_config.CORE_SANDBOX_BASE_URL = fake.url
    api.api_config.custom_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return api


async def ask(call: Callable[..., Any], *args: Any) -> Any:
    """The client is synchronous."""
    return await asyncio.to_thread(call, *args)


async def refused(call: Callable[..., Any], *args: Any) -> Any:
    with pytest.raises(MidtransAPIError) as raised:
        await ask(call, *args)
    return raised.value


def order(kind: str = "qris", amount: Any = 10_000, **more: Any) -> dict[str, Any]:
    return {"payment_type": kind, "transaction_details": {"order_id": ORDER, "gross_amount": amount}, **more}


@pytest.mark.parametrize("kind", ["qris", "gopay"])
async def test_a_charge_answers_as_documented(fake: FakeMidtrans, core: Any, kind: str) -> None:
    answer = await ask(core.charge, order(kind))
    assert (answer["status_code"], answer["transaction_status"], answer["gross_amount"]) == (
        "201",
        "pending",
        "10000.00",
    )
    assert (answer["order_id"], answer["currency"], answer["payment_type"]) == (ORDER, "IDR", kind)
    assert {action["name"] for action in answer["actions"]} == {"generate-qr-code", "generate-qr-code-v2"}
    assert "signature_key" not in answer
    assert ("qr_string" in answer) is (kind == "qris")


async def test_the_picture_holds_the_qr_text(fake: FakeMidtrans, core: Any) -> None:
    answer = await ask(core.charge, order())
    url = next(action["url"] for action in answer["actions"] if action["name"] == "generate-qr-code")
    async with httpx.AsyncClient(trust_env=False) as plain:
        picture = await plain.get(url)
    assert picture.headers["content-type"] == "image/png"
    assert decode(picture.content) == answer["qr_string"]


async def test_status_follows_the_payment_and_never_repeats_the_qr_text(fake: FakeMidtrans, core: Any) -> None:
    charged = await ask(core.charge, order())
    pending = await ask(core.transactions.status, ORDER)
    assert (pending["status_code"], pending["transaction_status"]) == ("201", "pending")
    assert "qr_string" not in pending
    fake.pay(ORDER)
    paid = await ask(core.transactions.status, charged["transaction_id"])
    assert (paid["status_code"], paid["transaction_status"], paid["issuer"]) == ("200", "settlement", "dana")
    assert paid["settlement_time"]


async def test_cancelling_answers_200(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order())
    answer = await ask(core.transactions.cancel, ORDER)
    assert (answer["status_code"], answer["transaction_status"]) == ("200", "cancel")


async def test_expiring_answers_407_which_is_no_error(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order())
    assert (await ask(core.transactions.expire, ORDER))["status_code"] == "407"
    assert (await ask(core.transactions.status, ORDER))["status_code"] == "407"


async def test_the_clock_expires_what_is_due(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order(custom_expiry={"expiry_duration": 20, "unit": "second"}))
    fake.advance(19)
    assert (await ask(core.transactions.status, ORDER))["transaction_status"] == "pending"
    fake.advance(1)
    assert (await ask(core.transactions.status, ORDER))["transaction_status"] == "expire"


@pytest.mark.parametrize("verb", ["cancel", "expire"])
async def test_a_paid_order_answers_412(fake: FakeMidtrans, core: Any, verb: str) -> None:
    await ask(core.charge, order())
    fake.pay(ORDER)
    error = await refused(getattr(core.transactions, verb), ORDER)
    assert (error.http_status_code, error.api_response_dict["status_code"]) == (200, "412")


@pytest.mark.parametrize("verb", ["status", "cancel", "expire"])
async def test_an_unknown_order_answers_404_over_http_200(fake: FakeMidtrans, core: Any, verb: str) -> None:
    error = await refused(getattr(core.transactions, verb), "UNKNOWN")
    assert (error.http_status_code, error.api_response_dict["status_code"]) == (200, "404")


async def test_a_wrong_key_answers_401_over_http_401(fake: FakeMidtrans) -> None:
    error = await refused(client(fake, key="wrong").charge, order())
    assert (error.http_status_code, error.api_response_dict["status_code"]) == (401, "401")


async def test_an_order_id_is_used_once(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order())
    fake.change(ORDER, "expire")
    error = await refused(core.charge, order())
    assert (error.http_status_code, error.api_response_dict["status_code"]) == (200, "406")


async def test_an_inactive_payment_type_answers_402(fake: FakeMidtrans, core: Any) -> None:
    fake.active.discard("qris")
    error = await refused(core.charge, order())
    assert (error.http_status_code, error.api_response_dict["status_code"]) == (200, "402")


@pytest.mark.parametrize(
    "body",
    [
        order(amount=0),
        order(amount="10000"),
        order(amount=100.5),
        order(custom_expiry={"expiry_duration": 19, "unit": "second"}),
        {"payment_type": "qris"},
    ],
)
async def test_wrong_fields_answer_400_over_http_400(fake: FakeMidtrans, core: Any, body: dict[str, Any]) -> None:
    error = await refused(core.charge, body)
    assert (error.http_status_code, error.api_response_dict["status_code"]) == (400, "400")
    assert error.api_response_dict["validation_messages"]


async def test_an_idempotency_key_repeats_the_first_answer_for_five_minutes(fake: FakeMidtrans) -> None:
    keyed = client(fake, Idempotency_Key="k" * 36)
    first = await ask(keyed.charge, order())
    assert await ask(keyed.charge, order(amount=5)) == first
    assert await ask(keyed.transactions.cancel, ORDER) == first
    fake.advance(301)
    assert (await refused(keyed.charge, order())).api_response_dict["status_code"] == "406"


async def test_an_idempotency_key_of_47_characters_is_ignored(fake: FakeMidtrans) -> None:
    keyed = client(fake, Idempotency_Key="k" * 47)
    await ask(keyed.charge, order())
    assert (await refused(keyed.charge, order())).api_response_dict["status_code"] == "406"


async def test_a_repeat_of_a_running_request_answers_http_202(fake: FakeMidtrans) -> None:
    keyed = client(fake, Idempotency_Key="k")
    fake.script.next("charge", delay_s=0.5)
    running = asyncio.create_task(ask(keyed.charge, order()))
    async with httpx.AsyncClient(trust_env=False) as plain:
        await asyncio.sleep(0.2)
        repeat = await plain.post(f"{fake.url}/v2/charge", headers={"Idempotency-Key": "k"}, json=order())
    assert repeat.status_code == 202
    assert (await running)["status_code"] == "201"


async def test_a_dropped_answer_leaves_the_charge_in_the_book(fake: FakeMidtrans, core: Any) -> None:
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(Exception, match="Connection"):
        await ask(core.charge, order())
    assert (await ask(core.transactions.status, ORDER))["transaction_status"] == "pending"


async def test_a_refund_lists_what_was_given_back(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order())
    assert (await refused(core.transactions.refund, ORDER, {})).api_response_dict["status_code"] == "412"
    fake.pay(ORDER)
    part = await ask(core.transactions.refund, ORDER, {"refund_key": "a", "amount": 4_000, "reason": "cold"})
    assert (part["transaction_status"], part["refund_amount"]) == ("partial_refund", "4000.00")
    assert (await refused(core.transactions.refund, ORDER, {"amount": 6_001})).api_response_dict["status_code"] == "414"
    rest = await ask(core.transactions.refundDirect, ORDER, {"refund_key": "b", "amount": 6_000})
    assert (rest["transaction_status"], rest["refund_key"]) == ("refund", "b")
    shown = (await ask(core.transactions.status, ORDER))["refunds"]
    assert [(refund["refund_key"], refund["refund_amount"]) for refund in shown] == [("a", "4000.00"), ("b", "6000.00")]


async def test_a_refund_key_is_a_repeat_for_seven_days_and_then_taken(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order())
    fake.pay(ORDER, issuer="gopay")
    part = {"refund_key": "a", "amount": 4_000}
    first = await ask(core.transactions.refund, ORDER, part)
    assert await ask(core.transactions.refund, ORDER, part) == first
    other = await refused(core.transactions.refund, ORDER, {**part, "amount": 3_000})
    assert other.api_response_dict["status_code"] == "406"
    fake.advance(8 * 86_400)
    assert (await refused(core.transactions.refund, ORDER, part)).api_response_dict["status_code"] == "406"
    assert fake.book[ORDER].refunded == 4_000


@pytest.mark.parametrize(("issuer", "days"), [("dana", 7), ("gopay", 45)])
async def test_a_refund_after_the_window_is_denied_with_a_good_looking_answer(
    fake: FakeMidtrans, core: Any, issuer: str, days: int
) -> None:
    await ask(core.charge, order())
    fake.pay(ORDER, issuer=issuer)
    fake.advance(days * 86_400)
    denied = await ask(core.transactions.refund, ORDER, {"refund_key": "a"})
    assert (denied["status_code"], denied["transaction_status"], denied["refund_amount"]) == (
        "202",
        "settlement",
        "0.00",
    )
    assert fake.book[ORDER].refunds == []


@pytest.mark.parametrize(("hour", "amount", "code"), [(3, 10_000, "202"), (12, 4_000, "202"), (12, 10_000, "200")])
async def test_shopeepay_gives_back_all_or_nothing_and_not_at_night(
    fake: FakeMidtrans, core: Any, hour: int, amount: int, code: str
) -> None:
    await ask(core.charge, order(qris={"acquirer": "airpay shopee"}))
    fake.pay(ORDER)
    fake.advance(_seconds_until(fake.now.astimezone(WIB), hour))
    answer = await ask(core.transactions.refund, ORDER, {"refund_key": "a", "amount": amount})
    assert answer["status_code"] == code


def _seconds_until(moment: datetime, hour: int) -> float:
    return ((hour - moment.hour) % 24 * 60 - moment.minute) % 1440 * 60


# Notifications


class Receiver:
    """Takes notifications, answering `statuses` in turn and 200 afterwards."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.server = LoopbackServer(self.handle)

    async def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        self.received.append(request.json())
        return Reply(self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    shop = Receiver()
    await shop.server.start()
    yield shop
    await shop.server.stop()


async def notified_order(fake: FakeMidtrans, receiver: Receiver) -> None:
    await ask(client(fake, X_Override_Notification=f"{receiver.server.url}/hook").charge, order())


async def test_a_notification_is_signed_and_the_official_client_takes_it(
    fake: FakeMidtrans, core: Any, receiver: Receiver
) -> None:
    await notified_order(fake, receiver)
    fake.pay(ORDER)
    assert await fake.deliver() == [200, 200]
    pending, settled = receiver.received
    assert (pending["status_code"], settled["status_code"]) == ("201", "200")
    signed = f"{ORDER}20010000.00{fake.server_key}"
    assert settled["signature_key"] == hashlib.sha512(signed.encode()).hexdigest()
    assert receiver.requests[0].headers["user-agent"] == "Veritrans"
    assert (await ask(core.transactions.notification, settled))["transaction_status"] == "settlement"


async def test_an_expired_order_is_notified_with_202(fake: FakeMidtrans, receiver: Receiver) -> None:
    await notified_order(fake, receiver)
    fake.advance(901)
    await fake.deliver()
    assert [(each["status_code"], each["transaction_status"]) for each in receiver.received] == [
        ("201", "pending"),
        ("202", "expire"),
    ]


async def test_a_refund_is_notified_twice(fake: FakeMidtrans, receiver: Receiver) -> None:
    await notified_order(fake, receiver)
    fake.pay(ORDER)
    fake.outbox.clear()
    fake.refund(ORDER, 10_000)
    await fake.deliver()
    assert ["bank_confirmed_at" in each["refunds"][0] for each in receiver.received] == [False, True]


async def test_duplicates_and_another_order_on_demand(fake: FakeMidtrans, receiver: Receiver) -> None:
    await notified_order(fake, receiver)
    fake.pay(ORDER)
    await fake.deliver(copies=3, shuffle_seed=1)
    statuses = [each["transaction_status"] for each in receiver.received]
    assert sorted(statuses) == ["pending"] * 3 + ["settlement"] * 3
    assert statuses != sorted(statuses)


@pytest.mark.parametrize(
    ("answers", "tries"),
    [([500] * 9, 2), ([503] * 9, 5), ([404] * 9, 3), ([302] * 9, 1), ([418] * 9, 6), ([503, 503], 3)],
)
async def test_deliveries_are_repeated_as_documented(
    fake: FakeMidtrans, receiver: Receiver, answers: list[int], tries: int
) -> None:
    await notified_order(fake, receiver)
    receiver.statuses = answers
    assert len(await fake.deliver()) == tries


# The order of the wire


async def test_scripted_fields_and_delays_change_one_answer_only(fake: FakeMidtrans, core: Any) -> None:
    await ask(core.charge, order())
    fake.script.next("status", fields={"gross_amount": "1.00", "currency": None})
    changed = await ask(core.transactions.status, ORDER)
    assert changed["gross_amount"] == "1.00"
    assert "currency" not in changed
    assert (await ask(core.transactions.status, ORDER))["gross_amount"] == "10000.00"
    assert fake.script.finished


async def test_a_charge_can_be_hidden_for_a_while(fake: FakeMidtrans, core: Any) -> None:
    fake.hidden_s = 30
    await ask(core.charge, order())
    assert (await refused(core.transactions.status, ORDER)).api_response_dict["status_code"] == "404"
    fake.advance(31)
    assert (await ask(core.transactions.status, ORDER))["transaction_status"] == "pending"
