"""Importing settlement reports: reading, matching, storing all or nothing."""

from __future__ import annotations

import csv
import io
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qrisd.domain import qris
from qrisd.domain.errors import Invalid, ReportKnown, StorageUnavailable
from qrisd.domain.settlement import Imported
from qrisd.services import settlements as service
from qrisd.services.settlements import import_report
from qrisd.store import audit_log, ledger, settlement_matching, settlement_staging, settlements
from qrisd.store.audit_log import Actor
from qrisd.store.db import connect
from qrisd.store.verify import violations
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.reports import DANA, XENDIT_BALANCE, XENDIT_V1, XENDIT_V2, Row, as_csv, names_of, write_xlsx, xendit

# After every day that the reports here tell of, but where a test says another.
NOW = datetime(2026, 1, 20, 3, tzinfo=UTC)
LAYOUTS = {
    "bri": {
        "provider": "bri",
        "columns": {
            "reference": ["No Referensi", "Ref"],
            "amount": "Nominal",
            "fee": "MDR",
            "settlement_date": "Tgl Settle",
            "status": "Keterangan",
        },
        "unit": "rupiah",
        "decimal": ",",
        "date_format": "%d/%m/%Y",
        "statuses": {"LUNAS": "settled", "BATAL": "skipped"},
    },
    "antom": {"provider": "antom", "like": "antom_settlement", "unit": "cents"},
}


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    flags = {"settlements": {"layouts": LAYOUTS}}
    async with Installation(tmp_path / "data", clock, flags).running() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def do_import(
    shop: Installation,
    body: bytes,
    provider: str = "xendit",
    *,
    dry_run: bool = False,
    name: str = "report.csv",
    now: datetime = NOW,
) -> Imported:
    path = shop.settings.data_dir / "report"
    path.write_bytes(body)
    source = shop.settings.reports.source(path, name, provider)
    with closing(connect(shop.data_dir.database)) as conn:
        done = import_report(conn, source, Actor("command line"), now, dry_run=dry_run)
        assert violations(conn) == []
    return done


def wrong(shop: Installation, body: bytes, provider: str = "xendit", *, now: datetime = NOW) -> list[str]:
    """What the import is refused for; nothing may be stored by it."""
    before = stored(shop)
    with pytest.raises(Invalid) as refused:
        do_import(shop, body, provider, now=now)
    assert stored(shop) == before
    return [f"{one.field}: {one.message}" for one in refused.value.errors]


def stored(shop: Installation) -> list[list[dict[str, Any]]]:
    tables = ("settlements", "settlement_files", "settlement_changes", "ledger_entries", "audit_log")
    return [shop.rows(f"SELECT * FROM {table}") for table in tables]


def balances(shop: Installation) -> dict[str, int]:
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        return ledger.balances(conn)


async def paid(shop: Installation, order_id: str, amount: int = 15_000, provider: str = "xendit") -> str:
    """Our reference of a paid payment of this provider."""
    payment = await shop.create(order_id, amount)
    await shop.webhook(payment)
    belongs_to(shop, payment["id"], provider)
    return str(shop.rows("SELECT reference FROM attempts WHERE payment_id = ?", payment["id"])[0]["reference"])


def belongs_to(shop: Installation, payment_id: str, provider: str) -> None:
    """As if the simulator had been this provider from the beginning, in the ledger, too."""
    [unchanged] = shop.rows("SELECT sql FROM sqlite_master WHERE name = 'ledger_entries_are_not_changed'")
    shop.write("DROP TRIGGER ledger_entries_are_not_changed")
    shop.write("UPDATE attempts SET provider = ? WHERE payment_id = ?", provider, payment_id)
    account = f"receivable:{provider}"
    shop.write(
        "UPDATE ledger_entries SET debit_account = ? WHERE kind = 'paid' AND payment_id = ?", account, payment_id
    )
    shop.write(unchanged["sql"])


def v2(*rows: Row, **options: Any) -> bytes:
    return as_csv(XENDIT_V2, rows, **options)


async def test_a_settled_payment_lands_with_fee_and_net_and_its_postings(shop: Installation) -> None:
    reference = await paid(shop, "INV-1")
    done = do_import(shop, v2(xendit(reference)))
    assert (done.new, done.unmatched, done.total.net_amount, done.has_fees) == (1, 0, 14_895, True)
    line = shop.rows("SELECT * FROM settlements")[0]
    payment = shop.rows("SELECT id FROM payments")[0]["id"]
    assert line["payment_id"] == payment
    assert (line["amount"], line["fee"], line["vat"], line["net_amount"]) == (15_000, 105, 10, 14_895)
    assert (line["settlement_date"], line["is_settled"], line["row_number"]) == ("2026-01-17", 1, 2)
    assert line["transacted_at"] == "2026-01-15T03:03:21.749Z"
    posted = shop.rows("SELECT kind, amount, payment_id, happened_at FROM ledger_entries WHERE settlement_id = 1")
    assert [(one["kind"], one["amount"], one["payment_id"]) for one in posted] == [
        ("fee", 105, payment),
        ("settled", 14_895, payment),
    ]
    assert {one["happened_at"] for one in posted} == {"2026-01-16T17:00:00.000Z"}
    assert balances(shop)["bank"] == 14_895
    audited = shop.rows("SELECT who, action, what FROM audit_log WHERE action = 'settlement.imported'")
    assert audited == [{"who": "command line", "action": "settlement.imported", "what": done.file.id}]


async def test_a_dry_run_says_the_same_and_stores_nothing(shop: Installation) -> None:
    report = v2(xendit(await paid(shop, "INV-1")))
    before = stored(shop)
    tried = do_import(shop, report, dry_run=True)
    assert stored(shop) == before
    done = do_import(shop, report)
    assert (tried.total, tried.new, tried.unmatched) == (done.total, done.new, done.unmatched)


