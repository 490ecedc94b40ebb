"""Receipts at the till: who may print which, one original, copies marked, and a printer that may not be there."""

from __future__ import annotations

import asyncio
import html
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from qrisd.domain.permissions import Role
from qrisd.domain.receipt import COPY_MARK
from tests.fakes.printer import FakePrinter
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import Browser, add_person, signed_in

COPY = COPY_MARK.encode()


@pytest.fixture
def printer() -> Iterator[FakePrinter]:
    with FakePrinter() as fake:
        yield fake


@pytest.fixture
async def printing(tmp_path: Path, clock: FakeClock, printer: FakePrinter) -> AsyncIterator[Installation]:
    """A shop with a printer."""
    async with Installation(tmp_path / "data", clock, {"pos": {"printer": printer.address}}).running() as running:
        yield running


def cashier(shop: Installation, *outlets: str, role: Role = Role.CASHIER) -> Browser:
    return signed_in(shop, add_person(shop, role, outlets=frozenset(outlets) or None))


async def paid(shop: Installation, order_id: str = "INV-1", **fields: Any) -> dict[str, Any]:
    payment = await shop.create(order_id, **fields)
    await shop.webhook(payment, provider_ref_no=f"REF-{order_id}")
    return payment


def receipt_path(payment: dict[str, Any]) -> str:
    return f"/pos/payments/{payment['id']}/receipt"


def print_path(payment: dict[str, Any]) -> str:
    return f"/pos/payments/{payment['id']}/print"


def paper_in(page: str) -> str:
    found = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


async def test_the_receipt_says_what_was_paid_and_who_sold_it(shop: Installation) -> None:
    payment = await paid(shop, description="2 kopi <susu>")
    page = await cashier(shop).get(receipt_path(payment))
    assert page.status_code == 200
    paper = paper_in(page.text)
    for said in ("WARUNG SIMULASI", "Rp15.000", "INV-1", "REF-INV-1", "Test cashier", "2 kopi <susu>", "LUNAS"):
        assert said in paper
    assert COPY_MARK not in paper
    assert max(map(len, paper.splitlines())) <= 32
    assert shop.rows("SELECT * FROM receipt_prints") == [], "looking is not printing"


async def test_wider_paper_has_more_columns(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {"pos": {"paper_mm": 80}}).running() as shop:
        page = (await cashier(shop).get(receipt_path(await paid(shop)))).text
        assert "paper-80" in page
        assert max(map(len, paper_in(page).splitlines())) == 48


async def test_the_first_print_is_the_original_and_every_further_one_a_copy(shop: Installation) -> None:
    payment, till = await paid(shop), cashier(shop)
    first = await till.post(print_path(payment), how="browser")
    shop.clock.advance(60)
    boss = cashier(shop, role=Role.SUPERVISOR)
    second = await boss.post(print_path(payment), how="browser")
    assert "data-print-now" in first.text
    assert COPY_MARK not in paper_in(first.text)
    assert COPY_MARK in paper_in(second.text)
    assert "Test cashier" in paper_in(second.text), "a copy names who the original named"
    rows = shop.rows(
        "SELECT r.number, r.how, u.name, r.printed_at FROM receipt_prints r JOIN users u ON u.id = user_id"
    )
    assert [tuple(row.values()) for row in rows] == [
        (1, "browser", "Test cashier", "2026-01-15T03:00:00.000Z"),
        (2, "browser", "Test supervisor", "2026-01-15T03:01:00.000Z"),
    ]
    assert COPY_MARK in paper_in((await till.get(receipt_path(payment))).text), "as the next one will be"


async def test_prints_at_the_same_moment_give_one_original(printing: Installation, printer: FakePrinter) -> None:
    payment, till = await paid(printing), cashier(printing)
    how = ["printer", "browser", "printer", "browser", "printer"]
    answers = await asyncio.gather(*(till.post(print_path(payment), how=one) for one in how))
    assert {answer.status_code for answer in answers} == {200}
    papers = printer.papers(3) + [paper_in(a.text).encode() for a in answers if "data-print-now" in a.text]
    assert len(papers) == 5
    assert sum(COPY not in paper for paper in papers) == 1


