"""The fake speaks Xendit: its official client is the judge where that knows the API, plain requests elsewhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import xendit
from xendit.apis import BalanceApi, PaymentRequestApi, RefundApi, TransactionApi
from xendit.payment_request.model import (
    PaymentCallback,
    PaymentMethodParameters,
    PaymentMethodReusability,
    PaymentMethodType,
    PaymentRequestCurrency,
    PaymentRequestParameters,
    QRCodeChannelCode,
    QRCodeParameters,
)
from xendit.refund.model import CreateRefund, RefundCallback

from tests.fakes.script import Fault
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.fakes.xendit import FakeXendit

KEY = "xnd_development_EXAMPLEKEY0123456789"
TOKEN = "WHTOKEN-EXAMPLE-0123456789abcdef"
ORDER = "QRISD-20260115-0001"
V3 = {"api-version": "2024-11-11"}
QR = {"api-version": "2022-07-31"}
V3_BODY = {
    "reference_id": ORDER,
    "type": "PAY",
    "country": "ID",
    "currency": "IDR",
    "request_amount": 10_000,
    "capture_method": "AUTOMATIC",
    "channel_code": "QRIS",
}
QR_BODY = {"reference_id": ORDER, "type": "DYNAMIC", "currency": "IDR", "amount": 10_000}


@pytest.fixture
async def fake() -> AsyncIterator[FakeXendit]:
    server = FakeXendit(secret_key=KEY, webhook_token=TOKEN)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def client(fake: FakeXendit) -> Any:
    return sdk(fake, KEY)


@pytest.fixture
async def plain(fake: FakeXendit) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=fake.url, auth=(KEY, ""), trust_env=False) as session:
        yield session


def sdk(fake: FakeXendit, key: str) -> Any:
    configuration = xendit.Configuration(host=fake.url)
    configuration.api_key = key
    return xendit.ApiClient(configuration)


async def ask(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The client is synchronous."""
    return await asyncio.to_thread(call, *args, **kwargs)


async def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, str]:
    with pytest.raises(xendit.XenditSdkException) as raised:
        await ask(call, *args, **kwargs)
    return str(raised.value.status), raised.value.errorCode


async def requested(client: Any, amount: float = 10_000) -> Any:
    method = PaymentMethodParameters(
        type=PaymentMethodType("QR_CODE"),
        reusability=PaymentMethodReusability("ONE_TIME_USE"),
        qr_code=QRCodeParameters(channel_code=QRCodeChannelCode("QRIS")),
    )
    parameters = PaymentRequestParameters(
        reference_id=ORDER, amount=float(amount), currency=PaymentRequestCurrency("IDR"), payment_method=method
    )
    api = PaymentRequestApi(client)
    return await ask(api.create_payment_request, payment_request_parameters=parameters)


# What the official client judges


async def test_a_payment_request_is_made_shown_and_listed(fake: FakeXendit, client: Any) -> None:
    made = await requested(client)
    assert (made.reference_id, made.amount, made.status.value) == (ORDER, 10_000, "PENDING")
    assert made.payment_method.qr_code.channel_properties.qr_string == fake.payload(fake.book[ORDER])
    api = PaymentRequestApi(client)
    assert (await ask(api.get_payment_request_by_id, made.id)).id == made.id
    assert [each.id for each in (await ask(api.get_all_payment_requests, reference_id=[ORDER])).data] == [made.id]
    assert (await ask(api.get_all_payment_requests, reference_id=["OTHER"])).data == []


async def test_an_unknown_payment_request_is_404(client: Any) -> None:
    found = await refused(PaymentRequestApi(client).get_payment_request_by_id, f"pr-{uuid4()}")
    assert found == ("404", "DATA_NOT_FOUND")


async def test_a_wrong_key_is_401(fake: FakeXendit) -> None:
    assert await refused(BalanceApi(sdk(fake, "xnd_development_other")).get_balance, "CASH") == (
        "401",
        "INVALID_API_KEY",
    )


async def test_a_simulated_payment_arrives_and_is_in_the_transactions(fake: FakeXendit, client: Any) -> None:
    made = await requested(client)
    api = PaymentRequestApi(client)
    assert (await ask(api.simulate_payment_request_payment, made.id)).status == "PENDING"
    assert (await ask(api.get_payment_request_by_id, made.id)).status.value == "SUCCEEDED"
    page = await ask(TransactionApi(client).get_all_transactions, reference_id=ORDER)
    (row,) = page.data
    assert (row.amount, row.reference_id, row.status.value, page.has_more) == (10_000, ORDER, "SUCCESS", False)
    assert (await ask(TransactionApi(client).get_all_transactions, reference_id="OTHER")).data == []


