"""The audit log is a chain: whoever edits the file is found out, and the first bad row is named."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from qrisd.domain import audit_chain
from qrisd.store import audit_log, migrate
from qrisd.store.audit_log import COMMAND_LINE, Actor, Filter
from qrisd.store.db import Connection, connect
from qrisd.store.verify import findings

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
BY = Actor(COMMAND_LINE)
GUARDS = (
    "audit_log_is_not_changed",
    "audit_log_is_not_shortened",
    "audit_log_moves_its_head",
    "audit_head_moves_a_row_at_a_time",
    "audit_head_is_not_deleted",
)
ROWS = 9
REHASHED = audit_chain.link("0" * 64, 1)


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    path = tmp_path / "qrisd.db"
    path.touch()
    with closing(connect(path)) as opened:
        migrate.migrate(opened)
        yield opened


@pytest.fixture
def full(conn: Connection) -> Connection:
    """A log of ROWS rows."""
    for number in range(1, ROWS + 1):
        change = {"name": f"n{number}"}
        audit_log.add(conn, BY, "user.changed", NOW, what=f"u{number}", before=change, after=change, why="a reason")
    return conn


def bad(conn: Connection) -> list[str]:
    return list(audit_log.first_bad(conn))


def test_a_log_that_nobody_touched_is_whole(full: Connection) -> None:
    assert bad(full) == []
    assert [entry.id for entry in audit_log.find(full, Filter(), 100)] == list(range(ROWS, 0, -1))


def test_an_empty_log_is_whole(conn: Connection) -> None:
    assert bad(conn) == []


def test_a_hash_is_of_the_row_and_the_hash_before_it(full: Connection) -> None:
    rows = full.execute("SELECT * FROM audit_log ORDER BY id LIMIT 2").fetchall()
    first = audit_chain.link(audit_chain.BEGINNING, *rows[0][:-1])
    assert [row["hash"] for row in rows] == [first, audit_chain.link(first, *rows[1][:-1])]
    content = (1, "2026-01-15T03:00:00.000Z", "somebody", "sign_in", None, None, None, None, None)
    written = b'["%s",1,"2026-01-15T03:00:00.000Z","somebody","sign_in",null,null,null,null,null]' % (b"0" * 64)
    assert audit_chain.link(audit_chain.BEGINNING, *content) == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("UPDATE audit_log SET who = 'nobody' WHERE id = 1", "row 1 is not what was written"),
        ("UPDATE audit_log SET at = '2026-01-15T03:00:00.001Z' WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET action = 'sign_in' WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET what = NULL WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET before = '{}' WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET after = NULL WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET why = 'another' WHERE id = 9", "row 9 is not what was written"),
        ("UPDATE audit_log SET source = '192.0.2.1' WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET before = after, after = before, what = 'u4' WHERE id = 5", "row 5 is not"),
        (f"UPDATE audit_log SET hash = '{REHASHED}' WHERE id = 5", "row 5 is not what was written"),
        ("UPDATE audit_log SET who = CAST(x'ff' AS TEXT) WHERE id = 5", "row 5 cannot be read"),
        ("DELETE FROM audit_log WHERE id = 1", "row 1 is missing"),
        ("DELETE FROM audit_log WHERE id = 5", "row 5 is missing"),
        ("DELETE FROM audit_log WHERE id IN (5, 7)", "row 5 is missing"),
        ("DELETE FROM audit_log WHERE id = 9", "row 9 is missing, and all up to row 9"),
        ("DELETE FROM audit_log WHERE id > 6", "row 7 is missing, and all up to row 9"),
        ("DELETE FROM audit_log", "row 1 is missing, and all up to row 9"),
        ("DELETE FROM audit_log WHERE id = 5; UPDATE audit_log SET id = id - 1 WHERE id > 5", "row 5 is not what was"),
        (
            "UPDATE audit_log SET id = -4 WHERE id = 4; UPDATE audit_log SET id = 4 WHERE id = 5; "
            "UPDATE audit_log SET id = 5 WHERE id = -4",
            "row 4 is not what was written",
        ),
        ("INSERT INTO audit_log (at, who, action) VALUES ('', 'x', 'sign_in')", "row 10 is not what was written"),
        ("INSERT INTO audit_log (id, at, who, action) VALUES (0, '', 'x', 'sign_in')", "row 1 is missing"),
        ("DELETE FROM audit_head", "row 9 is newer than audit_head"),
        ("UPDATE audit_head SET log_id = 7", "row 9 is newer than audit_head"),
        ("UPDATE audit_head SET hash = ''", "row 9 is not what audit_head says"),
    ],
)
def test_what_a_hand_in_the_file_does_is_found_at_its_first_row(full: Connection, edit: str, told: str) -> None:
    for guard in GUARDS:
        full.execute(f"DROP TRIGGER {guard}")
    for statement in edit.split("; "):
        full.execute(statement)
    (found,) = bad(full)
    assert found.startswith(told)
    by_rule = {finding.rule: finding.offenders for finding in findings(full)}
    assert by_rule["audit_chain"] == (found,)


def test_a_row_that_was_changed_and_hashed_anew_is_found_by_its_follower(full: Connection) -> None:
    full.execute("DROP TRIGGER audit_log_is_not_changed")
    for forged, told in ((5, "row 6 is not what was written"), (ROWS, f"row {ROWS} is not what audit_head says")):
        full.execute("SAVEPOINT before")
        full.execute("UPDATE audit_log SET who = 'another' WHERE id = ?", (forged,))
        (before,) = full.execute("SELECT hash FROM audit_log WHERE id = ?", (forged - 1,)).fetchone()
        row = full.execute("SELECT * FROM audit_log WHERE id = ?", (forged,)).fetchone()
        full.execute("UPDATE audit_log SET hash = ? WHERE id = ?", (audit_chain.link(before, *row[:-1]), forged))
        assert bad(full)[0].startswith(told)
        full.execute("ROLLBACK TO before")
        full.execute("RELEASE before")
    assert bad(full) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET who = 'x'",
        "DELETE FROM audit_log",
        "UPDATE audit_head SET log_id = 3",
        "UPDATE audit_head SET hash = ''",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head VALUES (2, 0, '')",
    ],
)
def test_the_database_itself_refuses_to_change_the_log(full: Connection, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        full.execute(statement)
    assert bad(full) == []


def test_a_change_that_is_rolled_back_leaves_no_gap(full: Connection) -> None:
    full.execute("BEGIN IMMEDIATE")
    audit_log.add(full, BY, "api_key.created", NOW)
    full.execute("ROLLBACK")
    audit_log.add(full, BY, "api_key.revoked", NOW)
    assert bad(full) == []
    assert audit_log.find(full, Filter(), 1)[0].id == ROWS + 1


def test_two_processes_write_one_chain(full: Connection, tmp_path: Path) -> None:
    with closing(connect(tmp_path / "qrisd.db")) as other:
        for number in range(20):
            writer = (full, other)[number % 2]
            writer.execute("BEGIN IMMEDIATE")
            audit_log.add(writer, BY, "sign_in", NOW)
            writer.execute("COMMIT")
    assert bad(full) == []


def test_rows_from_before_the_chain_are_sealed_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.db"
    path.touch()
    every = migrate.migrations()
    with closing(connect(path)) as conn:
        monkeypatch.setattr(migrate, "migrations", lambda: [one for one in every if one[0] < 9])
        migrate.migrate(conn)
        for number in range(300):
            old = ("2026-01-15T03:00:00.000Z", "command line", "user.changed", f"ü{number}", None, '{"a":1}')
            conn.execute("INSERT INTO audit_log (at, who, action, what, before, after) VALUES (?, ?, ?, ?, ?, ?)", old)
        monkeypatch.setattr(migrate, "migrations", lambda: every)
        migrate.migrate(conn)
        assert bad(conn) == []
        audit_log.add(conn, BY, "sign_in", NOW)
        assert bad(conn) == []
        with pytest.raises(sqlite3.IntegrityError):
            conn.execute("UPDATE audit_log SET who = 'x'")
        conn.execute("DROP TRIGGER audit_log_is_not_changed")
        conn.execute("UPDATE audit_log SET who = 'x' WHERE id = 150")
        assert bad(conn)[0].startswith("row 150 ")


def test_rows_are_found_by_time_person_action_and_thing(conn: Connection) -> None:
    for hours, who, action, what in (
        (0, "a", "refund.request", "r1"),
        (1, "b", "refund.approve", "r1"),
        (2, "a", "x", "y"),
    ):
        audit_log.add(conn, Actor(who), action, NOW + timedelta(hours=hours), what=what)

    def ids(**wanted: object) -> list[int]:
        return [entry.id for entry in audit_log.find(conn, Filter(**wanted), 10)]  # type: ignore[arg-type]

    assert ids(since=NOW + timedelta(hours=1)) == [3, 2]
    assert ids(who="a") == [3, 1]
    assert ids(action="refund.*") == [2, 1]
    assert ids(action="refund.approve") == [2]
    assert ids(what="r1", before=2) == [1]
