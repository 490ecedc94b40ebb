"""The rows of a report as lines: odd files as they come out of spreadsheets, banks and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from qrisd.domain.errors import FieldError, Invalid
from qrisd.domain.settlement import Line
from qrisd.reports.layout import Layout, find_layout
from qrisd.reports.lines import Planned, Read, Skipped, Voided, read_lines
from qrisd.reports.presets import preset
from qrisd.reports.settings import LayoutSettings, layouts_for
from qrisd.reports.table import tables

TODAY = date(2026, 11, 21)
FEES = "line_id,amount,fee,net_amount,settlement_date,kind"
BANK = {
    "provider": "bri",
    "unit": "rupiah",
    "decimal": ",",
    "date_format": "%d/%m/%Y",
    "columns": {
        "reference": "No Referensi",
        "amount": "Nominal",
        "fee": "MDR",
        "net_amount": "Nett",
        "settlement_date": "Tgl Settle",
    },
}


def layout(**changed: Any) -> Layout:
    """The bank's layout as the settings describe it, with other `changed`."""
    described: Mapping[str, LayoutSettings] = {"bri": LayoutSettings.model_validate(BANK | changed)}
    return layouts_for(described, "bri", [])[0]


def read(path: Path, like: Layout, today: date = TODAY) -> list[Read]:
    return list(read_lines(find_layout(tables(path), [like]), "bri", ZoneInfo("Asia/Jakarta"), today))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report"


def money(found: Read) -> tuple[int, int, int, int] | str:
    """What the row comes to, or what is said of it."""
    if isinstance(found, FieldError):
        return f"{found.field}: {found.message}"
    if isinstance(found, Skipped):
        return f"left out, {found.why}"
    assert isinstance(found, Line)
    return found.amount, found.fee, found.vat, found.net_amount


# Fees of their own


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        ("0,500,-500", 500),
        ("500,0,500", -500),
        ("-500,0,-500", 500),
        ("-500,,", 500),
        ("500,,", 500),
        ("500,,-500", 500),
        ("500,500,-500", 500),
        ("500,500,", 500),
        ("0,500,", 500),
        ("0,-500,", 500),
        (",500,", 500),
        ("0,,-500", 500),
        (",,-500", 500),
        (",-500,500", -500),
        ("0,-500,-500", 500),
    ],
)
def test_a_fee_is_what_its_row_says_wherever_it_says_it(file: Path, cells: str, kept: int) -> None:
    file.write_text(f"{FEES}\nF1,{cells},2026-11-20,fee\n")
    assert [money(one) for one in read(file, preset("plain"))] == [(0, kept, 0, -kept)]


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        ("500,0,300", "row 2, net_amount: '300' is not what the fee of 500 comes to"),
        ("500,,0", "row 2, net_amount: '0' is not what the fee of 500 comes to"),
        ("-500,,500", "row 2, net_amount: '500' is not what the fee of -500 comes to"),
        ("0,500,-400", "row 2, net_amount: '-400' is not what the fee of 500 comes to"),
        ("0,500,500", "row 2, net_amount: '500' is not what the fee of 500 comes to"),
        ("0,0,-500", "row 2, net_amount: '-500' is not what the fee of 0 comes to"),
        ("500,300,", "row 2, fee: '300' is another fee than the amount of 500"),
        ("500,300,-500", "row 2, fee: '300' is another fee than the amount of 500"),
        (",,", "row 2, amount: is empty"),
    ],
)
def test_a_fee_that_contradicts_itself_is_refused(file: Path, cells: str, wrong: str) -> None:
    file.write_text(f"{FEES}\nF1,{cells},2026-11-20,fee\n")
    assert [money(one) for one in read(file, preset("plain"))] == [wrong]


@pytest.mark.parametrize(
    ("cells", "kept"),
    [("500,50,,", (500, 50)), ("500,50,,-550", (550, 50)), ("0,50,500,", (550, 50)), ("0,50,550,-550", (550, 50))],
)
def test_the_vat_of_a_fee_is_in_it_or_beside_it(file: Path, cells: str, kept: tuple[int, int]) -> None:
    file.write_text(f"line_id,amount,vat,fee,net_amount,settlement_date,kind\nF1,{cells},2026-11-20,fee\n")
    assert [money(one) for one in read(file, preset("plain"))] == [(0, *kept, -kept[0])]


# Files as people and programs leave them


