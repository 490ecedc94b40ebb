"""WH: what providers send, sent twice, at once, too early, out of order, or wrong."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from qrisd.domain.payment import Observation
from qrisd.providers.base import Charge
from qrisd.providers.simulator import Simulator, sign, trx_id
from qrisd.services import watching
from tests.fakes.midtrans import FakeMidtrans, Transaction
from tests.fakes.script import Fault
from tests.fakes.xendit import FakeXendit
from tests.support.clock import FakeClock
from tests.support.installation import Installation

pytestmark = pytest.mark.usefixtures("check_everything")


def _event(payment: dict[str, Any], status: str = "PAID", **fields: Any) -> dict[str, Any]:
    event = {
        "event_id": f"evt_{uuid4().hex}",
        "provider_trx_id": payment["provider_trx_id"],
        "order_id": payment["order_id"],
        "status": status,
        "amount": payment["amount"],
        "currency": "IDR",
        **fields,
    }
    return {name: value for name, value in event.items() if value is not None}


async def test_the_same_event_a_hundred_times_at_once_counts_once(shop: Installation) -> None:
    """WH-04"""
    payment = await shop.create()
    event = _event(payment)
    answers = await asyncio.gather(*(shop.send_webhook(event) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await shop.get(payment["id"]))["amount_paid"] == 15_000
    assert len(shop.rows("SELECT id FROM webhook_events")) == 1
    assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.paid'") == [{"told": 1}]


async def test_the_same_payment_told_by_a_hundred_events_counts_once(shop: Installation) -> None:
    """WH-04"""
    payment = await shop.create()
    answers = await asyncio.gather(*(shop.send_webhook(_event(payment)) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    paid = await shop.get(payment["id"])
    assert (paid["amount_paid"], paid["exception"]) == (15_000, None)
    assert len(shop.rows("SELECT id FROM webhook_events")) == 100
    assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.paid'") == [{"told": 1}]


STORIES = [
    (("PENDING", "PAID"), "PAID", 0),
    (("PENDING", "EXPIRED", "PAID"), "PAID", 0),
    (("PENDING", "CANCELLED", "PAID"), "PAID", 0),
    (("FAILED", "PENDING", "PAID"), "PAID", 0),
    (("PENDING", "PAID", "REFUNDED"), "REFUNDED", 15_000),
    (("EXPIRED", "PAID", "REFUNDED"), "REFUNDED", 15_000),
    (("PENDING", "EXPIRED"), "EXPIRED", 0),
]


@pytest.mark.parametrize(("story", "end", "refunded"), STORIES)
async def test_in_whatever_order_events_arrive_the_end_is_the_providers(
    shop: Installation, story: Sequence[str], end: str, refunded: int
) -> None:
    """WH-05"""
    for number, order in enumerate(permutations(story)):
        payment = await shop.create(f"INV-{number}")
        for status in order:
            assert (await shop.webhook(payment, status)).status_code == 200
        after = await shop.get(payment["id"])
        money = 15_000 if "PAID" in story else 0
        assert (after["status"], after["amount_paid"], after["amount_refunded"]) == (end, money, refunded), order


async def test_a_partial_refund_may_arrive_before_its_settlement(shop: Installation) -> None:
    """WH-05"""
    for number, order in enumerate(permutations([("PAID", 15_000), ("REFUNDED", 5_000)])):
        payment = await shop.create(f"INV-{number}")
        for status, amount in order:
            await shop.webhook(payment, status, amount=amount)
        after = await shop.get(payment["id"])
        known = (after["status"], after["amount_paid"], after["amount_refunded"])
        assert known == ("PARTIALLY_REFUNDED", 15_000, 5_000), order


async def test_money_that_arrives_before_the_charges_answer_is_kept(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-06"""
    create_qr, answers = Simulator.create_qr, []

    async def paid_at_once(self: Simulator, charge: Charge) -> Observation:
        known = {"provider_trx_id": trx_id(charge.reference), "order_id": charge.reference, "amount": charge.amount}
        answers.extend([await shop.send_webhook(_event(known)) for _ in range(2)])
        return await create_qr(self, charge)

    monkeypatch.setattr(Simulator, "create_qr", paid_at_once)
    payment = await shop.create()
    assert [answer.status_code for answer in answers] == [200, 200]
    after = await shop.get(payment["id"])
    assert (after["status"], after["amount_paid"], after["exception"]) == ("PAID", 15_000, None)


