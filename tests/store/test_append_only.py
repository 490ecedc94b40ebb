"""What is only ever added is neither changed, nor deleted, nor replaced."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from qrisd.domain.permissions import Role
from qrisd.store.db import Connection, connect
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.refunds import asked, becomes, decide, paid, person

TABLES = ("ledger_entries", "refund_decisions", "payment_logs", "events", "audit_log", "audit_head")
_PAID = "kind, debit_account, credit_account, amount, payment_id, happened_at, created_at"
_OF_REFUND = "kind, debit_account, credit_account, amount, refund_id, happened_at, created_at"
_OF_LINE = "kind, debit_account, credit_account, amount, settlement_id, happened_at, created_at"

# Each would put a row in the place of one that is there.
REPLACEMENTS = [
    "ledger_entries SELECT * FROM ledger_entries LIMIT 1",
    "ledger_entries SELECT * FROM ledger_entries ORDER BY id DESC LIMIT 1",
    f"ledger_entries (rowid, {_PAID}) SELECT 1, {_PAID} FROM ledger_entries WHERE kind = 'refund_reserved'",
    f"ledger_entries ({_PAID}) SELECT kind, 'receivable:other', credit_account, 1, payment_id, '', '' "
    "FROM ledger_entries WHERE kind = 'paid'",
    f"ledger_entries ({_OF_REFUND}) SELECT kind, debit_account, 'receivable:other', amount, refund_id, '', '' "
    "FROM ledger_entries WHERE kind = 'refund_done'",
    f"ledger_entries ({_OF_LINE}) SELECT kind, debit_account, 'receivable:other', amount, settlement_id, '', '' "
    "FROM ledger_entries WHERE kind = 'settled'",
    "refund_decisions SELECT * FROM refund_decisions LIMIT 1",
    "payment_logs SELECT * FROM payment_logs LIMIT 1",
    "events SELECT * FROM events LIMIT 1",
    "events (payment_id, sequence, type, body, created_at) SELECT payment_id, sequence, type, '{}', '' FROM events",
    "audit_log SELECT * FROM audit_log LIMIT 1",
    "audit_log SELECT * FROM audit_log ORDER BY id DESC LIMIT 1",
    "audit_head VALUES (1, 0, '')",
]


@pytest.fixture
async def conn(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Connection]:
    async with Installation(tmp_path / "data", clock, {}).running() as shop:
        _, sri = person(shop, Role.FINANCE, "sri")
        refund = await asked(shop, await paid(shop), amount=5_000)
        await decide(shop, refund, "approve", sri)
        await becomes(shop, refund, "DONE")
        shop.write(
            f"INSERT INTO ledger_entries ({_OF_LINE}) VALUES ('settled', 'bank', 'receivable:simulator', 1, 7, '', '')"
        )
        with closing(connect(shop.data_dir.database)) as opened:
            opened.execute("PRAGMA foreign_keys = OFF")
            yield opened


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "how", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid + 5", "UPDATE OR REPLACE {} SET rowid = 1"]
)
async def test_no_row_is_changed_or_deleted(conn: Connection, table: str, how: str) -> None:
    before = conn.execute(f"SELECT * FROM {table}").fetchall()
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|audit_head"):
        conn.execute(how.format(table))
    assert conn.execute(f"SELECT * FROM {table}").fetchall() == before


@pytest.mark.parametrize("word", ["INSERT OR REPLACE INTO", "REPLACE INTO", "INSERT OR IGNORE INTO"])
@pytest.mark.parametrize("into", REPLACEMENTS)
async def test_no_row_takes_the_place_of_another(conn: Connection, into: str, word: str) -> None:
    table = into.split(" ", 1)[0]
    before = conn.execute(f"SELECT * FROM {table}").fetchall()
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|audit_head"):
        conn.execute(f"{word} {into}")
    assert before
    assert conn.execute(f"SELECT * FROM {table}").fetchall() == before


async def test_whether_a_row_is_there_is_looked_up_and_not_searched_for(conn: Connection) -> None:
    guards = conn.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB '*_are_not_replaced'")
    asked_for = [one for (sql,) in guards for one in re.findall(r"EXISTS \((SELECT 1 .*?)\)", sql)]
    assert len(asked_for) == 8
    for query in asked_for:
        plan = conn.execute("EXPLAIN QUERY PLAN " + re.sub(r"NEW\.\w+", "?1", query), ("x",)).fetchall()
        assert [row["detail"].split(" ", 1)[0] for row in plan] == ["SEARCH"], (query, plan[0]["detail"])