BANK_HEADER = "No;No Referensi;Nominal;MDR;Nett;Tgl Settle"
BANK_LINE = "1;R1;15.000,00;105,00;14.895,00;20/11/2026"


@pytest.mark.parametrize(
    "row",
    [
        "1 ;R1  ; 15.000,00 ;105,00 ; 14.895,00; 20/11/2026 ",
        "1;R1;Rp 15.000,00;Rp 105,00;Rp 14.895,00;20/11/2026",
        "1;R1;Rp\N{NO-BREAK SPACE}15.000;Rp105,-;14.895;20/11/2026",
        '"1";"R1";"15.000,00";"105,00";"14.895,00";"20/11/2026"',
        '1;"=""R1""";15.000;105;14.895;20/11/2026',
        "1;'R1;'15.000;105;14.895;'20/11/2026",
        "1;R1;15.000;(105);14.895;20/11/2026",
        "1;R1;15.000;105;-;20/11/2026",
        "1;R1;15.000;105;14.895;20/11/2026;;;",
    ],
)
def test_a_line_is_read_however_its_cells_are_dressed(file: Path, row: str) -> None:
    file.write_text(f"{BANK_HEADER}\n{row}\n")
    [line] = read(file, layout())
    assert isinstance(line, Line)
    assert (line.line_id, line.settlement_date) == ("R1", date(2026, 11, 20))
    assert money(line) == (15_000, 105, 0, 14_895)


@pytest.mark.parametrize(("cell", "fee"), [("-", 0), ("Rp -", 0), ("Rp-", 0), ("\N{EN DASH}", 0), ("0,-", 0)])
def test_a_dash_is_nothing(file: Path, cell: str, fee: int) -> None:
    file.write_text(f"{BANK_HEADER}\n1;R1;15.000,00;{cell};-;20/11/2026\n")
    assert [money(one) for one in read(file, layout())] == [(15_000, fee, 0, 15_000)]


@pytest.mark.parametrize(
    ("below", "left_out"),
    [
        ("", []),
        ("\n\n;;;;;\n", []),
        ("------;------;------;------;------;------", []),
        ("TOTAL;;15.000,00;105,00;14.895,00;", ["'TOTAL'"]),
        (";Grand Total;15.000,00;105,00;14.895,00;", ["'Grand Total'"]),
        ("Jumlah;1;15.000,00;105,00;14.895,00;", ["'Jumlah'"]),
        ("Total 1 transaksi;;15.000,00;105,00;14.895,00;-", ["'Total 1 transaksi'"]),
        ("Sub Total : ;;15.000,00;;;", ["'Sub Total :'"]),
        ("\nDicetak pada 21/11/2026 10:00", ["'Dicetak pada 21/11/2026 10:00'"]),
        ("Halaman 1 dari 2;;;;;", ["'Halaman 1 dari 2'"]),
        (BANK_HEADER, []),
    ],
)
def test_what_is_below_the_lines_is_left_out_and_counted(file: Path, below: str, left_out: list[str]) -> None:
    file.write_text(f"Laporan Settlement QRIS\nPeriode: 20/11/2026\n\n{BANK_HEADER}\n{BANK_LINE}\n{below}\n")
    line, *others = read(file, layout())
    assert money(line) == (15_000, 105, 0, 14_895)
    assert [money(one) for one in others] == [f"left out, no line: {what}" for what in left_out]


@pytest.mark.parametrize(
    "row",
    [
        ";;15.000,00;105,00;14.895,00;",
        "TOTAL;;15.000,00;105,00;14.895,00;20/11/2026",
        "2;R2;;105,00;14.895,00;20/11/2026",
        "2;R2;15.000,00;105,00;14.895,00;",
        "2;R2;15.000,00;105,00;14.000,00;20/11/2026",
    ],
)
def test_what_may_be_a_line_is_not_left_out(file: Path, row: str) -> None:
    file.write_text(f"{BANK_HEADER}\n{BANK_LINE}\n{row}\n")
    assert isinstance(read(file, layout())[1], FieldError)


def test_a_line_whose_id_is_a_word_for_a_sum_is_a_line(file: Path) -> None:
    file.write_text(f"{BANK_HEADER}\n1;TOTAL;15.000,00;105,00;14.895,00;20/11/2026\n")
    assert isinstance(read(file, layout())[0], Line)


