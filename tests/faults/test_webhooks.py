"""WH: what providers send, sent twice, at once, too early, out of order, or wrong."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import permutations
from typing import Any
from uuid import uuid4

import httpx
import pytest

from qrisd.domain.payment import Observation
from qrisd.providers.base import Charge
from qrisd.providers.simulator import Simulator, trx_id
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
