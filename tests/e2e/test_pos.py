"""The till in a real browser: from the first owner's link to a page that turns green and speaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from qrisd import qr_image
from tests.e2e.conftest import DESK, PHONE, Shop
from tests.e2e.looking import NARROW, look
from tests.support.people import PASSWORD
from tests.support.server import LiveServer

SOON_MS: Final = 10_000
PIN: Final = "482915"
# Headless browsers have no voice: note what would be said.
LISTEN: Final = """
    window.spoken = [];
    speechSynthesis.getVoices = () => [];
    speechSynthesis.speak = (words) => { window.spoken.push([words.text, words.lang]); words.onstart?.(); };
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop of its own, whose first owner has not come yet."""
    # One cashier makes more QRs here in a minute than any queue would.
    often = {"QRISD_POS__CREATE_LIMIT": "1000/minute"}
    with LiveServer(tmp_path_factory.mktemp("pos") / "data", env=often) as server:
        yield Shop(server)


@pytest.fixture(scope="module")
def signed_in(browser: Browser, running: Shop) -> Any:
    """The owner comes by the link, adds a cashier who chooses a PIN, and the cashier signs in with it at the till."""
    office = browser.new_context(locale="id-ID").new_page()
    link = re.search(r"http\S+/setup/\S+", running.server.greeting)
    assert link is not None
    office.goto(link[0])
    for name, value in (("username", "ani"), ("name", "Bu Ani"), ("secret", PASSWORD)):
        office.locator(f"#{name}").fill(value)
    office.get_by_role("button").first.click()
    office.goto(f"{running.url}/people")
    office.locator("main > section:last-child #name").fill("Budi")
    office.locator("main > section:last-child #username").fill("budi")
    office.get_by_role("button", name="Tambah dan buat tautan").click()
    setup = re.search(r"http\S+/setup/[\w-]+", office.content())
    assert setup is not None, office.content()

    till = browser.new_context(locale="id-ID").new_page()
    till.goto(setup[0])
    till.locator("#secret").fill(PIN)
    till.get_by_role("button").first.click()
    expect(till).to_have_url(f"{running.url}/pos")
    till.context.clear_cookies()
    till.goto(f"{running.url}/pos")
    till.locator("#username").fill("budi")
    till.locator("#secret").fill(PIN)
    till.get_by_role("button").first.click()
    till.get_by_role("button", name="Buka shift sekarang").click()
    expect(till.get_by_role("button", name="Buat QRIS")).to_be_visible()
    state = till.context.storage_state()
    office.context.close()
    till.context.close()
    return state


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any], signed_in: Any) -> dict[str, Any]:
    return {**browser_context_args, "storage_state": signed_in}


@pytest.fixture
def till(page: Page, running: Shop) -> Page:
    """The till's page, as the cashier has it in hand."""
    page.add_init_script(LISTEN)
    page.goto(f"{running.url}/pos")
    return page