async def test_the_same_file_is_taken_only_once(shop: Installation) -> None:
    report = v2(xendit("nobodys"))
    do_import(shop, report, name="january.csv")
    before = stored(shop)
    for dry_run in (False, True):
        with pytest.raises(ReportKnown, match=r"imported on 2026-01-20 03:00:00 UTC, as 'january.csv' of xendit"):
            do_import(shop, report, dry_run=dry_run, name="copy.csv")
    assert stored(shop) == before


async def test_a_line_that_was_expected_is_settled_by_a_later_report(shop: Installation) -> None:
    reference = await paid(shop, "INV-1")
    waiting = {"Settlement Status": "PENDING", "Actual Settlement Time": ""}
    first = do_import(shop, v2(xendit(reference) | waiting))
    assert "bank" not in balances(shop)
    line = shop.rows("SELECT is_settled, settlement_date, file_id FROM settlements")[0]
    assert line == {"is_settled": 0, "settlement_date": "2026-01-17", "file_id": first.file.id}
    again = do_import(shop, v2(xendit(reference) | waiting, xendit("other", number=2) | waiting))
    assert (again.new, again.changed, again.file.repeated) == (1, 0, 1)
    settled = do_import(shop, v2(xendit(reference), xendit("other", number=2)))
    assert (settled.new, settled.changed, settled.file.lines) == (0, 2, 2)
    assert balances(shop)["bank"] == 2 * 14_895
    changes = "SELECT s.line_id, c.file_id FROM settlement_changes c JOIN settlements s ON s.id = c.settlement_id"
    assert [tuple(row.values()) for row in shop.rows(changes)] == [
        ("txn_00000001", first.file.id),
        ("txn_00000002", again.file.id),
    ]
    older = do_import(shop, v2(xendit(reference) | waiting, xendit("new", number=3)))
    assert (older.new, older.changed, older.file.repeated) == (1, 0, 1)
    assert shop.rows("SELECT is_settled FROM settlements WHERE id = 1") == [{"is_settled": 1}]


async def test_overlapping_reports_do_not_double(shop: Installation) -> None:
    rows = [xendit(f"R{number}", number=number) for number in range(1, 6)]
    do_import(shop, v2(*rows[:3]))
    done = do_import(shop, v2(*rows[1:]))
    assert (done.new, done.file.repeated, done.file.lines) == (2, 2, 2)
    assert done.total.lines == 4
    assert balances(shop)["bank"] == 5 * 14_895
    reordered = do_import(shop, as_csv(names_of(XENDIT_V2)[::-1], rows))
    assert (reordered.new, reordered.file.repeated) == (0, 5)


async def test_what_was_settled_is_not_changed_by_another_report(shop: Installation) -> None:
    do_import(shop, v2(xendit("R1"), xendit("R2", number=2)), name="january.csv")
    changed = xendit("R1", 16_000), xendit("R2", number=2) | {"Net Amount": 14_890, "Total Fee": 100}
    assert wrong(shop, v2(*changed)) == [
        "row 2, Amount: says 16000, but the file 'january.csv' said 15000 and that it was settled",
        "row 3, Total Fee: says 110, but the file 'january.csv' said 105 and that it was settled",
    ]
    void = xendit("R1", Status="REVERSED") | {"Settlement Status": ""}
    assert wrong(shop, v2(void)) == ["row 2, Status: says 'REVERSED', but the file 'january.csv' said it was settled"]


async def test_what_was_expected_and_will_not_come_is_void(shop: Installation) -> None:
    waiting = {"Settlement Status": "PENDING", "Actual Settlement Time": ""}
    do_import(shop, v2(xendit("R1") | waiting))
    void = do_import(shop, v2(xendit("R1", Status="VOIDED") | {"Settlement Status": ""}, xendit("R2", number=2)))
    assert (void.new, void.changed) == (1, 1)
    line = shop.rows("SELECT amount, net_amount, is_settled, settlement_date, status FROM settlements WHERE id = 1")[0]
    assert tuple(line.values()) == (0, 0, 0, "2026-01-17", "VOIDED")
    never_known = do_import(shop, v2(xendit("R3", number=3, Status="REVERSED")))
    assert (never_known.new, never_known.skipped) == (0, {"void": 1})


async def test_a_fee_that_comes_with_a_later_report_is_taken_out_of_the_bank(shop: Installation) -> None:
    reference = await paid(shop, "INV-1", provider="midtrans")
    columns = {"Order ID": reference, "Amount": "15000", "Transaction status": "settlement"}
    bare = columns | {"Transaction Time": "2026-01-15 10:03:00", "Settlement time": "2026-01-15 10:03:21"}
    first = do_import(shop, as_csv(list(bare), [bare]), "midtrans")
    assert not first.has_fees
    assert balances(shop)["bank"] == 15_000
    with_fee = bare | {"Mdr amount": "105.00"}
    done = do_import(shop, as_csv(list(with_fee), [with_fee]), "midtrans")
    assert (done.new, done.changed) == (0, 1)
    assert balances(shop) | {"sales": 0} == {
        "bank": 14_895,
        "fees": 105,
        "receivable:midtrans": 0,
        "sales": 0,
    }
    less = do_import(shop, as_csv(list(bare), [bare | {"Transaction status": "Settlement"}]), "midtrans")
    assert (less.file.repeated, balances(shop)["fees"]) == (1, 105)


async def test_a_fee_that_comes_later_to_money_that_went_is_refused(shop: Installation) -> None:
    """What a line took out of the bank is booked once."""
    do_import(shop, plain(line_id="L1", amount=-15_000), "simulator", name="january.csv")
    assert wrong(shop, plain(line_id="L1", amount=-15_000, fee=105), "simulator") == [
        "row 2, fee: says 105, but the file 'january.csv' said 0 and that it was settled"
    ]


