"""A shift is opened, sells, and is held against what a provider says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qrisd.domain.permissions import Role
from qrisd.services import watching
from qrisd.store.users import User
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import Fault
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import Browser, add_person, audited, signed_in
from tests.web.test_pos import sold

KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
GONE = 303


@pytest.fixture
async def midtrans() -> AsyncIterator[FakeMidtrans]:
    fake = FakeMidtrans(KEY)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock, midtrans: FakeMidtrans) -> AsyncIterator[Installation]:
    table = {"server_key": KEY, "base_url": midtrans.url, "timeout": 1}
    flags: dict[str, Any] = {"providers": {"midtrans": table}, "default_provider": "midtrans"}
    async with Installation(tmp_path / "data", clock, flags).running() as running:
        yield running


@pytest.fixture
def cashier(shop: Installation) -> User:
    return add_person(shop, Role.CASHIER)


@pytest.fixture
async def till(shop: Installation, cashier: User) -> Browser:
    browser = signed_in(shop, cashier)
    await browser.post("/pos/shifts", outlet="main")
    return browser


def reference(shop: Installation, payment: dict[str, Any]) -> str:
    row = shop.rows("SELECT reference FROM attempts WHERE payment_id = ?", payment["id"])[0]
    return str(row["reference"])


def shift_id(shop: Installation) -> str:
    return str(shop.rows("SELECT id FROM shifts ORDER BY opened_at DESC LIMIT 1")[0]["id"])


async def closed(till: Browser, shop: Installation) -> str:
    """The page of the shift, just closed."""
    answer = await till.post(f"/pos/shifts/{shift_id(shop)}/close")
    assert answer.status_code == GONE
    return (await till.get(answer.headers["location"])).text


async def paid(till: Browser, shop: Installation, midtrans: FakeMidtrans, amount: str) -> dict[str, Any]:
    """A sale that is paid there and, by asking, here."""
    payment = await sold(till, shop, amount)
    midtrans.pay(reference(shop, payment))
    await till.post(f"/pos/payments/{payment['id']}/check")
    found = await shop.get(payment["id"])
    assert found["status"] == "PAID"
    return found


async def test_a_shift_that_agrees_says_so_with_its_totals(
    shop: Installation, till: Browser, midtrans: FakeMidtrans, cashier: User
) -> None:
    for amount in ("15.000", "35.000"):
        await paid(till, shop, midtrans, amount)
    page = await closed(till, shop)
    assert "Semuanya cocok." in page
    assert page.count("Rp50.000") == 3  # in all, by the till, by the provider
    assert [row["who"] for row in audited(shop, "shift.opened") + audited(shop, "shift.closed")] == [cashier.id] * 2
    assert "Buka shift" in (await till.get("/pos")).text


async def test_closing_asks_about_open_qrs_first(shop: Installation, till: Browser, midtrans: FakeMidtrans) -> None:
    payment = await sold(till, shop, "15.000")
    midtrans.pay(reference(shop, payment))
    page = await closed(till, shop)
    assert (await shop.get(payment["id"]))["status"] == "PAID"
    assert "Semuanya cocok." in page


async def test_what_is_still_open_is_named(shop: Installation, till: Browser, midtrans: FakeMidtrans) -> None:
    payment = await sold(till, shop, "15.000")
    page = await closed(till, shop)
    assert payment["order_id"] in page
    assert "masih bisa dibayar" in page


async def test_money_the_provider_does_not_have_is_named(
    shop: Installation, till: Browser, midtrans: FakeMidtrans
) -> None:
    payment = await paid(till, shop, midtrans, "15.000")
    midtrans.book[reference(shop, payment)].status = "expire"
    page = await closed(till, shop)
    assert payment["order_id"] in page
    assert "menurut penyedia tidak ada uang masuk" in page
    assert (await shop.get(payment["id"]))["status"] == "PAID", "closing a shift takes nothing back"


async def test_a_provider_that_does_not_answer_is_named_and_asked_again_later(
    shop: Installation, till: Browser, midtrans: FakeMidtrans
) -> None:
    await paid(till, shop, midtrans, "15.000")
    midtrans.script.next("status", Fault.DROP_BEFORE_EFFECT)
    assert "penyedia tidak menjawab" in await closed(till, shop)
    assert "Semuanya cocok." in await closed(till, shop)
    assert len(audited(shop, "shift.closed")) == 1
    assert len(audited(shop, "shift.matched")) == 2


async def test_money_after_the_shift_counts_for_the_shift_that_sold(
    shop: Installation, till: Browser, midtrans: FakeMidtrans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MERGE_S", 0.0)  # two questions within moments are two
    payment = await sold(till, shop, "15.000")
    await closed(till, shop)
    midtrans.pay(reference(shop, payment))
    await till.post(f"/pos/payments/{payment['id']}/check")
    assert "Rp15.000" in (await till.get(f"/pos/shifts/{shift_id(shop)}")).text


async def test_money_that_comes_while_the_providers_are_asked_is_no_difference(
    shop: Installation, till: Browser, midtrans: FakeMidtrans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MERGE_S", 0.0)  # two questions within moments are two
    await paid(till, shop, midtrans, "35.000")
    payment = await sold(till, shop, "15.000")
    midtrans.script.next("status", delay_s=0.8)  # the answer about the first one holds the closing up
    asked = len(midtrans.calls)
    closing = asyncio.create_task(closed(till, shop))
    await asyncio.sleep(0.4)
    assert len(midtrans.calls) == asked + 2, "both were asked about, and one has not been answered"
    midtrans.pay(reference(shop, payment))
    await till.post(f"/pos/payments/{payment['id']}/check")
    assert not closing.done()
    assert "Semuanya cocok." in await closing


async def test_sales_of_others_are_not_in_ones_shift(shop: Installation, till: Browser, midtrans: FakeMidtrans) -> None:
    await paid(till, shop, midtrans, "15.000")
    mine = shift_id(shop)
    shop.clock.advance(1)
    other = signed_in(shop, add_person(shop, Role.CASHIER, "tono"))
    await other.post("/pos/shifts", outlet="main")
    await paid(other, shop, midtrans, "90.000")
    page = (await till.get(f"/pos/shifts/{mine}")).text
    assert "Rp15.000" in page
    assert "Rp90.000" not in page


async def test_a_form_of_a_closed_shift_sells_nothing(
    shop: Installation, till: Browser, midtrans: FakeMidtrans
) -> None:
    form = {"shift": shift_id(shop), "token": "a-token", "amount": "15000", "note": ""}
    await closed(till, shop)
    answer = await till.post("/pos/payments", **form)
    assert (answer.status_code, answer.headers["location"]) == (GONE, "/pos")
    assert shop.rows("SELECT id FROM payments") == []


async def test_opening_twice_is_opening_once(shop: Installation, till: Browser) -> None:
    await till.post("/pos/shifts", outlet="main")
    assert len(shop.rows("SELECT id FROM shifts")) == len(audited(shop, "shift.opened")) == 1


@pytest.mark.parametrize(
    ("role", "outlets", "status"),
    [
        (Role.CASHIER, None, 404),
        (Role.SUPERVISOR, None, 200),
        (Role.SUPERVISOR, frozenset({"bandung"}), 404),
        (Role.OWNER, None, 200),
    ],
)
async def test_a_shift_is_shown_to_its_cashier_and_to_who_looks_after_the_outlet(
    shop: Installation, till: Browser, role: Role, outlets: frozenset[str] | None, status: int
) -> None:
    browser = signed_in(shop, add_person(shop, role, "other", outlets=outlets))
    assert (await browser.get(f"/pos/shifts/{shift_id(shop)}")).status_code == status
    expected = GONE if status == 200 else status
    assert (await browser.post(f"/pos/shifts/{shift_id(shop)}/close")).status_code == expected
    assert (await till.get(f"/pos/shifts/{shift_id(shop)}")).status_code == 200


async def test_the_office_sees_the_shifts_of_its_outlets_with_their_totals(
    shop: Installation, till: Browser, midtrans: FakeMidtrans
) -> None:
    await paid(till, shop, midtrans, "15.000")
    await closed(till, shop)
    finance = signed_in(shop, add_person(shop, Role.FINANCE))
    page = (await finance.get("/shifts")).text
    assert "Test cashier · main" in page
    assert "Rp15.000" in page
    assert "cocok dengan penyedia" in page
    assert (await finance.get(f"/shifts/{shift_id(shop)}")).status_code == 200
    elsewhere = signed_in(shop, add_person(shop, Role.AUDITOR, outlets=frozenset({"bandung"})))
    assert "Test cashier" not in (await elsewhere.get("/shifts")).text
