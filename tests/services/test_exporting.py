"""An export is the table as it stood at one moment, whatever is written meanwhile, and the totals are those of the
reconciled day."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from qrisd.data_dir import DataDir
from qrisd.domain.business_day import Zones
from qrisd.domain.errors import Invalid, StorageBusy, StorageUnavailable
from qrisd.domain.permissions import Role
from qrisd.domain.reconciliation_report import DaySums, Totals
from qrisd.exports import writers
from qrisd.services import exporting
from qrisd.services.exporting import Format, Wanted
from qrisd.store import day_sales
from qrisd.store.db import connect
from qrisd.store.export_tables import TABLES
from tests.support.installation import Installation
from tests.support.people import add_person

WIB = Zones(ZoneInfo("Asia/Jakarta"))
DAY = date(2026, 1, 15)
NOON = "2026-01-15T05:00:00.000Z"


def wanted(table: str = "payments", first: date = DAY, last: date = DAY, **conditions: Any) -> Wanted:
    return Wanted(table=TABLES[table], first=first, last=last, **conditions)


def exported(
    shop: Installation, what: Wanted, zones: Zones = WIB, *, totals: bool = False
) -> tuple[list[dict[str, str]], exporting.Made]:
    """The file's rows by heading, and what is told of them."""
    with exporting.make(shop.data_dir.database, what, zones, Format.CSV, totals=totals) as made:
        text = b"".join(made.chunks).decode()
        return list(csv.DictReader(io.StringIO(text, newline=""))), made


async def test_payments_are_exported_with_their_day_zone_and_amounts(shop: Installation) -> None:
    payment = await shop.create(order_id="000123", description="=SUM(A1)")
    await shop.webhook(payment)
    rows, made = exported(shop, wanted())
    (row,) = rows
    assert (row["business_day"], row["created_at"], row["timezone"]) == (
        "2026-01-15",
        "2026-01-15 10:00:00",
        "Asia/Jakarta",
    )
    assert (row["order_id"], row["id"], row["status"]) == ("000123", payment["id"], "PAID")
    assert (row["amount"], row["amount_paid"], row["amount_refunded"]) == ("15000", "15000", "0")
    assert (row["description"], row["paid_at"]) == ("'=SUM(A1)", "2026-01-15 09:59:59")
    assert (made.count, made.sums) == (1, {"amount": 15_000, "amount_paid": 15_000, "amount_refunded": 0})


async def test_the_ledger_is_exported_entry_by_entry(shop: Installation) -> None:
    await shop.webhook(await shop.create(), amount=20_000)
    rows, made = exported(shop, wanted("ledger"))
    assert [(row["kind"], row["debit_account"], row["credit_account"], row["amount"]) for row in rows] == [
        ("paid", "receivable:simulator", "sales", "15000"),
        ("overpaid", "receivable:simulator", "overpaid", "5000"),
    ]
    assert {row["order_id"] for row in rows} == {"INV-1"}
    assert made.sums == {"amount": 20_000}


