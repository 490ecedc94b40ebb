"""The till as a browser without JavaScript gets it: selling, looking after a payment, and who may."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrisd.domain.errors import StorageBusy
from qrisd.domain.permissions import Role
from qrisd.services.creating import Creating
from qrisd.services.payments import Payments
from qrisd.store.users import User
from qrisd.web import pages
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import Browser, add_person, audited, signed_in
from tests.support.streams import follow

GONE = 303


@pytest.fixture
def cashier(shop: Installation) -> User:
    return add_person(shop, Role.CASHIER)


@pytest.fixture
async def till(shop: Installation, cashier: User) -> Browser:
    """A cashier's browser, with a shift open at the outlet main."""
    browser = signed_in(shop, cashier)
    assert (await browser.post("/pos/shifts", outlet="main")).status_code == GONE
    return browser


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return found[1]


def stage_in(page: str) -> str:
    found = re.search(r'data-stage="(\w+)"', page)
    assert found is not None, page
    return found[1]


async def form_of(till: Browser) -> dict[str, str]:
    """The hidden fields of the form that the till shows."""
    page = (await till.get("/pos")).text
    return {"shift": field(page, "shift"), "token": field(page, "token")}


async def sell(till: Browser, amount: str = "15.000", note: str = "", **fields: str) -> httpx.Response:
    form = {**await form_of(till), "amount": amount, "note": note, **fields}
    return await till.post("/pos/payments", **form)


async def sold(till: Browser, shop: Installation, amount: str = "15.000", note: str = "") -> dict[str, Any]:
    """A payment made at the till."""
    answer = await sell(till, amount, note)
    assert answer.status_code == GONE, answer.text
    return await shop.get(answer.headers["location"].rsplit("/", 1)[1])


async def shown(till: Browser, payment: dict[str, Any], status: int = 200) -> str:
    answer = await till.get(f"/pos/payments/{payment['id']}")
    assert answer.status_code == status, answer.text
    return html.unescape(answer.text)


# Selling


async def test_what_is_typed_becomes_a_payment_with_its_qr(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop, "Rp 50.000", " 2  kopi susu ")
    assert (payment["order_id"], payment["amount"], payment["outlet"]) == ("POS-20260115-main-1", 50_000, "main")
    assert (payment["status"], payment["description"]) == ("PENDING", "2 kopi susu")
    page = await shown(till, payment)
    assert stage_in(page) == "waiting"
    for word in ("Rp50.000", "2 kopi susu", "WARUNG SIMULASI", "Cek sekarang", "Batalkan"):
        assert word in page
    picture = await till.get(f"/pos/payments/{payment['id']}/qr.svg")
    assert picture.headers["content-type"] == "image/svg+xml"


async def test_a_form_sent_twice_makes_one_payment(shop: Installation, till: Browser) -> None:
    form = {**await form_of(till), "amount": "15000", "note": ""}
    both = await asyncio.gather(*(till.post("/pos/payments", **form) for _ in range(5)))
    later = await till.post("/pos/payments", **form)
    assert {one.headers["location"] for one in (*both, later)} == {both[0].headers["location"]}
    assert len(shop.rows("SELECT id FROM payments")) == len(shop.rows("SELECT id FROM attempts")) == 1


async def test_a_form_makes_no_second_sale_of_another_amount(shop: Installation, till: Browser) -> None:
    form = await form_of(till)
    await till.post("/pos/payments", **form, amount="15000", note="")
    answer = await till.post("/pos/payments", **form, amount="16000", note="")
    assert answer.status_code == 409
    assert field(answer.text, "token") != form["token"]
    assert 'value="16000"' in answer.text
    assert len(shop.rows("SELECT id FROM payments")) == 1


async def test_sales_are_numbered_by_outlet_and_business_day(shop: Installation, till: Browser, cashier: User) -> None:
    await shop.create("POS-20260115-main-2")  # somebody else's idea of a name
    names = [(await sold(till, shop))["order_id"] for _ in range(2)]
    shop.clock.advance(15 * 3600)  # 01:00 in Jakarta
    names.append((await sold(signed_in(shop, cashier), shop))["order_id"])
    assert names == ["POS-20260115-main-1", "POS-20260115-main-3", "POS-20260116-main-1"]


