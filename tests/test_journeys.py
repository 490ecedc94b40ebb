"""The whole app, simulator provider: how a payment travels from order to money."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.installation import Installation


async def test_a_payment_is_created_shown_and_paid_by_a_signed_webhook(shop: Installation) -> None:
    payment = await shop.create()
    assert payment["status"] == "PENDING"
    assert (await shop.webhook(payment)).status_code == 200
    paid = await shop.get(payment["id"])
    assert (paid["status"], paid["amount_paid"], paid["exception"]) == ("PAID", 15_000, None)
    assert paid["provider_ref_no"] == "123456789012"


async def test_the_timeline_tells_the_story_in_order(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    timeline = (await shop.client.get(f"/payments/{payment['id']}/timeline")).json()["data"]
    assert [row["event"] for row in timeline] == ["CREATED", "QR_READY", "WEBHOOK_SUCCESS"]


async def test_each_event_is_written_once_with_its_sequence(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    await shop.webhook(payment)
    events = shop.rows("SELECT type, sequence FROM events ORDER BY id")
    assert events == [{"type": "payment.pending", "sequence": 1}, {"type": "payment.paid", "sequence": 2}]


async def test_a_waiting_client_is_answered_by_the_commit(shop: Installation) -> None:
    payment = await shop.create()
    waiting = asyncio.create_task(shop.client.get(f"/payments/{payment['id']}?wait=25"))
    await asyncio.sleep(0.05)
    await shop.webhook(payment)
    answer = await asyncio.wait_for(waiting, 2)
    assert answer.json()["status"] == "PAID"


async def test_the_clock_expires_an_unpaid_payment_and_late_money_still_counts(shop: Installation) -> None:
    payment = await shop.create(expires_in=60)
    shop.clock.advance(61)
    assert await _reached(shop, payment["id"], "EXPIRED")
    await shop.webhook(payment)
    late = await shop.get(payment["id"])
    assert (late["status"], late["exception"], late["amount_paid"]) == ("PAID", "late", 15_000)


async def test_an_expired_payment_gets_a_fresh_qr_and_the_old_one_still_finds_it(shop: Installation) -> None:
    first = await shop.create(expires_in=60)
    shop.clock.advance(61)
    assert await _reached(shop, first["id"], "EXPIRED")
    renewed = (await shop.client.post(f"/payments/{first['id']}/renew")).json()
    assert (renewed["status"], renewed["attempt"]) == ("PENDING", 2)
    assert renewed["qris_payload"] != first["qris_payload"]
    await shop.webhook(first)
    assert (await shop.get(first["id"]))["status"] == "PAID"
    await shop.webhook(renewed)
    twice = await shop.get(first["id"])
    assert (twice["status"], twice["exception"], twice["amount_paid"]) == ("PAID", "duplicate", 30_000)


async def test_a_cancelled_payment_that_is_paid_after_all_waits_for_a_person(shop: Installation) -> None:
    payment = await shop.create()
    cancelled = (await shop.client.post(f"/payments/{payment['id']}/cancel")).json()
    assert cancelled["status"] == "CANCELLED"
    await shop.webhook(payment)
    paid = await shop.get(payment["id"])
    assert (paid["status"], paid["exception"]) == ("PAID", "after_cancel")


async def test_too_little_money_stays_unpaid_and_too_much_is_flagged(shop: Installation) -> None:
    short, long = await shop.create("INV-1"), await shop.create("INV-2")
    await shop.webhook(short, amount=14_000)
    await shop.webhook(long, amount=16_000)
    under, over = await shop.get(short["id"]), await shop.get(long["id"])
    assert (under["status"], under["exception"], under["amount_paid"]) == ("PENDING", "underpaid", 14_000)
    assert (over["status"], over["exception"], over["amount_paid"]) == ("PAID", "overpaid", 16_000)


async def test_a_lost_answer_is_202_and_is_resolved_by_asking(shop: Installation) -> None:
    payment = await shop.create(metadata={"simulator": "lose_answer"})
    assert payment["status"] == "CREATED"
    shop.clock.advance(2)
    assert await _reached(shop, payment["id"], "PENDING")
    assert len(shop.rows("SELECT id FROM attempts")) == 1


async def test_a_wrong_qr_is_never_shown(shop: Installation) -> None:
    answer = await shop.client.post(
        "/payments", json={"order_id": "INV-1", "amount": 15_000, "metadata": {"simulator": "wrong_qr"}}
    )
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")
    assert shop.rows("SELECT status, qris_payload FROM payments") == [{"status": "FAILED", "qris_payload": None}]


async def _reached(shop: Installation, payment_id: str, status: str) -> bool:
    """Within a few seconds the jobs bring the payment there."""
    for _ in range(100):
        payment: dict[str, Any] = await shop.get(payment_id)
        if payment["status"] == status:
            return True
        await asyncio.sleep(0.05)
    return False
