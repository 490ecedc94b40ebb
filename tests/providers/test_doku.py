import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from qrisd.domain.errors import ProviderRejected, ProviderUncertain, SettingsError, WebhookUnreadable, WebhookUnsigned
from qrisd.domain.payment import Source, Status
from qrisd.providers.base import Acknowledges, Cancels, Diagnoses, IssuesTokens, RefundOrder, Refunds, RefundStatus
from qrisd.providers.doku import DokuSettings, doku
from qrisd.providers.http import ProviderHttp
from qrisd.providers.snap.qr import Snap
from tests.fakes.doku import FORM, FakeDoku
from tests.fakes.script import Fault
from tests.providers.snap_bank import NOTIFY_URL, REFERENCE, attempt, charge, key_files, lost_attempt, lowered, now

NOTIFY_PATH = "/webhooks/doku"
CREDENTIALS = b'{"grantType":"client_credentials"}'


@pytest.fixture
async def fake() -> AsyncIterator[FakeDoku]:
    server = FakeDoku()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


@pytest.fixture
async def account(fake: FakeDoku, http: ProviderHttp, tmp_path: Path) -> Snap:
    return adapter(fake, http, tmp_path)


def adapter(fake: FakeDoku, http: ProviderHttp, directory: Path, base_path: str = "", **changes: Any) -> Snap:
    values = {
        "base_url": fake.url,
        "timeout": 5.0,
        "client_id": fake.client_id,
        "secret_key": SecretStr(fake.client_secret),
        "merchant_id": fake.merchant_id,
        "terminal_id": "A01",
        "postal_code": "12190",
        **key_files(directory),
        **changes,
    }
    return doku("doku", DokuSettings(**values), http, now, base_path, NOTIFY_URL)


def test_it_refunds_whole_payments_and_cancels_only_when_told(
    fake: FakeDoku, http: ProviderHttp, tmp_path: Path, account: Snap
) -> None:
    assert isinstance(account, Refunds)
    assert isinstance(account, Diagnoses)
    assert isinstance(account, IssuesTokens)
    assert isinstance(account, Acknowledges)
    assert not isinstance(account, Cancels)
    assert isinstance(adapter(fake, http, tmp_path, cancel=True), Cancels)
    assert (account.capabilities.refund, account.capabilities.partial_refund) == (True, False)
    assert not account.capabilities.webhook_proves_status


async def test_a_charge_says_what_doku_asks(account: Snap, fake: FakeDoku) -> None:
    seen = await account.create_qr(charge())
    token, sent = fake.calls
    body = json.loads(sent.body)
    assert (token.path, sent.path) == (
        "/authorization/v1/access-token/b2b",
        "/snap-adapter/b2b/v1.0/qr/qr-mpm-generate",
    )
    assert (body["merchantId"], body["terminalId"]) == ("47435", "A01")
    assert body["additionalInfo"] == {"postalCode": "12190", "feeType": "1"}
    assert (sent.headers["channel-id"], sent.headers["x-partner-id"]) == ("H2H", fake.client_id)
    assert (seen.status, seen.qris_payload) == (Status.PENDING, fake.payload(fake.book[REFERENCE]))


async def test_a_validity_that_doku_changes_is_taken_over(account: Snap, fake: FakeDoku) -> None:
    fake.script.next("charge", fields={"additionalInfo": {"validityPeriod": "2030-01-31T10:30:30+07:00"}})
    seen = await account.create_qr(charge())
    assert seen.expires_at is not None
    assert seen.expires_at.year == 2030


async def test_a_payment_is_read_with_its_number_amount_and_approval_code(account: Snap, fake: FakeDoku) -> None:
    await account.create_qr(charge())
    fake.pay(REFERENCE)
    seen = await account.fetch_status(attempt())
    assert (seen.status, seen.amount, seen.source) == (Status.PAID, 10_000, Source.LOOKUP)
    assert seen.provider_ref_no == fake.book[REFERENCE].rrn
    assert "BUDI" not in str(seen)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("00", Status.PAID),
        ("03", Status.PENDING),
        ("04", Status.REFUNDED),
        ("05", Status.CANCELLED),
        ("06", Status.FAILED),
        ("99", None),
    ],
)
async def test_their_status_becomes_ours(account: Snap, fake: FakeDoku, code: str, status: Status | None) -> None:
    await account.create_qr(charge())
    fake.script.next("status", fields={"latestTransactionStatus": code})
    assert (await account.fetch_status(attempt())).status is status