async def test_a_fee_may_be_given_back_that_no_report_said_was_kept(shop: Installation) -> None:
    do_import(shop, plain(line_id="L1", amount=-15_000, fee=105, net_amount=-14_895), "simulator")
    assert balances(shop) == {"bank": -14_895, "fees": -105, "receivable:simulator": 15_000}


async def test_every_wrong_row_is_named_and_nothing_is_stored(shop: Installation) -> None:
    rows = [
        xendit("R1"),
        xendit("R2", number=2, Amount="1.000"),
        xendit("R3", number=3, Status="HAPPY"),
        xendit("R4", number=4) | {"Actual Settlement Time": "16/01/2026"},
        xendit("R5", number=5) | {"Net Amount": "14000"},
        xendit("R6", number=6) | {"Transaction ID": ""},
        xendit("R7", number=7, Amount=""),
        xendit("R8", number=8, Type="MAGIC"),
        xendit("R9", number=9, Timezone="Mars"),
        xendit("R10", number=10, Amount="-5"),
    ]
    found = [text.partition(": ")[0] for text in wrong(shop, v2(*rows))]
    assert found == [
        "row 3, Amount",
        "row 4, Status",
        "row 5, Actual Settlement Time",
        "row 6, Net Amount",
        "row 7, Transaction ID",
        "row 8, Amount",
        "row 9, Type",
        "row 10, Timezone",
        "row 11, Amount",
    ]


async def test_a_line_that_is_in_the_file_twice_is_refused(shop: Installation) -> None:
    assert wrong(shop, v2(xendit("R1"), xendit("R2", number=2), xendit("R1"))) == [
        "row 4, Transaction ID: is the line 'txn_00000001' of row 2 again"
    ]


async def test_of_many_wrong_rows_the_first_hundred_are_named(shop: Installation) -> None:
    found = wrong(shop, v2(*(xendit("R", number=number, Amount="x") for number in range(150))))
    assert len(found) == 101
    assert found[-1] == "file: has 50 more rows that are wrong"


async def test_an_unknown_layout_is_refused_with_what_was_seen_and_what_would_fit(shop: Installation) -> None:
    seen, wanted = wrong(shop, b"Tanggal;Nominal;Ref\n2026-01-15;15000;R1\n")
    assert seen == "file: has no known layout. Its headers: 'Tanggal', 'Nominal', 'Ref'."
    assert "xendit_balance needs 'Transaction ID'" in wanted
    assert "settlements.layouts" in wanted


@pytest.mark.parametrize("body", [b"", b"  \n", b"\x00\x01\x02", b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0broken"])
async def test_what_is_no_report_is_refused(shop: Installation, body: bytes) -> None:
    assert wrong(shop, body)


async def test_a_header_alone_is_refused(shop: Installation) -> None:
    assert wrong(shop, v2()) == ["file: has a header and nothing below it"]


async def test_a_broken_quotation_mark_is_refused(shop: Installation) -> None:
    broken = v2(xendit("R1")).replace(b"QR_CODE", b'"QR,CODE" x')
    assert wrong(shop, broken) == ["row 2: cannot be read as CSV: ',' expected after '\"'."]
    more = v2(xendit("R1")).replace(b"QR_CODE", b"QR,CODE")
    assert wrong(shop, more)[0].startswith("row 2, cell 25: is beyond the last header")


async def test_two_columns_of_one_name_are_refused(shop: Installation) -> None:
    assert wrong(shop, v2(xendit("R1")).replace(b"Description", b"amount")) == ["row 1: has two columns 'Amount'."]


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ";"},
        {"delimiter": "\t"},
        {"delimiter": "|"},
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-16"},
        {"encoding": "utf-16-le"},
        {"encoding": "utf-16-be"},
        {"encoding": "cp1252"},
        {"title": "Transactions report, January 2026\nWarung Uji\n\n"},
    ],
)
async def test_delimiters_encodings_and_titles_are_seen(shop: Installation, options: dict[str, Any]) -> None:
    rows = [xendit("R1", Description="café – 2 kopi"), {}, xendit("R2", number=2)]
    done = do_import(shop, v2(*rows, **options))
    assert (done.new, done.total.net_amount) == (2, 2 * 14_895)


async def test_headers_are_found_in_any_order_case_and_spacing(shop: Installation) -> None:
    reference = await paid(shop, "INV-1")
    rows = list(csv.reader(io.StringIO(v2(xendit(reference)).decode())))
    mangled = [[f" {name.upper().replace(' ', '_')} " for name in rows[0]][::-1], rows[1][::-1]]
    text = io.StringIO()
    csv.writer(text).writerows(mangled)
    assert do_import(shop, text.getvalue().encode()).unmatched == 0


async def test_a_spreadsheet_is_read_with_its_numbers_and_dates(shop: Installation, tmp_path: Path) -> None:
    reference = await paid(shop, "INV-1")
    row = xendit(reference) | {"Actual Settlement Time": datetime(2026, 1, 16, 17, 0), "Batch ID": 20260117}
    write_xlsx(tmp_path / "r.xlsx", XENDIT_V2, [row], first_row=3)
    done = do_import(shop, (tmp_path / "r.xlsx").read_bytes())
    assert (done.unmatched, done.total.net_amount) == (0, 14_895)
    line = shop.rows("SELECT settlement_date, batch, row_number FROM settlements")[0]
    assert line == {"settlement_date": "2026-01-17", "batch": "20260117", "row_number": 5}


async def test_a_spreadsheet_whose_lines_are_on_two_sheets_is_refused(shop: Installation, tmp_path: Path) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    with xlsxwriter.Workbook(tmp_path / "r.xlsx") as book:
        for number, name in enumerate(("January", "February", "Notes")):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["Hello"] if name == "Notes" else ["Order ID", "Amount", "Settlement time"])
            sheet.write_row(1, 0, [f"R{number}", 15_000, "2026-01-16 10:00:00"])
    assert "'January' and 'February'" in wrong(shop, (tmp_path / "r.xlsx").read_bytes(), "midtrans")[0]


