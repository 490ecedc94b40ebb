"""Receipts, proofs and the pair of the minute in a real browser, before a real server and a printer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from qrisd.data_dir import DataDir
from qrisd.domain.permissions import Role
from qrisd.domain.receipt import COPY_MARK
from qrisd.services import people, sessions
from qrisd.services.people import Draft
from qrisd.services.sessions import Origin
from qrisd.store import users
from qrisd.store.audit_log import COMMAND_LINE, Actor
from qrisd.store.db import connect
from tests.e2e.conftest import PHONE, Shop
from tests.e2e.looking import look
from tests.fakes.printer import FakePrinter
from tests.support.people import cheap_hash
from tests.support.server import LiveServer

SOON_MS: Final = 10_000
MM_PER_PX: Final = 25.4 / 96


@pytest.fixture(scope="module")
def printer() -> Iterator[FakePrinter]:
    with FakePrinter() as fake:
        yield fake


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, printer: FakePrinter) -> Iterator[Shop]:
    """A shop with a printer."""
    data_dir = tmp_path_factory.mktemp("printing-shop") / "data"
    with LiveServer(data_dir, {"QRISD_POS__PRINTER": printer.address}) as server:
        yield Shop(server)


@pytest.fixture(scope="module")
def token(running: Shop) -> str:
    """That of a session of a cashier."""
    now = datetime.now(UTC)
    with closing(connect(DataDir(running.server.data_dir).database)) as conn:
        made, _ = people.create(conn, Draft("siti", "Siti", Role.CASHIER, None), Actor(COMMAND_LINE), now)
        users.save_secret(conn, made.id, password_hash=cheap_hash("kopi susu gula aren"), pin_hash=None)
        user = users.get(conn, made.id)
        assert user is not None
        return sessions.begin(conn, user, Origin("127.0.0.1", "test"), now)[1]


def sign_in(context: BrowserContext, shop: Shop, token: str) -> None:
    context.add_cookies([{"name": "session", "value": token, "url": shop.url}])


@pytest.fixture
def till(context: BrowserContext, running: Shop, token: str) -> Page:
    sign_in(context, running, token)
    page = context.new_page()
    page.add_init_script("window.prints = 0; window.print = () => { window.prints += 1 }")
    return page


def paid(shop: Shop, amount: int = 15_000, **fields: Any) -> dict[str, Any]:
    payment = shop.create(amount, **fields)
    shop.webhook(payment)
    return payment


def open_receipt(page: Page, shop: Shop, payment: dict[str, Any]) -> None:
    page.goto(f"{shop.url}/pos/payments/{payment['id']}/receipt")


def check_proof(page: Page, shop: Shop, claim: str) -> None:
    page.goto(f"{shop.url}/pos/proof")
    page.get_by_role("textbox").fill(claim)
    page.get_by_role("button", name="Cek").click()


def test_the_receipt_comes_out_of_the_printer_and_a_second_one_is_a_copy(
    till: Page, running: Shop, printer: FakePrinter
) -> None:
    before = len(printer.papers(0))
    open_receipt(till, running, paid(running))
    till.get_by_role("button", name="Cetak di printer").click()
    expect(till.get_by_role("status")).to_have_text("Sudah dikirim ke printer.")
    till.get_by_role("button", name="Cetak salinan di printer").click()
    expect(till.get_by_role("status")).to_have_text("Sudah dikirim ke printer, bertanda SALINAN.")
    original, copy = printer.papers(before + 2)[before:]
    assert COPY_MARK.encode() not in original
    assert COPY_MARK.encode() in copy
    assert b"Siti" in copy


def test_the_browser_prints_at_once_and_printing_the_same_page_again_is_a_copy(till: Page, running: Shop) -> None:
    open_receipt(till, running, paid(running))
    till.get_by_role("button", name="Cetak lewat browser").click()
    till.wait_for_function("window.prints === 1")
    paper = till.locator("pre")
    till.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(paper).not_to_contain_text("SALINAN")
    till.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(paper).to_contain_text(COPY_MARK)


def page_mm(pdf: bytes) -> tuple[float, float]:
    """Width and height of a PDF's first page."""
    found = re.search(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)\s*\]", pdf)
    assert found is not None
    return float(found[1]) * 25.4 / 72, float(found[2]) * 25.4 / 72


