"""What is not there, not possible or not readable: a page for people, a problem document for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from qrisd.domain.permissions import Role
from qrisd.store.audit_log import COMMAND_LINE
from qrisd.web.cookies import form_token
from qrisd.web.refusals import prefers_html
from qrisd.web.sign_in import SignInPages
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import ORIGIN, Browser, add_person, signed_in

BROWSERS_ACCEPT: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
OPENED: Final = {"Accept": BROWSERS_ACCEPT, "Accept-Language": "en"}
MISSES: Final = [
    (404, "/nope"),
    (404, "/nope/"),
    (404, "/pos/nope"),
    (405, "/sign-out"),
    (405, "/pos/payments"),
    (404, "/static/nope.js"),
    (404, "/pay/nope"),
    (404, "/pay/nope/status"),
    (404, "/pay/nope/qr.png"),
]


def is_page(answer: httpx.Response) -> bool:
    return answer.headers["content-type"].startswith("text/html") and "<main" in answer.text


def is_problem(answer: httpx.Response) -> bool:
    is_ours = answer.headers["content-type"] == "application/problem+json"
    return is_ours and bool(answer.json()["status"] == answer.status_code)


@pytest.mark.parametrize(("status", "path"), MISSES)
async def test_a_person_is_shown_a_page_in_their_language(shop: Installation, status: int, path: str) -> None:
    english, indonesian = (
        await Browser(shop).get(path, headers=OPENED),
        await Browser(shop).get(path, headers={**OPENED, "Accept-Language": "id"}),
    )
    for answer, words in ((english, ("nothing here", "not allowed")), (indonesian, ("Tidak ada", "tidak diizinkan"))):
        assert answer.status_code == status
        assert is_page(answer)
        assert any(word in answer.text for word in words)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("status", "path"), [row for row in MISSES if row[1] != "/pay/nope"])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html;q=0.9", "image/avif,*/*"])
async def test_a_program_is_told_a_problem(shop: Installation, status: int, path: str, accept: str) -> None:
    answer = await Browser(shop).get(path, headers={"Accept": accept})
    assert answer.status_code == status
    assert is_problem(answer)
    assert answer.headers["content-security-policy"] == NOTHING


@pytest.mark.parametrize(("method", "path"), [("GET", "/payments/x"), ("PUT", "/payments"), ("POST", "/nope")])
async def test_the_api_answers_problems_whoever_asks(shop: Installation, method: str, path: str) -> None:
    for client in (Browser(shop).client, shop.client):
        answer = await client.request(method, path, headers=OPENED)
        assert is_problem(answer)
        assert answer.headers["content-security-policy"] == NOTHING


async def test_a_page_s_405_names_the_methods_that_are_possible(shop: Installation) -> None:
    assert (await Browser(shop).get("/sign-out", headers=OPENED)).headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/docs/swagger-ui.css", "/healthz", "/metrics", "/openapi.json", "/payments"])
async def test_every_answer_has_a_policy(shop: Installation, path: str) -> None:
    assert (await shop.client.get(path)).headers["content-security-policy"] == NOTHING


@pytest.mark.parametrize(
    ("path", "onward"),
    [
        ("/pos/", "/pos"),
        ("/pos//", "/pos"),
        ("/sign-in/?lang=en&next=/me", "/sign-in?lang=en&next=/me"),
        ("/pay/x/", "/pay/x"),
        ("/pay/x%0d%0aX: 1/", "/pay/x%0D%0AX%3A%201"),
    ],
)
async def test_a_slash_too_many_leads_to_the_page_that_was_meant(shop: Installation, path: str, onward: str) -> None:
    answer = await Browser(shop).get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, onward)


@pytest.mark.parametrize("path", ["//", "//evil.example/", "/nope/", "/payments/", "/sign-out/"])
async def test_no_other_slash_leads_anywhere(shop: Installation, path: str) -> None:
    request = shop.client.build_request("GET", "http://shop.test")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await shop.client.send(request)
    assert "location" not in answer.headers or answer.headers["location"] == "/sign-out"


async def test_below_a_path_a_slash_too_many_leads_to_there(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {"base_url": "http://shop.test/kasir"}).running() as shop:
        assert (await Browser(shop).get("/pos/")).headers["location"] == "/kasir/pos"


async def test_browsers_get_the_icon_they_ask_for_unbidden(shop: Installation) -> None:
    answer = await Browser(shop).get("/favicon.ico")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content.startswith(b"\x89PNG")


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 1024


@pytest.mark.parametrize("path", ["/sign-in", "/pos/payments", "/step-up"])
async def test_a_form_that_is_too_large_is_said_on_a_page(shop: Installation, path: str) -> None:
    browser = signed_in(shop, add_person(shop, Role.CASHIER))
    await browser.get("/sign-in")
    headers = {**OPENED, "Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    bodies: list[Any] = [b"x" * 70_000, chunks(70)]
    for body in bodies:
        answer = await browser.client.post(path, content=body, headers=headers)
        assert (answer.status_code, is_page(answer)) == (413, True)
        assert "cannot be read" in answer.text
    assert is_problem(await browser.client.post(path, content=b"x" * 70_000, headers={**headers, "Accept": "*/*"}))


async def test_a_form_with_too_many_fields_is_said_on_a_page(shop: Installation) -> None:
    browser = signed_in(shop, add_person(shop, Role.CASHIER))
    fields = {f"f{number}": "" for number in range(40)}
    form = {"csrf": form_token(browser.token or ""), **fields}
    answer = await browser.client.post("/pos/payments", data=form, headers={**OPENED, "Origin": ORIGIN})
    assert (answer.status_code, is_page(answer)) == (400, True)


async def test_what_breaks_is_said_on_a_page_without_internals(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SignInPages, "_drawn", lambda *_, **__: COMMAND_LINE[99])
    answer = await Browser(shop).get("/sign-in", headers=OPENED)
    assert (answer.status_code, is_page(answer)) == (500, True)
    assert "not possible right now" in answer.text
    assert "range" not in answer.text
    assert is_problem(await Browser(shop).get("/sign-in"))


@pytest.mark.parametrize(
    ("accepted", "is_html"),
    [
        (BROWSERS_ACCEPT, True),
        ("text/html", True),
        ("application/json;q=0.5, TEXT/HTML", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
        ("text/html;q=nan", False),
    ],
)
def test_pages_are_for_whoever_would_rather_have_one(accepted: str, is_html: bool) -> None:
    assert prefers_html(accepted) is is_html