async def test_the_printer_gets_the_receipt_and_the_page_says_so(printing: Installation, printer: FakePrinter) -> None:
    payment, till = await paid(printing), cashier(printing)
    page = await till.post(print_path(payment))
    assert "Sudah dikirim ke printer." in page.text
    sent = printer.papers(1)[0]
    assert sent.startswith(b"\x1b@")
    assert sent.endswith(b"\x1dV\x00")
    assert b"Rp15.000" in sent
    assert COPY not in sent
    assert "SALINAN" in (await till.post(print_path(payment))).text
    assert COPY in printer.papers(2)[1]


async def test_a_printer_that_does_not_answer_is_said_and_nothing_counts_as_printed(
    tmp_path: Path, clock: FakeClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    async with Installation(tmp_path / "data", clock, {"pos": {"printer": address}}).running() as shop:
        payment, till = await paid(shop), cashier(shop)
        page = await till.post(print_path(payment))
        assert page.status_code == 503
        assert f"Printer di {address} tidak menjawab. Belum ada yang dicetak." in page.text
        assert shop.rows("SELECT * FROM receipt_prints") == []
        assert COPY_MARK not in paper_in((await till.post(print_path(payment), how="browser")).text)


async def test_without_a_printer_only_the_browser_prints(shop: Installation) -> None:
    payment, till = await paid(shop), cashier(shop)
    page = await till.get(receipt_path(payment))
    assert 'value="browser"' in page.text
    assert 'value="printer"' not in page.text
    answer = await till.post(print_path(payment))
    assert answer.status_code == 503
    assert "Printer struk belum diatur" in answer.text


@pytest.mark.parametrize("status", ["PENDING", "EXPIRED", "CANCELLED"])
async def test_what_is_not_paid_has_no_receipt(shop: Installation, status: str) -> None:
    payment, till = await shop.create(), cashier(shop)
    await shop.webhook(payment, status)
    for answer in (await till.get(receipt_path(payment)), await till.post(print_path(payment), how="browser")):
        assert answer.status_code == 409
        assert "Belum ada bukti pembayaran" in answer.text
    assert shop.rows("SELECT * FROM receipt_prints") == []


async def test_too_little_money_is_no_receipt_either(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment, amount=10_000)
    assert (await cashier(shop).get(receipt_path(payment))).status_code == 409


async def test_what_went_back_stands_on_the_receipt(shop: Installation) -> None:
    payment, till = await paid(shop), cashier(shop)
    await shop.webhook(payment, "REFUNDED", amount=5_000)
    assert "LUNAS, DIKEMBALIKAN SEBAGIAN" in paper_in((await till.get(receipt_path(payment))).text)
    await shop.webhook(payment, "REFUNDED", amount=15_000)
    paper = paper_in((await till.get(receipt_path(payment))).text)
    assert "LUNAS" not in paper
    assert "DIKEMBALIKAN" in paper


async def test_a_receipt_of_another_outlet_is_not_there(shop: Installation) -> None:
    payment = await paid(shop, outlet="kemang")
    for till, status in ((cashier(shop, "bandung"), 404), (cashier(shop, "kemang", role=Role.SUPERVISOR), 200)):
        assert (await till.get(receipt_path(payment))).status_code == status
        assert (await till.post(print_path(payment), how="browser")).status_code == status
    assert len(shop.rows("SELECT * FROM receipt_prints")) == 1


async def test_printing_needs_a_form_of_the_session(shop: Installation) -> None:
    payment, till = await paid(shop), cashier(shop)
    assert (await till.post(print_path(payment), proof="x", how="browser")).status_code == 403
    assert (await till.post(print_path(payment), how="browser", amount="1")).status_code == 403
    assert shop.rows("SELECT * FROM receipt_prints") == []
