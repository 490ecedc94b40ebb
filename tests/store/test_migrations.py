"""An older database is brought to the present schema with all that is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qrisd.domain.callback import endpoint_of, origin_of
from qrisd.domain.errors import DatabaseUnusable
from qrisd.store import migrate
from qrisd.store.db import connect
from qrisd.store.verify import violations
from tests.support.older import older

URLS = [
    "https://shop.example/hooks",
    "http://Shop.Example:8080/a?b=c&d",
    "https://shop.example",
    "https://x.example?q=1",
]

ENTRY = (
    "INSERT INTO ledger_entries (id, kind, debit_account, credit_account, amount, payment_id, refund_id, reason, "
    "happened_at, created_at) VALUES (?, ?, ?, ?, 5, ?, ?, ?, 'then', 'later')"
)


def test_events_from_before_callbacks_can_be_replayed_and_are_not_sent(tmp_path: Path) -> None:
    with older(tmp_path, 1) as conn:
        for number, url in enumerate(URLS):
            conn.execute(
                "INSERT INTO payments VALUES (?, ?, 1, 1, 'IDR', 'FAILED', NULL, 0, 0, 'simulator', NULL, NULL, NULL, "
                "900, '2026-01-15T03:15:00.000Z', NULL, 1, 'main', NULL, NULL, ?, '{}', 2, 1, 1, 'h', "
                "'2026-01-15T03:00:00.000Z', '2026-01-15T03:00:00.000Z')",
                (f"p{number}", f"INV-{number}", url),
            )
            conn.execute(
                "INSERT INTO events (payment_id, sequence, type, body, created_at) "
                "VALUES (?, 1, 'payment.failed', '{}', '2026-01-15T03:00:00.000Z')",
                (f"p{number}",),
            )
        migrate.migrate(conn)
        rows = conn.execute("SELECT url, endpoint, origin, status FROM callbacks ORDER BY event_id").fetchall()
        assert [tuple(row) for row in rows] == [(url, endpoint_of(url), origin_of(url), "DEAD") for url in URLS]
        assert not [one for one in violations(conn) if one.rule.startswith("callback")]


def test_the_ledger_is_rebuilt_with_every_entry_as_it_stands(tmp_path: Path) -> None:
    with older(tmp_path, 11) as conn:
        conn.execute("PRAGMA ignore_check_constraints = ON")
        conn.execute("PRAGMA foreign_keys = OFF")
        conn.execute(ENTRY, (1, "refund_done", "refunds_reserved", "cash", None, "r1", "a transfer"))
        conn.execute(ENTRY, (3, "adjusted", "sales", "bank", None, None, "agreed"))
        conn.execute(ENTRY, (7, "invented", "nothing", "nothing", "a payment that is gone", None, None))
        conn.execute("PRAGMA ignore_check_constraints = OFF")
        conn.execute("PRAGMA foreign_keys = ON")
        before = [tuple(row) for row in conn.execute("SELECT * FROM ledger_entries")]
        assert 12 in migrate.migrate(conn)
        assert [tuple(row) for row in conn.execute("SELECT * FROM ledger_entries")] == before
        assert migrate.guards_of(conn) == migrate.guards(migrate.newest())
        assert conn.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        conn.execute(ENTRY, (8, "refund_done", "refunds_reserved", "bank", None, "r2", "a transfer"))
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            conn.execute(ENTRY, (9, "invented", "nothing", "sales", None, None, None))


def test_a_migration_that_fails_leaves_foreign_keys_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "qrisd.db"
    path.touch()
    monkeypatch.setattr(migrate, "migrations", lambda: [(1, "CREATE TABLE t (id);"), (2, "nonsense;")])
    with closing(connect(path)) as conn:
        with pytest.raises(sqlite3.OperationalError):
            migrate.migrate(conn)
        assert conn.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_rows_that_no_qrisd_writes_refuse_an_upgrade_and_stay(tmp_path: Path) -> None:
    with older(tmp_path, 11) as conn:
        conn.execute("PRAGMA foreign_keys = OFF")
        conn.execute("DROP INDEX ledger_entries_paid_once")
        for number in (1, 2):
            conn.execute(ENTRY, (number, "paid", "receivable:x", "sales", "p1", None, None))
        with pytest.raises(DatabaseUnusable, match="schema 12"):
            migrate.migrate(conn)
        assert migrate.version_of(conn) == 11
        assert conn.execute("SELECT count(*) FROM ledger_entries").fetchone()[0] == 2
