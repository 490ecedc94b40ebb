"""The database file itself: its pages, its guards, and the chain of the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qrisd.store import audit_log, migrate
from qrisd.store.db import Connection
from qrisd.store.verify.rules import Check, Rule

_DAMAGE_MAX: Final = 100


def _foreign_keys(conn: Connection) -> Iterator[str]:
    for table, row_id, parent, _ in conn.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {row_id} names no {parent}"


def _guards(conn: Connection) -> Iterator[str]:
    """Triggers that are not ours count too: they act unseen on what is stored."""
    wanted, present = migrate.guards(migrate.version_of(conn)), migrate.guards_of(conn)
    for name in sorted(wanted.keys() | present.keys()):
        if name not in present:
            yield f"{name} is missing"
        elif name not in wanted:
            yield f"{name} is not ours"
        elif present[name] != wanted[name]:
            yield f"{name} was changed"


def _damage(conn: Connection) -> Iterator[str]:
    for row in conn.execute(f"PRAGMA quick_check({_DAMAGE_MAX})"):
        if row[0] != "ok":
            yield row[0]


RULES: Final[tuple[Rule | Check, ...]] = (
    Check("foreign_keys", "Every row that names another one finds it.", _foreign_keys),
    Check("guards", "The database refuses what it was made to refuse.", _guards),
    Check("audit_chain", "Every row of the audit log is as it was written, and none is missing.", audit_log.first_bad),
    Check("pages", "The database file is undamaged.", _damage),
)