async def test_a_second_holder_of_the_credentials_costs_a_token_and_no_payment(
    account: Snap, fake: FakeDoku, http: ProviderHttp, tmp_path: Path
) -> None:
    other = adapter(fake, http, tmp_path)
    for index in range(3):
        for holder in (account, other):
            assert (await holder.fetch_status(lost_attempt(reference=f"{index:020d}"))).absent
    assert (await account.create_qr(charge())).status is Status.PENDING


async def test_a_wrong_merchant_id_is_told(fake: FakeDoku, http: ProviderHttp, tmp_path: Path) -> None:
    with pytest.raises(ProviderRejected, match="merchant_id") as raised:
        await adapter(fake, http, tmp_path, merchant_id="1").create_qr(charge())
    assert raised.value.provider_code == "4044708"


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.TIMEOUT, Fault.ERROR_AFTER_EFFECT, Fault.HTML])
async def test_a_lost_answer_is_uncertain(fake: FakeDoku, http: ProviderHttp, tmp_path: Path, fault: Fault) -> None:
    account = adapter(fake, http, tmp_path, timeout=1.0)
    fake.script.next("charge", fault)
    with pytest.raises(ProviderUncertain):
        await account.create_qr(charge())
    assert len(fake.book) == 1


async def test_cancelling_names_the_terminal(fake: FakeDoku, http: ProviderHttp, tmp_path: Path) -> None:
    account = adapter(fake, http, tmp_path, cancel=True)
    assert isinstance(account, Cancels)
    await account.create_qr(charge())
    assert (await account.cancel_qr(attempt())).status is Status.CANCELLED
    assert json.loads(fake.calls[2].body)["terminalId"] == "A01"


async def test_a_refund_carries_the_approval_code_of_the_payment(account: Snap, fake: FakeDoku) -> None:
    assert isinstance(account, Refunds)
    await account.create_qr(charge())
    fake.pay(REFERENCE)
    order = RefundOrder(reference="R1", amount=10_000)
    seen = await account.refund(attempt(status=Status.PAID, amount_paid=10_000), order)
    assert (seen.status, seen.amount) == (RefundStatus.DONE, 10_000)
    assert json.loads(fake.calls[-1].body)["additionalInfo"] == {"approvalCode": fake.book[REFERENCE].approval_code}
    assert (await account.fetch_refund(attempt(status=Status.PAID), order)).status is RefundStatus.DONE
    assert fake.book[REFERENCE].refunded == 10_000


# SNAP notifications


async def event_of(account: Snap, fake: FakeDoku, *, signed_token: str | None = None, **changes: Any) -> Any:
    """A paid QR's SNAP notification, signed with our token, or with `signed_token` in its place."""
    await account.create_qr(charge())
    fake.pay(REFERENCE)
    body = json.dumps({**fake.outbox[-1], **changes}).encode()
    assert isinstance(account, IssuesTokens)
    answer = account.issue_token(lowered(fake.token_headers()), CREDENTIALS, now()).body
    token = answer["accessToken"]
    headers = fake.notify_headers(NOTIFY_PATH, body, token if signed_token is None else signed_token)
    return account.parse_webhook(lowered({**headers, "Authorization": f"Bearer {token}"}), body, now())


@pytest.mark.parametrize("signed_token", [None, ""])
async def test_a_snap_notification_is_a_reason_to_ask(account: Snap, fake: FakeDoku, signed_token: str | None) -> None:
    event = await event_of(account, fake, signed_token=signed_token)
    assert (event.reference, event.provider_trx_id) == (REFERENCE, fake.book[REFERENCE].id)
    assert (event.observation.status, event.observation.amount, event.proven) == (Status.PAID, 10_000, False)
    assert "BUDI" not in json.dumps(event.payload)