async def test_the_balance_is_told(client: Any) -> None:
    assert (await ask(BalanceApi(client).get_balance, "CASH")).balance == 1_000_000_000


async def test_a_refund_is_pending_and_then_succeeds(fake: FakeXendit, client: Any) -> None:
    made = await requested(client)
    api = RefundApi(client)
    order = CreateRefund(
        payment_request_id=made.id, reference_id="R-1", amount=4_000.0, currency="IDR", reason="REQUESTED_BY_CUSTOMER"
    )
    unpaid = await refused(api.create_refund, create_refund=order)
    assert unpaid == ("400", "INELIGIBLE_TRANSACTION_STATUS")
    fake.pay(ORDER)
    refund = await ask(api.create_refund, create_refund=order, idempotency_key="k-1")
    assert (refund.amount, refund.status) == (4_000, "PENDING")
    assert (await ask(api.create_refund, create_refund=order, idempotency_key="k-1")).id == refund.id
    assert await refused(api.create_refund, create_refund=order) == ("400", "REFUND_IN_PROGRESS")
    fake.advance(61)
    assert (await ask(api.get_refund, refund.id)).status == "SUCCEEDED"
    assert [each.id for each in (await ask(api.get_all_refunds, payment_request_id=made.id)).data] == [refund.id]


async def test_refunds_depend_on_the_payers_bank_and_the_amount(fake: FakeXendit, client: Any) -> None:
    made = await requested(client)
    fake.pay(ORDER, issuer="BCA")
    order = CreateRefund(payment_request_id=made.id, amount=10_001.0, currency="IDR", reason="OTHERS")
    assert await refused(RefundApi(client).create_refund, create_refund=order) == ("403", "REFUND_NOT_SUPPORTED")
    fake.refundable.add("BCA")
    assert await refused(RefundApi(client).create_refund, create_refund=order) == ("400", "REFUND_AMOUNT_EXCEEDED")


async def test_the_official_client_reads_the_webhooks(fake: FakeXendit, client: Any) -> None:
    fake.notify_url = "http://127.0.0.1:1/"
    await requested(client)
    fake.pay(ORDER)
    fake.refund(ORDER, 2_000)
    paid, refunded = (Body(webhook.body) for webhook in fake.outbox)
    assert client.deserialize(paid, (PaymentCallback,), True).data.amount == 10_000
    assert client.deserialize(refunded, (RefundCallback,), True).data.status == "SUCCEEDED"


class Body:
    """What the client's deserializer takes."""

    def __init__(self, body: Any) -> None:
        self.data = json.dumps(body)


# What it does not know


async def test_a_v3_request_lives_48_hours_and_names_its_payment(fake: FakeXendit, plain: httpx.AsyncClient) -> None:
    made = await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)
    assert (made.status_code, made.json()["status"]) == (201, "REQUIRES_ACTION")
    assert made.json()["actions"][0] == {
        "type": "PRESENT_TO_CUSTOMER",
        "descriptor": "QR_STRING",
        "value": fake.payload(fake.book[ORDER]),
    }
    path = f"/v3/payment_requests/{made.json()['payment_request_id']}"
    fake.advance(48 * 3600 - 60)
    assert (await plain.get(path, headers=V3)).json()["status"] == "REQUIRES_ACTION"
    fake.pay(ORDER, issuer="OVO")
    shown = (await plain.get(path, headers=V3)).json()
    assert shown["status"] == "SUCCEEDED"
    payment = (await plain.get(f"/v3/payments/{shown['latest_payment_id']}", headers=V3)).json()
    assert payment["captures"][0]["capture_amount"] == 10_000
    assert payment["payment_details"]["issuer_name"] == "OVO"


async def test_a_v3_request_expires_or_is_cancelled_and_stays_so_when_money_comes(
    fake: FakeXendit, plain: httpx.AsyncClient
) -> None:
    first = (await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)).json()["payment_request_id"]
    second = (await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)).json()["payment_request_id"]
    assert first != second, "references may be used twice"
    cancelled = await plain.post(f"/v3/payment_requests/{second}/cancel", headers=V3)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELED")
    again = await plain.post(f"/v3/payment_requests/{second}/cancel", headers=V3)
    assert (again.status_code, again.json()["error_code"]) == (400, "INACTIVE_PAYMENT_REQUEST")
    fake.pay(ORDER)
    late = (await plain.get(f"/v3/payment_requests/{second}", headers=V3)).json()
    assert (late["status"], "latest_payment_id" in late) == ("CANCELED", False)
    rows = (await plain.get("/transactions", params={"reference_id": ORDER})).json()["data"]
    assert [row["product_data"]["payment_request_id"] for row in rows] == [second]


