"""The one table: every route has its row, and every cell of routes x roles is asked for and answered as it says."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qrisd.api.operations import OPERATIONS
from qrisd.app import build
from qrisd.domain.permissions import OPEN, PAYER, PERMISSIONS, PUBLIC, ROUTES, SIGNATURE, Role, may
from qrisd.services.api_keys import SCOPES
from qrisd.services.sessions import Sessions
from qrisd.store.db import Database
from qrisd.web.guard import Guard, Person
from qrisd.web.pages import Pages
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import ORIGIN, PASSWORD, Browser, add_person, signed_in

Callers = dict[str, tuple[Browser, str]]
NOBODY = "nobody"
WHO = (*Role, NOBODY)
# None of these exist: whoever is let in gets a 404 or 422, which is no refusal.
VALUES = {
    "{id}": "01900000-0000-7000-8000-000000000000",
    "{date}": "2026-01-15",
    "{provider}": "qris",
    "{file}": "x.js",
    "{token}": "x",
}
# Where a page asks who somebody is, they say it: a wrong password would be no answer about their role.
FIELDS = {"/sign-in": {"username": "owner", "secret": PASSWORD}, "/step-up": {"secret": PASSWORD}}
NAMES_BY_KEY = {key for key, need in ROUTES.items() if key in OPERATIONS and need not in OPEN}


def routes_of(shop: Installation) -> set[tuple[str, str]]:
    found = {
        (method, route.path) for route in shop.app.routes if isinstance(route, Route) for method in route.methods or ()
    }
    return {(method, path) for method, path in found if method != "HEAD"}


async def test_every_route_has_a_row_and_every_row_a_route(shop: Installation) -> None:
    assert routes_of(shop) == set(ROUTES)
    assert all(isinstance(route, Route) for route in shop.app.routes), "a mount would hide routes from the table"


async def test_the_api_says_of_itself_what_the_table_says(shop: Installation) -> None:
    for key, operation in OPERATIONS.items():
        assert operation.scope == (None if ROUTES[key] in OPEN else ROUTES[key])
    assert {ROUTES[key] for key in NAMES_BY_KEY} == set(SCOPES)


@pytest.fixture
async def callers(shop: Installation) -> Callers:
    """For everybody a browser they are signed in with, and an API key of theirs."""
    found: Callers = {NOBODY: (Browser(shop), "")}
    for role in Role:
        user = add_person(shop, role)
        found[role] = (signed_in(shop, user), shop.new_key(name=role, user_id=user.id))
    return found


async def asked(callers: Callers, who: str, method: str, path: str) -> httpx.Response:
    browser, key = callers[who]
    takes_key = (method, path) in NAMES_BY_KEY
    for name, value in VALUES.items():
        path = path.replace(name, value)
    path = path.replace("{appended:path}", "x")
    if takes_key:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await browser.client.request(method, path, headers=headers)
    await browser.get("/sign-in")  # whoever sends a form has been shown one
    return await (browser.get(path) if method == "GET" else browser.post(path, **FIELDS.get(path, {})))


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES), ids=lambda one: str(one))
async def test_every_route_answers_every_role_as_the_table_says(
    shop: Installation, callers: Callers, method: str, path: str
) -> None:
    need = ROUTES[method, path]
    is_page = (method, path) not in NAMES_BY_KEY and need not in OPEN
    for who in WHO:
        answer = await asked(callers, who, method, path)
        seen = (who, answer.status_code, answer.headers.get("location"))
        if need in OPEN:
            assert is_answered_openly(answer, need), seen
        elif who == NOBODY and is_page:
            assert answer.status_code == 303, seen
            assert answer.headers["location"].startswith("/sign-in?next="), seen
        elif who == NOBODY:
            assert answer.status_code == 401, seen
        elif may(Role(who), need):
            assert answer.status_code not in (401, 403), seen
            assert not answer.headers.get("location", "").startswith("/sign-in?"), seen
        else:
            assert answer.status_code == 403, seen


def is_answered_openly(answer: httpx.Response, need: str) -> bool:
    """Whether nobody was asked who they are: what is wrong is a webhook's proof, or that there is no such payment."""
    if need == SIGNATURE:
        return answer.status_code in (401, 404)
    if need == PAYER:
        return answer.status_code == 404
    assert need == PUBLIC
    return answer.status_code not in (401, 403) and "next=" not in answer.headers.get("location", "")


MOVES_MONEY_KEYS_OR_PEOPLE = {
    "payments:confirm",
    "refunds:request",
    "refunds:approve",
    "ledger:adjust",
    "exports:read",
    "account:secure",
    "people:write",
}


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
async def test_a_page_about_money_keys_or_people_asks_for_the_password_again(
    shop: Installation, permission: str
) -> None:
    async def shown(request: Request, person: Person) -> Response:
        return Response("shown")

    zones = shop.settings.zones
    pages, db = Pages(zones=zones, is_secure=False, root=""), Database(shop.data_dir.database)
    await db.open()
    sessions = Sessions(db, shop.clock)
    guard = Guard(pages=pages, sessions=sessions, db=db, clock=shop.clock, address=ORIGIN)
    shop.app = Starlette(routes=[Route("/page", guard.needs(permission, shown))])
    browser = signed_in(shop, add_person(shop, Role.OWNER))
    shop.clock.advance(10 * 60 - 1)
    assert (await browser.get("/page")).text == "shown"
    shop.clock.advance(1)
    answer = await browser.get("/page")
    await db.close()
    expected = "/step-up?next=/page" if permission in MOVES_MONEY_KEYS_OR_PEOPLE else None
    assert answer.headers.get("location") == expected


async def test_a_route_without_a_row_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qrisd.domain import permissions

    shop = Installation(tmp_path / "data", FakeClock())
    shop.data_dir.make()
    shop.data_dir.open_database()
    for key in (("GET", "/people"), ("GET", "/payments")):
        monkeypatch.delitem(permissions.ROUTES, key)
        with pytest.raises(KeyError):
            build(shop.settings, clock=shop.clock)