def test_a_row_with_a_status_is_a_line_whatever_its_id(file: Path) -> None:
    file.write_text("line_id,amount,settlement_date,status\nTOTAL-1,15000,,void\n")
    assert isinstance(read(file, preset("plain"))[0], Voided)


@pytest.mark.parametrize("kind", ["payment", "refund", "adjustment", "fee", ""])
def test_a_row_of_no_money_is_left_out(file: Path, kind: str) -> None:
    file.write_text(f"{FEES}\nR1,0,0,0,2026-11-20,{kind}\n")
    assert [money(one) for one in read(file, preset("plain"))] == ["left out, amount: 0"]


def test_a_payment_of_nothing_with_a_fee_is_refused(file: Path) -> None:
    file.write_text(f"{FEES}\nR1,0,500,-500,2026-11-20,payment\n")
    assert money(read(file, preset("plain"))[0]) == (
        "row 2, amount: '0' is no payment; money that goes back is a refund"
    )


def test_a_column_of_the_layout_that_is_there_twice_is_refused(file: Path) -> None:
    file.write_text(f"{BANK_HEADER};nominal\n{BANK_LINE};1\n")
    with pytest.raises(Invalid, match="two columns 'Nominal'"):
        read(file, layout())


def test_a_spreadsheet_with_a_merged_title_formats_and_a_sum_is_read(tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    with xlsxwriter.Workbook(tmp_path / "r.xlsx") as book:
        sheet = book.add_worksheet("Settlement")
        rupiah, day = (book.add_format({"num_format": one}) for one in ('"Rp"#,##0', "dd/mm/yyyy"))
        sheet.merge_range(0, 0, 1, 5, "LAPORAN SETTLEMENT QRIS")
        sheet.write_row(3, 0, BANK_HEADER.split(";"))
        for row in (4, 6):
            sheet.write_row(row, 0, [row, f"R{row}"])
            sheet.write_row(row, 2, [15_000, 15_000 * 0.007, 14_894.999999999998], rupiah)
            sheet.write_datetime(row, 5, datetime(2026, 11, 20), day)
        sheet.merge_range(7, 0, 7, 1, "TOTAL")
        sheet.write_row(7, 2, [30_000, 210, 29_790], rupiah)
    assert [money(one) for one in read(tmp_path / "r.xlsx", layout())] == [
        (15_000, 105, 0, 14_895),
        (15_000, 105, 0, 14_895),
        "left out, no line: 'TOTAL'",
    ]


# Days to come


@pytest.mark.parametrize("day", ["2026-11-22", "2026-11-23", "2026-12-05"])
def test_a_payout_on_a_day_to_come_is_planned(file: Path, day: str) -> None:
    file.write_text(f"line_id,amount,settlement_date\nR1,15000,{day}\n")
    [one] = read(file, preset("plain"))
    assert isinstance(one, Planned)
    assert (one.line.is_settled, one.line.settlement_date.isoformat()) == (False, day)


@pytest.mark.parametrize("day", ["2026-12-06", "2099-01-01"])
def test_a_payout_long_after_today_is_refused(file: Path, day: str) -> None:
    file.write_text(f"line_id,amount,settlement_date\nR1,15000,{day}\n")
    assert [money(one) for one in read(file, preset("plain"))] == [
        f"row 2, settlement_date: '{day}' is more than 14 days after today, 2026-11-21"
    ]


def test_the_column_that_the_day_is_from_is_named(file: Path) -> None:
    described = {
        "provider": "bri",
        "unit": "rupiah",
        "columns": {"reference": "Ref", "amount": "X", "transacted_at": "T"},
    }
    file.write_text("Ref,X,T\nR1,15000,2099-01-01\n")
    like = layouts_for({"bri": LayoutSettings.model_validate(described)}, "bri", [])[0]
    assert money(read(file, like)[0]) == "row 2, T: '2099-01-01' is more than 14 days after today, 2026-11-21"


def test_a_payout_today_is_settled(file: Path) -> None:
    file.write_text("line_id,amount,settlement_date\nR1,15000,2026-11-21T23:59:59+07:00\n")
    [line] = read(file, preset("plain"))
    assert isinstance(line, Line)
    assert line.is_settled


def test_what_is_expected_may_be_a_long_time_off(file: Path) -> None:
    file.write_text("line_id,amount,settlement_date,status\nR1,15000,2027-11-21,pending\n")
    [line] = read(file, preset("plain"))
    assert isinstance(line, Line)
    assert not line.is_settled