@pytest.mark.parametrize(
    ("fields", "status", "exception", "amount_paid"),
    [
        ({"amount": 14_999}, "PENDING", "underpaid", 14_999),
        ({"amount": 15_001}, "PAID", "overpaid", 15_001),
        ({"amount": 0}, "PENDING", None, 0),
        ({"amount": -15_000}, "PENDING", None, 0),
        ({"amount": None}, "PENDING", None, 0),
        ({"currency": "USD"}, "PENDING", None, 0),
        ({"currency": None}, "PENDING", None, 0),
        ({"currency": "idr"}, "PENDING", None, 0),
        ({"provider_trx_id": "SIM-0000000000000000"}, "PENDING", None, 0),
    ],
)
async def test_money_that_does_not_fit_is_stored_and_waits_for_a_person(
    shop: Installation, fields: dict[str, Any], status: str, exception: str | None, amount_paid: int
) -> None:
    """WH-07"""
    payment = await shop.create()
    assert (await shop.send_webhook(_event(payment, **fields))).status_code == 200
    after = await shop.get(payment["id"])
    assert (after["status"], after["exception"], after["amount_paid"]) == (status, exception, amount_paid)
    stored = shop.rows("SELECT status, error_message FROM webhook_events")
    assert len(stored) == 1
    assert exception is not None or (stored[0]["status"] == "ERROR" and stored[0]["error_message"])


async def test_money_of_another_payment_is_not_credited_by_its_order_id(shop: Installation) -> None:
    """WH-07"""
    mine, other = await shop.create("INV-1"), await shop.create("INV-2")
    await shop.send_webhook(_event(mine, provider_trx_id=other["provider_trx_id"]))
    assert [(await shop.get(one["id"]))["amount_paid"] for one in (mine, other)] == [0, 0]
    assert shop.rows("SELECT status FROM webhook_events") == [{"status": "ERROR"}]


async def test_a_webhook_that_cannot_be_stored_is_answered_503_and_counts_when_it_comes_again(
    shop: Installation,
) -> None:
    """WH-13"""
    payment = await shop.create()
    event = _event(payment)
    with closing(sqlite3.connect(shop.data_dir.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = await asyncio.gather(*(shop.send_webhook(event) for _ in range(5)))
        other.execute("ROLLBACK")
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "storage_busy")}
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert shop.rows("SELECT id FROM webhook_events") == []
    assert (await shop.send_webhook(event)).json()["outcome"] == "applied"
    assert (await shop.get(payment["id"]))["status"] == "PAID"


async def test_a_thousand_shuffled_and_doubled_webhooks_pay_a_hundred_payments_once_each(shop: Installation) -> None:
    """T5"""
    chance = random.Random(5)
    payments = [await shop.create(f"INV-{number}", 1_000 + number) for number in range(100)]
    events = [_event(payment, status) for payment in payments for status in ("PENDING", "PAID")]
    sent = events * 5
    chance.shuffle(sent)
    forged = [{**event, "event_id": f"forged_{number}"} for number, event in enumerate(events[:100])]
    answers = [
        *await asyncio.gather(*map(shop.send_webhook, sent)),
        *await asyncio.gather(*(_forge(shop, one) for one in forged)),
    ]
    assert [answer.status_code for answer in answers] == [200] * 1000 + [401] * 100
    assert len(shop.rows("SELECT id FROM webhook_events")) == 200
    assert shop.rows(
        "SELECT status, count(*) AS n, sum(amount_paid - amount) AS extra FROM payments GROUP BY status"
    ) == [{"status": "PAID", "n": 100, "extra": 0}]
    assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.paid'") == [{"told": 100}]


