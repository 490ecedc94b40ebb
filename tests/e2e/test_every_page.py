"""Every page there is, in a real browser: it stays with us, has nothing to complain about, everybody can use it, and
whatever people typed is shown as text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Dialog, Page, Response

from qrisd.data_dir import DataDir
from qrisd.domain.permissions import Role
from qrisd.services import people, sessions
from qrisd.services.people import Draft
from qrisd.services.sessions import Origin
from qrisd.store import users
from qrisd.store.audit_log import COMMAND_LINE, Actor
from qrisd.store.db import connect
from qrisd.store.users import User
from qrisd.web.cookies import form_token
from tests.e2e.conftest import Shop
from tests.e2e.looking import look, watched
from tests.support.people import PASSWORD, cheap_hash
from tests.support.samples import address_of, page_patterns
from tests.support.server import LiveServer

HOSTILE: Final = "<script>__hit=1</script><img src=x onerror='__hit=1'><b class=hit>&amp;\"{{7*7}}${7*7}</b>"
NAME: Final = f"Siti {HOSTILE}"
METADATA: Final = {"meja": HOSTILE, HOSTILE: [HOSTILE]}
EXECUTED: Final = "() => window.__hit !== undefined || document.querySelector('.hit, img[src=x]') !== null"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LiveServer(tmp_path_factory.mktemp("every-page") / "data") as server:
        yield Shop(server)


@pytest.fixture(scope="module")
def owner(shop: Shop) -> str:
    """The token of a session of an owner with a name that wants to be more than that."""
    return person(shop, Role.OWNER, "sari")[1]


def person(shop: Shop, role: Role, username: str) -> tuple[User, str]:
    """Somebody new who is signed in, with the token of their session."""
    now = datetime.now(UTC)
    with closing(connect(DataDir(shop.server.data_dir).database)) as conn:
        made, _ = people.create(conn, Draft(username, NAME, role, None), Actor(COMMAND_LINE), now)
        users.save_secret(conn, made.id, password_hash=cheap_hash(PASSWORD), pin_hash=None)
        user = users.get(conn, made.id)
        assert user is not None
        return user, sessions.begin(conn, user, Origin("127.0.0.1", HOSTILE), now)[1]


@pytest.fixture(scope="module")
def samples(shop: Shop, owner: str) -> dict[str, str]:
    """Something that is there for each kind of address, everywhere with text that wants to be more than text."""
    said: dict[str, Any] = {
        "description": HOSTILE,
        "customer": {"name": NAME, "email": "siti@toko.example"},
        "metadata": METADATA,
    }
    payment, paid = shop.create(**said), shop.create(**said)
    shop.webhook(paid)
    cashier, _ = person(shop, Role.CASHIER, "budi")
    sell(shop, owner)
    now = datetime.now(UTC)
    with closing(connect(DataDir(shop.server.data_dir).database)) as conn:
        link = people.reset(conn, cashier.id, Actor(COMMAND_LINE), now)
        shift = conn.execute("SELECT id FROM shifts").fetchone()[0]
    found = {"payment": payment["id"], "paid payment": paid["id"], "shift": shift, "link": link}
    return {**found, "file of the pages": "icon.svg", "file of the API's page": "docs.css"}


def sell(shop: Shop, token: str) -> None:
    """A shift with a sale, whose note was typed at the till."""
    headers = {"Cookie": f"session={token}", "Origin": shop.url}
    with shop.server.client() as client:
        proof = {"csrf": form_token(token)}
        assert client.post("/pos/shifts", data={**proof, "outlet": "main"}, headers=headers).status_code == 303
        with closing(sqlite3.connect(DataDir(shop.server.data_dir).database)) as conn:
            shift = conn.execute("SELECT id FROM shifts").fetchone()[0]
        sale = {**proof, "shift": shift, "token": "0" * 32, "amount": "12000", "note": HOSTILE}
        assert client.post("/pos/payments", data=sale, headers=headers).status_code == 303


@pytest.fixture(scope="module")
def page(browser: Browser, shop: Shop, owner: str) -> Iterator[Page]:
    """The owner's."""
    with watched(browser, shop.url) as context:
        context.add_cookies([{"name": "session", "value": owner, "url": shop.url}])
        page = context.new_page()
        page.on("dialog", lambda dialog: refuse(dialog))
        yield page


def test_every_page_shows_what_was_typed_as_text(page: Page, shop: Shop, samples: dict[str, str]) -> None:
    shown: set[str] = set()
    for pattern in openable():
        answer = page.goto(shop.url + address_of(pattern, samples))
        assert answer is not None
        if is_page(answer):
            assert not page.evaluate(EXECUTED), pattern
            shown |= {pattern for text in (HOSTILE, NAME) if text in page.locator("body").inner_text()}
    assert {"/pay/{id}", "/pos", "/pos/payments/{id}", "/people", "/me", "/shifts", "/setup/{token}"} <= shown


def test_everybody_can_use_every_page(page: Page, shop: Shop, samples: dict[str, str]) -> None:
    for pattern in openable():
        if pattern not in ("/docs", "/"):  # below; only the way to another page
            answer = page.goto(shop.url + address_of(pattern, samples))
            if answer is not None and is_page(answer):
                look(page, pattern.strip("/").replace("/", "-"))


def test_everybody_can_read_the_description_and_try_a_call(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}/docs")
    calls = page.locator(".opblock-summary-control")
    calls.first.wait_for()
    for name in ("createPayment", "listPayments"):
        page.locator(f"[id$={name}] .opblock-summary-control").click()
    page.locator("[id$=createPayment]").get_by_role("button", name="Try it out").click()
    look(page, "docs-opened")


def openable() -> list[str]:
    """What can be opened by itself, which pictures are not meant for."""
    return [pattern for pattern in page_patterns() if not pattern.endswith((".png", ".ico"))]


def refuse(dialog: Dialog) -> None:
    dialog.dismiss()
    raise AssertionError(f"a page asked: {dialog.message}")


def is_page(answer: Response) -> bool:
    return answer.headers.get("content-type", "").startswith("text/html")


def test_nobody_sees_every_page_or_the_way_in(browser: Browser, shop: Shop, samples: dict[str, str]) -> None:
    with watched(browser, shop.url) as context:
        page = context.new_page()
        for pattern in openable():
            answer = page.goto(shop.url + address_of(pattern, samples))
            assert answer is not None
            assert answer.status in (200, 404), pattern
            if is_page(answer):
                assert not page.evaluate(EXECUTED), pattern


def test_what_was_typed_is_stored_and_returned_as_it_was(shop: Shop, samples: dict[str, str]) -> None:
    payment: dict[str, Any] = shop.get(samples["payment"])
    assert payment["description"] == HOSTILE
    assert payment["customer"]["name"] == NAME
    assert payment["metadata"] == METADATA
    with closing(sqlite3.connect(DataDir(shop.server.data_dir).database)) as conn:
        assert conn.execute("SELECT description FROM payments WHERE amount = 12000").fetchone() == (HOSTILE,)
        assert set(conn.execute("SELECT name FROM users")) == {(NAME,)}


@pytest.mark.parametrize("path", ["/pay/none", "/setup/none", "/pos/payments/none"])
def test_what_is_not_there_is_said_on_a_page(page: Page, shop: Shop, path: str) -> None:
    answer = page.goto(shop.url + path)
    assert answer is not None
    assert (answer.status, is_page(answer)) == (404, True)
    look(page, f"missing{path.replace('/', '-')}")
