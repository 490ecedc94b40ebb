"""A page that is open is not a person who is there: what asks by itself keeps no session alive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from qrisd.domain.permissions import Role
from qrisd.services.sessions import TOUCH_EVERY, limits_of
from qrisd.web.pages import FILES
from tests.support.installation import Installation
from tests.support.people import Browser, add_person, signed_in
from tests.support.streams import follow

MINUTE: Final = 60
IDLE_S: Final = int(limits_of(Role.SUPERVISOR).idle.total_seconds())
STATUS: Final = "/pos/payments/{id}/status"
BY_THEMSELVES: Final = ("/pos/state", STATUS, "/pos/payments/{id}/qr.svg", "/pos?by-itself")


@pytest.fixture
async def payment(shop: Installation) -> dict[str, Any]:
    return await shop.create(expires_in=24 * 3600)


@pytest.fixture
def supervisor(shop: Installation) -> Browser:
    return signed_in(shop, add_person(shop, Role.SUPERVISOR))


async def watches(shop: Installation, browser: Browser, path: str, seconds: int, **more: Any) -> list[int]:
    """The statuses that a page is answered with which asks once in a minute, and nobody is there."""
    answers = []
    for _ in range(seconds // MINUTE):
        shop.clock.advance(MINUTE)
        answers.append((await browser.get(path, **more)).status_code)
    return answers


@pytest.mark.parametrize("path", BY_THEMSELVES)
async def test_what_a_page_asks_by_itself_does_not_keep_the_session(
    shop: Installation, supervisor: Browser, payment: dict[str, Any], path: str
) -> None:
    path = path.format(**payment)
    shown = await watches(shop, supervisor, path, IDLE_S - MINUTE)
    assert set(shown) == {200}
    shop.clock.advance(MINUTE)
    assert (await supervisor.get(path)).status_code == 303, "nobody has done anything for half an hour"
    assert (await supervisor.get("/me")).status_code == 303


async def test_nor_does_the_page_that_its_script_fetches_because_something_has_changed(
    shop: Installation, supervisor: Browser
) -> None:
    marked = {"headers": {"X-By-Itself": "1"}}
    assert set(await watches(shop, supervisor, "/pos", IDLE_S - MINUTE, **marked)) == {200}
    assert await watches(shop, supervisor, "/pos", MINUTE, **marked) == [303]


async def test_nor_does_asking_whether_the_server_is_back(shop: Installation, supervisor: Browser) -> None:
    for _ in range(IDLE_S // MINUTE):
        assert (await supervisor.client.head("/pos")).status_code == 200
        shop.clock.advance(MINUTE)
    assert (await supervisor.get("/pos")).status_code == 303


async def test_nor_does_an_open_stream(shop: Installation, supervisor: Browser, payment: dict[str, Any]) -> None:
    for _ in range(IDLE_S // MINUTE):
        async with follow(shop, supervisor, f"/pos/payments/{payment['id']}/events") as heard:
            await heard.get()
        shop.clock.advance(MINUTE)
    assert (await supervisor.get("/me")).status_code == 303


async def test_whoever_does_something_stays(shop: Installation, supervisor: Browser) -> None:
    for _ in range(6):
        await watches(shop, supervisor, "/pos/state", IDLE_S // 2)
        assert (await supervisor.get("/pos")).status_code == 200


async def test_a_till_that_waits_for_customers_all_day_is_still_signed_in_in_the_evening(
    shop: Installation, payment: dict[str, Any]
) -> None:
    till = signed_in(shop, add_person(shop, Role.CASHIER))
    for _ in range(11):
        shop.clock.advance(3600)
        assert (await till.get(STATUS.format(**payment))).status_code == 200
    assert (await till.get("/pos")).status_code == 200


async def test_who_was_signed_out_for_doing_nothing_is_told_so_and_comes_back_to_where_they_were(
    shop: Installation, supervisor: Browser, payment: dict[str, Any]
) -> None:
    address = f"/pos/payments/{payment['id']}"
    shop.clock.advance(IDLE_S)
    script = await supervisor.get(f"{address}/status", headers={"Sec-Fetch-Dest": "empty"})
    assert script.status_code == 401, "the page's script loads the page anew"
    sent = await supervisor.get(address)
    asked = await supervisor.get(sent.headers["location"], headers={"Accept-Language": "en"})
    assert "signed out because nothing was done here for a while" in asked.text
    assert field(asked, "next") == address
    back = await supervisor.post("/sign-in", username="supervisor", secret="kopi susu gula aren", next=address)
    assert back.headers["location"] == address
    assert (await supervisor.get(address)).status_code == 200


@pytest.mark.parametrize("how", ["signed out", "disabled", "never in", "made up", "still in"])
async def test_nobody_else_is_told_that(shop: Installation, supervisor: Browser, how: str) -> None:
    token = supervisor.token or ""
    match how:
        case "signed out":
            await supervisor.post("/sign-out")
            supervisor.keep(token)
        case "disabled":
            shop.write("UPDATE users SET disabled_at = created_at")
        case "never in":
            supervisor = Browser(shop)
        case "made up":
            supervisor.keep("made-up")
    shop.clock.advance(0 if how == "still in" else IDLE_S)
    asked = await supervisor.get("/sign-in", headers={"Accept-Language": "en"})
    assert "nothing was done" not in asked.text


def test_the_till_s_script_says_when_it_asks_by_itself() -> None:
    script = (Path(FILES) / "pos.js").read_text()
    assert re.search(r"fetch\(page\.dataset\.address, \{[^}]*headers: BY_ITSELF", script)
    assert '"X-By-Itself"' in script


def field(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return found[1]


# What goes on for long


async def test_a_stream_ends_with_the_session(shop: Installation, payment: dict[str, Any]) -> None:
    cashier = add_person(shop, Role.CASHIER)
    till = signed_in(shop, cashier)
    async with follow(shop, till, f"/pos/payments/{payment['id']}/events") as heard:
        assert await heard.get() is not None
        await till.post("/sign-out")
        await shop.webhook(payment)
        assert await heard.get() is None


@pytest.mark.parametrize("change", ["outlets = '[\"bandung\"]'", "role = 'marketing'", "disabled_at = created_at"])
async def test_a_stream_ends_with_the_right_to_see_it(shop: Installation, payment: dict[str, Any], change: str) -> None:
    cashier = add_person(shop, Role.CASHIER)
    async with follow(shop, signed_in(shop, cashier), f"/pos/payments/{payment['id']}/events") as heard:
        assert await heard.get() is not None
        shop.write(f"UPDATE users SET {change} WHERE id = ?", cashier.id)
        await shop.webhook(payment)
        assert await heard.get() is None


def test_a_click_is_noted_early_enough() -> None:
    assert TOUCH_EVERY.total_seconds() * 10 <= IDLE_S
