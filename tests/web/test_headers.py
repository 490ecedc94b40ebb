"""Every page there is, asked for by nobody and by the owner: what each answer tells the browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import closing
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Final

import httpx
import pytest

from qrisd.api import docs
from qrisd.domain.permissions import Role
from qrisd.services import people
from qrisd.store.db import connect
from qrisd.web import pages
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import BY, Browser, add_person
from tests.support.samples import address_of, page_patterns

ORIGIN: Final = "https://bayar.toko.example"
HOST_ONLY: Final = "__Host-"
COOKIES: Final = {f"{HOST_ONLY}{name}" for name in ("session", "visit", "language")}
SHARED: Final = ("/static/", "/docs", "/openapi.json", "/pos/worker.js", "/favicon.ico")  # the same for everybody
DRAWN: Final = ("text/html", "image/svg+xml")
MISSING: Final = ("/pay/none", "/setup/none", "/pos/payments/none", "/pos/shifts/none", "/static/none.js", "/docs/none")
INLINE: Final = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", re.IGNORECASE)


@pytest.fixture
async def secure(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """A shop that is reached over https."""
    async with Installation(tmp_path / "data", clock, {"base_url": ORIGIN}).running() as running:
        yield running


@pytest.fixture
async def owner(secure: Installation) -> Browser:
    add_person(secure, Role.OWNER)
    browser = Browser(secure, origin=ORIGIN)
    await browser.sign_in("owner")
    return browser


@pytest.fixture
async def nobody(secure: Installation) -> Browser:
    return Browser(secure, origin=ORIGIN)


@pytest.fixture
async def samples(secure: Installation, owner: Browser) -> dict[str, str]:
    """Something that is there, for each kind of address."""
    payment, paid = await secure.create("INV-1"), await secure.create("INV-2")
    await secure.webhook(paid)
    await owner.post("/pos/shifts", outlet="main")
    with closing(connect(secure.data_dir.database)) as conn:
        draft = people.Draft("budi", "Budi", Role.CASHIER, None)
        _, token = people.create(conn, draft, BY, secure.clock())
        shift = conn.execute("SELECT id FROM shifts").fetchone()[0]
    files = {"file of the pages": "pages.css", "file of the API's page": "docs.css"}
    return {"payment": payment["id"], "paid payment": paid["id"], "shift": shift, "link": token, **files}


def check(answer: httpx.Response) -> None:
    """Fails unless the answer says all that keeps a page safe."""
    headers, seen = answer.headers, (answer.url.path, answer.status_code)
    assert headers["x-content-type-options"] == "nosniff", seen
    assert headers["x-frame-options"] == "DENY", seen
    assert headers["referrer-policy"] in ("no-referrer", "same-origin"), seen
    assert headers["cache-control"] == "no-store" or answer.url.path.startswith(SHARED), seen
    if headers.get("content-type", "").startswith(DRAWN):
        check_policy(answer)
    for cookie in headers.get_list("set-cookie"):
        check_cookie(cookie)


def check_policy(answer: httpx.Response) -> None:
    seen = (answer.url.path, answer.status_code)
    policy = {name: values for name, *values in map(str.split, answer.headers["content-security-policy"].split(";"))}
    assert policy["default-src"] == ["'none'"], seen
    assert policy["frame-ancestors"] == ["'none'"], seen
    assert policy["base-uri"] == ["'none'"], seen
    assert "unsafe" not in str(policy), seen
    assert policy["script-src"] == policy["style-src"] == ["'self'"], seen
    if answer.headers["content-type"].startswith("text/html"):
        assert not INLINE.search(answer.text), seen
        assert not re.findall(rf"(?:src|href|action)=\"(?:https?:)?//(?!{re.escape(ORIGIN[8:])})", answer.text), seen


def check_cookie(text: str) -> None:
    [cookie] = SimpleCookie(text).values()
    assert cookie.key in COOKIES
    assert cookie["secure"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "lax"
    assert cookie["path"] == "/"
    assert not cookie["domain"]


def tells_to_insist_on_https(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("strict-transport-security") == "max-age=31536000")


async def test_every_page_tells_the_browser_what_keeps_it_safe(
    owner: Browser, nobody: Browser, samples: dict[str, str]
) -> None:
    assert len(page_patterns()) > 25
    for pattern in page_patterns():
        for browser, expected in ((nobody, (200, 303, 404)), (owner, (200, 303))):
            answer = await browser.get(address_of(pattern, samples))
            assert answer.status_code in expected or "second-factor" in pattern, (pattern, answer.status_code)
            check(answer)
            assert tells_to_insist_on_https(answer), pattern


async def test_what_is_not_there_is_refused_as_safely(owner: Browser, nobody: Browser) -> None:
    for path in MISSING:
        for browser in (nobody, owner):
            answer = await browser.get(path)
            assert answer.status_code in (404, 303), path
            check(answer)


async def test_what_is_refused_is_refused_as_safely(secure: Installation, owner: Browser, nobody: Browser) -> None:
    add_person(secure, Role.CASHIER)
    cashier = Browser(secure, origin=ORIGIN)
    await cashier.sign_in("cashier")
    refusals = [
        (403, await cashier.get("/people")),
        (403, await owner.post("/people", proof="wrong")),
        (403, await nobody.post("/sign-in", proof="wrong")),
        (422, await owner.post("/people", username="-", name="", role="cashier", outlets="")),
        (401, await nobody.sign_in("owner", "wrong")),
        (429, [await nobody.sign_in("owner", "wrong") for _ in range(6)][-1]),
    ]
    for status, answer in refusals:
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert tells_to_insist_on_https(answer)
        check(answer)


async def test_the_chosen_language_is_kept_in_a_cookie_for_this_host_alone(nobody: Browser) -> None:
    answer = await nobody.get("/sign-in?lang=en")
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == [f"{HOST_ONLY}language", f"{HOST_ONLY}visit"]
    for cookie in cookies:
        check_cookie(cookie)
    assert "Sign in" in (await nobody.get("/sign-in")).text


async def test_every_file_is_safe_to_load(nobody: Browser) -> None:
    files = [*(f"/static/{path.name}" for path in pages.FILES.iterdir()), *(f"/docs/{name}" for name in docs.FILES)]
    assert len(files) > 20
    for path in files:
        answer = await nobody.get(path)
        assert answer.status_code == 200, path
        check(answer)


async def test_over_plain_http_cookies_are_still_out_of_reach_of_scripts_and_other_sites(shop: Installation) -> None:
    add_person(shop, Role.OWNER)
    browser = Browser(shop)
    answers = [await browser.get("/sign-in?lang=en"), await browser.sign_in("owner")]
    cookies = [SimpleCookie(text) for answer in answers for text in answer.headers.get_list("set-cookie")]
    assert {name for cookie in cookies for name in cookie} == {name.removeprefix(HOST_ONLY) for name in COOKIES}
    for cookie in cookies:
        [morsel] = cookie.values()
        assert morsel["httponly"]
        assert morsel["samesite"] == "lax"
        assert not morsel["secure"]  # the browser would throw it away


def test_a_page_without_a_sample_is_noticed() -> None:
    with pytest.raises(KeyError, match="needs a sample"):
        address_of("/brand-new/{id}", {})
