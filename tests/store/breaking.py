"""A hand in the database file that knows its way past every guard."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def break_in(path: Path, *statements: str) -> None:
    """Change rows past checks, foreign keys and triggers, and leave no guard missing behind."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints = ON")
        guards = conn.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            conn.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert conn.execute(statement).rowcount, "the break must change something"
        for _, sql in guards:
            conn.execute(sql)