async def test_an_id_that_a_spreadsheet_made_a_number_of_is_refused(shop: Installation, tmp_path: Path) -> None:
    write_xlsx(tmp_path / "r.xlsx", XENDIT_V2, [xendit("R1") | {"Transaction ID": 12345678901234567890}])
    assert "has lost digits" in wrong(shop, (tmp_path / "r.xlsx").read_bytes())[0]
    assert "has lost digits" in wrong(shop, v2(xendit("R1") | {"Transaction ID": "1.23457E+19"}))[0]


async def test_the_zone_of_the_row_decides_its_day(shop: Installation) -> None:
    evening = {"Actual Settlement Time": "2026-01-16 23:59:59"}
    do_import(shop, v2(xendit("R1", Timezone="+0700") | evening, xendit("R2", number=2, Timezone="+0000") | evening))
    days = shop.rows("SELECT settlement_date FROM settlements ORDER BY id")
    assert [one["settlement_date"] for one in days] == ["2026-01-16", "2026-01-17"]


async def test_other_channels_and_currencies_are_left_out_and_counted(shop: Installation) -> None:
    rows = [
        xendit("R1", Channel="VIRTUAL_ACCOUNT"),
        xendit("R2", number=2, Currency="PHP"),
        xendit("R3", number=3, Status="FAILED"),
        xendit("R4", number=4, Type="DISBURSEMENT"),
        xendit("R5", number=5),
    ]
    done = do_import(shop, v2(*rows))
    assert (done.new, done.file.skipped) == (1, 4)
    assert done.skipped == {
        "Channel: VIRTUAL_ACCOUNT": 1,
        "Currency: PHP": 1,
        "Status: FAILED": 1,
        "Type: DISBURSEMENT": 1,
    }


async def test_a_refund_goes_back_out_of_the_bank(shop: Installation) -> None:
    refund = xendit("R1", number=2, Type="REFUND") | {"Net Amount": -15_000, "Total Fee": 0, "Total VAT": 0}
    do_import(shop, v2(xendit("R1"), refund))
    line = shop.rows("SELECT kind, amount, fee, net_amount FROM settlements WHERE id = 2")[0]
    assert tuple(line.values()) == ("refund", -15_000, 0, -15_000)
    assert balances(shop)["bank"] == 14_895 - 15_000


async def test_a_fee_charged_apart_leaves_the_row_whole(shop: Installation) -> None:
    do_import(shop, v2(xendit("R1") | {"Net Amount": 15_000}))
    assert shop.rows("SELECT fee, net_amount FROM settlements") == [{"fee": 0, "net_amount": 15_000}]


async def test_xendits_older_report_is_read(shop: Installation) -> None:
    row = xendit("R1") | {"Fee": 90, "VAT": 10, "3rd Party WHT": 5, "Xendit WHT": 0}
    settled = row | {"Timestamp - Settled": "2026-01-16T17:00:00Z", "Net Amount": 14_895}
    waiting = row | {"Timestamp - Settled": "", "Net Amount": 14_900, "Transaction ID": "txn_2"}
    v1 = [{name: one.get(name, "") for name in names_of(XENDIT_V1)} for one in (settled, waiting)]
    done = do_import(shop, as_csv(XENDIT_V1, v1))
    assert (done.file.layout, done.new) == ("xendit_transactions_v1", 2)
    lines = shop.rows("SELECT fee, net_amount, is_settled, settlement_date FROM settlements ORDER BY id")
    assert [tuple(line.values()) for line in lines] == [
        (105, 14_895, 1, "2026-01-17"),
        (100, 14_900, 0, "2026-01-15"),
    ]


def balance(part: str, amount: int, direction: str, number: int = 1, **cells: Any) -> dict[str, Any]:
    row = {
        "Product ID": f"py-{number}",
        "Transaction ID": f"txn_{number:08d}",
        "Transaction Type": "PAYMENT",
        "Line Type": part,
        "Payment Channel": "QRIS",
        "Reference": f"R{number}",
        "Currency": "IDR",
        "Amount": amount,
        "Debit or Credit": direction,
        "Created Date ISO": "2026-01-15T03:03:21Z",
        "Time Zone": "+0000",
        "Settlement Date": "2026-01-17",
    }
    return row | {name.replace("_", " "): value for name, value in cells.items()}


async def test_the_rows_of_a_balance_report_become_one_line_a_payment(shop: Installation) -> None:
    reference = await paid(shop, "INV-1")
    rows = [
        balance("TRANSACTION", 15_000, "CREDIT", Reference=reference),
        balance("TRANSACTION", 20_000, "CREDIT", 2),
        balance("FEE", 95, "DEBIT", Reference=reference),
        balance("VAT", 10, "DEBIT", Reference=reference),
        balance("FEE", 140, "DEBIT", 2),
        balance("FEE_REVERSAL", 40, "CREDIT", 2),
        balance("FEE", 500, "DEBIT", 3),
        balance("TRANSACTION", 20_000, "DEBIT", 4, Transaction_Type="REFUND"),
        balance("TRANSACTION", 9_000, "DEBIT", 5, Transaction_Type="DISBURSEMENT"),
    ]
    done = do_import(shop, as_csv(XENDIT_BALANCE, rows))
    assert (done.file.layout, done.new, done.skipped) == (
        "xendit_balance",
        4,
        {"Transaction Type: DISBURSEMENT": 1},
    )
    lines = shop.rows("SELECT kind, amount, fee, vat, net_amount FROM settlements ORDER BY id")
    assert [tuple(line.values()) for line in lines] == [
        ("payment", 15_000, 105, 10, 14_895),
        ("payment", 20_000, 100, 0, 19_900),
        ("fee", 0, 500, 0, -500),
        ("refund", -20_000, 0, 0, -20_000),
    ]
    assert balances(shop)["bank"] == 14_895 + 19_900 - 500 - 20_000
    both = do_import(shop, v2(xendit(reference)))
    assert (both.new, both.file.repeated) == (0, 1)


