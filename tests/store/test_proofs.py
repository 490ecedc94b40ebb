"""What a proof is looked up by is found through an index, however many payments there are."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qrisd.domain.proof import Query
from qrisd.store import proofs
from qrisd.store.db import Connection
from qrisd.store.migrate import migrate

SINCE = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.fixture
def conn(tmp_path: Path) -> Iterator[Connection]:
    conn = sqlite3.connect(tmp_path / "qrisd.db", isolation_level=None)
    conn.row_factory = sqlite3.Row
    migrate(conn)
    yield conn
    conn.close()


@pytest.mark.parametrize("outlets", [None, frozenset({"main", "kemang"})])
def test_nothing_is_found_by_reading_the_whole_table(conn: Connection, outlets: frozenset[str] | None) -> None:
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    proofs.find(conn, Query((50_000,), ("998877665544", "INV-7")), outlets, SINCE)
    proofs.newest_open(conn, outlets, SINCE, 5)
    conn.set_trace_callback(None)
    selects = [one for one in statements if one.startswith("SELECT")]
    assert len(selects) >= 6
    for one in selects:
        plan = [row["detail"] for row in conn.execute(f"EXPLAIN QUERY PLAN {one}")]
        assert not [step for step in plan if re.match(r"SCAN (payments|attempts)", step)], (one, plan)
        assert not [step for step in plan if "TEMP B-TREE FOR ORDER" in step], (one, plan)
