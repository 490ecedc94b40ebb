import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from qrisd.domain.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    SettingsError,
    StorageBusy,
    StorageUnavailable,
    WebhookUnreadable,
    WebhookUnsigned,
)
from qrisd.domain.payment import Source, Status
from qrisd.providers.base import (
    Acknowledges,
    Cancels,
    Diagnoses,
    IssuesTokens,
    Provider,
    RefundOrder,
    Refunds,
    RefundStatus,
)
from qrisd.providers.http import ProviderHttp
from qrisd.providers.snap.bank import SnapSettings
from qrisd.providers.snap.qr import Snap
from qrisd.providers.snap.token import Token, TokenCache
from qrisd.qr_image import png
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.fakes.snap import WIB, Dialect, FakeSnap
from tests.providers.snap_bank import (
    NOTIFY_PATH,
    NOTIFY_URL,
    REFERENCE,
    adapter,
    attempt,
    charge,
    lost_attempt,
    lowered,
    now,
)
from tests.support.clock import FakeClock

LOST = [
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
async def fake() -> AsyncIterator[FakeSnap]:
    server = FakeSnap()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


@pytest.fixture
async def bank(fake: FakeSnap, http: ProviderHttp, tmp_path: Path) -> Snap:
    return adapter(fake, http, tmp_path)


async def speaking(dialect: Dialect) -> FakeSnap:
    fake = FakeSnap(dialect)
    await fake.start()
    return fake


def actions(fake: FakeSnap) -> list[str]:
    return [fake.action(call) for call in fake.calls]


def refusal(code: str, message: str = "no") -> Reply:
    return Reply.json(int(code[:3]), {"responseCode": code, "responseMessage": message})


def test_what_it_can_do_is_what_the_table_says(http: ProviderHttp, tmp_path: Path) -> None:
    for cancel in (True, False):
        for refund in (True, False):
            bank = adapter_at("http://127.0.0.1:1", http, tmp_path, cancel=cancel, refund=refund)
            assert (isinstance(bank, Cancels), isinstance(bank, Refunds)) == (cancel, refund)
            assert (bank.capabilities.cancel, bank.capabilities.refund) == (cancel, refund)


def adapter_at(url: str, http: ProviderHttp, tmp_path: Path, **changes: Any) -> Snap:
    return adapter(_Elsewhere(url), http, tmp_path, **changes)


class _Elsewhere(FakeSnap):
    """A bank that is never started."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    @property
    def url(self) -> str:
        return self._url


def test_it_is_a_provider_that_answers_in_its_own_words(bank: Snap) -> None:
    provider: Provider = bank
    assert isinstance(provider, Diagnoses)
    assert isinstance(provider, IssuesTokens)
    assert isinstance(provider, Acknowledges)
    assert provider.capabilities.webhook_proves_status


# Charging


async def test_a_charge_answers_a_live_qr(bank: Snap, fake: FakeSnap) -> None:
    wanted = charge()
    seen = await bank.create_qr(wanted)
    entry = fake.book[REFERENCE]
    assert (seen.source, seen.status, seen.contradiction) == (Source.PROVIDER, Status.PENDING, None)
    assert (seen.amount, seen.currency, seen.provider_trx_id) == (10_000, "IDR", entry.id)
    assert seen.qris_payload == fake.payload(entry)
    assert seen.expires_at == wanted.expires_at.replace(microsecond=0) == entry.expires_at


async def test_a_charge_says_what_the_standard_asks_and_signs_its_very_bytes(
    http: ProviderHttp, tmp_path: Path
) -> None:
    fake = await speaking(Dialect(minifies=False))
    wanted = charge()
    await adapter(fake, http, tmp_path, additional_info={"billDescription": "Kopi"}).create_qr(wanted)
    token, sent = fake.calls
    assert json.loads(token.body) == {"grantType": "client_credentials"}
    assert (
        sent.body
        == json.dumps(
            {
                "partnerReferenceNo": REFERENCE,
                "amount": {"value": "10000.00", "currency": "IDR"},
                "merchantId": "MCH0001",
                "terminalId": "T01",
                "validityPeriod": wanted.expires_at.astimezone(WIB).isoformat(timespec="seconds"),
                "additionalInfo": {"billDescription": "Kopi"},
            },
            separators=(",", ":"),
        ).encode()
    )
    assert sent.headers["x-partner-id"] == "TEST-CLIENT-0001"
    assert sent.headers["channel-id"] == "95221"
    assert len(sent.headers["x-timestamp"]) == 25
    assert sent.headers["x-external-id"].isdigit()
    assert len(sent.headers["x-external-id"]) == 26
    await fake.stop()


async def test_a_bank_behind_a_gateway_is_asked_at_one_path_and_signed_at_another(
    http: ProviderHttp, tmp_path: Path
) -> None:
    dialect = Dialect(base="/gate", qr_path="/api/v2.0/qr", token_path="/oauth/token", unsigned="/gate")
    fake = await speaking(dialect)
    paths: dict[str, Any] = {"token_path": "/oauth/token", "path_prefix": "/api", "qr_path": "/v2.0/qr"}
    bank = adapter(fake, http, tmp_path, signed_path_strip="/gate", **paths)
    assert (await bank.create_qr(charge())).status is Status.PENDING
    with pytest.raises(ProviderRejected):
        await adapter(fake, http, tmp_path, **paths).create_qr(charge(reference="B" * 20))
    await fake.stop()


async def test_a_picture_in_place_of_the_text_is_read(bank: Snap, fake: FakeSnap) -> None:
    picture = b64encode(png("00020101", 8)).decode()
    fake.script.next("charge", fields={"qrContent": "", "qrImage": picture})
    assert (await bank.create_qr(charge())).qris_payload == "00020101"
    fake.script.next("charge", fields={"qrContent": None, "qrImage": "no picture"})
    assert (await bank.create_qr(charge(reference="B" * 20))).qris_payload is None


async def test_external_ids_are_never_used_twice(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    for _ in range(5):
        await bank.fetch_status(attempt())
    ids = [call.headers["x-external-id"] for call in fake.calls if "x-external-id" in call.headers]
    assert len(set(ids)) == len(ids) == 6


# Tokens


async def test_one_token_serves_many_calls_even_at_once(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("token", delay_s=0.1)
    references = [letter * 20 for letter in "ABCDE"]
    await asyncio.gather(*(bank.create_qr(charge(reference=reference)) for reference in references))
    assert actions(fake).count("token") == 1


@pytest.mark.parametrize("expires_in", ["900", 900])
async def test_a_token_is_renewed_before_it_ends(http: ProviderHttp, tmp_path: Path, expires_in: Any) -> None:
    fake, clock = await speaking(Dialect(expires_in=expires_in)), FakeClock(now())
    bank = adapter(fake, http, tmp_path, clock)
    await bank.fetch_status(attempt())
    clock.advance(800)
    await bank.fetch_status(attempt())
    assert actions(fake).count("token") == 1
    clock.advance(50)
    await bank.fetch_status(attempt())
    assert actions(fake).count("token") == 2
    await fake.stop()


async def test_a_token_the_bank_has_forgotten_is_replaced_once(bank: Snap, fake: FakeSnap) -> None:
    await bank.fetch_status(attempt())
    fake.tokens.clear()
    assert (await bank.create_qr(charge())).status is Status.PENDING
    assert actions(fake) == ["token", "status", "charge", "token", "charge"]


async def test_a_token_that_is_never_good_is_refused_after_one_repeat(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("charge", reply=refusal("4014701", "Access Token Invalid (B2B)"), times=5)
    with pytest.raises(ProviderRejected, match="another program") as raised:
        await bank.create_qr(charge())
    assert raised.value.provider_code == "4014701"
    assert actions(fake) == ["token", "charge", "token", "charge"]


async def test_a_bank_that_honours_one_token_only_is_served_by_all_callers(http: ProviderHttp, tmp_path: Path) -> None:
    fake = await speaking(Dialect(one_token_only=True))
    bank = adapter(fake, http, tmp_path)
    await bank.fetch_status(attempt())
    fake.tokens.clear()
    references = [letter * 20 for letter in "ABCDE"]
    seen = await asyncio.gather(*(bank.create_qr(charge(reference=reference)) for reference in references))
    assert {each.status for each in seen} == {Status.PENDING}
    await fake.stop()


async def test_a_late_refusal_of_an_old_token_does_not_cost_the_new_one() -> None:
    fetched = iter("abc")

    async def fetch() -> Token:
        return Token(next(fetched), 900)

    cache = TokenCache(fetch, now)
    assert await cache.get() == "a"
    cache.drop("a")
    assert await cache.get() == "b"
    cache.drop("a")
    assert await cache.get() == "b"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.RATE_LIMITED])
async def test_without_a_token_nothing_was_asked(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path, fault: Fault
) -> None:
    fake.script.next("token", fault)
    with pytest.raises(ProviderUnreachable):
        await adapter(fake, http, tmp_path, timeout=1.0).create_qr(charge())
    assert fake.book == {}


@pytest.mark.parametrize(
    "fields", [{"accessToken": None}, {"accessToken": "a\r\nb"}, {"accessToken": "é"}, {"accessToken": {}}]
)
async def test_an_unusable_token_is_no_token(bank: Snap, fake: FakeSnap, fields: dict[str, Any]) -> None:
    fake.script.next("token", fields=fields)
    with pytest.raises(ProviderUnreachable):
        await bank.create_qr(charge())


async def test_a_key_the_bank_does_not_know_is_refused_with_advice(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path
) -> None:
    bank = adapter(fake, http, tmp_path, client_id="SOMEBODY")
    with pytest.raises(ProviderRejected, match="private_key_file") as raised:
        await bank.create_qr(charge())
    assert raised.value.provider_code == "4017300"


async def test_a_caller_that_leaves_does_not_take_the_token_from_the_others(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("token", delay_s=0.2)
    leaving = asyncio.create_task(bank.create_qr(charge()))
    await asyncio.sleep(0.05)
    staying = asyncio.create_task(bank.create_qr(charge(reference="B" * 20)))
    leaving.cancel()
    assert (await staying).status is Status.PENDING
    assert actions(fake).count("token") == 1


# Trouble while charging


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_is_uncertain_and_never_makes_a_second_qr(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path, fault: Fault
) -> None:
    bank = adapter(fake, http, tmp_path, timeout=1.0)
    fake.script.next("charge", fault)
    with pytest.raises(ProviderUncertain):
        await bank.create_qr(charge())
    seen = await bank.fetch_status(lost_attempt())
    assert (seen.status, seen.source) == (Status.FAILED, Source.LOOKUP)
    assert "not given again" in str(seen.detail)
    assert len(fake.book) == 1


async def test_a_bank_that_shows_its_qr_again_completes_the_lost_one(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await bank.create_qr(charge())
    entry = fake.book[REFERENCE]
    again = {"responseCode": "2004700", "referenceNo": entry.id, "qrContent": fake.payload(entry)}
    fake.script.next("charge", reply=Reply.json(200, again))
    seen = await bank.fetch_status(lost_attempt())
    assert (seen.status, seen.source, seen.amount) == (Status.PENDING, Source.LOOKUP, 10_000)
    assert seen.qris_payload == fake.payload(entry)


async def test_a_lost_qr_whose_time_is_up_is_expired_without_asking_again(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    seen = await bank.fetch_status(lost_attempt(expires_at=now() - timedelta(seconds=1)))
    assert seen.status is Status.EXPIRED
    assert actions(fake).count("charge") == 1


async def test_money_on_a_lost_qr_is_seen(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    assert (await bank.fetch_status(lost_attempt())).status is Status.PAID


async def test_a_charge_that_never_arrived_is_absent(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("charge", Fault.DROP_BEFORE_EFFECT)
    with pytest.raises(ProviderUncertain):
        await bank.create_qr(charge())
    assert (await bank.fetch_status(lost_attempt())).absent


async def test_a_duplicate_reference_is_uncertain(bank: Snap) -> None:
    await bank.create_qr(charge())
    with pytest.raises(ProviderUncertain) as raised:
        await bank.create_qr(charge())
    assert raised.value.provider_code == "4094701"


async def test_nobody_listening_is_unreachable(http: ProviderHttp, tmp_path: Path) -> None:
    with pytest.raises(ProviderUnreachable):
        await adapter_at("http://127.0.0.1:1", http, tmp_path).create_qr(charge())


@pytest.mark.parametrize("action", ["token", "charge"])
@pytest.mark.parametrize(("seconds", "when"), [(30.0, "in 30 seconds"), (None, "in a while")])
async def test_a_rate_limit_leaves_nothing_and_says_when(
    bank: Snap, fake: FakeSnap, action: str, seconds: float | None, when: str
) -> None:
    fake.script.next(action, Fault.RATE_LIMITED, seconds=seconds)
    with pytest.raises(ProviderUnreachable, match=when) as raised:
        await bank.create_qr(charge())
    assert raised.value.retry_after_s == seconds
    assert fake.book == {}


@pytest.mark.parametrize(
    ("code", "phrase"),
    [
        ("4004700", "SNAP page"),
        ("4004701", "the message names it"),
        ("4004702", "additional_info"),
        ("4014700", "clock"),
        ("4034701", "activate"),
        ("4034702", "above what the bank allows"),
        ("4034715", "refused: 4034715"),
        ("4034718", "not active"),
        ("4044708", "merchant_id"),
        ("4044716", "partner_id"),
        ("4054700", "refused: 4054700"),
    ],
)
async def test_a_refusal_is_rejected_with_code_and_advice(bank: Snap, fake: FakeSnap, code: str, phrase: str) -> None:
    fake.script.next("charge", reply=refusal(code))
    with pytest.raises(ProviderRejected, match=phrase) as raised:
        await bank.create_qr(charge())
    assert raised.value.provider_code == code


@pytest.mark.parametrize("code", ["4034704", "4034706", "4294700"])
async def test_a_refusal_for_now_leaves_nothing(bank: Snap, fake: FakeSnap, code: str) -> None:
    fake.script.next("charge", reply=refusal(code))
    with pytest.raises(ProviderUnreachable):
        await bank.create_qr(charge())


async def test_the_code_outranks_an_http_status_of_200(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("charge", reply=Reply.json(200, {"responseCode": 4044708, "responseMessage": "Invalid Merchant"}))
    with pytest.raises(ProviderRejected, match="Invalid Merchant"):
        await bank.create_qr(charge())


@pytest.mark.parametrize(
    "answer",
    [
        refusal("2024700", "Request In Progress"),
        refusal("4094700", "Conflict"),
        refusal("5004700"),
        refusal("5004702"),
        refusal("5044700"),
        Reply.json(502, {"responseCode": "2004700", "qrContent": "x"}),
        Reply.json(404, {"message": "no Route matched"}),
        Reply.json(401, {"fault": "gateway"}),
        Reply.json(403, {}),
        Reply.json(408, {"responseCode": "4084700"}),
        Reply(404, b"<html>Not found</html>"),
        Reply.json(200, {"responseCode": {"a": 1}}),
        Reply.json(200, {"responseCode": "2004700", "amount": {"value": []}}),
        Reply.json(200, []),
    ],
)
async def test_an_answer_that_says_nothing_for_sure_is_uncertain(bank: Snap, fake: FakeSnap, answer: Reply) -> None:
    fake.script.next("charge", reply=answer)
    with pytest.raises(ProviderUncertain):
        await bank.create_qr(charge())


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"partnerReferenceNo": "SOMEBODY-ELSES"}, "reference_mismatch"),
        ({"merchantId": "MCH9999"}, "merchant_mismatch"),
        ({"amount": {"value": "9000.00", "currency": "IDR"}}, "amount_mismatch"),
        ({"amount": {"value": "10000.50", "currency": "IDR"}}, "amount_format"),
        ({"amount": {"value": "10.000", "currency": "IDR"}}, "amount_format"),
    ],
)
async def test_an_answer_for_something_else_is_a_contradiction(
    bank: Snap, fake: FakeSnap, fields: dict[str, Any], contradiction: str
) -> None:
    fake.script.next("charge", fields=fields)
    assert (await bank.create_qr(charge())).contradiction == contradiction


async def test_a_secret_repeated_by_the_bank_is_not_shown(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("charge", reply=refusal("4014700", f"bad secret {fake.client_secret}"))
    with pytest.raises(ProviderRejected) as raised:
        await bank.create_qr(charge())
    assert fake.client_secret not in str(raised.value)


# Asking


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("00", Status.PAID),
        ("01", Status.PENDING),
        ("02", Status.PENDING),
        ("03", Status.PENDING),
        ("04", Status.REFUNDED),
        ("05", Status.CANCELLED),
        ("06", Status.FAILED),
        ("08", Status.EXPIRED),
        ("77", None),
        (None, None),
    ],
)
async def test_their_status_becomes_ours(bank: Snap, fake: FakeSnap, code: str | None, status: Status | None) -> None:
    await bank.create_qr(charge())
    fake.script.next("status", fields={"latestTransactionStatus": code})
    seen = await bank.fetch_status(attempt())
    assert (seen.source, seen.status, seen.absent) == (Source.LOOKUP, status, False)


async def test_a_payment_names_amount_time_and_reference_number(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    seen = await bank.fetch_status(attempt())
    entry = fake.book[REFERENCE]
    assert entry.paid_at is not None
    assert (seen.status, seen.amount, seen.currency) == (Status.PAID, 10_000, "IDR")
    assert (seen.paid_at, seen.provider_ref_no) == (entry.paid_at.replace(microsecond=0), entry.rrn)
    assert "BUDI" not in str(seen.detail)


@pytest.mark.parametrize("amount", [10_000, "10000", "10000.0", {"value": 10_000}, {"value": "10000."}])
async def test_amounts_are_read_in_every_spelling(bank: Snap, fake: FakeSnap, amount: Any) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    fake.script.next("status", fields={"amount": amount})
    assert (await bank.fetch_status(attempt())).amount == 10_000


async def test_a_payment_without_an_amount_is_of_the_amount_asked(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    fake.script.next("status", fields={"amount": None})
    assert (await bank.fetch_status(attempt())).amount == 10_000


async def test_too_little_money_is_told_as_it_is(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE, 9_000)
    assert (await bank.fetch_status(attempt())).amount == 9_000


async def test_another_banks_spelling_of_names_is_read(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    body = {
        "responsecode": 2005300,
        "originalPartnerReferanceNo": REFERENCE,
        "LatestTransactionStatus": "00",
        "merchantid": "MCH0001",
        "AMOUNT": {"Value": "10000.00", "Currency": "IDR"},
        "additionalInfo": {"RRN": "503110000001", "paidTime": "2025-01-31T10:20:00"},
    }
    fake.script.next("status", reply=Reply.json(200, body))
    seen = await bank.fetch_status(attempt())
    assert (seen.status, seen.amount, seen.provider_ref_no) == (Status.PAID, 10_000, "503110000001")
    assert seen.paid_at == datetime(2025, 1, 31, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"originalPartnerReferenceNo": "OTHER"}, "reference_mismatch"),
        ({"merchantId": "MCH9999"}, "merchant_mismatch"),
        ({"amount": {"value": "1e4", "currency": "IDR"}}, "amount_format"),
        ({"amount": {"value": "-1.00", "currency": "IDR"}}, "amount_format"),
    ],
)
async def test_a_status_for_something_else_is_a_contradiction(
    bank: Snap, fake: FakeSnap, fields: dict[str, Any], contradiction: str
) -> None:
    await bank.create_qr(charge())
    fake.script.next("status", fields=fields)
    assert (await bank.fetch_status(attempt())).contradiction == contradiction


async def test_another_currency_is_passed_on(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    fake.script.next("status", fields={"amount": {"value": "10000.00", "currency": "USD"}})
    assert (await bank.fetch_status(attempt())).currency == "USD"


async def test_a_qr_that_is_not_found_while_it_lives_is_unpaid(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("status", fields={"responseCode": "2005100", "latestTransactionStatus": "07"})
    live = await bank.fetch_status(attempt())
    assert (live.status, live.absent) == (Status.PENDING, False)
    long_over = await bank.fetch_status(attempt(expires_at=now() - timedelta(minutes=11)))
    assert long_over.status is Status.EXPIRED
    assert (await bank.fetch_status(lost_attempt())).absent
    assert (await bank.fetch_status(attempt(status=Status.EXPIRED))).absent


async def test_cancelled_past_its_time_means_expired(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.advance(901)
    seen = await bank.fetch_status(attempt(expires_at=now() - timedelta(seconds=1)))
    assert seen.status is Status.EXPIRED


async def test_a_qr_that_nobody_ends_is_over_some_time_after_its_validity(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    just_over = await bank.fetch_status(attempt(expires_at=now() - timedelta(seconds=30)))
    long_over = await bank.fetch_status(attempt(expires_at=now() - timedelta(minutes=11)))
    assert (just_over.status, long_over.status) == (Status.PENDING, Status.EXPIRED)


async def test_an_expired_transaction_is_told_by_code_too(bank: Snap, fake: FakeSnap) -> None:
    fake.script.next("status", reply=refusal("4035100", "Transaction Expired"))
    assert (await bank.fetch_status(attempt())).status is Status.EXPIRED


@pytest.mark.parametrize(
    "answer", [Reply.json(404, {"message": "no Route matched"}), Reply(404, b"<html>Not found</html>")]
)
async def test_a_gateways_not_found_says_nothing_about_the_qr(bank: Snap, fake: FakeSnap, answer: Reply) -> None:
    fake.script.next("status", reply=answer)
    with pytest.raises(ProviderUncertain):
        await bank.fetch_status(lost_attempt())


async def test_refunded_is_not_taken_for_all_where_parts_can_go_back(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path
) -> None:
    bank = adapter(fake, http, tmp_path, partial_refund=True)
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    fake.change(REFERENCE, "04")
    assert (await bank.fetch_status(attempt())).status is Status.REFUNDED
    unknown = await bank.fetch_status(attempt(amount_paid=10_000))
    assert (unknown.status, unknown.amount_refunded) == (Status.PARTIALLY_REFUNDED, None)
    part = await bank.fetch_status(attempt(amount_paid=10_000, amount_refunded=3_000))
    assert (part.status, part.amount_refunded) == (Status.PARTIALLY_REFUNDED, 3_000)
    everything = await bank.fetch_status(attempt(amount_paid=10_000, amount_refunded=10_000))
    assert (everything.status, everything.amount_refunded) == (Status.REFUNDED, 10_000)


# Cancelling


async def cancel(bank: Snap, **changes: Any) -> Any:
    assert isinstance(bank, Cancels)
    return await bank.cancel_qr(attempt(**changes))


async def test_cancelling_an_open_qr_cancels_it(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    assert (await cancel(bank)).status is Status.CANCELLED
    assert fake.book[REFERENCE].status == "05"


async def test_cancelling_too_late_tells_of_the_money(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    seen = await cancel(bank)
    assert (seen.status, seen.amount) == (Status.PAID, 10_000)


async def test_money_wins_over_a_cancel_that_was_accepted(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)
    fake.script.next("cancel", reply=Reply.json(200, {"responseCode": "2007700"}))
    assert (await cancel(bank)).status is Status.PAID


async def test_cancelling_an_expired_qr_says_expired(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.advance(901)
    assert (await cancel(bank, expires_at=now() - timedelta(seconds=1))).status is Status.EXPIRED
    fake.script.next("status", Fault.HTML)
    assert (await cancel(bank)).status is Status.EXPIRED


async def test_cancelling_what_is_not_there_is_absent_while_it_could_live(bank: Snap) -> None:
    assert (await cancel(bank)).absent
    assert (await cancel(bank, expires_at=now() - timedelta(seconds=1))).status is Status.EXPIRED


async def test_an_accepted_cancel_stands_when_asking_afterwards_fails(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.script.next("status", Fault.DROP_AFTER_EFFECT)
    assert (await cancel(bank)).status is Status.CANCELLED


async def test_a_refused_cancel_is_rejected_while_the_qr_lives(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.script.next("cancel", reply=refusal("4037701", "Feature Not Allowed"))
    with pytest.raises(ProviderRejected) as raised:
        await cancel(bank)
    assert raised.value.provider_code == "4037701"


async def test_a_lost_answer_to_a_cancel_is_uncertain(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.script.next("cancel", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await cancel(bank)
    assert (await cancel(bank)).status is Status.CANCELLED


# Refunds

ORDER = RefundOrder(reference="R0000000000000000001", amount=10_000, reason="Kopi tumpah, maaf!")


async def refund(bank: Snap, order: RefundOrder = ORDER, *, again: bool = False) -> Any:
    assert isinstance(bank, Refunds)
    ask = bank.fetch_refund if again else bank.refund
    return await ask(attempt(status=Status.PAID, amount_paid=10_000), order)


async def paid(bank: Snap, fake: FakeSnap) -> None:
    await bank.create_qr(charge())
    fake.pay(REFERENCE)


async def test_a_refund_gives_all_back(bank: Snap, fake: FakeSnap) -> None:
    await paid(bank, fake)
    seen = await refund(bank)
    entry = fake.book[REFERENCE].refunds[ORDER.reference]
    assert (seen.status, seen.amount, seen.provider_refund_id) == (RefundStatus.DONE, 10_000, entry["id"])
    sent = json.loads(fake.calls[-1].body)
    assert (sent["reason"], sent["refundAmount"]["value"]) == ("Kopi-tumpah-maaf", "10000.00")


async def test_parts_go_back_under_numbers_of_their_own(fake: FakeSnap, http: ProviderHttp, tmp_path: Path) -> None:
    bank = adapter(fake, http, tmp_path, partial_refund=True)
    await paid(bank, fake)
    first = await refund(bank, RefundOrder(reference="A", amount=3_000))
    second = await refund(bank, RefundOrder(reference="B", amount=7_000, refunded_before=3_000))
    assert (first.status, second.status) == (RefundStatus.DONE, RefundStatus.DONE)
    assert fake.book[REFERENCE].refunded == 10_000


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.TIMEOUT, Fault.ERROR_AFTER_EFFECT, Fault.HTML])
async def test_a_refund_whose_answer_was_lost_is_found_done_and_not_given_twice(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path, fault: Fault
) -> None:
    bank = adapter(fake, http, tmp_path, timeout=1.0)
    await paid(bank, fake)
    fake.script.next("refund", fault)
    with pytest.raises(ProviderUncertain):
        await refund(bank)
    assert (await refund(bank, again=True)).status is RefundStatus.DONE
    assert fake.book[REFERENCE].refunded == 10_000


async def test_a_lost_partial_refund_is_known_as_a_duplicate(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path
) -> None:
    bank = adapter(fake, http, tmp_path, partial_refund=True)
    await paid(bank, fake)
    order = RefundOrder(reference="A", amount=3_000)
    fake.script.next("refund", Fault.DROP_AFTER_EFFECT)
    with pytest.raises(ProviderUncertain):
        await refund(bank, order)
    assert (await refund(bank, order, again=True)).status is RefundStatus.PENDING
    assert fake.book[REFERENCE].refunded == 3_000


async def test_money_that_went_back_by_itself_is_not_given_back_again(bank: Snap, fake: FakeSnap) -> None:
    await paid(bank, fake)
    fake.refund(REFERENCE, 10_000, "made in the bank's dashboard")
    assert (await refund(bank)).status is RefundStatus.DONE
    assert "refund" not in actions(fake)


async def test_a_refund_that_never_arrived_is_made_by_asking_again(bank: Snap, fake: FakeSnap) -> None:
    await paid(bank, fake)
    fake.script.next("refund", Fault.DROP_BEFORE_EFFECT)
    with pytest.raises(ProviderUncertain):
        await refund(bank)
    assert (await refund(bank, again=True)).status is RefundStatus.DONE


async def test_a_refund_in_progress_is_pending(bank: Snap, fake: FakeSnap) -> None:
    await paid(bank, fake)
    fake.script.next("refund", reply=refusal("2027800", "Request In Progress"))
    assert (await refund(bank)).status is RefundStatus.PENDING


@pytest.mark.parametrize(("code", "phrase"), [("4037815", "no"), ("4047801", "no")])
async def test_a_refused_refund_is_an_answer(bank: Snap, fake: FakeSnap, code: str, phrase: str) -> None:
    await paid(bank, fake)
    fake.script.next("refund", reply=refusal(code))
    seen = await refund(bank)
    assert seen.status is RefundStatus.REFUSED
    assert phrase in str(seen.detail)


async def test_a_refund_the_balance_is_too_small_for_may_be_asked_for_again(bank: Snap, fake: FakeSnap) -> None:
    await paid(bank, fake)
    fake.script.next("refund", reply=refusal("4037814"))
    seen = await refund(bank)
    assert (seen.status, "top it up" in str(seen.detail)) == (RefundStatus.LATER, True)
    assert (await refund(bank, again=True)).status is RefundStatus.DONE


@pytest.mark.parametrize("code", ["4007801", "4017800"])
async def test_a_refund_refused_for_how_it_was_asked_is_rejected(bank: Snap, fake: FakeSnap, code: str) -> None:
    await paid(bank, fake)
    fake.script.next("refund", reply=refusal(code))
    with pytest.raises(ProviderRejected):
        await refund(bank)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.HTML, Fault.DROP_AFTER_EFFECT])
async def test_when_the_payment_cannot_be_asked_about_no_refund_is_asked_for(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path, fault: Fault
) -> None:
    bank = adapter(fake, http, tmp_path, timeout=1.0)
    await paid(bank, fake)
    fake.script.next("status", fault)
    with pytest.raises(ProviderUnreachable, match="No refund was asked for"):
        await refund(bank)
    assert fake.book[REFERENCE].refunded == 0


# Notifications

BODY = {
    "originalReferenceNo": "REF-0001",
    "originalPartnerReferenceNo": REFERENCE,
    "latestTransactionStatus": "00",
    "transactionStatusDesc": "Success",
    "customerNumber": "0812",
    "amount": {"value": "10000.00", "currency": "IDR"},
    "additionalInfo": {"rrn": "503110000001", "customerName": "BUDI"},
}
SCHEMES = ["hmac_token", "hmac_notoken", "hmac_emptytoken", "rsa_body", "rsa_clientid"]


class Offline(_Elsewhere):
    """A bank that only notifies."""

    def __init__(self, scheme: str) -> None:
        super().__init__("http://127.0.0.1:1")
        self.dialect = Dialect(notify_scheme=scheme)


def raw(**changes: Any) -> bytes:
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
    return json.dumps(body).encode()


def token_for(bank: Snap, fake: FakeSnap) -> str:
    assert isinstance(bank, IssuesTokens)
    given = bank.issue_token(lowered(fake.token_headers()), b'{"grantType":"client_credentials"}', now())
    status, answer = given.status, given.body
    assert status == 200
    return str(answer["accessToken"])


def headers_for(bank: Snap, fake: FakeSnap, body: bytes, path: str = NOTIFY_PATH, **changes: Any) -> dict[str, str]:
    token = token_for(bank, fake) if fake.dialect.notify_scheme == "hmac_token" else ""
    return lowered(fake.notify_headers(path, body, token, **changes))


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_signed_notification_is_read(http: ProviderHttp, tmp_path: Path, scheme: str) -> None:
    fake = Offline(scheme)
    bank = adapter(fake, http, tmp_path)
    event = bank.parse_webhook(headers_for(bank, fake, raw()), raw(), now())
    seen = event.observation
    assert (event.reference, event.provider_trx_id) == (REFERENCE, "REF-0001")
    assert (seen.status, seen.amount, seen.currency, seen.source) == (Status.PAID, 10_000, "IDR", Source.WEBHOOK)
    assert seen.provider_ref_no == "503110000001"
    assert event.proven is bank.capabilities.webhook_proves_status is (scheme != "rsa_clientid")
    assert "BUDI" not in json.dumps(event.payload)
    assert "0812" not in json.dumps(event.payload)


@pytest.mark.parametrize("told", [True, {"name": "DANA"}, ["DANA"]])
async def test_an_issuer_of_another_shape_costs_nothing(http: ProviderHttp, tmp_path: Path, told: Any) -> None:
    fake = Offline(SCHEMES[0])
    bank, body = adapter(fake, http, tmp_path), raw(additionalInfo={"issuerName": told})
    seen = bank.parse_webhook(headers_for(bank, fake, body), body, now()).observation
    assert (seen.status, seen.issuer) == (Status.PAID, None)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "changed",
    [
        {"x-signature": ""},
        {"x-signature": "AAAA"},
        {"x-timestamp": ""},
        {"x-timestamp": "2025-01-31T10:15:30+07:00"},
    ],
)
async def test_a_wrong_or_missing_proof_is_unsigned_and_tells_nothing(
    http: ProviderHttp, tmp_path: Path, scheme: str, changed: dict[str, str]
) -> None:
    fake = Offline(scheme)
    bank = adapter(fake, http, tmp_path)
    for headers in ({**headers_for(bank, fake, raw()), **changed}, {}):
        with pytest.raises(WebhookUnsigned) as raised:
            bank.parse_webhook(headers, raw(), now())
        assert str(raised.value) == "The notification's signature is missing or wrong."


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "rsa_clientid"])
async def test_a_changed_body_or_path_under_a_good_signature_is_unsigned(
    http: ProviderHttp, tmp_path: Path, scheme: str
) -> None:
    fake = Offline(scheme)
    bank = adapter(fake, http, tmp_path)
    unpaid = raw(latestTransactionStatus="03")
    with pytest.raises(WebhookUnsigned):
        bank.parse_webhook(headers_for(bank, fake, unpaid), raw(), now())
    with pytest.raises(WebhookUnsigned):
        bank.parse_webhook(headers_for(bank, fake, raw(), NOTIFY_PATH + "/"), raw(), now())


@pytest.mark.parametrize("scheme", ["rsa_body", "rsa_clientid"])
async def test_a_strangers_key_does_not_verify(http: ProviderHttp, tmp_path: Path, scheme: str) -> None:
    fake = Offline(scheme)
    bank = adapter(fake, http, tmp_path)
    with pytest.raises(WebhookUnsigned):
        bank.parse_webhook(headers_for(bank, fake, raw(), signer="stranger"), raw(), now())
    keyless = adapter(fake, http, tmp_path, provider_public_key_file=None)
    with pytest.raises(WebhookUnsigned):
        keyless.parse_webhook(headers_for(keyless, fake, raw()), raw(), now())


async def test_a_signature_that_leaves_the_body_out_must_be_fresh_and_about_us(
    http: ProviderHttp, tmp_path: Path
) -> None:
    fake = Offline("rsa_clientid")
    bank = adapter(fake, http, tmp_path)
    headers = headers_for(bank, fake, raw())
    assert not bank.parse_webhook(headers, raw(), now() + timedelta(minutes=4)).proven
    for later in (timedelta(minutes=6), timedelta(minutes=-6)):
        with pytest.raises(WebhookUnsigned):
            bank.parse_webhook(headers, raw(), now() + later)
    fake.client_id = "SOMEBODY"
    with pytest.raises(WebhookUnsigned):
        bank.parse_webhook(lowered(fake.notify_headers(NOTIFY_PATH, raw())), raw(), now())


@pytest.mark.parametrize("token", ["", "made-up"])
async def test_a_token_we_did_not_issue_does_not_help(http: ProviderHttp, tmp_path: Path, token: str) -> None:
    fake = Offline("hmac_token")
    bank = adapter(fake, http, tmp_path)
    headers = lowered(fake.notify_headers(NOTIFY_PATH, raw(), token))
    with pytest.raises(WebhookUnsigned):
        bank.parse_webhook(headers, raw(), now())


async def test_a_token_of_ours_ends(http: ProviderHttp, tmp_path: Path) -> None:
    fake = Offline("hmac_token")
    bank = adapter(fake, http, tmp_path)
    with pytest.raises(WebhookUnsigned):
        bank.parse_webhook(headers_for(bank, fake, raw()), raw(), now() + timedelta(seconds=901))


@pytest.mark.parametrize(
    "path",
    [
        NOTIFY_PATH,
        "/pay/webhooks/bri",
        "/v1.0/qr/qr-mpm-notify",
        "/webhooks/bri/v1.0/qr/qr-mpm-notify",
        "/v1.0/qr-dynamic/qr-mpm-notify",
    ],
)
async def test_every_path_a_bank_may_sign_is_tried(http: ProviderHttp, tmp_path: Path, path: str) -> None:
    fake = Offline("hmac_notoken")
    paths = ["/v1.0/qr-dynamic/qr-mpm-notify"]
    bank = adapter(fake, http, tmp_path, base_path="/pay", notify_signed_paths=paths)
    assert bank.parse_webhook(headers_for(bank, fake, raw(), path), raw(), now()).proven


@pytest.mark.parametrize(
    ("changes", "status", "proven"),
    [
        ({"latestTransactionStatus": "03"}, Status.PENDING, True),
        ({"latestTransactionStatus": "04"}, Status.REFUNDED, False),
        ({"latestTransactionStatus": "05"}, Status.CANCELLED, False),
        ({"latestTransactionStatus": "06"}, Status.FAILED, False),
        ({"latestTransactionStatus": "77"}, None, False),
        ({"latestTransactionStatus": None}, None, False),
        ({"amount": None}, Status.PAID, False),
        ({"amount": {"value": "9000.00"}}, Status.PAID, True),
    ],
)
async def test_a_notification_is_believed_only_where_it_tells_all(
    http: ProviderHttp, tmp_path: Path, changes: dict[str, Any], status: Status | None, proven: bool
) -> None:
    fake = Offline("hmac_notoken")
    bank = adapter(fake, http, tmp_path)
    body = raw(**changes)
    event = bank.parse_webhook(headers_for(bank, fake, body), body, now())
    assert (event.observation.status, event.proven) == (status, proven)


async def test_a_notification_for_another_merchant_or_of_an_odd_amount_is_marked(
    http: ProviderHttp, tmp_path: Path
) -> None:
    fake = Offline("hmac_notoken")
    bank = adapter(fake, http, tmp_path)
    for changes, contradiction in (
        ({"merchantId": "MCH9999"}, "merchant_mismatch"),
        ({"amount": {"value": "10000.5"}}, "amount_format"),
    ):
        body = raw(**changes)
        event = bank.parse_webhook(headers_for(bank, fake, body), body, now())
        assert event.observation.contradiction == contradiction


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 60_000, b'{"a": NaN}', raw(junk="x" * 70_000)])
async def test_what_is_no_json_object_is_unreadable(http: ProviderHttp, tmp_path: Path, body: bytes) -> None:
    fake = Offline("hmac_notoken")
    bank = adapter(fake, http, tmp_path)
    with pytest.raises(WebhookUnreadable):
        bank.parse_webhook(headers_for(bank, fake, body), body, now())


async def test_a_signed_notification_of_wrong_types_is_unreadable(http: ProviderHttp, tmp_path: Path) -> None:
    fake = Offline("hmac_notoken")
    bank = adapter(fake, http, tmp_path)
    body = raw(latestTransactionStatus={"a": 1})
    with pytest.raises(WebhookUnreadable):
        bank.parse_webhook(headers_for(bank, fake, body), body, now())


async def test_repeats_share_an_event_id_and_other_facts_have_another(http: ProviderHttp, tmp_path: Path) -> None:
    fake = Offline("hmac_notoken")
    bank = adapter(fake, http, tmp_path)

    def id_of(body: bytes) -> str:
        return bank.parse_webhook(headers_for(bank, fake, body), body, now()).event_id

    assert id_of(raw()) == id_of(raw()) == id_of(json.dumps(BODY, indent=2).encode())
    assert len({id_of(raw(latestTransactionStatus=code)) for code in ("00", "03", "04", "05")}) == 4


# Tokens for the bank

CREDENTIALS = b'{"grantType":"client_credentials","additionalInfo":{}}'


async def test_a_bank_that_proves_itself_gets_a_token(http: ProviderHttp, tmp_path: Path) -> None:
    fake = Offline("hmac_token")
    given = adapter(fake, http, tmp_path).issue_token(lowered(fake.token_headers()), CREDENTIALS, now())
    status, answer = given.status, given.body
    assert (status, answer["responseCode"], answer["tokenType"]) == (200, "2007300", "Bearer")
    assert (answer["expiresIn"], len(answer["accessToken"]) > 60) == (900, True)
    snake = b'{"grant_type":"client_credentials"}'
    assert adapter(fake, http, tmp_path).issue_token(lowered(fake.token_headers()), snake, now()).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"x-signature": ""},
        {"x-signature": "AAAA"},
        {"x-client-key": ""},
        {"x-client-key": "SOMEBODY"},
        {"x-timestamp": ""},
        {"x-timestamp": "soon"},
    ],
)
async def test_a_bank_that_does_not_prove_itself_gets_none(
    http: ProviderHttp, tmp_path: Path, changes: dict[str, str]
) -> None:
    fake = Offline("hmac_token")
    bank = adapter(fake, http, tmp_path)
    given = bank.issue_token({**lowered(fake.token_headers()), **changes}, CREDENTIALS, now())
    status, answer = given.status, given.body
    assert (status, answer["responseCode"], "accessToken" in answer) == (401, "4017300", False)


async def test_a_strangers_stale_or_keyless_request_gets_no_token(http: ProviderHttp, tmp_path: Path) -> None:
    fake = Offline("hmac_token")
    bank = adapter(fake, http, tmp_path)
    stranger = lowered(fake.token_headers(signer="stranger"))
    assert bank.issue_token(stranger, CREDENTIALS, now()).status == 401
    fresh = lowered(fake.token_headers())
    assert bank.issue_token(fresh, CREDENTIALS, now() + timedelta(minutes=6)).status == 401
    fake.client_id = "SOMEBODY"
    assert bank.issue_token(lowered(fake.token_headers()), CREDENTIALS, now()).status == 401
    keyless = adapter(fake, http, tmp_path, provider_public_key_file=None)
    assert keyless.issue_token(fresh, CREDENTIALS, now()).status == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"grantType":"password"}', b"\xff"])
async def test_another_grant_is_refused(http: ProviderHttp, tmp_path: Path, body: bytes) -> None:
    fake = Offline("hmac_token")
    given = adapter(fake, http, tmp_path).issue_token(lowered(fake.token_headers()), body, now())
    status, answer = given.status, given.body
    assert (status, answer["responseCode"]) == (400, "4007301")


async def test_a_bank_that_needs_no_token_gets_none(http: ProviderHttp, tmp_path: Path) -> None:
    fake = Offline("rsa_body")
    given = adapter(fake, http, tmp_path).issue_token(lowered(fake.token_headers()), CREDENTIALS, now())
    status, _ = given.status, given.body
    assert status == 404


@pytest.mark.parametrize(
    ("outcome", "error", "status", "code"),
    [
        ("applied", None, 200, "2005200"),
        ("duplicate", None, 200, "2005200"),
        ("checking", None, 200, "2005200"),
        ("unknown_order", None, 200, "2005200"),
        (None, WebhookUnsigned("x"), 401, "4015200"),
        (None, WebhookUnreadable("x"), 400, "4005200"),
        (None, StorageBusy("x"), 503, "5035200"),
        (None, StorageUnavailable("x"), 503, "5035200"),
        (None, RuntimeError("secret"), 500, "5005200"),
        (None, None, 500, "5005200"),
    ],
)
async def test_a_notification_is_answered_in_snaps_words(
    bank: Snap, outcome: str | None, error: Exception | None, status: int, code: str
) -> None:
    answer = bank.acknowledge(outcome, error, now())
    assert (answer.status, answer.body["responseCode"]) == (status, code)
    assert "X-TIMESTAMP" in answer.headers
    assert "secret" not in str(answer)


# Diagnosing


async def test_a_good_account_is_fine_in_all_points(bank: Snap, fake: FakeSnap) -> None:
    lines = await bank.diagnose()
    assert all(fine for fine, _ in lines), lines
    assert NOTIFY_URL in lines[3][1]
    assert lines[4][1].endswith("/webhooks/bri/v1.0/access-token/b2b.")
    assert fake.book == {}


async def test_a_wrong_key_secret_or_address_is_told(fake: FakeSnap, http: ProviderHttp, tmp_path: Path) -> None:
    unknown = await adapter(fake, http, tmp_path, client_id="SOMEBODY").diagnose()
    wrong_secret = await adapter(fake, http, tmp_path, client_secret=SecretStr("wrong")).diagnose()
    nowhere = await adapter_at("http://127.0.0.1:1", http, tmp_path).diagnose()
    assert (unknown[0][0], wrong_secret[0][0], nowhere[0][0]) == (False, True, False)
    assert "Signature Not Match" in next(line for fine, line in wrong_secret if not fine)
    assert "refuses connections" in nowhere[0][1]


async def test_a_missing_public_key_and_a_wrong_clock_are_told(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path
) -> None:
    answer = {"responseCode": "2007300", "accessToken": "t", "expiresIn": 900}
    late = Reply(200, json.dumps(answer).encode(), {"Date": "Thu, 15 Jan 2015 03:00:00 GMT"})
    fake.script.next("token", reply=late)
    lines = await adapter(fake, http, tmp_path, provider_public_key_file=None).diagnose()
    wrong = [line for fine, line in lines if not fine]
    assert len(wrong) == 2
    assert "ahead of" in wrong[0]
    assert "provider_public_key_file is not set" in wrong[1]


# Settings


def test_it_is_configured_once_everything_is_there(tmp_path: Path) -> None:
    whole: dict[str, Any] = {
        "base_url": "https://bank.example",
        "client_id": "c",
        "client_secret": SecretStr("s"),
        "private_key_file": tmp_path / "key",
        "merchant_id": "m",
    }
    assert SnapSettings(**whole).configured
    for name in whole:
        assert not SnapSettings(**{**whole, name: SnapSettings.model_fields[name].default}).configured
    assert not SnapSettings(**{**whole, "client_secret": SecretStr(" ")}).configured


@pytest.mark.parametrize("path", ["v1.0/qr", "/v1.0/qr/", "/"])
def test_a_path_that_would_not_join_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="begins with a slash"):
        SnapSettings.model_validate({"qr_path": path})


def test_paths_may_be_one_line_in_the_environment() -> None:
    settings = SnapSettings.model_validate({"notify_signed_paths": "/a/b, /c"})
    assert settings.notify_signed_paths == ("/a/b", "/c")


def test_an_unusable_key_file_stops_the_start(http: ProviderHttp, tmp_path: Path) -> None:
    files: dict[str, Any] = {"private_key_file": tmp_path / "nothing.pem"}
    with pytest.raises(SettingsError, match="private_key_file"):
        adapter(_Elsewhere("http://127.0.0.1:1"), http, tmp_path, **files)


async def test_every_failure_is_a_provider_error_and_nothing_else_escapes(
    fake: FakeSnap, http: ProviderHttp, tmp_path: Path
) -> None:
    bank = adapter(fake, http, tmp_path, timeout=0.5)
    assert isinstance(bank, Cancels)
    assert isinstance(bank, Refunds)
    for index, fault in enumerate(Fault):
        reference = f"{index:020d}"
        for action in ("charge", "status", "cancel"):
            fake.script.next(action, fault)
        with pytest.raises(ProviderError):
            await bank.create_qr(charge(reference=reference))
        with pytest.raises(ProviderError):
            await bank.fetch_status(attempt(reference=reference))
        with pytest.raises(ProviderError):
            await bank.cancel_qr(attempt(reference=reference))
        fake.script.next("status", fault)
        with pytest.raises(ProviderError):
            await bank.refund(attempt(reference=reference), ORDER)
    assert fake.script.finished