async def _forge(shop: Installation, event: dict[str, Any]) -> httpx.Response:
    headers = {"X-Timestamp": str(int(shop.clock().timestamp())), "X-Signature": "0" * 64}
    return await shop.client.post("/webhooks/qris", content=json.dumps(event).encode(), headers=headers)


# Proofs: WH-01, WH-02, WH-03, WH-09, WH-14, WH-17


async def _signed(shop: Installation, body: bytes, **headers: str | None) -> httpx.Response:
    """`body` under the simulator's good signature, except for `headers`; one given as None is left out."""
    timestamp = str(int(shop.clock().timestamp()))
    secret = shop.data_dir.simulator_secret.read_text().strip().encode()
    good: dict[str, str | None] = {"X-Timestamp": timestamp, "X-Signature": sign(secret, body, timestamp)}
    changed = good | {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name.encode(): value.encode() for name, value in changed.items() if value is not None}
    return await shop.client.post("/webhooks/qris", content=body, headers=sent)


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Signature": None},
        {"X_Signature": ""},
        {"X_Signature": "0"},
        {"X_Signature": "0" * 63},
        {"X_Signature": "0" * 64},
        {"X_Signature": "0" * 128},
        {"X_Signature": "sha256=" + "0" * 64},
        {"X_Signature": "\u00e9" * 64},
        {"X_Timestamp": None},
        {"X_Timestamp": ""},
        {"X_Timestamp": "now"},
        {"X_Timestamp": "1e9"},
        {"X_Timestamp": "9" * 400},
        {"X_Signature": None, "X_Timestamp": None},
        {"X_Signature": "", "X_Timestamp": ""},
    ],
)
async def test_without_its_proof_a_webhook_changes_nothing_and_learns_nothing(
    shop: Installation, headers: dict[str, str | None]
) -> None:
    """WH-01"""
    payment = await shop.create()
    body = json.dumps(_event(payment)).encode()
    answer = await _signed(shop, body, **headers)
    assert answer.status_code == 401
    told = answer.json()
    of_garbage = (await _signed(shop, b"garbage", X_Signature="0" * 64)).json()
    assert {**told, "request_id": ""} == {**of_garbage, "request_id": ""}
    assert (await shop.get(payment["id"]))["status"] == "PENDING"
    assert shop.rows("SELECT id FROM webhook_events") == []


async def test_a_body_changed_by_one_byte_or_written_anew_is_not_the_signed_one(shop: Installation) -> None:
    """WH-02"""
    payment = await shop.create()
    body = json.dumps(_event(payment)).encode()
    timestamp = str(int(shop.clock().timestamp()))
    proof = sign(shop.data_dir.simulator_secret.read_text().strip().encode(), body, timestamp)
    changed = [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in range(0, len(body), 7)]
    rewritten = [json.dumps(json.loads(body), separators=(",", ":")).encode(), body + b" ", b" " + body, body + b"\n"]
    for other in [*changed, *rewritten]:
        assert (await _signed(shop, other, X_Signature=proof)).status_code == 401, other
    assert shop.rows("SELECT id FROM webhook_events") == []
    assert (await _signed(shop, body, X_Signature=proof)).status_code == 200


@pytest.mark.parametrize(("skew_s", "status"), [(-360, 401), (-240, 200), (240, 200), (360, 401)])
async def test_an_old_capture_is_refused_and_one_within_five_minutes_is_taken(
    shop: Installation, clock: FakeClock, skew_s: int, status: int
) -> None:
    """WH-09"""
    body = json.dumps(_event(await shop.create())).encode()
    timestamp = str(int(clock().timestamp()) + skew_s)
    proof = sign(shop.data_dir.simulator_secret.read_text().strip().encode(), body, timestamp)
    assert (await _signed(shop, body, X_Timestamp=timestamp, X_Signature=proof)).status_code == status


async def test_a_capture_sent_again_within_the_time_is_harmless(shop: Installation, clock: FakeClock) -> None:
    """WH-09"""
    payment = await shop.create()
    event = _event(payment)
    assert (await shop.send_webhook(event)).json()["outcome"] == "applied"
    clock.advance(200)
    for _ in range(3):
        assert (await shop.send_webhook(event)).json()["outcome"] == "duplicate"
    assert (await shop.get(payment["id"]))["amount_paid"] == 15_000


