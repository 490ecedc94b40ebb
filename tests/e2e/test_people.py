"""Who may sign in, in a real browser: from the owner's link to a cashier's PIN, on a phone, a tablet and a desk."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from pyotp import TOTP

from qrisd.data_dir import DataDir
from qrisd.services.tokens import hashed
from tests.e2e.conftest import Shop
from tests.e2e.looking import look, watched
from tests.support.people import PASSWORD
from tests.support.server import LiveServer

PIN: Final = "482915"
STEP_S: Final = 30


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop on its first day: nobody has an account."""
    with LiveServer(tmp_path_factory.mktemp("people") / "data") as server:
        yield Shop(server)


@pytest.fixture(scope="module")
def owner(browser: Browser, shop: Shop) -> Iterator[Page]:
    """The owner's phone, from the link that the server printed."""
    with watched(browser, shop.url) as context:
        page = context.new_page()
        make_owner(page, shop)
        yield page


@pytest.fixture
def phone(browser: Browser, shop: Shop) -> Iterator[Page]:
    """Somebody else's, not signed in."""
    with watched(browser, shop.url) as context:
        yield context.new_page()


def make_owner(page: Page, shop: Shop) -> None:
    link = re.search(r"http://\S+/setup/\S+", shop.server.greeting)
    assert link is not None
    page.goto(link[0])
    look(page, "setup-owner")
    page.get_by_label("Nama", exact=True).fill("Ibu Sari")
    page.get_by_label("Nama pengguna").fill("Not a username")
    page.get_by_label("Kata sandi baru").fill(PASSWORD)
    page.get_by_role("button", name="Simpan dan masuk").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page, "setup-owner-wrong")
    page.get_by_label("Nama pengguna").fill("sari")
    page.get_by_label("Kata sandi baru").fill(PASSWORD)
    page.get_by_role("button", name="Simpan dan masuk").click()
    expect(page).to_have_url(re.compile("/pos$"))


def add(owner: Page, name: str, username: str, role: str) -> str:
    """Somebody new; answers the link where they choose what they sign in with."""
    owner.goto(address(owner, "/people"))
    new = owner.locator("form[action$='/people']")
    new.get_by_label("Nama", exact=True).fill(name)
    new.get_by_label("Nama pengguna").fill(username)
    new.get_by_label("Peran").select_option(role)
    new.get_by_role("button").click()
    return owner.get_by_label("Tautan").input_value()


def address(page: Page, path: str) -> str:
    """A path of the shop that this page is of."""
    return "/".join(page.url.split("/")[:3]) + path


def sign_in(page: Page, url: str, username: str, secret: str) -> None:
    page.goto(f"{url}/sign-in")
    page.get_by_label("Nama pengguna").fill(username)
    page.get_by_label("Kata sandi atau PIN").fill(secret)
    page.get_by_role("button", name="Masuk").click()


def code(secret: str, steps: int = 0) -> str:
    """What the authenticator app shows, so many steps from now."""
    return TOTP(secret).at(int(time.time()) + steps * STEP_S)


def test_the_owner_adds_a_cashier_who_chooses_a_pin_and_starts(owner: Page, phone: Page, shop: Shop) -> None:
    link = add(owner, "Budi", "budi", "cashier")
    look(owner, "link")
    phone.goto(link)
    expect(phone.get_by_role("heading", level=1)).to_contain_text("Budi")
    phone.get_by_label("Kata sandi atau PIN baru").fill("1234")
    phone.get_by_role("button", name="Simpan dan masuk").click()
    expect(phone.get_by_role("alert")).to_be_visible()
    look(phone, "setup-cashier")
    phone.get_by_label("Kata sandi atau PIN baru").fill(PIN)
    phone.get_by_role("button", name="Simpan dan masuk").click()
    expect(phone).to_have_url(re.compile("/pos$"))
    phone.goto(link)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Tautan ini sudah tidak berlaku")
    look(phone, "link-used")


def test_a_cashier_signs_in_with_the_pin_and_out_again(owner: Page, phone: Page, shop: Shop) -> None:
    phone.goto(add(owner, "Dewi", "dewi", "cashier"))
    phone.get_by_label("Kata sandi atau PIN baru").fill(PIN)
    phone.keyboard.press("Enter")
    expect(phone).to_have_url(re.compile("/pos$"))
    phone.goto(f"{shop.url}/me")
    phone.get_by_role("button", name="Keluar").click()
    expect(phone).to_have_url(re.compile("/sign-in$"))
    look(phone, "sign-in")
    sign_in(phone, shop.url, "dewi", "482916")
    expect(phone.get_by_role("alert")).to_have_text("Nama pengguna atau kata sandi salah.")
    expect(phone.get_by_label("Kata sandi atau PIN")).to_be_focused()
    look(phone, "sign-in-wrong")
    phone.get_by_label("Kata sandi atau PIN").fill(PIN)
    phone.keyboard.press("Enter")
    expect(phone).to_have_url(re.compile("/pos$"))
    answer = phone.goto(f"{shop.url}/people")
    assert answer is not None
    assert answer.status == 403
    look(phone, "refused")