async def test_refunds_are_exported_with_who_asked_and_what_came_of_them(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    finance = add_person(shop, Role.FINANCE)
    for refund_id, amount, status, done_at in (("r1", 4_000, "DONE", NOON), ("r2", 1_000, "REJECTED", None)):
        shop.write(
            "INSERT INTO refunds (id, payment_id, amount, method, status, reason, evidence, requested_by, "
            "content_hash, done_at, created_at, updated_at) "
            "VALUES (?, ?, ?, 'cash', ?, '=cmd', 'BKK-1', ?, 'h', ?, ?, ?)",
            *(refund_id, payment["id"], amount, status, finance.id, done_at, NOON, NOON),
        )
    shop.write(
        "INSERT INTO refund_decisions (refund_id, decision, decided_by, content_hash, decided_at) "
        "VALUES ('r1', 'approved', ?, 'h', '')",
        finance.id,
    )
    (done, rejected), made = exported(shop, wanted("refunds"))
    assert (done["order_id"], done["reason"], done["done_at"]) == ("INV-1", "'=cmd", "2026-01-15 12:00:00")
    assert (done["requested_by"], done["approved_by"]) == ("finance", "finance")
    assert (rejected["status"], rejected["amount"], rejected["amount_done"], rejected["done_at"]) == (
        "REJECTED",
        "1000",
        "0",
        "",
    )
    assert made.sums == {"amount": 5_000, "amount_done": 4_000}


async def test_what_is_settled_is_in_the_ledgers_file_of_the_day_it_is_paid_out(shop: Installation) -> None:
    """Also where an outlet keeps a zone in which the merchant's day begins on the day before."""
    payment = await shop.create(outlet="barat")
    midnight = "2026-01-15T15:00:00.000Z"  # in Jayapura; 22:00 in Jakarta
    shop.write(
        "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, settlement_id, "
        "happened_at, created_at) VALUES ('settled', 'bank', 'receivable:simulator', 1, ?, 1, ?, ?)",
        *(payment["id"], midnight, midnight),
    )
    zones, paid_out_on = Zones(ZoneInfo("Asia/Jayapura"), {"barat": ZoneInfo("Asia/Jakarta")}), date(2026, 1, 16)
    assert exported(shop, wanted("ledger"), zones)[0] == []
    (row,) = exported(shop, wanted("ledger", first=paid_out_on, last=paid_out_on, outlet="barat"), zones)[0]
    assert (row["business_day"], row["outlet"]) == ("2026-01-16", "barat")
    assert (row["happened_at"], row["timezone"]) == ("2026-01-16 00:00:00", "Asia/Jayapura")


async def test_settlement_lines_are_exported_by_the_day_they_are_paid_out(shop: Installation) -> None:
    payment = await shop.create()
    shop.write(
        "INSERT INTO settlement_files VALUES ('f1', 'simulator', 'payout.csv', 'x', 'l', 2, 0, 0, 0, 0, 0, '', '')"
    )
    for number, (kind, payment_id, amount, fee) in enumerate(
        [("payment", payment["id"], 15_000, 105), ("refund", None, -4_000, 0)], 1
    ):
        shop.write(
            "INSERT INTO settlements (provider, kind, line_id, payment_id, amount, fee, vat, net_amount, currency, "
            "settlement_date, is_settled, transacted_at, file_id, row_number, raw, created_at, updated_at) VALUES "
            "('simulator', ?, ?, ?, ?, ?, 0, ?, 'IDR', '2026-01-16', 1, ?, 'f1', ?, '{}', '', '')",
            *(kind, str(number), payment_id, amount, fee, amount - fee, NOON, number),
        )
    assert exported(shop, wanted("settlements"))[0] == []
    day = date(2026, 1, 16)
    rows, made = exported(shop, wanted("settlements", first=day, last=day))
    assert [(row["business_day"], row["order_id"], row["amount"], row["file"]) for row in rows] == [
        ("2026-01-16", "INV-1", "15000", "payout.csv"),
        ("2026-01-16", "", "-4000", "payout.csv"),
    ]
    assert rows[0]["transacted_at"] == "2026-01-15 12:00:00"
    assert made.sums == {"amount": 11_000, "fee": 105, "vat": 0, "net_amount": 10_895}
    assert len(exported(shop, wanted("settlements", first=day, last=day, outlet="main"))[0]) == 1


@pytest.mark.parametrize(
    ("made_at", "zones", "day"),
    [
        ("2026-01-15T16:59:59.999Z", WIB, date(2026, 1, 15)),
        ("2026-01-15T17:00:00.000Z", WIB, date(2026, 1, 16)),
        ("2026-01-15T15:59:59.999Z", Zones(WIB.merchant, {"timur": ZoneInfo("Asia/Makassar")}), date(2026, 1, 15)),
        ("2026-01-15T16:00:00.000Z", Zones(WIB.merchant, {"timur": ZoneInfo("Asia/Makassar")}), date(2026, 1, 16)),
        ("2026-01-15T14:59:59.999Z", Zones(WIB.merchant, {"timur": ZoneInfo("Asia/Jayapura")}), date(2026, 1, 15)),
        ("2026-01-15T15:00:00.000Z", Zones(WIB.merchant, {"timur": ZoneInfo("Asia/Jayapura")}), date(2026, 1, 16)),
    ],
)
async def test_a_payment_is_in_the_file_of_its_outlets_day_alone(
    shop: Installation, made_at: str, zones: Zones, day: date
) -> None:
    await shop.create(outlet="timur")
    shop.write("UPDATE payments SET created_at = ?", made_at)
    found = {
        one: [row["business_day"] for row in exported(shop, wanted(first=one, last=one), zones)[0]]
        for one in (day - timedelta(days=1), day, day + timedelta(days=1))
    }
    assert found == {day - timedelta(days=1): [], day: [day.isoformat()], day + timedelta(days=1): []}


async def test_conditions_narrow_a_file(shop: Installation) -> None:
    for outlet in ("dago", "braga"):
        await shop.webhook(await shop.create(f"INV-{outlet}", outlet=outlet))
    for table in ("payments", "ledger"):
        assert [row["outlet"] for row in exported(shop, wanted(table, outlet="dago"))[0]] == ["dago"]
        assert [row["outlet"] for row in exported(shop, wanted(table, outlets=frozenset({"braga"})))[0]] == ["braga"]
        assert exported(shop, wanted(table, outlet="dago", outlets=frozenset({"braga"})))[0] == []
        assert exported(shop, wanted(table, outlets=frozenset()))[0] == []
        assert len(exported(shop, wanted(table, provider="simulator"))[0]) == 2
        assert exported(shop, wanted(table, provider="midtrans"))[0] == []
        assert exported(shop, wanted(table, first=DAY + timedelta(days=1), last=DAY + timedelta(days=9)))[0] == []


async def test_the_totals_are_those_of_the_reconciled_day(shop: Installation) -> None:
    for number in range(12):
        payment = await shop.create(f"INV-{number}", 15_000 + number, outlet=("dago", "braga")[number % 2])
        if number % 3:
            await shop.webhook(payment, amount=15_000 + number + (number == 5) * 700)
        if number == 4:
            await shop.webhook(payment, "REFUNDED", amount=4_000)
    rows, made = exported(shop, wanted(), totals=True)
    totals = rows.pop()
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        reconciled = of_day(conn)
    assert totals["business_day"] == "total"
    assert (len(rows), int(totals["amount_paid"]), int(totals["amount_refunded"])) == (
        reconciled.payments,
        reconciled.paid_amount,
        reconciled.refunded_amount,
    )
    assert {name: sum(int(row[name]) for row in rows) for name in made.sums} == made.sums
    arrived = [row for row in exported(shop, wanted("ledger"))[0] if row["kind"] in ("paid", "underpaid", "overpaid")]
    assert sum(int(row["amount"]) for row in arrived) == reconciled.paid_amount


def of_day(conn: sqlite3.Connection) -> Totals:
    """What reconciling says of the day."""
    sums = DaySums(frozenset())
    for sale in day_sales.of_payments(conn, WIB, day_sales.page(conn, WIB, DAY).ids):
        sums.add(sale)
    (totals,) = sums.totals()
    return totals


async def test_a_file_is_of_one_moment_and_holds_no_transaction_while_it_is_sent(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "AT_A_TIME", 2)
    for number in range(6):
        await shop.create(f"INV-{number}")
    database = shop.data_dir.database
    selected = exporting._selected

    def changed_midway(*given: Any) -> Iterator[Any]:
        for number, row in enumerate(selected(*given)):
            if number == 3:
                shop.write("UPDATE payments SET amount_paid = 1, amount_refunded = 1")
            yield row

    monkeypatch.setattr(exporting, "_selected", changed_midway)
    with exporting.make(database, wanted(), WIB, Format.CSV, totals=True) as made:
        chunks = iter(made.chunks)
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("PRAGMA busy_timeout = 5000")
            busy, pages, moved = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, pages, moved) == (0, 0, 0), "the write-ahead log can be emptied while a file waits to be sent"
        rows = list(csv.DictReader(io.StringIO(b"".join(chunks).decode(), newline="")))
    assert {row["amount_paid"] for row in rows} == {"0"}
    assert made.sums["amount_paid"] == 0


