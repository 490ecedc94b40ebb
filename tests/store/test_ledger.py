"""The ledger holds only what is in balance, for ever."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from qrisd.store import ledger
from qrisd.store.db import Connection, connect
from qrisd.store.migrate import statements
from tests.support.clock import FakeClock
from tests.support.installation import Installation

ENTRY = (
    "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, reason, happened_at, created_at) "
    "VALUES (?, ?, ?, ?, ?, '', '')"
)


async def life(shop: Installation) -> None:
    """A payment that is plainly paid, and the odd ones: too much, too little, twice, given back."""
    paid = await shop.create("INV-1")
    await shop.webhook(paid)
    await shop.webhook(paid, "REFUNDED", amount=5_000)
    await shop.webhook(await shop.create("INV-2"), amount=16_000)
    await shop.webhook(await shop.create("INV-3"), amount=14_000)
    twice = await shop.create("INV-4")
    await shop.webhook(twice, "EXPIRED")
    renewed = (await shop.client.post(f"/payments/{twice['id']}/renew")).json()
    await shop.webhook(renewed)
    await shop.webhook(twice)


def balances(shop: Installation) -> dict[str, int]:
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        return ledger.balances(conn)


async def test_the_accounts_say_where_every_rupiah_is(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {}).running() as shop:
        await life(shop)
        assert balances(shop) == {
            "receivable:simulator": 15_000 - 5_000 + 16_000 + 14_000 + 30_000,
            "sales": 45_000,
            "overpaid": 1_000 + 15_000,
            "unapplied": 14_000,
            "refunds": 5_000,
        }


async def test_payments_from_before_the_ledger_get_the_entries_they_would_have_had(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with Installation(tmp_path / "data", clock, {}).running() as shop:
        await life(shop)
        posted = balances(shop)
        sql = (resources.files("qrisd.store") / "migrations" / "0004_ledger.sql").read_text("utf-8")
        with closing(sqlite3.connect(shop.data_dir.database, isolation_level=None)) as conn:
            conn.execute("DROP TABLE ledger_entries")
            for statement in statements(sql):
                conn.execute(statement)
        assert balances(shop) == posted


@pytest.fixture
async def conn(tmp_path: Path, clock: FakeClock) -> Connection:
    async with Installation(tmp_path / "data", clock, {}).running() as shop:
        await shop.webhook(await shop.create("INV-1"))
        return connect(shop.data_dir.database)


@pytest.mark.parametrize("statement", ["UPDATE ledger_entries SET amount = 1", "DELETE FROM ledger_entries"])
def test_an_entry_is_never_changed_or_deleted(conn: Connection, statement: str) -> None:
    with closing(conn), pytest.raises(sqlite3.IntegrityError, match="append-only"):
        conn.execute(statement)


@pytest.mark.parametrize(
    "values",
    [
        ("paid", "receivable:x", "sales", 0, None),
        ("paid", "receivable:x", "sales", -5, None),
        ("paid", "sales", "receivable:x", 5, None),
        ("refund_done", "refunds", "receivable:x", 5, None),
        ("adjusted", "sales", "sales", 5, "a typing error"),
        ("adjusted", "sales", "overpaid", 5, None),
        ("invented", "sales", "overpaid", 5, None),
        ("fee", "fees", "", 5, None),
    ],
)
def test_what_is_no_fact_about_money_is_refused(
    conn: Connection, values: tuple[str, str, str, int, str | None]
) -> None:
    with closing(conn), pytest.raises(sqlite3.IntegrityError):
        conn.execute(ENTRY, values)
