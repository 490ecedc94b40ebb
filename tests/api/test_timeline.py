"""The timeline of a payment says who had it made, checked, cancelled, renewed or confirmed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from qrisd.domain.permissions import Role
from tests.support.installation import Installation
from tests.support.people import Browser, add_person, signed_in
from tests.web.test_pos import sold


def machine(shop: Installation) -> str:
    """The test's own key, as the timeline names it."""
    return f"api_key:{shop.rows('SELECT id FROM api_keys ORDER BY created_at, id LIMIT 1')[0]['id']}"


async def told(shop: Installation, payment: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Each event of the timeline, and by whom."""
    rows = (await shop.client.get(f"/payments/{payment['id']}/timeline")).json()["data"]
    return [(row["event"], row["payload"].get("by")) for row in rows]


async def act(shop: Installation, payment: dict[str, Any], verb: str) -> httpx.Response:
    answer = await shop.client.post(f"/payments/{payment['id']}/{verb}")
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_payment_says_which_key_made_it(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    assert await told(shop, payment) == [("CREATED", machine(shop)), ("QR_READY", None), ("WEBHOOK_SUCCESS", None)]
    assert shop.rows("SELECT id FROM audit_log") == []


async def test_a_repetition_with_another_key_changes_nothing_about_who_made_it(shop: Installation) -> None:
    payment = await shop.create()
    again = {"Authorization": f"Bearer {shop.new_key()}"}
    body = {"order_id": payment["order_id"], "amount": payment["amount"]}
    assert (await shop.client.post("/payments", json=body, headers=again)).status_code == 200
    assert await told(shop, payment) == [("CREATED", machine(shop)), ("QR_READY", None)]


async def test_a_payment_made_with_somebodys_key_says_whose(shop: Installation) -> None:
    cashier = add_person(shop, Role.CASHIER)
    headers = {"Authorization": f"Bearer {shop.new_key(user_id=cashier.id)}"}
    made = await shop.client.post("/payments", json={"order_id": "INV-1", "amount": 15_000}, headers=headers)
    assert (await told(shop, made.json()))[0] == ("CREATED", cashier.id)


@pytest.mark.parametrize("by_proof", [False, True])
async def test_a_check_at_the_till_that_brings_news_says_whose_it_was(shop: Installation, by_proof: bool) -> None:
    cashier = add_person(shop, Role.CASHIER)
    till = signed_in(shop, cashier)
    payment = await shop.create(metadata={"simulator": "lose_answer"})
    asked = ("/pos/proof", {"claim": "15.000"}) if by_proof else (f"/pos/payments/{payment['id']}/check", {})
    assert (await till.post(asked[0], **asked[1])).status_code == 200
    assert (await told(shop, payment))[-1] == ("QR_READY", cashier.id)


async def test_a_sale_at_the_till_says_who_sold(shop: Installation) -> None:
    cashier = add_person(shop, Role.CASHIER)
    till = signed_in(shop, cashier)
    await till.post("/pos/shifts", outlet="main")
    assert (await told(shop, await sold(till, shop)))[0] == ("CREATED", cashier.id)


async def test_cancelling_says_who_wanted_it(shop: Installation) -> None:
    payment = await shop.create()
    await act(shop, payment, "cancel")
    assert (await told(shop, payment))[-1] == ("CANCEL", machine(shop))


async def test_renewing_says_who_wanted_it(shop: Installation) -> None:
    payment = await shop.create()
    await act(shop, payment, "renew")
    assert (await told(shop, payment))[2:] == [("RETRY", machine(shop)), ("ATTEMPT", machine(shop)), ("QR_READY", None)]


async def test_the_payer_who_renews_is_nobody_known(shop: Installation) -> None:
    payment = await shop.create(expires_in=60)
    shop.clock.advance(61)
    await shop.webhook(payment, "EXPIRED")
    assert (await Browser(shop).post(f"/pay/{payment['id']}/renew")).status_code == 303
    assert [by for event, by in await told(shop, payment) if event == "RETRY"] == [None]


async def test_a_check_that_brings_news_says_who_asked(shop: Installation) -> None:
    payment = await shop.create(metadata={"simulator": "lose_answer"})
    assert payment["status"] == "CREATED"
    await act(shop, payment, "check")
    assert (await told(shop, payment))[-1] == ("QR_READY", machine(shop))