def test_on_paper_it_is_58_mm_wide_one_page_long_and_nothing_but_the_receipt(
    till: Page, running: Shop, tmp_path: Path
) -> None:
    open_receipt(till, running, paid(running, description="2 kopi susu & roti bakar"))
    till.get_by_role("button", name="Cetak lewat browser").click()
    till.wait_for_function("window.prints === 1")
    pdf = till.pdf(path=tmp_path / "receipt.pdf", prefer_css_page_size=True)
    width, height = page_mm(pdf)
    assert width == pytest.approx(58, abs=0.5)
    assert height == pytest.approx(70, abs=0.5)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    till.emulate_media(media="print")
    till.set_viewport_size({"width": round(58 / MM_PER_PX), "height": round(70 / MM_PER_PX)})
    till.screenshot(path=tmp_path / "receipt.png")
    box = till.locator("pre").bounding_box()
    assert box is not None
    assert box["width"] * MM_PER_PX <= 48.5
    for hidden in till.locator(".person, .screen, footer, .only-on-paper").all():
        expect(hidden).to_be_hidden()


def test_looking_at_a_receipt_prints_none(till: Page, running: Shop) -> None:
    open_receipt(till, running, paid(running))
    till.emulate_media(media="print")
    expect(till.locator("pre")).to_be_hidden()
    expect(till.get_by_text("Ini bukan bukti pembayaran.")).to_be_visible()


def test_a_proof_is_checked_by_the_enter_key_and_the_answer_has_the_focus(till: Page, running: Shop) -> None:
    payment = paid(running, 51_000)
    till.goto(f"{running.url}/pos/proof")
    expect(till.get_by_role("textbox")).to_be_focused()
    till.keyboard.type("51.000")
    till.keyboard.press("Enter")
    answer = till.get_by_role("status")
    expect(answer).to_contain_text(f"Rp51.000 masuk untuk pesanan {payment['order_id']}")
    expect(answer).to_be_focused()
    expect(till).to_have_title("Sudah dibayar · Cek bukti bayar")


def test_pasted_lines_stay_apart(till: Page, running: Shop) -> None:
    running.create(52_000)
    check_proof(till, running, "Transfer berhasil\nTotal Rp52.000\nBiaya Rp0")
    expect(till.get_by_role("status")).to_contain_text("masih menunggu Rp52.000")


def test_the_payers_page_drops_the_pair_when_its_minute_is_over_and_shows_the_next(
    page: Page, context: BrowserContext, running: Shop
) -> None:
    page.clock.install()
    payment = paid(running)
    page.goto(f"{running.url}/pay/{payment['id']}")
    pair = page.locator(".till-mark")
    expect(pair).to_be_visible()
    context.set_offline(True)
    page.clock.run_for(61_000)
    expect(pair).to_be_hidden()
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    page.route("**/pay/*/status", lambda route: route.fulfill(json={"tag": "x", "until": now_ms, "now": now_ms}))
    context.set_offline(False)
    page.clock.run_for(4_000)
    expect(pair).to_be_visible(timeout=SOON_MS)


def pages_of(shop: Shop) -> dict[str, tuple[str, str | None]]:
    """name -> (path, what is checked there)."""
    payment = paid(shop, 53_000, description="2 kopi susu & roti bakar")
    shop.create(54_000)
    return {
        "receipt": (f"/pos/payments/{payment['id']}/receipt", None),
        "no-receipt": (f"/pos/payments/{shop.create()['id']}/receipt", None),
        "proof": ("/pos/proof", None),
        "proof-paid": ("/pos/proof", "53.000"),
        "proof-absent": ("/pos/proof", "54.000"),
        "proof-mismatch": ("/pos/proof", f"Total Rp90.000 {payment['order_id']} berhasil"),
        "paid": (f"/pay/{payment['id']}", None),
    }


def test_nothing_grave_stands_in_the_way_of_anybody(browser: Browser, running: Shop, token: str) -> None:
    for name, (path, claim) in pages_of(running).items():
        context = browser.new_context(viewport=PHONE, locale="id-ID")
        sign_in(context, running, token)
        page = context.new_page()
        if claim is None:
            page.goto(running.url + path)
        else:
            check_proof(page, running, claim)
            expect(page.get_by_role("status")).to_be_visible()
        look(page, name)
        context.close()