def test_guessing_has_to_wait_and_is_told_how_long(owner: Page, phone: Page, shop: Shop) -> None:
    add(owner, "Guntur", "guntur", "finance")
    for _ in range(6):
        sign_in(phone, shop.url, "guntur", "bukan kata sandinya")
    expect(phone.get_by_role("heading", level=1)).to_have_text("Terlalu banyak percobaan")
    expect(phone.get_by_text(re.compile(r"Tunggu \d+ detik"))).to_be_visible()
    look(phone, "too-many-tries")


def test_the_second_factor_from_switching_it_on_to_a_lost_phone(owner: Page, phone: Page, shop: Shop) -> None:
    phone.goto(add(owner, "Rina", "rina", "finance"))
    phone.get_by_label("Kata sandi baru").fill(PASSWORD)
    phone.keyboard.press("Enter")
    expect(phone).to_have_url(re.compile("/me$"))
    secret, recovery_codes = switch_on(phone)
    phone.get_by_role("link", name="Sudah saya simpan").click()
    expect(phone.get_by_text("Sisa 10 kode pemulihan.")).to_be_visible()
    look(phone, "me-second-factor")
    with_code(phone, shop, code(secret, 1), "sign-in-code")
    with_code(phone, shop, recovery_codes[0])
    expect(phone.get_by_text("Sisa 9 kode pemulihan.")).to_be_visible()
    grow_old(shop, "rina")
    phone.get_by_role("button", name="Matikan langkah kedua").click()
    prove(phone, "bukan kata sandinya", recovery_codes[1])
    expect(phone.get_by_role("alert")).to_be_visible()
    look(phone, "step-up-wrong")
    prove(phone, PASSWORD, recovery_codes[1])
    phone.get_by_role("button", name="Matikan langkah kedua").click()
    expect(phone.get_by_role("status")).to_have_text("Langkah kedua sudah dimatikan.")


def switch_on(phone: Page) -> tuple[str, list[str]]:
    """The second factor on, by the pages; answers its secret and the recovery codes."""
    phone.get_by_role("button", name="Aktifkan langkah kedua").click()
    phone.get_by_role("img").evaluate("(image) => image.decode()")  # fails when it cannot be shown
    phone.get_by_text("Tidak ada kamera?").click()
    secret = phone.locator("details code").inner_text().replace(" ", "")
    phone.get_by_label("Kode", exact=True).fill("000000")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("alert")).to_be_visible()
    phone.get_by_text("Tidak ada kamera?").click()
    look(phone, "second-factor")
    phone.get_by_label("Kode", exact=True).fill(code(secret))
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("heading", level=1)).to_have_text("Kode pemulihan")
    look(phone, "recovery-codes")
    return secret, phone.get_by_role("listitem").all_inner_texts()


def with_code(phone: Page, shop: Shop, code: str, name: str = "") -> None:
    """Out, and in again with the password and this code."""
    phone.get_by_role("button", name="Keluar").click()
    sign_in(phone, shop.url, "rina", PASSWORD)
    field = phone.get_by_label("Kode dari aplikasi autentikator, atau kode pemulihan")
    if name:
        field.fill("000000")
        phone.keyboard.press("Enter")
        expect(phone.get_by_role("alert")).to_be_visible()
        look(phone, name)
    field.fill(code)
    phone.keyboard.press("Enter")
    expect(phone).to_have_url(re.compile("/me$"))


def prove(page: Page, secret: str, code: str = "") -> None:
    page.get_by_label("Kata sandi atau PIN").fill(secret)
    if code:
        page.get_by_label("Kode dari aplikasi autentikator, atau kode pemulihan").fill(code)
    page.get_by_role("button", name="Lanjut").click()


def grow_old(shop: Shop, username: str) -> None:
    """Bring about that the password was typed long ago."""
    of_them = "user_id = (SELECT id FROM users WHERE username = ?)"
    with closing(sqlite3.connect(DataDir(shop.server.data_dir).database, timeout=10)) as conn, conn:
        conn.execute(f"UPDATE sessions SET stepped_up_at = '2026-01-01T00:00:00.000000Z' WHERE {of_them}", (username,))