async def test_a_snap_notification_signed_over_another_token_is_unsigned(account: Snap, fake: FakeDoku) -> None:
    with pytest.raises(WebhookUnsigned):
        await event_of(account, fake, signed_token="another")


async def test_a_snap_notification_without_our_token_is_unsigned(account: Snap, fake: FakeDoku) -> None:
    await account.create_qr(charge())
    fake.pay(REFERENCE)
    body = json.dumps(fake.outbox[-1]).encode()
    with pytest.raises(WebhookUnsigned):
        account.parse_webhook(lowered(fake.notify_headers(NOTIFY_PATH, body)), body, now())


# Notifications of DOKU's own API


def jokul(fake: FakeDoku, status: str = "SUCCESS", **order: Any) -> bytes:
    body = {
        "service": {"id": "QRIS"},
        "order": {"invoice_number": REFERENCE, "amount": 10_000, **order},
        "transaction": {"status": status, "date": "2025-01-31T03:20:00Z"},
        "emoney_payment": {"account_id": "9360000000000000001", "approval_code": "A00001"},
    }
    return json.dumps(body, indent=1).encode()


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("SUCCESS", Status.PAID),
        ("PENDING", Status.PENDING),
        ("REDIRECT", Status.PENDING),
        ("TIMEOUT", Status.PENDING),
        ("FAILED", Status.PENDING),
        ("EXPIRED", Status.EXPIRED),
        ("REFUNDED", Status.REFUNDED),
        ("UNHEARD", None),
    ],
)
async def test_its_own_notification_is_a_reason_to_ask(
    account: Snap, fake: FakeDoku, word: str, status: Status | None
) -> None:
    body = jokul(fake, word)
    event = account.parse_webhook(lowered(fake.jokul_headers(NOTIFY_PATH, body)), body, now())
    assert (event.reference, event.proven, event.observation.status) == (REFERENCE, False, status)
    assert (event.observation.amount, event.observation.provider_ref_no) == (10_000, "A00001")
    assert "9360000000000000001" not in json.dumps(event.payload)


async def test_its_own_notification_of_an_odd_amount_is_marked(account: Snap, fake: FakeDoku) -> None:
    body = jokul(fake, amount="10.000")
    event = account.parse_webhook(lowered(fake.jokul_headers(NOTIFY_PATH, body)), body, now())
    assert event.observation.contradiction == "amount_format"


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "HMACSHA256=AAAA"},
        {"signature": "HMACSHA256=é"},
        {"client-id": "BRN-9999"},
        {"client-id": ""},
        {"request-id": ""},
        {"request-id": "another"},
        {"request-timestamp": ""},
        {"request-timestamp": "2025-01-31T03:20:05Z"},
    ],
)
async def test_a_wrong_or_missing_proof_of_its_own_is_unsigned(
    account: Snap, fake: FakeDoku, changes: dict[str, str]
) -> None:
    body = jokul(fake)
    with pytest.raises(WebhookUnsigned):
        account.parse_webhook({**lowered(fake.jokul_headers(NOTIFY_PATH, body)), **changes}, body, now())


async def test_another_body_path_or_secret_under_its_own_signature_is_unsigned(account: Snap, fake: FakeDoku) -> None:
    body = jokul(fake)
    for headers, sent in (
        (fake.jokul_headers(NOTIFY_PATH, jokul(fake, "PENDING")), body),
        (fake.jokul_headers(NOTIFY_PATH, body), body + b" "),
        (fake.jokul_headers("/elsewhere", body), body),
        (fake.jokul_headers(NOTIFY_PATH, body, secret="SK-another"), body),
    ):
        with pytest.raises(WebhookUnsigned):
            account.parse_webhook(lowered(headers), sent, now())


async def test_another_clients_notification_under_our_secret_is_unsigned(account: Snap, fake: FakeDoku) -> None:
    fake.client_id = "BRN-9999"
    body = jokul(fake)
    with pytest.raises(WebhookUnsigned):
        account.parse_webhook(lowered(fake.jokul_headers(NOTIFY_PATH, body)), body, now())