@pytest.mark.parametrize("amount", ["", "0", "15.00", "-1", "abc", "1e4", "10000001", "9" * 13])
async def test_an_amount_that_cannot_be_taken_is_said_and_kept(shop: Installation, till: Browser, amount: str) -> None:
    answer = await sell(till, amount, "2 kopi")
    assert answer.status_code == 422
    assert 'id="amount-wrong"' in answer.text
    assert field(answer.text, "amount") == amount
    assert field(answer.text, "note") == "2 kopi"
    assert shop.rows("SELECT id FROM payments") == []


async def test_a_script_gets_what_is_refused_as_a_page_like_any_other(shop: Installation, till: Browser) -> None:
    till.client.headers["X-Swap"] = "1"
    answer = await sell(till, "0")
    assert (answer.status_code, 'id="amount-wrong"' in answer.text) == (200, True)
    payment = await sold(till, shop)
    await till.post(f"/pos/payments/{payment['id']}/cancel")
    again = await till.post(f"/pos/payments/{payment['id']}/cancel")
    assert (again.status_code, 'data-notice="state"' in again.text) == (200, True)


async def test_what_a_script_was_refused_is_counted_as_refused(shop: Installation, till: Browser) -> None:
    till.client.headers["X-Swap"] = "1"
    await sell(till, "0")
    await till.sign_in("cashier", "wrong")
    counted = (await shop.client.get("/metrics")).text
    assert 'method="POST",route="/pos/payments",status="422"' in counted
    assert 'method="POST",route="/sign-in",status="401"' in counted
    assert 'method="POST",route="/pos/payments",status="200"' not in counted


async def test_a_script_that_met_trouble_here_is_told_of_it(
    shop: Installation, till: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object, **__: object) -> None:
        raise StorageBusy("The database is busy.")

    till.client.headers["X-Swap"] = "1"
    payment = await sold(till, shop)
    monkeypatch.setattr(Payments, "check", busy)
    assert (await till.post(f"/pos/payments/{payment['id']}/check")).status_code == 503
    assert (await till.get("/pos/payments/nope")).status_code == 200


async def test_a_note_with_invisible_characters_is_refused(shop: Installation, till: Browser) -> None:
    assert (await sell(till, note="kopi\u202egnus")).status_code == 422
    assert (await sell(till, note="x" * 256)).status_code == 422