HOSTILE = [
    (b"", 400),
    (b"not json", 400),
    (b"[]", 400),
    (b"null", 400),
    (b"\xff\xfe", 400),
    (b"[" * 100_000, 400),
    (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400),
    (b'{"amount": ' + b"9" * 5_000 + b"}", 400),
    (b" " * 10_000_000, 413),
]


@pytest.mark.parametrize(("body", "status"), HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_body_is_refused_before_it_is_read_and_when_it_is_proven_too(
    shop: Installation, body: bytes, status: int
) -> None:
    """WH-14"""
    assert (await _signed(shop, body)).status_code == status
    assert (await _signed(shop, body, X_Signature="0" * 64)).status_code == (413 if status == 413 else 401)
    assert shop.rows("SELECT id FROM webhook_events") == []


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml; charset=utf-16", "", "application/json; \u00e9"]
)
async def test_what_it_calls_itself_does_not_matter_to_a_proven_webhook(shop: Installation, content_type: str) -> None:
    """WH-14"""
    body = json.dumps(_event(await shop.create())).encode()
    answer = await _signed(shop, body, Content_Type=content_type)
    assert answer.status_code in (200, 400, 415)
    assert (len(shop.rows("SELECT id FROM webhook_events")) == 1) is (answer.status_code == 200)


# Content: WH-08, WH-15


async def test_a_proven_event_of_an_unknown_order_is_kept(shop: Installation) -> None:
    """WH-08"""
    event = _event({"provider_trx_id": "SIM-0000000000000000", "order_id": "NOBODYS", "amount": 15_000})
    answer = await shop.send_webhook(event)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "unknown_order")
    stored = shop.rows("SELECT status, error_message, attempt_id, payload FROM webhook_events")
    assert [(row["status"], row["error_message"], row["attempt_id"]) for row in stored] == [
        ("ERROR", "unknown_order", None)
    ]
    assert json.loads(stored[0]["payload"])["order_id"] == "NOBODYS"


async def test_an_unknown_status_decides_nothing_and_unknown_fields_do_not_matter(shop: Installation) -> None:
    """WH-15"""
    payment = await shop.create()
    weird = await shop.send_webhook(_event(payment, "weird"))
    assert weird.status_code == 200
    assert (await shop.get(payment["id"]))["status"] == "PENDING"
    assert len(shop.rows("SELECT id FROM webhook_events")) == 1
    await shop.send_webhook(_event(payment, new_field={"a": [1, 2]}, status_detail="x"))
    assert (await shop.get(payment["id"]))["status"] == "PAID"


# Hints, at providers whose proof does not cover the status: WH-03, WH-06, WH-10, WH-11, WH-12, WH-15

KEYS = {"first": "SB-Mid-server-FIRST567890123456789012", "second": "SB-Mid-server-SECOND67890123456789012"}


@asynccontextmanager
async def _midtrans(root: Path, clock: FakeClock) -> AsyncIterator[tuple[Installation, dict[str, FakeMidtrans]]]:
    """Two accounts of one type, each with its own key."""
    fakes = {name: FakeMidtrans(key) for name, key in KEYS.items()}
    for fake in fakes.values():
        await fake.start()
    tables = {
        name: {"type": "midtrans", "server_key": KEYS[name], "base_url": fake.url, "timeout": 2}
        for name, fake in fakes.items()
    }
    flags = {"providers": tables, "default_provider": "first"}
    async with Installation(root / "hints", clock, flags).running() as running:
        yield running, fakes
    for fake in fakes.values():
        await fake.stop()


def _reference(shop: Installation) -> str:
    return str(shop.rows("SELECT reference FROM attempts ORDER BY created_at DESC LIMIT 1")[0]["reference"])


async def _eventually(shop: Installation, payment_id: str, status: str) -> dict[str, Any]:
    for _ in range(100):
        payment = await shop.get(payment_id)
        if payment["status"] == status:
            return payment
        await asyncio.sleep(0.05)
    raise AssertionError(f"still {payment['status']}, not {status}")


