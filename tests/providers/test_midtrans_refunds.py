"""Refunds at Midtrans: one key for every try, and the order's status has the last word."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import midtransclient
import pytest
from pydantic import SecretStr

from qrisd.domain.errors import ProviderError, ProviderKeysRefused, ProviderUncertain, ProviderUnreachable
from qrisd.domain.payment import Attempt, Status
from qrisd.providers.base import RefundOrder, Refunds, RefundStatus
from qrisd.providers.http import ProviderHttp
from qrisd.providers.midtrans.account import MidtransSettings
from qrisd.providers.midtrans.qris import Midtrans
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import NO_EFFECT, Fault
from tests.fakes.server import Reply
from tests.providers.test_midtrans import KEY, REFERENCE, adapter, attempt, charge

REFUND_KEY = "4C9X2M0K8R5T1V7Q3Z6B"
DAY_S = 86_400
# The work was done; its answer did not arrive in a usable form.
LOST = [fault for fault in Fault if fault not in NO_EFFECT and fault is not Fault.DRIP]


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
    """An account whose order over 10000 has been paid."""
    account = adapter(fake.url, http, timeout=1.0)
    await account.create_qr(charge())
    fake.pay(REFERENCE)
    fake.calls.clear()
    return account


def paid(**changes: Any) -> Attempt:
    return attempt(**{"status": Status.PAID, "amount_paid": 10_000, **changes})


def order(amount: int = 10_000, **changes: Any) -> RefundOrder:
    return RefundOrder(**{"reference": REFUND_KEY, "amount": amount, **changes})


def refusal(code: int, message: str = "no", status: int = 200) -> Reply:
    return Reply.json(status, {"status_code": str(code), "status_message": message, "id": "x"})


def posts(fake: FakeMidtrans) -> list[Any]:
    return [call.json() for call in fake.calls if call.method == "POST"]


# Giving back


async def test_a_refund_is_asked_for_under_our_key(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    seen = await midtrans.refund(paid(), order(4_000, reason="cold " * 100))
    assert (seen.status, seen.amount, seen.provider_refund_id) == (RefundStatus.PENDING, 4_000, "1")
    assert fake.calls[0].path == f"/v2/{REFERENCE}/refund"
    assert posts(fake) == [{"refund_key": REFUND_KEY, "amount": 4_000, "reason": ("cold " * 100)[:255]}]


async def test_an_approved_refund_is_done_once_the_bank_has_confirmed_it(
    midtrans: Midtrans, fake: FakeMidtrans
) -> None:
    fake.confirms_refunds = False
    await midtrans.refund(paid(), order())
    pending = await midtrans.fetch_refund(paid(), order())
    assert (pending.status, pending.absent, pending.amount) == (RefundStatus.PENDING, False, 10_000)
    assert "not yet confirmed" in (pending.detail or "")
    fake.confirm_refund(REFERENCE, REFUND_KEY)
    assert (await midtrans.fetch_refund(paid(), order())).status is RefundStatus.DONE


async def test_two_parts_are_told_apart_by_their_keys_and_summed_on_the_payment(
    midtrans: Midtrans, fake: FakeMidtrans
) -> None:
    first, second = order(4_000), order(1_000, reference="SECOND00000000000000", refunded_before=4_000)
    await midtrans.refund(paid(), first)
    assert (await midtrans.fetch_refund(paid(), second)).absent
    await midtrans.refund(paid(), second)
    seen = [await midtrans.fetch_refund(paid(), each) for each in (first, second)]
    assert [(each.amount, each.provider_refund_id) for each in seen] == [(4_000, "1"), (1_000, "2")]
    payment = await midtrans.fetch_status(paid())
    assert (payment.status, payment.amount_refunded) == (Status.PARTIALLY_REFUNDED, 5_000)


@pytest.mark.parametrize("amount", [4_000, 10_000])
async def test_asking_again_gives_nothing_back_twice(midtrans: Midtrans, fake: FakeMidtrans, amount: int) -> None:
    for _ in range(3):
        await midtrans.refund(paid(), order(amount))
        fake.advance(600)
    assert fake.book[REFERENCE].refunded == amount
    keys = {call.headers["idempotency-key"] for call in fake.calls if call.method == "POST"}
    assert len(keys) == 1


@pytest.mark.parametrize("code", [202, 406, 412, 414])
async def test_a_repeat_that_is_refused_finds_the_refund_that_was_made(
    midtrans: Midtrans, fake: FakeMidtrans, code: int
) -> None:
    await midtrans.refund(paid(), order())
    fake.script.next("refund", reply=refusal(code))
    seen = await midtrans.refund(paid(), order())
    assert (seen.status, seen.amount) == (RefundStatus.DONE, 10_000)


async def test_a_repeat_after_the_keys_time_finds_the_refund(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    await midtrans.refund(paid(), order(4_000))
    fake.advance(8 * DAY_S)
    assert (await midtrans.refund(paid(), order(4_000))).status is RefundStatus.DONE
    assert fake.book[REFERENCE].refunded == 4_000


# An answer that is lost


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_is_uncertain_and_asking_settles_it(
    midtrans: Midtrans, fake: FakeMidtrans, fault: Fault
) -> None:
    fake.script.next("refund", fault)
    with pytest.raises(ProviderUncertain):
        await midtrans.refund(paid(), order(4_000))
    assert (await midtrans.fetch_refund(paid(), order(4_000))).status is RefundStatus.DONE
    assert fake.book[REFERENCE].refunded == 4_000


async def test_a_refund_that_never_arrived_is_absent(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("refund", Fault.DROP_BEFORE_EFFECT)
    with pytest.raises(ProviderUncertain):
        await midtrans.refund(paid(), order())
    assert (await midtrans.fetch_refund(paid(), order())).absent
    assert (await midtrans.refund(paid(), order())).status is RefundStatus.PENDING


async def test_a_limited_refund_was_not_made_and_may_be_repeated(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("refund", Fault.RATE_LIMITED, seconds=30)
    with pytest.raises(ProviderUnreachable) as raised:
        await midtrans.refund(paid(), order())
    assert raised.value.retry_after_s == 30
    assert fake.book[REFERENCE].refunds == []


async def test_a_dripping_answer_does_not_hold_us(fake: FakeMidtrans, midtrans: Midtrans) -> None:
    fake.script.next("refund", Fault.DRIP)
    with pytest.raises(ProviderUncertain, match="within 1 seconds"):
        await midtrans.refund(paid(), order())


async def test_a_refused_connection_sent_nothing(http: ProviderHttp) -> None:
    nowhere = adapter("http://127.0.0.1:1", http)
    for call in (nowhere.refund(paid(), order()), nowhere.fetch_refund(paid(), order())):
        with pytest.raises(ProviderUnreachable):
            await call


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_failure_is_a_provider_error_and_nothing_else_escapes(
    midtrans: Midtrans, fake: FakeMidtrans, fault: Fault
) -> None:
    fake.script.next("refund", fault)
    fake.script.next("status", fault)
    with pytest.raises(ProviderError):
        await midtrans.refund(paid(), order())
    with pytest.raises(ProviderError):
        await midtrans.fetch_refund(paid(), order())
    assert fake.script.finished


# Refusals


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        (202, "Refund denied by the bank", "by hand"),
        (404, "Transaction doesn't exist.", "does not know this order"),
        (412, "Transaction status cannot be updated.", "settled orders only"),
        (414, "Refund amount is not valid", "what is left"),
        (400, "One or more parameters is invalid.", "Midtrans refused"),
        (402, "Payment channel is not activated.", "ask Midtrans to activate"),
        (410, "User is blocked", "Midtrans refused"),
        (413, "malformed syntax", "Midtrans refused"),
    ],
)
async def test_a_refusal_says_what_midtrans_said_and_what_to_do(
    midtrans: Midtrans, fake: FakeMidtrans, code: int, message: str, advice: str
) -> None:
    fake.script.next("refund", reply=refusal(code, message))
    seen = await midtrans.refund(paid(), order())
    assert seen.status is RefundStatus.REFUSED
    assert advice in (seen.detail or "")
    assert f"{code}: {message}" in (seen.detail or "")


async def test_a_refund_the_balance_is_too_small_for_may_be_asked_for_again(
    midtrans: Midtrans, fake: FakeMidtrans
) -> None:
    fake.script.next("refund", reply=refusal(414, "Merchant balance is insufficient"))
    seen = await midtrans.refund(paid(), order())
    assert (seen.status, "top it up" in (seen.detail or "")) == (RefundStatus.LATER, True)
    assert (await midtrans.refund(paid(), order())).status is RefundStatus.PENDING


async def test_a_low_balance_told_of_a_refund_that_was_made_does_not_hide_it(
    midtrans: Midtrans, fake: FakeMidtrans
) -> None:
    await midtrans.refund(paid(), order())
    fake.script.next("refund", reply=refusal(414, "Merchant balance is insufficient"))
    assert (await midtrans.refund(paid(), order())).status is RefundStatus.DONE


async def test_an_account_that_is_refused_leaves_the_refund_to_be_asked_for_again(
    midtrans: Midtrans, fake: FakeMidtrans, http: ProviderHttp
) -> None:
    with pytest.raises(ProviderKeysRefused) as raised:
        await adapter(fake.url, http, server_key=SecretStr("wrong")).refund(paid(), order())
    assert raised.value.provider_code == "401"
    assert (await midtrans.refund(paid(), order())).status is RefundStatus.PENDING


@pytest.mark.parametrize("code", [407, 408, 499, 500, 503])
async def test_a_code_that_does_not_say_what_was_done_is_uncertain(
    midtrans: Midtrans, fake: FakeMidtrans, code: int
) -> None:
    fake.script.next("refund", reply=refusal(code))
    with pytest.raises(ProviderUncertain):
        await midtrans.refund(paid(), order())


async def test_a_gateways_refusal_is_not_midtrans_own(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("refund", reply=Reply.json(404, {"message": "no route"}))
    with pytest.raises(ProviderUncertain):
        await midtrans.refund(paid(), order())


async def test_a_used_key_that_is_not_shown_is_uncertain(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("refund", reply=refusal(406, "Duplicate refund ID"))
    with pytest.raises(ProviderUncertain, match="does not show it"):
        await midtrans.refund(paid(), order())


async def test_a_refusal_is_uncertain_while_the_refunds_cannot_be_seen(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("refund", reply=refusal(412))
    fake.script.next("status", Fault.TIMEOUT)
    with pytest.raises(ProviderUncertain, match="could not be asked"):
        await midtrans.refund(paid(), order())


async def test_an_unpaid_order_is_refused(fake: FakeMidtrans, http: ProviderHttp) -> None:
    account = adapter(fake.url, http)
    await account.create_qr(charge())
    assert (await account.refund(attempt(), order())).status is RefundStatus.REFUSED


async def test_a_refund_after_the_window_is_refused(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.advance(7 * DAY_S)
    seen = await midtrans.refund(paid(), order())
    assert seen.status is RefundStatus.REFUSED
    assert "denied" in (seen.detail or "")


async def test_the_key_is_never_repeated_to_anybody(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    fake.script.next("refund", reply=refusal(412, f"who is {KEY}"))
    assert KEY not in str(await midtrans.refund(paid(), order()))


# Answers that are not about our refund


@pytest.mark.parametrize(
    "fields",
    [
        {"order_id": "SOMEBODY-ELSES"},
        {"refund_key": "SOMEBODY-ELSES"},
        {"transaction_status": "settlement"},
        {"transaction_status": "unheard_of"},
        {"status_code": "201"},
    ],
)
async def test_an_approval_of_something_else_is_uncertain(
    midtrans: Midtrans, fake: FakeMidtrans, fields: dict[str, Any]
) -> None:
    fake.script.next("refund", fields=fields)
    with pytest.raises(ProviderUncertain):
        await midtrans.refund(paid(), order())
    assert (await midtrans.fetch_refund(paid(), order())).status is RefundStatus.DONE


async def test_another_merchants_answer_is_uncertain(
    fake: FakeMidtrans, midtrans: Midtrans, http: ProviderHttp
) -> None:
    strict = adapter(fake.url, http, merchant_id="G999999999")
    for call in (strict.refund(paid(), order()), strict.fetch_refund(paid(), order())):
        with pytest.raises(ProviderUncertain, match="merchant_mismatch"):
            await call


@pytest.mark.parametrize(
    "fields",
    [
        {"order_id": "SOMEBODY-ELSES"},
        {"refunds": None},
        {"refunds": [{"refund_key": REFUND_KEY, "refund_amount": "1.50"}]},
        {"refunds": [{"refund_key": REFUND_KEY}]},
        {"refunds": "none"},
    ],
)
async def test_a_status_that_does_not_tell_is_uncertain(
    midtrans: Midtrans, fake: FakeMidtrans, fields: dict[str, Any]
) -> None:
    await midtrans.refund(paid(), order())
    fake.script.next("status", fields=fields)
    with pytest.raises(ProviderUncertain):
        await midtrans.fetch_refund(paid(), order())


@pytest.mark.parametrize("refunds", [[], [{"refund_amount": "1.00"}], [{"refund_key": None}]])
async def test_a_status_without_our_key_has_no_such_refund(
    midtrans: Midtrans, fake: FakeMidtrans, refunds: list[Any]
) -> None:
    fake.script.next("status", fields={"refunds": refunds})
    assert (await midtrans.fetch_refund(paid(), order())).absent


async def test_an_order_midtrans_does_not_know_has_no_refund(fake: FakeMidtrans, http: ProviderHttp) -> None:
    assert (await adapter(fake.url, http).fetch_refund(paid(), order())).absent


# What is promised


@pytest.mark.parametrize(
    ("table", "partial", "days", "blackout"),
    [
        ({}, True, 7, None),
        ({"payment_type": "gopay"}, True, 7, None),
        ({"acquirer": "airpay shopee"}, False, 365, "23:55-06:00 WIB"),
        ({"acquirer": "airpay shopee", "payment_type": "gopay"}, True, 7, None),
        ({"acquirer": "somebody new"}, False, 7, None),
    ],
)
def test_what_is_promised_depends_on_the_acquirer(
    table: dict[str, Any], partial: bool, days: int, blackout: str | None
) -> None:
    account = Midtrans("m", MidtransSettings.model_validate(table), ProviderHttp(), None)
    can = account.capabilities
    assert isinstance(account, Refunds)
    assert (can.refund, can.partial_refund, can.refund_window_days, can.refund_blackout) == (
        True,
        partial,
        days,
        blackout,
    )


# Others and their notifications


async def test_a_refund_by_the_official_client_is_found_by_its_key(midtrans: Midtrans, fake: FakeMidtrans) -> None:
    core = midtransclient.CoreApi(is_production=False, server_key=KEY, client_key="")
    core.api_config.CORE_SANDBOX_BASE_URL = fake.url
    body = {"refund_key": REFUND_KEY, "amount": 4_000, "reason": "by hand"}
    answer = await asyncio.to_thread(core.transactions.refund, REFERENCE, body)
    assert (answer["status_code"], answer["refund_amount"]) == ("200", "4000.00")
    seen = await midtrans.fetch_refund(paid(), order(4_000))
    assert (seen.status, seen.amount) == (RefundStatus.DONE, 4_000)


async def test_the_notification_of_a_refund_is_a_hint_that_asking_confirms(
    midtrans: Midtrans, fake: FakeMidtrans
) -> None:
    fake.outbox.clear()
    await midtrans.refund(paid(), order(4_000))
    body = fake.notification(fake.book[REFERENCE])
    event = midtrans.parse_webhook({}, Reply.json(200, body).body, datetime.now(UTC))
    assert not event.proven
    assert (event.observation.status, event.observation.amount_refunded) == (Status.PARTIALLY_REFUNDED, 4_000)
    assert len(fake.outbox) == 2