async def test_what_was_typed_is_shown_as_text(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop, note='<script>alert(1)</script>"')
    for path in (f"/pos/payments/{payment['id']}", "/pos"):
        page = (await till.get(path)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


async def test_a_provider_that_does_not_answer_is_a_failed_payment_that_can_be_tried_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    flags = {"providers": {"simulator": {"behaviour": "unreachable"}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        page = html.unescape((await till.get((await sell(till)).headers["location"])).text)
    assert stage_in(page) == "failed"
    assert "Buat QR baru" in page


async def test_a_provider_whose_answer_was_lost_is_being_checked(tmp_path: Path, clock: FakeClock) -> None:
    flags = {"providers": {"simulator": {"behaviour": "lose_answer"}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        page = html.unescape((await till.get((await sell(till)).headers["location"])).text)
    assert stage_in(page) == "checking"
    assert "Jangan ketik ulang" in page


async def test_no_qr_is_offered_while_no_provider_answers(tmp_path: Path, clock: FakeClock) -> None:
    flags = {"providers": {"simulator": {"behaviour": "unreachable"}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        for _ in range(5):
            await sell(till)
        page = (await till.get("/pos")).text
    assert "data-resting" in page
    assert re.search(r"<button[^>]* data-online disabled>", page)


# One payment


async def test_money_turns_the_page_green_and_gives_the_words_to_say(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop, "50.000")
    await shop.webhook(payment)
    page = await shown(till, payment)
    assert stage_in(page) == "paid"
    assert 'data-say="Pembayaran lima puluh ribu rupiah diterima"' in page
    assert 'data-say-lang="id-ID"' in page
    english = (await till.get(f"/pos/payments/{payment['id']}?lang=en")).text
    assert 'data-say="Payment of 50,000 rupiah received"' in english


async def test_the_paid_page_the_till_and_the_payers_page_show_the_same_pair(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop)
    await shop.webhook(payment)
    pages = [
        await shown(till, payment),
        (await till.get("/pos")).text,
        (await shop.client.get(f"/pay/{payment['id']}", headers={"Accept-Language": "id"})).text,
    ]
    marks = {re.search(r'<p class="till-mark (till-\w+)".*?<b lang="id">(\w+)</b>', page).groups() for page in pages}  # type: ignore[union-attr]
    assert len(marks) == 1


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ([{"amount": 10_000}], "Baru Rp10.000 dari Rp15.000"),
        ([{"amount": 20_000}], "Rp20.000"),
        ([{"status": "EXPIRED"}, {}], "setelah QR kedaluwarsa"),
        ([{"status": "CANCELLED"}, {}], "setelah pembayaran dibatalkan"),
    ],
)
async def test_money_that_came_oddly_is_shown_honestly(
    shop: Installation, till: Browser, events: list[dict[str, Any]], word: str
) -> None:
    payment = await sold(till, shop)
    for event in events:
        await shop.webhook(payment, **event)
    page = await shown(till, payment)
    assert stage_in(page) == "attention"
    assert word in page
    assert "data-say=" not in page


async def test_without_javascript_no_pair_of_before_is_shown(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop)
    path = f"/pos/payments/{payment['id']}"
    assert f'content="10; url={path}?by-itself"></noscript>' in (await till.post(f"{path}/check")).text
    await shop.webhook(payment)
    shop.clock.advance(20)
    assert (
        f'<noscript><meta http-equiv="refresh" content="41; url={path}?by-itself"></noscript>'
        in (await till.get(path)).text
    )
    assert '<div class="matching" hidden>' in (await till.get("/pos")).text


async def test_a_refused_form_speaks_the_other_language_on_its_own_page(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop)
    path = f"/pos/payments/{payment['id']}"
    for action, page in ((f"{path}/check", path), ("/pos/payments", "/pos"), ("/pos/proof", "/pos/proof")):
        answer = await till.post(action, proof="of another session")
        assert answer.status_code == 403
        assert f'href="{page}?lang=en"' in answer.text


async def test_below_a_path_that_is_named_like_a_page_a_shift_speaks_the_other_language(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with Installation(tmp_path / "data", clock, {"base_url": "http://shop.test/pos"}).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        shift = field((await till.get("/pos")).text, "shift")
        assert f'href="/pos/pos/shifts/{shift}?lang=en"' in (await till.get(f"/pos/shifts/{shift}")).text


async def test_check_now_says_that_nothing_has_come(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop)
    answer = await till.post(f"/pos/payments/{payment['id']}/check")
    assert answer.status_code == 200
    assert "Dicek pukul 10.00: belum ada pembayaran masuk." in answer.text


async def test_cancel_and_a_new_qr(shop: Installation, till: Browser, cashier: User) -> None:
    payment = await sold(till, shop)
    assert stage_in((await till.post(f"/pos/payments/{payment['id']}/renew")).text) == "waiting"
    assert (await shop.get(payment["id"]))["attempt"] == 2
    assert stage_in((await till.post(f"/pos/payments/{payment['id']}/cancel")).text) == "cancelled"
    again = await till.post(f"/pos/payments/{payment['id']}/cancel")
    assert (again.status_code, stage_in(again.text)) == (409, "cancelled")
    assert [row["who"] for row in audited(shop, "payment.cancelled")] == [cashier.id]


async def test_the_status_changes_its_tag_exactly_when_something_changes(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop)

    async def tag() -> str:
        return str((await till.get(f"/pos/payments/{payment['id']}/status")).json()["tag"])

    before = await tag()
    assert await tag() == before
    assert f'data-tag="{before}"' in await shown(till, payment)
    await shop.webhook(payment)
    assert await tag() != before


async def test_a_stream_tells_of_a_change_at_once(shop: Installation, till: Browser) -> None:
    payment = await sold(till, shop)
    async with follow(shop, till, f"/pos/payments/{payment['id']}/events") as heard:
        first = await heard.get()
        await shop.webhook(payment)
        assert (await heard.get())["tag"] != first["tag"]


# Whose it is


@pytest.fixture
async def bandung(shop: Installation) -> dict[str, Any]:
    return await shop.create("INV-BDG", outlet="bandung")


@pytest.mark.parametrize(
    ("method", "end"),
    [
        ("GET", ""),
        ("GET", "/status"),
        ("GET", "/events"),
        ("GET", "/qr.svg"),
        ("POST", "/check"),
        ("POST", "/cancel"),
        ("POST", "/renew"),
    ],
)
async def test_another_outlets_payment_is_none(
    shop: Installation, bandung: dict[str, Any], method: str, end: str
) -> None:
    browser = signed_in(shop, add_person(shop, Role.CASHIER, outlets=frozenset({"main"})))
    pages = []
    for payment_id in (bandung["id"], "01900000-0000-7000-8000-000000000000"):
        path = f"/pos/payments/{payment_id}{end}"
        answer = await (browser.get(path) if method == "GET" else browser.post(path))
        assert answer.status_code == 404
        pages.append(answer.text.replace(payment_id, "ID"))
    assert pages[0] == pages[1]
    assert (await shop.get(bandung["id"]))["status"] == "PENDING"


async def test_the_list_and_the_total_are_of_this_outlet_alone(shop: Installation, bandung: dict[str, Any]) -> None:
    await shop.webhook(bandung)
    till = signed_in(shop, add_person(shop, Role.CASHIER))
    await till.post("/pos/shifts", outlet="main")
    mine = await sold(till, shop, "40.000")
    await shop.webhook(mine)
    page = (await till.get("/pos")).text
    assert f"/pos/payments/{mine['id']}" in page
    assert bandung["id"] not in page
    assert '<p class="total">Rp40.000</p>' in page


async def test_the_total_is_that_of_the_business_day(shop: Installation, till: Browser, cashier: User) -> None:
    shop.clock.advance(13.5 * 3600)  # 23:30 in Jakarta
    till = signed_in(shop, cashier)
    await shop.webhook(await sold(till, shop, "40.000"))
    assert '<p class="total">Rp40.000</p>' in (await till.get("/pos")).text
    shop.clock.advance(3600)
    page = (await till.get("/pos")).text
    assert '<p class="total">Rp0</p>' in page
    assert "23.29" in page, "what was paid an hour ago is still in the list"
    await shop.webhook(await sold(till, shop, "10.000"))
    assert '<p class="total">Rp10.000</p>' in (await till.get("/pos")).text


async def test_the_till_of_an_outlet_tells_its_own_time(tmp_path: Path, clock: FakeClock) -> None:
    flags = {"outlets": {"bali": {"timezone": "WITA"}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER, outlets=frozenset({"bali"})))
        await till.post("/pos/shifts", outlet="bali")
        payment = await sold(till, shop)
        assert "Berlaku sampai 11.15" in await shown(till, payment)
        checked = await till.post(f"/pos/payments/{payment['id']}/check")
        assert "Dicek pukul 11.00" in checked.text
        assert '<span class="when">11.00</span>' in (await till.get("/pos")).text
        await shop.webhook(payment)
        assert "10.59 WITA" in await shown(till, payment)
        receipt = (await till.get(f"/pos/payments/{payment['id']}/receipt")).text
        assert "15-01-2026 10:59 WITA" in receipt
        shift = shop.rows("SELECT id FROM shifts")[0]["id"]
        assert "11.00 WITA" in (await till.get(f"/pos/shifts/{shift}")).text
        assert "10.59 WITA" in (await till.post("/pos/proof", claim=payment["order_id"])).text


async def test_a_cashier_chooses_among_their_outlets_only(shop: Installation) -> None:
    till = signed_in(shop, add_person(shop, Role.CASHIER, outlets=frozenset({"bandung", "cimahi"})))
    page = (await till.get("/pos")).text
    assert re.findall(r"<option>(\w+)</option>", page) == ["bandung", "cimahi"]
    assert (await till.post("/pos/shifts", outlet="main")).status_code == 422
    assert (await till.post("/pos/shifts", outlet="cimahi")).status_code == GONE
    assert (await sold(till, shop))["outlet"] == "cimahi"


async def test_whoever_is_not_limited_chooses_among_all_that_are_known(shop: Installation) -> None:
    add_person(shop, Role.CASHIER, outlets=frozenset({"cimahi"}))
    await shop.webhook(await shop.create("INV-BDG", outlet="bandung"))
    till = signed_in(shop, add_person(shop, Role.SUPERVISOR))
    assert re.findall(r"<option>(\w+)</option>", (await till.get("/pos")).text) == ["main", "bandung", "cimahi"]


async def test_an_outlet_taken_away_ends_selling_there(shop: Installation, till: Browser, cashier: User) -> None:
    form = {**await form_of(till), "amount": "15000", "note": ""}
    shop.write("UPDATE users SET outlets = '[\"bandung\"]' WHERE id = ?", cashier.id)
    assert "Buka shift" in (await till.get("/pos")).text
    answer = await till.post("/pos/payments", **form)
    assert (answer.status_code, answer.headers["location"]) == (GONE, "/pos")
    assert shop.rows("SELECT id FROM payments") == []
    await till.post("/pos/shifts", outlet="bandung")
    assert (await sold(till, shop))["outlet"] == "bandung"
    assert [row["closed_at"] is None for row in shop.rows("SELECT closed_at FROM shifts ORDER BY id")] == [False, True]


async def test_the_start_page_of_a_cashier_is_the_till(shop: Installation, cashier: User) -> None:
    assert (await signed_in(shop, cashier).get("/")).headers["location"] == "/pos"
    finance = add_person(shop, Role.FINANCE)
    assert (await signed_in(shop, finance).get("/")).headers["location"] == "/me"


# How often


@pytest.mark.parametrize(("setting", "end"), [("check", "check"), ("cancel", "cancel"), ("create", "renew")])
async def test_a_cashier_who_asks_too_often_waits_and_others_do_not(
    tmp_path: Path, clock: FakeClock, setting: str, end: str
) -> None:
    flags = {"pos": {f"{setting}_limit": "2/minute"}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        payment = await shop.create()
        one, other = (signed_in(shop, add_person(shop, role)) for role in (Role.CASHIER, Role.SUPERVISOR))
        path = f"/pos/payments/{payment['id']}/{end}"
        answers = [await one.post(path) for _ in range(3)]
        assert [answer.status_code == 429 for answer in answers] == [False, False, True]
        assert int(answers[2].headers["retry-after"]) > 0
        assert 'data-page="payment"' in answers[2].text
        assert (await other.post(path)).status_code != 429


async def test_making_qrs_is_limited_and_keeps_what_was_typed(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {"pos": {"create_limit": "1/minute"}}).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        await sold(till, shop)
        answer = await sell(till, "20.000")
        assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
        assert field(answer.text, "amount") == "20.000"


async def test_only_new_sales_are_counted(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {"pos": {"create_limit": "2/minute"}}).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        form = {**await form_of(till), "note": ""}
        for amount in ("", "0", "15.00", "10000001", "9" * 13):
            assert (await till.post("/pos/payments", **form, amount=amount)).status_code == 422
        assert (await sell(till, note="x" * 256)).status_code == 422
        assert (await sell(till, shift="another")).headers["location"] == "/pos"
        answers = [await till.post("/pos/payments", **form, amount="20.000") for _ in range(4)]
        assert {answer.headers["location"] for answer in answers} == {answers[0].headers["location"]}
        assert (await till.post("/pos/payments", **form, amount="21.000")).status_code == 409
        assert [(await sell(till)).status_code for _ in range(2)] == [GONE, 429]
        assert (await till.post("/pos/payments", **form, amount="20.000")).status_code == GONE


async def test_an_amount_that_no_provider_takes_takes_no_number(shop: Installation, till: Browser) -> None:
    assert (await sell(till, "10000001")).status_code == 422
    assert shop.rows("SELECT * FROM till_sales") == []
    assert (await sold(till, shop))["order_id"].endswith("-1")


async def test_a_form_that_came_too_early_is_still_the_form_of_the_same_sale(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {"pos": {"create_limit": "1/minute"}}).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        await sold(till, shop)
        form = {**await form_of(till), "amount": "20.000", "note": ""}
        answer = await till.post("/pos/payments", **form)
        assert (answer.status_code, field(answer.text, "token")) == (429, form["token"])
        assert len(shop.rows("SELECT * FROM till_sales")) == 1


async def test_a_form_that_met_a_busy_database_is_still_the_form_of_the_same_sale(
    shop: Installation, till: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> None:
        raise StorageBusy("The database is busy.")

    form = {**await form_of(till), "amount": "20.000", "note": ""}
    with monkeypatch.context() as trouble:
        trouble.setattr(Creating, "create", busy)
        answer = await till.post("/pos/payments", **form)
    assert (answer.status_code, field(answer.text, "token")) == (503, form["token"])


async def test_every_way_to_have_the_provider_asked_counts_for_one_limit(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {"pos": {"check_limit": "2/minute"}}).running() as shop:
        till = signed_in(shop, add_person(shop, Role.CASHIER))
        await till.post("/pos/shifts", outlet="main")
        shift = field((await till.get("/pos")).text, "shift")
        payment = await sold(till, shop)
        assert (await till.post(f"/pos/payments/{payment['id']}/check")).status_code == 200
        assert (await till.post(f"/pos/shifts/{shift}/close")).status_code == GONE
        for path, fields in ((f"/pos/shifts/{shift}/close", {}), ("/pos/proof", {"claim": "50.000"})):
            answer = await till.post(path, **fields)
            assert (answer.status_code, "retry-after" in answer.headers) == (429, True)


async def test_the_limits_are_those_of_a_till_by_default(shop: Installation) -> None:
    pos = shop.settings.pos
    assert (pos.create_limit, pos.check_limit) == ("10/minute", "30/minute")
    assert (pos.cancel_limit, pos.test_connection_limit) == ("5/minute", "3/minute")


async def test_the_connection_is_tested_three_times_a_minute(shop: Installation, till: Browser) -> None:
    answers = [await till.post("/pos/connection") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "Semua menjawab: QRIS bisa diterima." in answers[0].text


async def test_the_connection_test_names_a_provider_that_does_not_answer(tmp_path: Path, clock: FakeClock) -> None:
    nowhere = {"server_key": "SB-Mid-server-EXAMPLE", "base_url": "http://127.0.0.1:9", "timeout": 1}
    async with Installation(tmp_path / "data", clock, {"providers": {"midtrans": nowhere}}).running() as shop:
        answer = await signed_in(shop, add_person(shop, Role.CASHIER)).post("/pos/connection")
    assert "Ada yang tidak menjawab" in answer.text
    assert re.search(r"<dt>midtrans</dt><dd><b class=\"bad\">bermasalah", answer.text)
    assert "SB-Mid" not in answer.text


# What a device keeps


async def test_the_worker_serves_the_till_and_keeps_files_only(shop: Installation) -> None:
    answer = await shop.client.get("/pos/worker.js")
    assert answer.headers["service-worker-allowed"] == "/pos"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "/static/" in answer.text.replace("\\", "")


async def test_the_worker_changes_with_the_page_that_it_keeps(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await shop.client.get("/pos/worker.js")).text
    assert (await shop.client.get("/pos/worker.js")).text == before
    monkeypatch.setattr(pages, "version", lambda name: "new" if name == "pos-offline.css" else "old")
    assert (await shop.client.get("/pos/worker.js")).text != before


async def test_the_page_without_a_connection_is_the_same_for_everybody(shop: Installation, till: Browser) -> None:
    nobodys = await shop.client.get("/pos/offline", headers={"Accept-Language": "en"})
    assert nobodys.status_code == 200
    assert "set-cookie" not in nobodys.headers
    assert (await till.get("/pos/offline")).text == nobodys.text


async def test_the_till_can_be_installed(shop: Installation, till: Browser) -> None:
    page = (await till.get("/pos")).text
    address = re.search(r'<link rel="manifest" href="([^"]+)">', page)
    assert address is not None
    answer = await till.get(address[1])
    assert answer.headers["content-type"].startswith("application/manifest+json")
    icons = [icon["src"] for icon in answer.json()["icons"]]
    assert len(icons) == 3
    for icon in icons:
        assert (await till.get(f"/static/{icon}")).status_code == 200


@pytest.mark.parametrize("path", ["/pos", "/pos/state", "/pos/connection"])
async def test_nothing_of_the_till_is_stored_by_browsers(till: Browser, path: str) -> None:
    answer = await till.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