def expect_stage(page: Page, wanted: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-stage", wanted, timeout=SOON_MS)


def tap(page: Page, *keys: str) -> None:
    for key in keys:
        page.locator(f"[data-key='{key}']").click()


def sell(page: Page, *keys: str) -> dict[str, Any]:
    """Tap an amount and make the QR; answers what the browser knows of the payment."""
    tap(page, *keys)
    page.get_by_role("button", name="Buat QRIS").click()
    expect_stage(page, "waiting")
    return {"id": page.url.rsplit("/", 1)[1].partition("?")[0]}


def until(page: Page, expression: str) -> None:
    """Wait until it is true; asked from outside, for the page's policy lets nothing be evaluated inside."""
    for _ in range(SOON_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {expression}")


def cut(page: Page) -> None:
    """Cut the network, once everything that the page loads has come."""
    page.wait_for_load_state("networkidle")
    until(page, "navigator.serviceWorker.ready.then((one) => one.active?.state === 'activated')")
    page.context.set_offline(True)


def pay(shop: Shop, payment: dict[str, Any], *options: str) -> None:
    shop.webhook(shop.get(payment["id"]), *options)


def test_an_amount_is_tapped_paid_and_said_aloud(till: Page, running: Shop) -> None:
    payment = sell(till, "5", "0", "000")
    expect(till.get_by_role("heading", level=1)).to_contain_text("Rp50.000")
    expect(till.get_by_role("timer")).to_have_text(re.compile(r"^1[45]:\d\d$"))
    box = till.get_by_role("img").bounding_box()
    assert box is not None
    assert box["width"] == box["height"] >= 256
    pay(running, payment)
    expect_stage(till, "paid")
    assert till.evaluate("spoken") == [["Pembayaran lima puluh ribu rupiah diterima", "id-ID"]]
    green = till.evaluate("getComputedStyle(document.body).backgroundColor")
    assert green == "rgb(11, 107, 69)"
    expect(till.locator("#said")).to_contain_text("Pembayaran diterima. Rp50.000")
    mark = till.locator(".till-mark").inner_text()
    till.get_by_role("link", name="Pembayaran berikutnya").click()
    expect(till.locator(".recent li").first).to_contain_text("lunas")
    expect(till.locator(".now .total")).to_contain_text("Rp50.000")
    expect(till.locator(".now .till-mark")).to_be_visible()
    assert len(mark.split()) >= 2


def test_the_keyboard_does_what_the_keys_do(till: Page) -> None:
    till.keyboard.type("1250000")
    expect(till.locator("#amount")).to_have_value("1.250.000")
    till.keyboard.press("Backspace")
    expect(till.locator("#amount")).to_have_value("125.000")
    till.keyboard.press("Escape")
    expect(till.locator("#amount")).to_have_value("")
    till.locator("#note").fill("meja 7")
    till.locator("#amount").fill("15000")
    till.locator("#amount").press("Enter")
    expect_stage(till, "waiting")
    expect(till.get_by_text("meja 7")).to_be_visible()


def test_an_amount_fits_and_a_key_that_would_not_is_left_out_whole(till: Page) -> None:
    till.set_viewport_size(NARROW)
    amount = till.locator("#amount")
    amount.fill("90009000")
    tap(till, "000")
    expect(amount).to_have_value("90.009.000")
    tap(till, "9", "9", "9")
    expect(amount).to_have_value("9.000.900.099")
    for viewport in (NARROW, PHONE, DESK):
        till.set_viewport_size(viewport)
        assert amount.evaluate("(field) => field.scrollWidth <= field.clientWidth")
    amount.fill("pesanan 12: Rp5.000")
    expect(amount).to_have_value("9.000.900.099")
    amount.fill("Rp 15.000,00")
    expect(amount).to_have_value("15.000")


def test_what_is_refused_is_said_and_leaves_the_console_quiet(till: Page) -> None:
    tap(till, "9", "000", "000", "0")
    till.get_by_role("button", name="Buat QRIS").click()
    expect(till.get_by_role("alert")).to_contain_text("paling banyak Rp10.000.000")
    expect(till.locator("#amount")).to_have_value("90.000.000")


@pytest.mark.parametrize("path", ["pos/payments", "pay"])
def test_a_long_note_leaves_the_qr_on_the_screen_and_can_be_read(page: Page, running: Shop, path: str) -> None:
    note = "25 nasi kotak ayam bakar, 10 nasi kotak ikan, 3 loyang kue lapis, 40 es teh manis dan 2 galon air; "
    page.goto(f"{running.url}/{path}/{running.create(description=note * 2)['id']}")
    before = page.get_by_role("img").bounding_box()
    assert before is not None
    assert before["y"] + before["height"] < PHONE["height"]
    page.locator(".about summary").click()
    whole = page.locator(".about span")
    assert whole.evaluate("(text) => text.scrollHeight <= text.clientHeight")


def test_a_double_tap_makes_one_payment(till: Page) -> None:
    before = till.locator(".recent li").count()
    tap(till, "9", "000")
    till.get_by_role("button", name="Buat QRIS").dblclick()
    expect_stage(till, "waiting")
    till.get_by_role("link", name="Kembali ke kasir").click()
    expect(till.locator(".recent li")).to_have_count(before + 1)


def test_cut_off_there_is_no_qris_and_connected_again_there_is(
    till: Page, context: BrowserContext, running: Shop
) -> None:
    cut(till)
    expect(till.get_by_role("button", name="Buat QRIS")).to_be_disabled()
    expect(till.locator("#offline")).to_be_visible()
    expect(till.locator("#offline")).to_contain_text("QRIS dimatikan")
    context.set_offline(False)
    expect(till.get_by_role("button", name="Buat QRIS")).to_be_enabled()
    payment = sell(till, "7", "000")
    until(till, "document.querySelector('.qris img').complete")
    context.set_offline(True)
    expect(till.locator(".qris img")).to_have_css("visibility", "hidden")
    expect(till.get_by_text("QRIS dimatikan selama tidak ada koneksi")).to_be_visible()
    pay(running, payment)
    expect_stage(till, "waiting")
    context.set_offline(False)
    expect_stage(till, "paid")
    assert till.evaluate("spoken") == [["Pembayaran tujuh ribu rupiah diterima", "id-ID"]]
    expect(till.locator("#offline")).to_be_hidden()


@pytest.mark.parametrize("path", ["", "/payments/{id}", "/proof#text", "/connection", "/shifts/{shift}"])
def test_a_page_of_the_till_that_cannot_be_loaded_says_so_and_comes_when_it_can(
    till: Page, context: BrowserContext, running: Shop, path: str
) -> None:
    cut(till)
    context.set_offline(False)
    shift = till.locator("[name=shift]").get_attribute("value")
    address = f"{running.url}/pos{path}".format(id=running.create()["id"], shift=shift)
    till.goto(address)
    heading = till.locator("h1").first.text_content()
    cut(till)
    till.reload()
    expect(till.get_by_role("heading", level=1)).to_have_text("Tanpa koneksi – QRIS dimatikan")
    expect(till.get_by_role("heading", level=2)).to_have_text("No connection – QRIS is off")
    assert "Rp" not in till.content()
    assert "Budi" not in till.content()
    till.get_by_role("button", name="Coba lagi").click()
    expect(till.get_by_text("belum tersambung")).to_be_visible()
    context.set_offline(False)
    expect(till.locator("h1").first).to_have_text(heading or "", timeout=SOON_MS)
    assert till.url == address


@pytest.mark.parametrize("path", ["proof", "connection", "shifts/{shift}"])
def test_pages_that_ask_nothing_say_when_they_are_cut_off_and_send_no_form(
    till: Page, context: BrowserContext, running: Shop, path: str
) -> None:
    till.goto(f"{running.url}/pos/{path}".format(shift=till.locator("[name=shift]").get_attribute("value")))
    banner, button = till.locator("#offline"), till.locator("main form button").first
    expect(banner).to_be_hidden()
    cut(till)
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("QRIS dimatikan")
    expect(button).to_be_disabled()
    context.set_offline(False)
    expect(banner).to_be_hidden()
    expect(button).to_be_enabled()


def test_with_the_worker_at_hand_whoever_is_signed_out_is_asked_to_sign_in(till: Page, running: Shop) -> None:
    until(till, "navigator.serviceWorker.controller !== null")
    till.context.clear_cookies()
    till.goto(f"{running.url}/pos/proof")
    expect(till).to_have_url(f"{running.url}/sign-in?next=/pos/proof")


def test_the_page_without_a_connection_opened_by_itself_stays_and_leads_to_the_till(till: Page, running: Shop) -> None:
    till.goto(f"{running.url}/pos/offline")
    till.get_by_role("button", name="Coba lagi").click()
    expect(till).to_have_url(f"{running.url}/pos")


def test_the_language_switches_and_the_voice_with_it(till: Page, running: Shop) -> None:
    till.get_by_role("link", name="English").click()
    tap(till, "2", "000")
    till.get_by_role("button", name="Make the QRIS").click()
    expect_stage(till, "waiting")
    pay(running, {"id": till.url.rsplit("/", 1)[1]})
    expect_stage(till, "paid")
    assert till.evaluate("spoken") == [["Payment of 2,000 rupiah received", "en-US"]]


def test_polling_does_when_the_stream_does_not_come_through(till: Page, running: Shop) -> None:
    till.add_init_script("delete window.EventSource; window.EventSource = class { close() {} }")
    till.reload()
    pay(running, sell(till, "3", "000"))
    expect_stage(till, "paid")


def test_a_device_without_a_voice_for_the_language_chimes(till: Page, running: Shop) -> None:
    till.add_init_script(
        "window.notes = 0; const make = AudioContext.prototype.createOscillator;"
        "AudioContext.prototype.createOscillator = function () { notes++; return make.call(this); };"
        "speechSynthesis.getVoices = () => [{ lang: 'en-US' }, { lang: 'de_DE' }];"
    )
    till.reload()
    pay(running, sell(till, "8", "000"))
    expect_stage(till, "paid")
    assert till.evaluate("[notes, spoken.length]") == [3, 0]


def test_check_cancel_and_a_new_qr(till: Page, running: Shop) -> None:
    payment = sell(till, "4", "000")
    till.get_by_role("button", name="Cek sekarang").click()
    expect(till.get_by_text("belum ada pembayaran masuk")).to_be_visible()
    pay(running, payment, "--status", "EXPIRED")
    expect_stage(till, "expired")
    till.get_by_role("button", name="Buat QR baru").click()
    expect_stage(till, "waiting")
    assert running.get(payment["id"])["attempt"] == 2
    till.once("dialog", lambda dialog: dialog.accept())
    till.get_by_role("button", name="Batalkan").click()
    expect_stage(till, "cancelled")


def test_three_checks_in_vain_warn_and_break_nothing(browser: Browser, running: Shop, signed_in: Any) -> None:
    context = browser.new_context(viewport=PHONE, locale="id-ID", storage_state=signed_in)
    broken: list[str] = []
    context.on("weberror", lambda error: broken.append(str(error.error)))
    page = context.new_page()
    payment = running.create()
    page.goto(f"{running.url}/pos/payments/{payment['id']}")
    page.route("**/check", lambda route: route.abort())
    for _ in range(3):
        expect(page.get_by_role("button", name="Cek sekarang")).to_be_enabled(timeout=SOON_MS)
        page.get_by_role("button", name="Cek sekarang").click()
        expect(page.locator("#offline")).to_be_visible()
        page.evaluate("dispatchEvent(new Event('focus'))")
        expect(page.locator("#offline")).to_be_hidden()
    expect(page.locator("#warning")).to_be_visible()
    running.webhook(payment)
    expect_stage(page, "paid")
    assert broken == []
    context.close()


def test_the_screen_stays_awake_while_a_qr_is_shown(till: Page, running: Shop) -> None:
    till.add_init_script(
        "window.held = 0;"
        "navigator.wakeLock.request = async () => { held++; const lock = new EventTarget();"
        " lock.release = async () => { held--; }; return lock; }"
    )
    till.reload()
    payment = sell(till, "6", "000")
    until(till, "held === 1")
    pay(running, payment)
    expect_stage(till, "paid")
    until(till, "held === 0")


def test_without_javascript_it_works_by_forms_and_reloading(browser: Browser, running: Shop, signed_in: Any) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=PHONE, locale="id-ID", storage_state=signed_in)
    page = context.new_page()
    page.goto(f"{running.url}/pos")
    page.locator("#amount").fill("12.000")
    page.get_by_role("button", name="Buat QRIS").click()
    expect_stage(page, "waiting")
    page.get_by_role("button", name="Cek sekarang").click()
    expect(page.get_by_text("belum ada pembayaran masuk")).to_be_visible()
    context.close()


def test_the_till_keeps_its_files_and_nothing_else(till: Page, running: Shop) -> None:
    until(till, "navigator.serviceWorker.controller !== null")
    till.reload()
    until(till, "caches.open('qrisd-files').then((cache) => cache.keys()).then((keys) => keys.length > 2)")
    kept = till.evaluate("caches.open('qrisd-files').then((c) => c.keys()).then((k) => k.map((one) => one.url))")
    assert all(re.search(r"/static/[^/]+\?v=\w+$", url) for url in kept), kept
    assert set(till.evaluate("caches.keys()")) == {"qrisd-files", "qrisd-offline"}
    told = till.evaluate("caches.open('qrisd-offline').then((c) => c.keys()).then((k) => k.map((one) => one.url))")
    assert [url for url in told if "?v=" not in url] == [f"{running.url}/pos/offline"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_qr_on_the_screen_decodes(till: Page, running: Shop, scheme: Any) -> None:
    payment = running.create(25_000)
    till.emulate_media(color_scheme=scheme)
    for size in (PHONE, DESK):
        till.set_viewport_size(size)
        till.goto(f"{running.url}/pos/payments/{payment['id']}")
        expect(till.get_by_role("timer")).to_be_visible()
        assert qr_image.decode(till.screenshot()) == payment["qris_payload"]


def of(*webhooks: tuple[str, ...], unconfirmed: bool = False) -> Callable[[Page, Shop], None]:
    """Shows a payment about which these webhooks came."""

    def bring(page: Page, shop: Shop) -> None:
        payment = shop.create(description="2 kopi susu & roti bakar")
        for options in webhooks:
            shop.webhook(payment, *options)
        if unconfirmed:
            shop.unconfirm(payment)
            while shop.get(payment["id"])["status"] != "CREATED":  # until the server has noticed
                page.wait_for_timeout(50)
        page.goto(f"{shop.url}/pos/payments/{payment['id']}")

    return bring


def cut_off(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}/pos")
    cut(page)
    expect(page.locator("#offline")).to_be_visible()


def connection(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}/pos/connection")
    page.get_by_role("button", name="Tes sekarang").click()


def menu(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}/pos")
    page.get_by_text("Menu", exact=True).click()


def shift(page: Page, shop: Shop) -> None:
    menu(page, shop)
    page.get_by_role("link", name="Shift saya").click()


STATES: Final[dict[str, Callable[[Page, Shop], None]]] = {
    "till": lambda page, shop: void(page.goto(f"{shop.url}/pos")),
    "menu": menu,
    "cut off": cut_off,
    "waiting": of(),
    "checking": of(unconfirmed=True),
    "paid": of(()),
    "attention": of(("--amount", "10000")),
    "expired": of(("--status", "EXPIRED")),
    "failed": of(("--status", "FAILED")),
    "cancelled": of(("--status", "CANCELLED")),
    "connection": connection,
    "shift": shift,
}


def void(_: object) -> None:
    """For a table of functions that answer nothing."""


@pytest.mark.parametrize("state", STATES)
def test_nothing_grave_stands_in_the_way_of_anybody(page: Page, running: Shop, state: str) -> None:
    STATES[state](page, running)
    look(page, f"pos-{state.replace(' ', '-')}")


def test_a_shift_is_closed_and_another_one_opened(till: Page, running: Shop) -> None:
    shift(till, running)
    till.get_by_role("button", name="Tutup shift").click()
    expect(till.get_by_role("heading", name="Dicocokkan dengan penyedia")).to_be_visible()
    look(till, "pos-shift-closed")
    till.get_by_role("link", name="Kembali ke kasir").click()
    expect(till.get_by_role("heading", name="Buka shift")).to_be_visible()
    look(till, "pos-open-shift")
    till.get_by_role("button", name="Buka shift sekarang").click()
    expect(till.get_by_role("button", name="Buat QRIS")).to_be_visible()