async def test_copying_that_takes_too_long_is_given_up(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.create()
    monkeypatch.setattr(exporting, "LONGEST_COPY_S", -1.0)
    with pytest.raises(StorageBusy, match="fewer days"):
        exported(shop, wanted())


async def test_nothing_is_left_on_the_disk(shop: Installation) -> None:
    await shop.create()
    before = set(shop.data_dir.database.parent.rglob("*"))
    for form in Format:
        with exporting.make(shop.data_dir.database, wanted(), WIB, form) as made:
            next(iter(made.chunks))
            assert set(shop.data_dir.database.parent.rglob("*")) == before
    assert set(shop.data_dir.database.parent.rglob("*")) == before


async def test_a_full_disk_is_said_clearly(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "TemporaryFile", full)
    with pytest.raises(StorageUnavailable, match="No space left on device"):
        exported(shop, wanted())


@pytest.mark.parametrize(("first", "last"), [(DAY, DAY - timedelta(days=1)), (DAY, DAY + timedelta(days=366))])
def test_days_that_are_none_or_too_many_are_refused(first: date, last: date) -> None:
    with pytest.raises(Invalid):
        wanted(first=first, last=last)


async def test_more_rows_than_a_sheet_holds_are_refused_before_they_are_written(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.create()
    monkeypatch.setattr(writers, "XLSX_MOST_ROWS", 2)
    with pytest.raises(Invalid, match="take CSV"), exporting.make(shop.data_dir.database, wanted(), WIB, Format.XLSX):
        pass


async def test_a_sheet_has_what_the_csv_has(shop: Installation, tmp_path: Path) -> None:
    from python_calamine import CalamineWorkbook

    await shop.webhook(await shop.create(order_id="000123", description="=1+1"))
    path = tmp_path / "payments.xlsx"
    with exporting.make(shop.data_dir.database, wanted(), WIB, Format.XLSX, totals=True) as made:
        path.write_bytes(b"".join(made.chunks))
    headings, row, totals = CalamineWorkbook.from_path(path).get_sheet_by_name("payments").to_python()
    cells = dict(zip(headings, row, strict=True))
    (same,), _ = exported(shop, wanted())
    assert (cells["order_id"], cells["description"], cells["amount"]) == ("000123", "=1+1", 15_000.0)
    assert {str(name): str(cells[name]) for name in headings if not isinstance(cells[name], float)} == {
        name: same[str(name)].removeprefix("'") for name in headings if not isinstance(cells[name], float)
    }
    assert dict(zip(headings, totals, strict=True))["amount_paid"] == 15_000.0


def test_an_empty_table_is_its_headings(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    data_dir.make()
    data_dir.open_database()
    with exporting.make(data_dir.database, wanted("settlements"), WIB, Format.CSV) as made:
        assert b"".join(made.chunks).startswith(b"business_day,provider,kind,")