async def test_the_key_of_another_account_proves_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """WH-03"""
    async with _midtrans(tmp_path, clock) as (shop, fakes):
        payment = await shop.create(provider="second")
        reference = _reference(shop)
        entry = fakes["second"].book[reference]
        forged = FakeMidtrans(KEYS["first"]).notification(entry) | {"transaction_status": "settlement"}
        assert (await shop.client.post("/webhooks/second", json=forged)).status_code == 401
        stray = await shop.client.post("/webhooks/first", json=forged)
        assert (stray.status_code, stray.json()["outcome"]) == (200, "unknown_order")
        await asyncio.sleep(0.3)
        assert (await shop.get(payment["id"]))["status"] == "PENDING"
        assert not any("/status" in call.path for fake in fakes.values() for call in fake.calls)


async def test_a_hint_that_comes_before_the_charges_answer_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    """WH-06"""
    async with _midtrans(tmp_path, clock) as (shop, fakes):
        fakes["first"].script.next("charge", Fault.DRIP, seconds=0.0008)
        creating = asyncio.create_task(shop.create())
        entry = await _entered(fakes["first"])
        fakes["first"].pay(entry.order_id)
        early = await shop.client.post("/webhooks/first", json=fakes["first"].notification(entry))
        assert not creating.done()
        assert (early.status_code, early.json()["outcome"]) == (200, "checking")
        payment = await creating
        paid = await _eventually(shop, payment["id"], "PAID")
        assert (paid["amount_paid"], paid["exception"]) == (15_000, None)
        assert shop.rows("SELECT count(*) AS told FROM events WHERE type = 'payment.paid'") == [{"told": 1}]


async def _entered(fake: FakeMidtrans) -> Transaction:
    """The first line of its book, as soon as it is there."""
    for _ in range(1000):
        if fake.book:
            return next(iter(fake.book.values()))
        await asyncio.sleep(0.005)
    raise AssertionError("no charge arrived")


@pytest.mark.parametrize(
    "lie",
    [
        {"transaction_status": "settlement"},
        {"transaction_status": "capture", "fraud_status": "accept"},
        {"transaction_status": "refund", "refund_amount": "15000.00"},
        {"transaction_status": "weird"},
    ],
)
async def test_a_lie_under_a_good_signature_is_looked_up_and_not_believed(
    tmp_path: Path, clock: FakeClock, lie: dict[str, str]
) -> None:
    """WH-10, WH-15"""
    async with _midtrans(tmp_path, clock) as (shop, fakes):
        payment = await shop.create()
        body = fakes["first"].notification(fakes["first"].book[_reference(shop)])
        answer = await shop.client.post("/webhooks/first", json=body | lie)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "checking")
        for _ in range(100):
            if shop.rows("SELECT status FROM webhook_events") == [{"status": "OK"}]:
                break
            await asyncio.sleep(0.05)
        assert sum("/status" in call.path for call in fakes["first"].calls) == 1
        after = await shop.get(payment["id"])
        assert (after["status"], after["amount_paid"], after["amount_refunded"]) == ("PENDING", 0, 0)


@pytest.mark.parametrize("api", ["payment_requests", "qr_codes"])
async def test_a_leaked_token_makes_nobody_pay(tmp_path: Path, clock: FakeClock, api: str) -> None:
    """WH-11"""
    clock.now = datetime.now(UTC)
    fake = FakeXendit("xnd_development_test0001", "callback-token-0001")
    await fake.start()
    table = {"secret_key": fake.secret_key, "webhook_token": fake.webhook_token, "api": api, "base_url": fake.url}
    flags = {"providers": {"xendit": table}, "default_provider": "xendit"}
    async with Installation(tmp_path / "leak", clock, flags).running() as shop:
        payment = await shop.create()
        elsewhere = FakeXendit()
        elsewhere.book[_reference(shop)] = fake.book[_reference(shop)]
        elsewhere.notify_url = "http://127.0.0.1:9"
        elsewhere.pay(_reference(shop))
        forged = elsewhere.outbox.pop().body
        charge = fake.book[_reference(shop)]
        charge.payments.clear()
        charge.status = "ACTIVE" if api == "qr_codes" else "REQUIRES_ACTION"
        headers = {"x-callback-token": fake.webhook_token, "webhook-id": "w-1"}
        answer = await shop.client.post("/webhooks/xendit", json=forged, headers=headers)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "checking")
        await asyncio.sleep(0.5)
        after = await shop.get(payment["id"])
        assert (after["status"], after["amount_paid"]) == ("PENDING", 0)
        wrong = {**headers, "x-callback-token": "callback-token-0002"}
        assert (await shop.client.post("/webhooks/xendit", json=forged, headers=wrong)).status_code == 401
    await fake.stop()


