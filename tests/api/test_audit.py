"""Whoever changes something by an API key is in the audit log, with what it was and became."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qrisd.api.shapes.books import AuditPage
from qrisd.domain import qris
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.domain.permissions import Role
from qrisd.providers.simulator import Simulator
from tests.api.test_openapi import assert_exactly
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import add_person, audited

URL = "https://shop.example/hooks"


def only(shop: Installation, action: str) -> dict[str, Any]:
    """The one row about this action, its fields read."""
    (row,) = audited(shop, action)
    return {**row, **{name: row[name] and json.loads(row[name]) for name in ("before", "after")}}


def key_id(shop: Installation) -> str:
    found: str = shop.rows("SELECT id FROM api_keys ORDER BY created_at, id LIMIT 1")[0]["id"]
    return found


async def test_a_cancelled_payment_says_by_which_key(shop: Installation) -> None:
    payment = await shop.create()
    await shop.client.post(f"/payments/{payment['id']}/cancel")
    row = only(shop, "payment.cancelled")
    assert (row["who"], row["source"], row["what"]) == (f"api_key:{key_id(shop)}", "127.0.0.1", payment["id"])
    assert (row["before"]["status"], row["after"]["status"]) == ("PENDING", "CANCELLED")


async def test_a_cancellation_that_finds_the_money_is_none(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def paid_meanwhile(self: Simulator, attempt: Attempt) -> Observation:
        return Observation(source=Source.PROVIDER, status=Status.PAID, amount=attempt.amount, currency="IDR")

    monkeypatch.setattr(Simulator, "cancel_qr", paid_meanwhile)
    payment = await shop.create()
    answer = await shop.client.post(f"/payments/{payment['id']}/cancel")
    assert (answer.status_code, answer.json()["payment_status"]) == (409, "PAID")
    assert audited(shop, "payment.cancelled") == []


async def test_a_renewed_payment_says_by_whom(shop: Installation) -> None:
    payment = await shop.create()
    await shop.client.post(f"/payments/{payment['id']}/renew")
    row = only(shop, "payment.renewed")
    assert (row["before"]["attempt"], row["after"]["attempt"]) == (1, 2)


async def test_a_key_of_a_person_acts_as_that_person(shop: Installation) -> None:
    cashier = add_person(shop, Role.CASHIER)
    key = shop.new_key(user_id=cashier.id)
    payment = await shop.create()
    answer = await shop.client.post(f"/payments/{payment['id']}/cancel", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    row = only(shop, "payment.cancelled")
    used = shop.rows("SELECT id FROM api_keys WHERE user_id = ?", cashier.id)[0]["id"]
    assert (row["who"], row["source"]) == (cashier.id, f"127.0.0.1 api_key:{used}")


@pytest.fixture
async def warung(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """A shop that is paid on a person's word."""
    static = qris.build(merchant_name="WARUNG UJI", merchant_city="JAKARTA", nmid="ID0000000000017")
    flags: dict[str, Any] = {"providers": {"static": {"qris": static}}, "default_provider": "static"}
    async with Installation(tmp_path / "warung", clock, flags).running() as running:
        yield running


async def test_a_confirmed_payment_says_on_whose_word(warung: Installation) -> None:
    payment = await warung.create()
    word = {"amount": payment["amount_due"], "confirmed_by": "Sari"}
    answer = await warung.client.post(f"/payments/{payment['id']}/confirm", json=word)
    assert answer.status_code == 200, answer.text
    row = only(warung, "payment.confirmed")
    assert (row["what"], row["why"]) == (payment["id"], "the word of Sari")
    assert (row["before"]["amount_paid"], row["after"]["amount_paid"]) == (0, payment["amount_due"])


async def test_callbacks_sent_again_and_receivers_switched_on_say_by_whom(shop: Installation) -> None:
    payment = await shop.create(callback_url=URL)
    (callback,) = shop.rows("SELECT id FROM callbacks WHERE payment_id = ?", payment["id"])
    assert (await shop.client.post(f"/callbacks/{callback['id']}/replay")).status_code == 202
    assert only(shop, "callback.replayed")["what"] == callback["id"]
    await shop.client.post("/callbacks/replay", json={"status": "DEAD", "endpoint": URL})
    assert only(shop, "callbacks.replayed")["after"] == {"status": "DEAD", "endpoint": URL}
    shop.write(
        "INSERT OR REPLACE INTO callback_endpoints VALUES (?, NULL, NULL, ?, 'gone')", URL, "2026-01-15T03:00:00.000Z"
    )
    await shop.client.post("/callbacks/endpoints/resume", json={"url": URL})
    row = only(shop, "endpoint.resumed")
    assert (row["what"], row["before"]["reason"]) == (URL, "gone")


async def test_what_was_done_is_listed_newest_first_in_pages(shop: Installation) -> None:
    for number in range(5):
        await shop.client.post(f"/payments/{(await shop.create(f'INV-{number}'))['id']}/cancel")
    seen, query = [], {"action": "payment.*", "limit": "2"}
    while True:
        page = (await shop.client.get("/audit", params=query)).json()
        assert_exactly(AuditPage, page)
        seen += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5


async def test_rows_are_found_by_who_what_and_since_with_names(shop: Installation) -> None:
    owner = add_person(shop, Role.OWNER)
    headers = {"Authorization": f"Bearer {shop.new_key(user_id=owner.id)}"}
    payment = await shop.create()
    await shop.client.post(f"/payments/{payment['id']}/cancel", headers=headers)

    async def found(**query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await shop.client.get("/audit", params=query)).json()["data"]
        return rows

    (row,) = await found(who="owner")
    assert (row["who"], row["name"], row["action"]) == (owner.id, "owner", "payment.cancelled")
    assert await found(who=owner.id) == await found(what=payment["id"]) == [row]
    assert await found(since="2026-01-15T03:00:00.001Z") == []
    assert len(await found(since="2026-01-15T03:00:00Z")) == len(await found())


@pytest.mark.parametrize("query", ["since=yesterday", "cursor=x", "limit=0", "whom=x"])
async def test_a_list_that_cannot_be_understood_is_refused(shop: Installation, query: str) -> None:
    answer = await shop.client.get(f"/audit?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_key_of_some_outlets_reads_no_audit_log(shop: Installation) -> None:
    key = shop.new_key(outlets=frozenset({"dago"}))
    answer = await shop.client.get("/audit", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
