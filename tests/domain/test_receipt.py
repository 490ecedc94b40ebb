"""Receipts on paper."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from qrisd.domain.receipt import COLUMNS, COPY_MARK, PaperMm, Receipt, escpos, lines

JAKARTA = ZoneInfo("Asia/Jakarta")
RECEIPT = Receipt(
    merchant_name="Warung Kopi Ibu Sari Jalan Melati Nomor Tujuh Belas",
    nmid="ID1020000000001",
    outlet="main",
    cashier="Siti",
    order_id="INV-2026-0001",
    amount=15_000,
    paid_at=datetime(2026, 1, 15, 3, 3, tzinfo=UTC),
    provider_ref_no="123456789012",
    description="2 kopi susu, 1 pisang goreng keju cokelat",
)


@pytest.mark.parametrize("paper_mm", [58, 80])
def test_every_line_fits_the_paper(paper_mm: PaperMm) -> None:
    assert max(map(len, lines(RECEIPT, paper_mm, JAKARTA))) <= COLUMNS[paper_mm]


def test_it_says_what_was_paid_when_and_under_which_reference() -> None:
    text = "\n".join(lines(RECEIPT, 58, JAKARTA))
    for said in ("Rp15.000", "15-01-2026 10:03 WIB", "INV-2026-0001", "123456789012", "LUNAS", "ID1020000000001"):
        assert said in text
    assert COPY_MARK not in text


def test_a_reprint_is_marked_as_a_copy() -> None:
    assert any(COPY_MARK in line for line in lines(replace(RECEIPT, is_copy=True), 58, JAKARTA))


def test_nothing_in_a_name_or_a_note_is_a_command_to_the_printer() -> None:
    evil = replace(RECEIPT, description="\x1b@\x1dV\x00 kopi \x1bp", merchant_name="Kafé Ñandu 🍜")
    sent = escpos(lines(evil, 58, JAKARTA))
    inside = sent.removeprefix(b"\x1b@").removesuffix(b"\x1bd\x04\x1dV\x00")
    assert b"\x1b" not in inside
    assert b"\x1d" not in inside
    assert b"Kafe Nandu" in inside


def test_what_phones_write_of_themselves_is_printed_as_what_was_meant() -> None:
    note = replace(RECEIPT, description="“susu” ‘es’ – teh—2…\u00a0• jum’at")
    assert b"\"susu\" 'es' - teh-2... * jum'at\n" in escpos(lines(note, 80, JAKARTA))


def test_a_word_longer_than_the_paper_is_broken() -> None:
    long = replace(RECEIPT, order_id="X" * 64)
    assert max(map(len, lines(long, 58, JAKARTA))) <= 32
