"""The checkout in a real browser, on a phone, before a real server."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from qrisd import qr_image
from tests.e2e.accessibility import violations
from tests.e2e.conftest import PHONE, Shop
from tests.e2e.looking import look

SOON_MS: Final = 10_000
MAX_BYTES: Final = 100_000
INTERACTIVE_WITHIN_MS: Final = 3_000


def open_checkout(page: Page, shop: Shop, payment: dict[str, Any], *, query: str = "") -> None:
    page.goto(f"{shop.url}/pay/{payment['id']}{query}")


def stage(page: Page) -> str:
    return page.locator("main").get_attribute("data-stage") or ""


def expect_stage(page: Page, wanted: str) -> None:
    expect(page.locator("main")).to_have_attribute("data-stage", wanted, timeout=SOON_MS)


def test_money_turns_the_page_green_and_is_announced(page: Page, running: Shop) -> None:
    payment = running.create(description="2 kopi susu")
    open_checkout(page, running, payment)
    expect(page.get_by_role("heading", level=1)).to_have_text("Bayar Rp15.000")
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^14:\d\d$"))
    running.webhook(payment)
    expect_stage(page, "paid")
    expect(page.get_by_role("status")).to_contain_text("Pembayaran diterima. Rp15.000")
    expect(page).to_have_title(re.compile("Pembayaran diterima"))
    expect(page.get_by_role("button", name="Cetak bukti pembayaran")).to_be_visible()
    green = page.locator(".sign svg").evaluate("(sign) => getComputedStyle(sign).backgroundColor")
    assert green == "rgb(11, 107, 69)"


def test_an_expired_qr_is_renewed_by_keyboard(page: Page, running: Shop) -> None:
    payment = running.create()
    open_checkout(page, running, payment)
    running.webhook(payment, "--status", "EXPIRED")
    expect_stage(page, "expired")
    page.get_by_role("button", name="Buat QR baru").focus()
    page.keyboard.press("Enter")
    expect_stage(page, "waiting")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    renewed = running.get(payment["id"])
    assert renewed["attempt"] == 2
    running.webhook(renewed)
    expect_stage(page, "paid")


def test_the_countdown_keeps_the_servers_time_and_turns_red(page: Page, running: Shop) -> None:
    page.add_init_script("const right = Date.now; Date.now = () => right() + 7 * 3600 * 1000")
    open_checkout(page, running, running.create(expires_in=62))
    timer = page.get_by_role("timer")
    expect(timer).to_have_text("01:01", timeout=SOON_MS)
    expect(timer).not_to_have_class(re.compile("soon"))
    expect(timer).to_have_class(re.compile("soon"), timeout=SOON_MS)
    expect(page.get_by_role("status")).to_have_text("Sisa waktu kurang dari satu menit.")


def test_a_clock_set_meanwhile_is_seen_through(page: Page, running: Shop) -> None:
    open_checkout(page, running, running.create())
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^1[45]:\d\d$"))
    page.evaluate("() => { const right = Date.now; Date.now = () => right() + 5 * 60 * 1000 }")
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^09:\d\d$"))
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"^14:\d\d$"))


def test_time_runs_out_before_the_payers_eyes(page: Page, running: Shop) -> None:
    payment = running.create()
    open_checkout(page, running, payment)
    running.end_at(payment, datetime.now(UTC) + timedelta(seconds=3))
    expect_stage(page, "expired")
    expect(page.get_by_role("img")).to_have_count(0)


def test_a_cut_network_is_said_and_caught_up_with(page: Page, context: BrowserContext, running: Shop) -> None:
    payment = running.create()
    open_checkout(page, running, payment)
    expect(page.get_by_role("timer")).to_be_visible()
    context.set_offline(True)
    expect(page.get_by_text("Tidak ada koneksi.").last).to_be_visible()
    running.webhook(payment)
    assert stage(page) == "waiting"
    context.set_offline(False)
    expect_stage(page, "paid")
    expect(page.locator("#offline")).to_be_hidden()


def test_polling_does_when_the_stream_does_not_come_through(page: Page, running: Shop) -> None:
    page.add_init_script("delete window.EventSource; window.EventSource = class { close() {} }")
    payment = running.create()
    open_checkout(page, running, payment)
    running.webhook(payment)
    expect_stage(page, "paid")


def test_coming_back_to_the_page_asks_at_once(page: Page, running: Shop) -> None:
    page.add_init_script(
        "window.EventSource = class { static OPEN = 1; readyState = 1; close() {} };"
        "window.setInterval = () => {};"  # a locked phone runs neither streams nor timers
    )
    payment = running.create()
    open_checkout(page, running, payment)
    running.webhook(payment)
    assert stage(page) == "waiting"
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect_stage(page, "paid")


def test_without_javascript_everything_works_by_reloading(browser: Browser, running: Shop) -> None:
    payment = running.create()
    context = browser.new_context(java_script_enabled=False, viewport=PHONE, locale="id-ID")
    page = context.new_page()
    open_checkout(page, running, payment)
    expect(page.get_by_text("Berlaku sampai")).to_be_visible()
    expect(page.get_by_role("timer")).to_be_hidden()
    running.webhook(payment, "--status", "EXPIRED")
    page.reload()
    page.get_by_role("button", name="Buat QR baru").click()
    assert stage(page) == "waiting"
    running.webhook(running.get(payment["id"]))
    expect_stage(page, "paid")  # the page reloads by itself
    context.close()


def test_the_language_switches_and_stays(page: Page, running: Shop) -> None:
    open_checkout(page, running, running.create())
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pay Rp15.000")
    open_checkout(page, running, running.create(20_000))
    expect(page.get_by_role("heading", level=1)).to_have_text("Pay Rp20.000")
    assert page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ratio", [1, 2.625])
def test_the_qr_on_the_screen_decodes(browser: Browser, running: Shop, scheme: Any, ratio: float) -> None:
    payment = running.create()
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, device_scale_factor=ratio)
    page = context.new_page()
    open_checkout(page, running, payment)
    expect(page.get_by_role("timer")).to_be_visible()
    assert qr_image.decode(page.screenshot()) == payment["qris_payload"]
    box = page.get_by_role("img").bounding_box()
    assert box is not None
    assert box["width"] == box["height"] >= 256
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    context.close()


def test_the_picture_is_saved_and_decodes(page: Page, running: Shop) -> None:
    payment = running.create()
    open_checkout(page, running, payment)
    with page.expect_download() as download:
        page.get_by_role("link", name="Simpan gambar QR").click()
    assert download.value.suggested_filename == f"qris-{payment['order_id']}-15000.png"
    assert qr_image.decode(download.value.path().read_bytes()) == payment["qris_payload"]


def test_it_is_small_and_soon_usable_on_a_slow_phone(
    page: Page, context: BrowserContext, running: Shop, record_property: Callable[[str, object], None]
) -> None:
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    sizes: list[float] = []
    devtools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    open_checkout(page, running, running.create())
    expect(page.get_by_role("timer")).to_be_visible()
    page.wait_for_load_state("load")
    timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    interactive_ms = page.evaluate(timing)
    record_property("transferred_bytes", sum(sizes))
    record_property("interactive_ms", interactive_ms)
    print(f"checkout: {len(sizes)} files, {sum(sizes):.0f} bytes, interactive after {interactive_ms:.0f} ms")
    assert len(sizes) >= 5
    assert sum(sizes) < MAX_BYTES
    assert interactive_ms < INTERACTIVE_WITHIN_MS


def new(shop: Shop) -> dict[str, Any]:
    return shop.create(description="2 kopi susu & roti bakar")


def after(*webhooks: tuple[str, ...]) -> Callable[[Shop], dict[str, Any]]:
    """Makes a payment about which these webhooks came."""

    def make(shop: Shop) -> dict[str, Any]:
        payment = new(shop)
        for options in webhooks:
            shop.webhook(payment, *options)
        return payment

    return make


def unconfirmed(shop: Shop) -> dict[str, Any]:
    payment = new(shop)
    shop.unconfirm(payment)
    return payment


STATES: Final[dict[str, Callable[[Shop], dict[str, Any]]]] = {
    "waiting": new,
    "checking": unconfirmed,
    "paid": after(()),
    "expired": after(("--status", "EXPIRED")),
    "failed": after(("--status", "FAILED")),
    "cancelled": after(("--status", "CANCELLED")),
    "refunded": after((), ("--status", "REFUNDED")),
    "attention": after(("--amount", "10000")),
}


@pytest.mark.parametrize("state", STATES)
def test_nothing_grave_stands_in_the_way_of_anybody(browser: Browser, running: Shop, state: str) -> None:
    payment = STATES[state](running)
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    open_checkout(page, running, payment)
    expect_stage(page, state)
    look(page, f"checkout-{state}")
    context.close()


def test_a_wrong_address_is_a_page_too(browser: Browser, running: Shop) -> None:
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    answer = page.goto(f"{running.url}/pay/nothing")
    assert answer is not None
    assert answer.status == 404
    assert violations(page) == []
    context.close()