async def test_danas_file_is_in_cents_and_wib(shop: Installation) -> None:
    rows = [
        {"SETTLEMENT_TXN_ID": "S1", "TXN_TYPE": "ACQUIRING_ORDER", "ACQUIREMENT_ID": "A1", "TXN_AMOUNT": "1500000"},
        {"SETTLEMENT_TXN_ID": "S2", "TXN_TYPE": "REFUND", "ACQUIREMENT_ID": "A1", "TXN_AMOUNT": "500000"},
    ]
    same = {"SETTLE_DATE": "2026-01-16T23:30:00+07:00", "TXN_CURRENCY": "IDR", "MERCHANT_NAME": "WARUNG UJI"}
    do_import(shop, as_csv(DANA, [row | same for row in rows], delimiter=";"), "dana")
    lines = shop.rows("SELECT kind, amount, settlement_date, provider_trx_id FROM settlements ORDER BY id")
    assert [tuple(line.values()) for line in lines] == [
        ("payment", 15_000, "2026-01-16", "A1"),
        ("refund", -5_000, "2026-01-16", "A1"),
    ]
    fraction = rows[0] | same | {"TXN_AMOUNT": "1500050"}
    assert wrong(shop, as_csv(DANA, [fraction], delimiter=";"), "dana") == [
        "row 2, TXN_AMOUNT: '1500050' has a fraction of a rupiah"
    ]


@pytest.mark.parametrize(
    "columns",
    [
        ["Order ID", "Amount", "Settlement time"],
        ["Settlement time", "Order ID", "Amount", "Transaction ID", "Transaction status", "Payment type", "Mdr amount"],
        ["order id", "GROSS AMOUNT", "Status", "Transaction Time"],
        ["Customer email", "Amount (gross)", "Fee", "Order ID", "Date & time", "Status", "Channel"],
    ],
)
async def test_midtrans_columns_are_freely_chosen(shop: Installation, columns: list[str]) -> None:
    reference = await paid(shop, "INV-1", provider="midtrans")
    cells = {
        "orderid": reference,
        "amount": "15000.00",
        "grossamount": "15000.00",
        "amountgross": "15000.00",
        "settlementtime": "2026-01-15 10:03:21",
        "transactiontime": "2026-01-15 10:03:00",
        "datetime": "2026-01-15 10:03:00",
        "transactionstatus": "settlement",
        "status": "Settlement",
        "transactionid": "66666666-2222-4333-8444-555555555555",
        "paymenttype": "QRIS",
        "channel": "GoPay",
        "mdramount": "105.00",
        "fee": "105.00",
    }
    row = {name: cells.get("".join(filter(str.isalnum, name.lower())), "x") for name in columns}
    done = do_import(shop, as_csv(columns, [row]), "midtrans")
    assert (done.new, done.unmatched, done.total.amount) == (1, 0, 15_000)
    line = shop.rows("SELECT settlement_date, is_settled, fee FROM settlements")[0]
    assert tuple(line.values()) == ("2026-01-15", 1, 105 if {"Mdr amount", "Fee"} & set(columns) else 0)


async def test_midtrans_rows_that_were_not_paid_are_left_out(shop: Installation) -> None:
    columns = ["Order ID", "Amount", "Transaction status", "Settlement time", "Transaction time", "Payment type"]
    rows = [
        dict(zip(columns, (f"R{number}", "15000", status, "", "2026-01-15 10:03:00", kind), strict=True))
        for number, (status, kind) in enumerate(
            [("expire", "qris"), ("pending", "qris"), ("settlement", "bank_transfer"), ("settlement", "gopay")]
        )
    ]
    done = do_import(shop, as_csv(columns, rows), "midtrans")
    assert (done.new, done.file.skipped) == (1, 3)


async def test_a_layout_of_the_settings_is_followed(shop: Installation) -> None:
    reference = await paid(shop, "INV-1", provider="bri")
    text = (
        f"Ref;NOMINAL;mdr;tgl settle;KETERANGAN\n{reference};15.000;105,00;17/01/2026;LUNAS\nX;1.000;0;1/1/2026;BATAL\n"
    )
    done = do_import(shop, text.encode(), "bri")
    assert (done.file.layout, done.new, done.unmatched, done.file.skipped) == ("bri", 1, 0, 1)
    line = shop.rows("SELECT amount, fee, settlement_date FROM settlements")[0]
    assert tuple(line.values()) == (15_000, 105, "2026-01-17")


async def test_a_status_that_is_missing_is_not_taken_for_settled(shop: Installation) -> None:
    text = "Ref;NOMINAL;mdr;tgl settle;KETERANGAN\nR1;15.000;0;17/01/2026;\n"
    assert wrong(shop, text.encode(), "bri") == ["row 2, KETERANGAN: is empty; it says whether the line is settled"]


async def test_rupiah_may_be_written_small(shop: Installation) -> None:
    assert do_import(shop, v2(xendit("R1", Currency="idr"))).new == 1


async def test_a_unit_that_nobody_documented_must_be_said(shop: Installation) -> None:
    text = (
        "settlementBatchId,transactionId,transactionRequestId,transactionType,paymentTime,settlementTime,"
        "transactionAmountValue\nB1,T1,R1,PAYMENT,2026-01-15T10:03:21+07:00,2026-01-17T00:00:00+07:00,1500000\n"
    )
    done = do_import(shop, text.encode(), "antom")
    assert (done.file.layout, done.total.amount) == ("antom", 15_000)
    silent = shop.settings.model_copy(update={"settlements": type(shop.settings.settlements)()}).reports
    path = shop.settings.data_dir / "other"
    path.write_text(text.replace("T1", "T2"))
    with closing(connect(shop.data_dir.database)) as conn, pytest.raises(Invalid, match="rupiah or cents"):
        import_report(conn, silent.source(path, "x", "antom"), Actor("x"), NOW, dry_run=False)