async def test_a_hint_is_kept_while_lookups_fail_and_counts_when_they_work_again(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-12: ten minutes without a lookup."""
    monkeypatch.setattr(watching, "MERGE_S", 0.0)
    async with _midtrans(tmp_path, clock) as (shop, fakes):
        payment = await shop.create()
        fake, reference = fakes["first"], _reference(shop)
        fake.pay(reference)
        fake.script.next("status", Fault.ERROR_AFTER_EFFECT, times=4)
        answer = await shop.client.post("/webhooks/first", json=fake.notification(fake.book[reference]))
        assert (answer.status_code, answer.json()["outcome"]) == (200, "checking")
        for asked in range(1, 5):
            await _asked(fake, asked)
            assert (await shop.get(payment["id"]))["status"] == "PENDING"
            assert shop.rows("SELECT status FROM webhook_events") == [{"status": "PENDING"}]
            clock.advance(150)
            fake.advance(150)
        assert (await _eventually(shop, payment["id"], "PAID"))["amount_paid"] == 15_000
        assert shop.rows("SELECT status FROM webhook_events") == [{"status": "OK"}]


async def test_a_hint_about_a_charge_the_lookup_does_not_show_yet_still_waits(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WH-12: "not found" about what it has just told of is no answer."""
    monkeypatch.setattr(watching, "MERGE_S", 0.0)
    async with _midtrans(tmp_path, clock) as (shop, fakes):
        payment = await shop.create()
        fake, reference = fakes["first"], _reference(shop)
        fake.pay(reference)
        fake.hidden_s = 60
        await shop.client.post("/webhooks/first", json=fake.notification(fake.book[reference]))
        await _asked(fake, 1)
        assert shop.rows("SELECT status FROM webhook_events") == [{"status": "PENDING"}]
        fake.hidden_s = 0
        clock.advance(4)
        await _eventually(shop, payment["id"], "PAID")
        assert shop.rows("SELECT status FROM webhook_events") == [{"status": "OK"}]


async def _asked(fake: FakeMidtrans, times: int) -> None:
    for _ in range(100):
        if sum("/status" in call.path for call in fake.calls) >= times:
            await asyncio.sleep(0.1)
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the provider was not asked again")


async def test_nothing_but_a_live_account_reaches_a_live_installation(tmp_path: Path, clock: FakeClock) -> None:
    """WH-17"""
    account = {"server_key": "Mid-server-LIVE12345678901234567890", "environment": "production"}
    tables = {"midtrans": account, "simulator": {}}
    flags = {
        "environment": "live",
        "providers": tables,
        "default_provider": "midtrans",
        "base_url": "https://s.example",
    }
    async with Installation(tmp_path / "live", clock, flags).running() as shop:
        event = {"provider_trx_id": "SIM-0000000000000000", "order_id": "INV-1", "amount": 15_000}
        for route in ("qris", "simulator"):
            answer = await shop.send_webhook(_event(event), path=f"/webhooks/{route}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        body = {
            "order_id": "INV-1",
            "status_code": "200",
            "gross_amount": "15000.00",
            "transaction_status": "settlement",
        }
        sandbox = FakeMidtrans(KEYS["first"]).signature("INV-1", "200", "15000.00")
        answer = await shop.client.post("/webhooks/midtrans", json={**body, "signature_key": sandbox})
        assert answer.status_code == 401
        assert shop.rows("SELECT id FROM webhook_events") == []
