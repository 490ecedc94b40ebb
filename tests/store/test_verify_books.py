"""What must hold between the ledger, the settlement lines, the day's differences and the audit log."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from qrisd.domain.permissions import Role
from qrisd.services import adjusting, findings
from qrisd.services.findings import Act
from qrisd.services.settlements import import_report
from qrisd.store.audit_log import Actor
from qrisd.store.db import connect
from qrisd.store.verify import violations
from tests.store.books_breaks import BREAKS
from tests.store.breaking import break_in
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import add_person
from tests.support.refunds import asked, becomes, decide, paid, person

DAY = date(2026, 1, 15)
SETTLED = datetime(2026, 1, 17, 3, tzinfo=UTC)
BY = Actor("command line")
LAYOUT = {
    "provider": "simulator",
    "columns": {"order_id": "order", "amount": "amount", "fee": "fee", "settlement_date": "day"},
}
REPORT = "order;amount;fee;day\nINV-1;15000;105;2026-01-16\nINV-2;20000;140;2026-01-16\nINV-9;900;0;2026-01-16\n"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which two payments are settled and one that nobody knows; of one a part went back by transfer and
    by the provider; the ledger was put right twice; a difference is noted and another one resolved."""
    layouts = {"own": {**LAYOUT, "unit": "rupiah", "date_format": "%Y-%m-%d"}}
    shop = Installation(tmp_path_factory.mktemp("books"), FakeClock(), {"settlements": {"layouts": layouts}})

    async def make() -> None:
        async with shop.running():
            await booked(shop)

    asyncio.run(make())
    return shop.data_dir.database


@pytest.fixture
def books(kept: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    path = tmp_path / "books.db"
    with closing(connect(kept, read_only=True)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    return path


async def booked(shop: Installation) -> None:
    _, sri = person(shop, Role.FINANCE, "sri")
    payment = await paid(shop)
    await paid(shop, "INV-2", 20_000)
    for how in ({}, {"method": "transfer", "evidence": "BCA 123"}):
        refund = await asked(shop, payment, amount=1_000, **how)
        await decide(shop, refund, "approve", sri)
        await becomes(shop, refund, "DONE")
    owner = add_person(shop, Role.OWNER, "wati")
    path = shop.settings.data_dir / "report.csv"
    path.write_text(REPORT)
    with closing(connect(shop.data_dir.database)) as conn:
        import_report(conn, shop.settings.reports.source(path, path.name, "simulator"), BY, SETTLED, dry_run=False)
        for _ in range(2):
            adjusting.adjust(conn, owner, debit="sales", credit="bank", amount=5, reason="agreed", now=shop.clock())
        findings.enter_payout(conn, "simulator", DAY, 5_000, BY, shop.clock())
        findings.enter_payout(conn, "simulator", DAY + timedelta(days=1), 7, BY, shop.clock())
        findings.enter_payout(conn, "simulator", DAY, 5_500, BY, shop.clock(), why="misread")
    for day in (DAY, DAY + timedelta(days=1)):
        shop.clock.advance(86_400 * (day - DAY).days)
        assert (await shop.client.post("/reconciliations", json={"date": day.isoformat()})).status_code == 200
    first, second, *_ = (row["id"] for row in shop.rows("SELECT id FROM reconciliation_exceptions ORDER BY id"))
    with closing(connect(shop.data_dir.database)) as conn:
        findings.act(conn, first, Act(action="resolve", reason="ours"), BY, shop.clock())
        findings.act(conn, second, Act(note="asked them", owner="Sari"), BY, shop.clock())


def broken(books: Path) -> dict[str, tuple[str, ...]]:
    with closing(connect(books, read_only=True)) as conn:
        return {finding.rule: finding.offenders for finding in violations(conn)}


async def test_what_a_later_report_says_of_another_payment_is_booked_for_that_of_its_line(
    tmp_path: Path, clock: FakeClock
) -> None:
    columns = {"line_id": "line", "order_id": "order", "amount": "amount", "fee": "fee", "settlement_date": "day"}
    layout = {**LAYOUT, "columns": {**columns, "status": "status"}, "statuses": {"wait": "waiting", "paid": "settled"}}
    flags = {"settlements": {"layouts": {"own": {**layout, "unit": "rupiah", "date_format": "%Y-%m-%d"}}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        for order_id in ("INV-1", "INV-2"):
            await paid(shop, order_id)
        for order_id, fee, status in (("INV-1", 0, "wait"), ("INV-2", 0, "paid"), ("INV-2", 5, "paid")):
            path = tmp_path / "report.csv"
            path.write_text(f"line;order;amount;fee;day;status\n7;{order_id};15000;{fee};2026-01-16;{status}\n")
            with closing(connect(shop.data_dir.database)) as conn:
                source = shop.settings.reports.source(path, path.name, "simulator")
                import_report(conn, source, BY, SETTLED, dry_run=False)
    booked = rows(shop.data_dir.database, "SELECT kind FROM ledger_entries WHERE settlement_id = 1 ORDER BY id")
    assert (booked, broken(shop.data_dir.database)) == (["settled", "fee", "settled_back"], {})


def rows(books: Path, sql: str) -> list[str]:
    with closing(connect(books, read_only=True)) as conn:
        return [row[0] for row in conn.execute(sql)]


def test_books_of_every_kind_break_no_rule(books: Path) -> None:
    kinds = rows(books, "SELECT DISTINCT kind FROM ledger_entries")
    assert {"paid", "refund_done", "fee", "settled", "adjusted"} <= set(kinds)
    assert set(rows(books, "SELECT status FROM reconciliation_exceptions")) == {"OPEN", "RESOLVED"}
    assert broken(books) == {}


@pytest.mark.parametrize(("rule", "statements"), BREAKS)
def test_a_break_is_noticed_by_its_rule(books: Path, rule: str, statements: tuple[str, ...]) -> None:
    break_in(books, *statements)
    assert rule in broken(books)


@pytest.mark.parametrize("column", ["created_at", "status"])
def test_a_row_that_cannot_be_read_is_an_offence_and_ends_nothing(books: Path, column: str) -> None:
    break_in(books, f"UPDATE refunds SET {column} = 'nonsense'")
    assert broken(books)["refund_content"][0].startswith("cannot be checked: ")


def test_entries_that_are_missing_are_named(books: Path) -> None:
    break_in(books, "DELETE FROM ledger_entries WHERE id IN (2, 3, 5)")
    assert broken(books)["ledger_ids"] == ("entries 2 to 3 are missing", "entry 5 is missing")


def test_what_a_person_did_to_a_difference_outlives_what_the_next_run_finds(books: Path) -> None:
    for status in ("OPEN", "HEALED", "GONE"):
        break_in(books, f"UPDATE reconciliation_exceptions SET status = '{status}', amount_here = 1")
        assert broken(books) == {}


def test_transfers_that_were_booked_against_cash_break_no_rule(books: Path) -> None:
    break_in(
        books,
        "UPDATE ledger_entries SET credit_account = 'cash' WHERE kind = 'refund_done' AND credit_account = 'bank'",
    )
    assert broken(books) == {}


def test_a_line_that_was_matched_after_it_was_booked_breaks_no_rule(books: Path) -> None:
    break_in(books, "UPDATE ledger_entries SET payment_id = NULL WHERE settlement_id IS NOT NULL")
    assert broken(books) == {}