async def test_its_own_notification_may_come_hours_late_and_twice(account: Snap, fake: FakeDoku) -> None:
    body = jokul(fake)
    late = now() + timedelta(hours=12)
    first = account.parse_webhook(lowered(fake.jokul_headers(NOTIFY_PATH, body)), body, now())
    again = account.parse_webhook(lowered(fake.jokul_headers(NOTIFY_PATH, body)), body, late)
    assert first.event_id == again.event_id


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"order":{"invoice_number":{}}}', b"x" * 70_000])
async def test_its_own_notification_of_nothing_is_unreadable(account: Snap, fake: FakeDoku, body: bytes) -> None:
    with pytest.raises(WebhookUnreadable):
        account.parse_webhook(lowered(fake.jokul_headers(NOTIFY_PATH, body)), body, now())


# Unsigned notifications of old accounts


def form(**changes: str) -> bytes:
    members = {"INVOICE": REFERENCE, "TXNSTATUS": "S", "CUSTOMERNAME": "BUDI", "WORDS": "0" * 40, **changes}
    return urlencode(members).encode()


async def test_an_unsigned_notification_is_refused_unless_wanted(
    account: Snap, fake: FakeDoku, http: ProviderHttp, tmp_path: Path
) -> None:
    with pytest.raises(WebhookUnsigned):
        account.parse_webhook(lowered(FORM), form(), now())
    willing = adapter(fake, http, tmp_path, unsigned_notifications=True)
    event = willing.parse_webhook(lowered(FORM), form(), now())
    assert (event.reference, event.proven, event.observation.status) == (REFERENCE, False, None)
    assert event.payload == {"INVOICE": REFERENCE, "TXNSTATUS": "S"}
    assert willing.parse_webhook(lowered(FORM), form(WORDS="1"), now()).event_id == event.event_id
    with pytest.raises(WebhookUnsigned):
        willing.parse_webhook({"content-type": "application/json"}, b"{}", now())


@pytest.mark.parametrize("body", [b"", b"\xff", b"INVOICE=", b"&".join([b"a=1"] * 200)])
async def test_an_unsigned_notification_of_nothing_is_unreadable(
    fake: FakeDoku, http: ProviderHttp, tmp_path: Path, body: bytes
) -> None:
    willing = adapter(fake, http, tmp_path, unsigned_notifications=True)
    with pytest.raises(WebhookUnreadable):
        willing.parse_webhook(lowered(FORM), body, now())


# Diagnosing and settings


async def test_a_good_account_is_fine_and_is_told_where_its_address_goes(account: Snap) -> None:
    lines = await account.diagnose()
    assert all(fine for fine, _ in lines), lines
    assert any(f"{NOTIFY_URL} at DOKU: dashboard, Settings, Payment Settings, QRIS" in line for _, line in lines)


@pytest.mark.parametrize(
    ("environment", "address"),
    [("sandbox", "https://api-sandbox.doku.com"), ("production", "https://api.doku.com")],
)
def test_the_environment_picks_the_address(http: ProviderHttp, tmp_path: Path, environment: str, address: str) -> None:
    values: dict[str, Any] = {"environment": environment, **key_files(tmp_path)}
    assert doku("doku", DokuSettings(**values), http, now, "", None)._profile.base_url == address


def test_it_is_configured_once_everything_is_there(tmp_path: Path) -> None:
    whole: dict[str, Any] = {
        "client_id": "c",
        "secret_key": SecretStr("s"),
        "private_key_file": tmp_path / "key",
        "merchant_id": "m",
        "terminal_id": "t",
        "postal_code": "12190",
    }
    assert DokuSettings(**whole).configured
    for name in whole:
        assert not DokuSettings(**{**whole, name: DokuSettings.model_fields[name].default}).configured


def test_a_key_file_that_is_no_key_is_told(http: ProviderHttp, tmp_path: Path) -> None:
    values: dict[str, Any] = key_files(tmp_path)
    (tmp_path / "merchant.pem").write_text("no key")
    with pytest.raises(SettingsError, match="holds no RSA private key"):
        doku("doku", DokuSettings(**values), http, now, "", None)