async def test_a_qr_code_ends_when_told_and_lists_its_payments(fake: FakeXendit, plain: httpx.AsyncClient) -> None:
    ends_at = (datetime.now(UTC) + timedelta(minutes=15)).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = (await plain.post("/qr_codes", json={**QR_BODY, "expires_at": ends_at}, headers=QR)).json()
    assert made["status"] == "ACTIVE"
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(ends_at)
    simulated = await plain.post(f"/qr_codes/{made['id']}/payments/simulate", json={"amount": 10_000}, headers=QR)
    assert simulated.status_code == 200
    (payment,) = (await plain.get(f"/qr_codes/{made['id']}/payments", headers=QR)).json()["data"]
    assert (payment["status"], payment["amount"], payment["qr_id"]) == ("SUCCEEDED", 10_000, made["id"])
    assert (await plain.get(f"/qr_codes/{made['id']}", headers=QR)).json()["status"] == "INACTIVE"


async def test_a_misspelt_expiry_is_ignored(fake: FakeXendit, plain: httpx.AsyncClient) -> None:
    made = (await plain.post("/qr_codes", json={**QR_BODY, "expired_at": "2026-01-15T03:15:00Z"}, headers=QR)).json()
    assert datetime.fromisoformat(made["expires_at"]) > datetime.now(UTC) + timedelta(hours=47)


@pytest.mark.parametrize(("path", "body"), [("/qr_codes", QR_BODY), ("/v3/payment_requests", V3_BODY)])
async def test_without_its_version_an_address_speaks_another_generation(
    plain: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    assert (await plain.post(path, json=body)).status_code == 400


@pytest.mark.parametrize("query", [{"limit": "51"}, {"limit": "0"}, {"colour": "red"}])
async def test_wrong_filters_of_transactions_are_refused(plain: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await plain.get("/transactions", params=query)).status_code == 400


async def test_a_dropped_answer_leaves_the_request_in_the_book(fake: FakeXendit, plain: httpx.AsyncClient) -> None:
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(httpx.HTTPError):
        await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)
    assert fake.book[ORDER].status == "REQUIRES_ACTION"


# Webhooks


class Receiver:
    """Takes webhooks, answering `statuses` in turn and 200 afterwards."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.statuses: list[int] = []
        self.server = LoopbackServer(self.handle)

    async def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        return Reply(self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def receiver(fake: FakeXendit) -> AsyncIterator[Receiver]:
    shop = Receiver()
    await shop.server.start()
    fake.notify_url = f"{shop.server.url}/hook"
    yield shop
    await shop.server.stop()


async def test_webhooks_carry_the_token_and_an_id_of_their_own(
    fake: FakeXendit, plain: httpx.AsyncClient, receiver: Receiver
) -> None:
    await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)
    fake.pay(ORDER)
    fake.refund(ORDER, 10_000)
    assert await fake.deliver(copies=2, shuffle_seed=1) == [200] * 4
    assert {request.headers["x-callback-token"] for request in receiver.requests} == {TOKEN}
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 2
    assert {request.json()["event"] for request in receiver.requests} == {"payment.capture", "refund.succeeded"}


async def test_cancelling_sends_no_webhook_and_expiring_does(
    fake: FakeXendit, plain: httpx.AsyncClient, receiver: Receiver
) -> None:
    made = (await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)).json()
    await plain.post(f"/v3/payment_requests/{made['payment_request_id']}/cancel", headers=V3)
    assert await fake.deliver() == []
    await plain.post("/v3/payment_requests", json=V3_BODY, headers=V3)
    fake.advance(48 * 3600)
    await fake.deliver()
    assert [request.json()["event"] for request in receiver.requests] == ["payment_request.expiry"]


async def test_a_webhook_is_tried_seven_times_at_most(
    fake: FakeXendit, plain: httpx.AsyncClient, receiver: Receiver
) -> None:
    await plain.post("/qr_codes", json=QR_BODY, headers=QR)
    fake.pay(ORDER)
    receiver.statuses = [500] * 9
    assert await fake.deliver() == [500] * 7