def plain(**cells: Any) -> bytes:
    row = {"amount": 15_000, "settlement_date": "2026-01-17"} | cells
    return as_csv(list(row), [row])


async def test_lines_are_matched_in_the_order_of_what_is_surest(shop: Installation) -> None:
    payments = [await shop.create(f"INV-{number}", 15_000) for number in range(4)]
    for number, payment in enumerate(payments):
        shop.write("UPDATE attempts SET provider_ref_no = ? WHERE payment_id = ?", f"RRN{number}", payment["id"])
    references = {row["payment_id"]: row["reference"] for row in shop.rows("SELECT * FROM attempts")}
    ids = [payment["id"] for payment in payments]
    everything = {
        "line_id": "L",
        "order_id": "INV-3",
        "provider_ref_no": "RRN2",
        "provider_trx_id": payments[1]["provider_trx_id"],
        "reference": references[ids[0]],
    }
    for number, name in enumerate(["", "reference", "provider_trx_id", "provider_ref_no"]):
        everything = {key: value for key, value in everything.items() if key != name} | {"line_id": f"L{number}"}
        do_import(shop, plain(**everything), "simulator")
    assert [row["payment_id"] for row in shop.rows("SELECT payment_id FROM settlements ORDER BY id")] == ids


async def test_a_reference_number_that_two_payments_have_matches_neither(shop: Installation) -> None:
    for order_id in ("INV-1", "INV-2"):
        await shop.webhook(await shop.create(order_id))
    assert do_import(shop, plain(provider_ref_no="123456789012"), "simulator").unmatched == 1


async def test_another_providers_payment_is_not_matched(shop: Installation) -> None:
    reference = await paid(shop, "INV-1", provider="simulator")
    assert do_import(shop, v2(xendit(reference))).unmatched == 1


@pytest.mark.parametrize(
    ("named", "name"),
    [("reference", "OURS"), ("reference", "THEIRS"), ("provider_trx_id", "THEIRS"), ("line_id", "THEIRS")],
)
async def test_a_refund_is_found_by_our_name_of_it_and_by_the_provider_s(
    shop: Installation, named: str, name: str
) -> None:
    payment = await shop.create("INV-1", 15_000)
    await shop.webhook(payment)
    shop.write(
        "INSERT INTO refunds (id, payment_id, attempt_id, reference, provider_refund_id, amount, method, status, "
        "reason, requested_by, content_hash, created_at, updated_at) SELECT 'r', payment_id, id, 'OURS', 'THEIRS', "
        "5000, 'provider', 'REQUESTED', 'x', 'x', 'x', created_at, created_at FROM attempts"
    )
    path = shop.settings.data_dir / "report"
    path.write_bytes(plain(**{"line_id": "L1", "kind": "refund", "amount": 5_000, named: name}))
    source = shop.settings.reports.source(path, "x", "simulator")
    with closing(connect(shop.data_dir.database)) as conn:
        assert import_report(conn, source, Actor("x"), NOW, dry_run=False).unmatched == 0
    line = shop.rows("SELECT payment_id, amount FROM settlements")[0]
    assert line == {"payment_id": payment["id"], "amount": -5_000}


async def test_an_amount_that_differs_is_matched_all_the_same(shop: Installation) -> None:
    await shop.create("INV-1", 15_000)
    assert do_import(shop, plain(order_id="INV-1", amount=14_000), "simulator").unmatched == 0


async def test_what_reconciliation_asks_for_is_there(shop: Installation) -> None:
    payment = await shop.create("INV-1", 15_000)
    do_import(shop, plain(order_id="INV-1"), "simulator")
    do_import(shop, plain(order_id="INV-9"), "simulator")
    with closing(connect(shop.data_dir.database)) as conn:
        [line] = settlements.of_payments(conn, [payment["id"]])
        assert (line.order_id, line.reconciled, line.raw["amount"]) == ("INV-1", False, "15000")
        assert [line.order_id for line in settlements.unmatched(conn, "simulator")] == ["INV-9"]
        settlements.mark_reconciled(conn, [line.id or 0], reconciled=True)
        assert [line.reconciled for line in settlements.of_payments(conn, [payment["id"]])] == [True]


async def test_a_line_can_be_matched_once_more_is_known(shop: Installation) -> None:
    do_import(shop, plain(order_id="INV-1"), "simulator")
    payment = await shop.create("INV-1", 15_000)
    with closing(connect(shop.data_dir.database)) as conn:
        settlement_matching.match(conn, "settlements", "simulator")
        assert violations(conn) == []
    assert shop.rows("SELECT payment_id FROM settlements") == [{"payment_id": payment["id"]}]


