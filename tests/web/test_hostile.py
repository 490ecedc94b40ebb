"""Whatever is sent to the pages, by whomever: the answer is one that somebody thought of."""

from __future__ import annotations

from typing import Final

import pytest

from qrisd.api.operations import OPERATIONS
from qrisd.domain.permissions import ROUTES, Role
from qrisd.web.cookies import form_token
from tests.support.installation import Installation
from tests.support.people import ORIGIN, Browser, add_person, audited, owner_link, signed_in

FORM: Final = "application/x-www-form-urlencoded"
NO_ADDRESSES: Final = (
    "//[x",
    "http://[::1",
    "//[",
    "/[x",
    "http://\u2100.example/",
    "/\u0000",
    "\ud800".encode("utf-8", "replace").decode(),
)
HEADERS: Final[tuple[dict[str, bytes], ...]] = (
    {"Origin": b"http://[::1"},
    {"Origin": b"//["},
    {"Origin": b"\xff"},
    {"Host": b"[::1"},
    {"Host": b"x/y?z#"},
    {"Accept": b"text/html;q=x, application/json;q="},
    {"Accept-Language": b"\xff;;q=,-"},
    {"Cookie": b"session=\xff; visit=\xff; language=\xff"},
    {"X-CSRF-Token": b"\xff"},
    {"Content-Type": b"multipart/form-data"},
    {"Content-Type": b"multipart/form-data; boundary=x; charset=undefined"},
    {"Content-Type": b"application/x-www-form-urlencoded; charset=undefined"},
    {"User-Agent": b"\xff" * 5000},
)
BODIES: Final = (
    b"",
    b"\xff\xfe",
    b"csrf=%FF",
    b"%00=%00",
    b"=&=&=",
    b"&".join(b"f%d=" % number for number in range(40)),
    b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\xff\r\n--x--\r\n',
    b"--x\r\n\r\n",
)
PAGES: Final = sorted(
    (method, path.replace("{id}", "x").replace("{token}", "x").replace("{file}", "x"))
    for method, path in ROUTES
    if (method, path) not in OPERATIONS and not path.startswith("/webhooks")
)


@pytest.fixture
def owner(shop: Installation) -> Browser:
    return signed_in(shop, add_person(shop, Role.OWNER))


@pytest.mark.parametrize("headers", HEADERS, ids=str)
async def test_no_header_breaks_a_page(shop: Installation, owner: Browser, headers: dict[str, bytes]) -> None:
    for method, path in PAGES:
        for browser in (owner, Browser(shop)):
            sent = {"Origin": ORIGIN.encode(), "Content-Type": FORM.encode(), **headers}
            raw = [(name.encode(), value) for name, value in sent.items()]
            answer = await browser.client.request(method, path, headers=raw, content=BODIES[-2])
            assert answer.status_code < 500, (method, path)


@pytest.mark.parametrize("body", BODIES, ids=str)
async def test_no_form_breaks_a_page(shop: Installation, owner: Browser, body: bytes) -> None:
    await owner.get("/sign-in")
    for name in ("session", "visit"):
        proof = {"X-CSRF-Token": form_token(owner.client.cookies[name])}
        for kind in (FORM, "multipart/form-data; boundary=x", "multipart/form-data; boundary=x; charset=undefined"):
            headers = {"Origin": ORIGIN, "Content-Type": kind}
            for path in [path for method, path in PAGES if method == "POST" and path != "/sign-out"]:
                for more in (proof, {}):
                    answer = await owner.client.post(path, headers={**headers, **more}, content=body)
                    assert answer.status_code < 500, (path, kind, more)


@pytest.mark.parametrize("next_", NO_ADDRESSES)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/code", "/step-up"])
async def test_what_is_no_address_is_nowhere_to_go_on_to(
    shop: Installation, owner: Browser, path: str, next_: str
) -> None:
    await owner.get("/sign-in")
    for answer in (await owner.get(path, params={"next": next_}), await owner.post(path, next=next_)):
        assert answer.status_code < 500
        assert next_ not in answer.headers.get("location", "")


@pytest.mark.parametrize(
    "query", ["lang=[", "lang=%FF", "next=%FF", "done=%00", "by-itself=[", "&&==&", "%FF=%FF", "v=["]
)
async def test_no_query_breaks_a_page(shop: Installation, owner: Browser, query: str) -> None:
    for browser in (owner, Browser(shop)):
        for path in [path for method, path in PAGES if method == "GET" and not path.endswith("/events")]:
            assert (await browser.get(f"{path}?{query}")).status_code < 500, path


@pytest.mark.parametrize(
    "path", ["//[x", "//evil.example", "/pay/[x", "/%00", "/%FF", "/pay/%0D%0AX:1", "/%5C%5Cevil/"]
)
async def test_no_path_breaks_the_page_that_says_that_there_is_nothing(shop: Installation, path: str) -> None:
    request = shop.client.build_request("GET", "http://shop.test", headers={"Accept": "text/html"})
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await shop.client.send(request)
    assert answer.status_code == 404
    assert 'href="//' not in answer.text
    assert "\\\\" not in answer.text


@pytest.mark.parametrize("note", [b"kopi%FF", b"kopi\xff", b"%C3%28", b"%ED%A0%80"])
async def test_a_note_that_is_no_text_is_refused(shop: Installation, owner: Browser, note: bytes) -> None:
    await owner.post("/pos/shifts", outlet="main")
    body = b"csrf=%s&shift=x&token=x&amount=15000&note=%s" % (form_token(owner.token or "").encode(), note)
    headers = {"Origin": ORIGIN, "Content-Type": FORM, "Accept": "text/html"}
    answer = await owner.client.post("/pos/payments", content=body, headers=headers)
    assert answer.status_code == 400
    assert "Yang dikirim tidak bisa dibaca" in answer.text
    assert shop.rows("SELECT * FROM payments") == []


async def test_a_form_of_text_in_any_script_is_read_however_it_is_encoded(shop: Installation) -> None:
    link, browser = owner_link(shop), Browser(shop)
    await browser.get(link)
    proof = form_token(browser.client.cookies["visit"])
    body = f"csrf={proof}&username=sri&name=\N{HOT BEVERAGE}+Sr%C3%AD&secret=kopi+susu+gula".encode()
    answer = await browser.client.post(link, content=body, headers={"Origin": ORIGIN, "Content-Type": FORM})
    assert answer.status_code == 303
    assert [row["name"] for row in shop.rows("SELECT name FROM users")] == ["\N{HOT BEVERAGE} Sr\u00ed"]


async def test_a_field_that_the_set_up_page_does_not_have_is_refused_and_noted(shop: Installation) -> None:
    link, browser = owner_link(shop), Browser(shop, "198.51.100.9")
    await browser.get(link)
    answer = await browser.post(link, name="Eve", username="eve", secret="kopi susu gula", role="owner")
    assert answer.status_code == 403
    assert shop.rows("SELECT * FROM users") == []
    [row] = audited(shop, "denied")
    assert (row["who"], row["source"]) == ("nobody", "198.51.100.9")
    assert "/setup/{token}" in row["after"]
    assert link.removeprefix("/setup/") not in str(row)


async def test_strangers_cannot_fill_the_audit_log(shop: Installation) -> None:
    link, browser = owner_link(shop), Browser(shop)
    await browser.get(link)
    for _ in range(15):
        await browser.post(link, role="owner")
        await browser.post(link, proof="made up", role="owner")
    assert len(audited(shop, "denied")) == 10