def test_what_is_sensitive_asks_for_the_password_again_and_leads_back(owner: Page, shop: Shop) -> None:
    add(owner, "Tono", "tono", "technician")
    grow_old(shop, "sari")
    owner.goto(f"{shop.url}/people")
    card(owner, "Tono").get_by_text("Ubah").click()
    card(owner, "Tono").get_by_role("button", name="Nonaktifkan").click()
    expect(owner.get_by_role("heading", level=1)).to_have_text("Benarkah ini Anda?")
    look(owner, "step-up")
    prove(owner, PASSWORD)
    expect(owner).to_have_url(re.compile("/people$"))


def card(page: Page, name: str) -> Locator:
    """The part of /people about one person."""
    return page.locator("section.card").filter(has=page.get_by_role("heading", name=name))


def test_somebody_gets_another_role_a_new_link_and_is_disabled(owner: Page, phone: Page, shop: Shop) -> None:
    phone.goto(add(owner, "Wati", "wati", "marketing"))
    phone.get_by_label("Kata sandi baru").fill(PASSWORD)
    phone.keyboard.press("Enter")
    owner.goto(f"{shop.url}/people")
    wati = card(owner, "Wati")
    wati.get_by_text("Ubah").click()
    look(owner, "people")
    wati.get_by_label("Peran").select_option("supervisor")
    wati.get_by_label(re.compile("Outlet")).fill("bandung, cimahi")
    wati.get_by_role("button", name="Simpan").click()
    expect(wati).to_contain_text("bandung, cimahi")
    phone.goto(f"{shop.url}/me")
    expect(phone).to_have_url(re.compile("/sign-in"))  # what they were has ended
    wati.get_by_text("Ubah").click()
    wati.get_by_role("button", name="Tautan kata sandi baru").click()
    phone.goto(owner.get_by_label("Tautan").input_value())
    phone.get_by_label("Kata sandi baru").fill(PASSWORD + " lagi")
    phone.keyboard.press("Enter")
    expect(phone).to_have_url(re.compile("/pos$"))
    owner.goto(f"{shop.url}/people")
    wati.get_by_text("Ubah").click()
    wati.get_by_role("button", name="Nonaktifkan").click()
    expect(wati).to_contain_text("dinonaktifkan")
    phone.reload()
    expect(phone).to_have_url(re.compile("/sign-in"))


def test_one_s_own_account_lists_its_sessions_and_ends_another(owner: Page, phone: Page, shop: Shop) -> None:
    sign_in(phone, shop.url, "sari", PASSWORD)
    expect(phone).to_have_url(re.compile("/pos$"))
    owner.goto(f"{shop.url}/me")
    look(owner, "me")
    owner.get_by_role("button", name="Akhiri sesi ini").click()
    expect(owner.get_by_role("status")).to_have_text("Sesi sudah diakhiri.")
    phone.reload()
    expect(phone).to_have_url(re.compile("/sign-in"))
    owner.get_by_label("Kata sandi baru").fill("kopi susu")
    owner.evaluate("document.querySelector('#secret').form.noValidate = true")
    owner.locator("form[action$='/me/secret']").get_by_role("button").click()
    expect(owner.get_by_role("alert")).to_be_visible()


def test_the_language_switches_stays_and_loses_nothing(phone: Page, shop: Shop) -> None:
    phone.goto(f"{shop.url}/people")
    phone.get_by_role("link", name="English").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert phone.locator("html").get_attribute("lang") == "en"
    phone.get_by_label("Username").fill("sari")
    phone.get_by_label("Password or PIN").fill(PASSWORD)
    phone.get_by_role("button", name="Sign in").click()
    expect(phone).to_have_url(re.compile("/people$"))
    expect(phone.get_by_role("heading", level=1)).to_have_text("People")


def test_what_is_shown_once_is_not_lost_by_switching_the_language(owner: Page) -> None:
    add(owner, "Yanti", "yanti", "auditor")
    expect(owner.get_by_role("link", name="English")).to_have_count(0)


def test_signing_out_late_leads_to_a_page(owner: Page, phone: Page, shop: Shop) -> None:
    sign_in(phone, shop.url, "sari", PASSWORD)
    phone.goto(f"{shop.url}/me")
    end_sessions(shop, phone.context)
    phone.get_by_role("button", name="Keluar").click()
    phone.get_by_label("Nama pengguna").fill("sari")
    phone.get_by_label("Kata sandi atau PIN").fill(PASSWORD)
    phone.get_by_role("button", name="Masuk").click()
    expect(phone).to_have_url(re.compile("/pos$"))


def end_sessions(shop: Shop, context: BrowserContext) -> None:
    """Bring about that this browser's session has run out."""
    token = next(one["value"] for one in context.cookies() if one["name"] == "session")
    with closing(sqlite3.connect(DataDir(shop.server.data_dir).database, timeout=10)) as conn, conn:
        conn.execute("DELETE FROM sessions WHERE token_hash = ?", (hashed(token),))