async def test_where_amounts_are_unique_they_tell_the_payment(tmp_path: Path, clock: FakeClock) -> None:
    made = qris.build(merchant_name="WARUNG", merchant_city="JAKARTA", nmid=None, amount=1, reference_label="X")
    flags = {"default_provider": "static", "providers": {"static": {"qris": made, "unique_amount": True}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        payment = await shop.create("INV-1", 15_000)
        asked = shop.rows("SELECT amount FROM attempts")[0]["amount"]
        lines = [
            {"line_id": "1", "amount": asked, "transacted_at": "2026-01-15 10:03:00 +0700"},
            {"line_id": "2", "amount": asked, "transacted_at": "2026-01-15 09:03:00 +0700"},
            {"line_id": "3", "amount": asked + 1, "transacted_at": "2026-01-15 10:03:00 +0700"},
        ]
        rows = [line | {"settlement_date": "2026-01-16"} for line in lines]
        assert do_import(shop, as_csv(list(rows[0]), rows), "static").unmatched == 2
        assert shop.rows("SELECT payment_id FROM settlements WHERE line_id = '1'") == [{"payment_id": payment["id"]}]


async def test_a_payout_leaves_no_residual(shop: Installation) -> None:
    amounts = [15_000, 27_500, 1, 9_999_999, 12_345]
    references = [await paid(shop, f"INV-{amount}", amount) for amount in amounts]
    rows = [
        xendit(reference, amount, number)
        for number, (reference, amount) in enumerate(zip(references, amounts, strict=True))
    ]
    done = do_import(shop, v2(*rows))
    assert (done.unmatched, balances(shop)["receivable:xendit"]) == (0, 0)
    assert balances(shop)["bank"] + balances(shop)["fees"] == sum(amounts)


async def test_a_file_that_somebody_imports_meanwhile_is_seen(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = service._store, v2(xendit("R1"), xendit("R2", number=2))

    def interrupted(*arguments: Any) -> Imported:
        monkeypatch.setattr(service, "_store", store)
        thread = threading.Thread(target=do_import, args=(shop, other))
        thread.start()
        thread.join()
        return store(*arguments)

    monkeypatch.setattr(service, "_store", interrupted)
    done = do_import(shop, v2(xendit("R2", number=2), xendit("R3", number=3)))
    assert (done.new, done.file.repeated) == (1, 1)
    assert balances(shop)["bank"] == 3 * 14_895


async def test_of_two_who_import_the_same_file_at_once_one_is_refused(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, report = service._store, v2(xendit("R1"))

    def second(*arguments: Any) -> Imported:
        monkeypatch.setattr(service, "_store", store)
        do_import(shop, report)
        return store(*arguments)

    monkeypatch.setattr(service, "_store", second)
    with pytest.raises(ReportKnown):
        do_import(shop, report)
    assert balances(shop)["bank"] == 14_895


@pytest.mark.parametrize("lines", [5, 6, 7])
async def test_a_long_report_is_stored_in_parts_and_comes_to_the_same(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(service, "PART_LINES", 3)
    waiting = {"Settlement Status": "PENDING", "Actual Settlement Time": ""}
    do_import(shop, v2(xendit("R0", number=0) | waiting, xendit("R4", number=4) | waiting))
    done = do_import(shop, v2(*(xendit(f"R{number}", number=number) for number in range(lines))))
    assert (done.new, done.changed, done.file.lines) == (lines - 2, 2, lines)
    assert done.file.net_amount == balances(shop)["bank"] == lines * 14_895


@pytest.mark.parametrize("says", ["PENDING", "SETTLED"])
async def test_two_long_reports_at_once_see_each_others_parts(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Both have stored their first part when one stores the rest, and then the other, which has the same lines."""
    monkeypatch.setattr(service, "PART_LINES", 2)
    expected = {"Settlement Status": "PENDING", "Actual Settlement Time": ""}
    rows = [xendit(f"R{number}", number=number) for number in range(4)]
    do_import(shop, v2(*(row | expected for row in rows)))
    says_later = {"Settlement Status": says, "Estimated Settlement Time": "2026-01-19T17:00:00.000Z"}
    reports = {"first": v2(*rows), "second": v2(*(row | says_later for row in rows))}
    begun, go_on = ({name: threading.Event() for name in reports} for _ in range(2))

    def pause(seconds: float) -> None:
        if seconds:
            begun[threading.current_thread().name].set()
            assert go_on[threading.current_thread().name].wait(20)

    def run(name: str) -> None:
        path = tmp / name
        path.write_bytes(reports[name])
        with closing(connect(shop.data_dir.database)) as conn:
            source = shop.settings.reports.source(path, name, "xendit")
            import_report(conn, source, Actor("command line"), NOW, dry_run=False)

    tmp = shop.settings.data_dir
    monkeypatch.setattr(service, "time", SimpleNamespace(sleep=pause))
    with ThreadPoolExecutor() as pool:
        threads = {}
        for name in reports:
            threads[name] = pool.submit(named, run, name)
            assert begun[name].wait(20)
        for name in reports:
            go_on[name].set()
            threads[name].result(20)
    with closing(connect(shop.data_dir.database)) as conn:
        assert violations(conn) == []
    assert [line["is_settled"] for line in shop.rows("SELECT is_settled FROM settlements")] == [1, 1, 1, 1]
    assert balances(shop)["bank"] == 4 * 14_895


def named(run: Callable[[str], None], name: str) -> None:
    threading.current_thread().name = name
    run(name)


async def test_a_long_report_that_is_cut_off_goes_on_when_it_is_imported_again(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PART_LINES", 3)
    report, move = v2(*(xendit(f"R{number}", number=number) for number in range(8))), settlement_staging.move

    def full(conn: sqlite3.Connection, file_id: str, first: int, last: int, now: datetime) -> None:
        if first > 3:
            raise sqlite3.OperationalError("database or disk is full")
        move(conn, file_id, first, last, now)

    monkeypatch.setattr(settlement_staging, "move", full)
    with pytest.raises(StorageUnavailable, match="3 of 8 lines are stored"):
        do_import(shop, report)
    with closing(connect(shop.data_dir.database)) as conn:
        assert violations(conn) == []
    monkeypatch.setattr(settlement_staging, "move", move)
    done = do_import(shop, report)
    assert (done.new, done.file.repeated) == (5, 3)
    assert balances(shop)["bank"] == 8 * 14_895
    with pytest.raises(ReportKnown):
        do_import(shop, report)


async def test_an_import_that_breaks_off_leaves_nothing(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    before = stored(shop)
    monkeypatch.setattr(audit_log, "add", full)
    with pytest.raises(sqlite3.OperationalError):
        do_import(shop, v2(xendit("R1")))
    assert stored(shop) == before
    monkeypatch.undo()
    assert do_import(shop, v2(xendit("R1"))).new == 1


# Fees of their own, other days and days to come


async def test_a_fee_of_its_own_is_booked_as_its_row_says(shop: Installation) -> None:
    text = (
        "line_id,amount,fee,net_amount,settlement_date,kind\n"
        "F1,0,500,-500,2026-01-17,fee\nF2,-700,0,-700,2026-01-17,fee\nF3,300,0,300,2026-01-17,fee\n"
    )
    done = do_import(shop, text.encode(), "simulator")
    assert (done.total.fee, done.total.net_amount) == (900, -900)
    assert balances(shop)["fees"] == 900
    assert balances(shop)["bank"] == -900


async def test_what_was_settled_on_one_day_is_not_settled_on_another(shop: Installation) -> None:
    do_import(shop, plain(line_id="L1"), "simulator", name="january.csv")
    assert wrong(shop, plain(line_id="L1", settlement_date="2026-01-18"), "simulator") == [
        "row 2, settlement_date: says 2026-01-18, but the file 'january.csv' said 2026-01-17 and that it was settled"
    ]
    with_fee = plain(line_id="L1", fee=105, settlement_date="2026-01-18")
    assert "says 2026-01-18" in wrong(shop, with_fee, "simulator")[0]
    same = do_import(shop, plain(line_id="L1", settlement_date="2026-01-17 10:00"), "simulator")
    assert same.file.repeated == 1


async def test_a_day_that_was_expected_may_become_another(shop: Installation) -> None:
    do_import(shop, plain(line_id="L1", status="pending"), "simulator")
    done = do_import(shop, plain(line_id="L1", status="settled", settlement_date="2026-01-18"), "simulator")
    assert done.changed == 1
    assert shop.rows("SELECT settlement_date, is_settled FROM settlements") == [
        {"settlement_date": "2026-01-18", "is_settled": 1}
    ]


async def test_a_day_that_no_report_had_said_contradicts_nothing(shop: Installation) -> None:
    """Who exports from Midtrans ticks the columns: without the settlement's time the day is the payment's."""
    bare = {
        "Order ID": "R1",
        "Amount": "15000",
        "Transaction status": "settlement",
        "Transaction time": "2026-01-15 23:59:58",
    }
    dated = bare | {"Settlement time": "2026-01-16 00:00:01"}
    with_fee = dated | {"Mdr amount": "105"}
    for row in (bare, dated, with_fee, dated | {"Currency": "IDR"}, bare | {"Currency": "IDR"}):
        done = do_import(shop, as_csv(list(row), [row]), "midtrans")
        assert done.total.lines == 1
    other = dated | {"Settlement time": "2026-01-19 00:00:01"}
    assert "2026-01-19" in wrong(shop, as_csv(list(other), [other]), "midtrans")[0]


async def test_what_is_planned_is_in_the_bank_once_its_day_has_come(shop: Installation) -> None:
    """The file is as it was; only the day is another."""
    text = (
        b"line_id,amount,fee,settlement_date\nL1,15000,105,2026-01-17\nL2,20000,0,2026-01-18\nL3,30000,0,2026-01-19\n"
    )
    first = do_import(shop, text, "simulator", now=datetime(2026, 1, 17, 10, tzinfo=UTC))
    assert (first.new, first.planned) == (3, 2)
    assert balances(shop)["bank"] == 14_895
    again = do_import(shop, text, "simulator", now=datetime(2026, 1, 17, 16, 59, tzinfo=UTC))
    assert (again.changed, again.planned, again.file.repeated) == (0, 2, 3)
    then = do_import(shop, text, "simulator", now=datetime(2026, 1, 17, 17, tzinfo=UTC))
    assert (then.changed, then.planned, balances(shop)["bank"]) == (1, 1, 34_895)
    last = do_import(shop, text, "simulator", now=datetime(2026, 1, 19, 3, tzinfo=UTC))
    assert (last.changed, last.planned, balances(shop)["bank"]) == (1, 0, 64_895)
    with pytest.raises(ReportKnown):
        do_import(shop, text, "simulator")


async def test_what_is_planned_may_be_planned_anew(shop: Installation) -> None:
    early = datetime(2026, 1, 16, 3, tzinfo=UTC)
    do_import(shop, plain(line_id="L1"), "simulator", now=early)
    moved = do_import(shop, plain(line_id="L1", settlement_date="2026-01-18"), "simulator", now=early)
    assert (moved.changed, moved.planned) == (1, 1)
    assert shop.rows("SELECT settlement_date, is_settled FROM settlements") == [
        {"settlement_date": "2026-01-18", "is_settled": 0}
    ]


async def test_what_was_settled_is_not_planned_for_another_day(shop: Installation) -> None:
    do_import(shop, plain(line_id="L1"), "simulator", name="january.csv")
    later = plain(line_id="L1", settlement_date="2026-01-22")
    assert wrong(shop, later, "simulator") == [
        "row 2, settlement_date: says 2026-01-22, but the file 'january.csv' said 2026-01-17 and that it was settled"
    ]


async def test_the_lines_of_a_balance_report_are_planned_too(shop: Installation) -> None:
    rows = [balance("TRANSACTION", 15_000, "CREDIT"), balance("FEE", 105, "DEBIT")]
    report = as_csv(XENDIT_BALANCE, rows)
    done = do_import(shop, report, now=datetime(2026, 1, 16, 3, tzinfo=UTC))
    assert (done.new, done.planned, balances(shop).get("bank", 0)) == (1, 1, 0)
    assert (do_import(shop, report).changed, balances(shop)["bank"]) == (1, 14_895)
    far = as_csv(XENDIT_BALANCE, [balance("TRANSACTION", 15_000, "CREDIT", 2) | {"Settlement Date": "2099-01-01"}])
    assert wrong(shop, far) == ["row 2, Settlement Date: '2099-01-01' is more than 14 days after today, 2026-01-20"]
