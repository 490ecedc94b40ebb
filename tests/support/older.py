"""Databases as earlier versions left them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from qrisd.store import migrate
from qrisd.store.db import Connection, connect


@contextmanager
def older(tmp_path: Path, version: int) -> Iterator[Connection]:
    """A new database that stands at this version of the schema; `migrate` brings it up from there."""
    path = tmp_path / "old.db"
    path.touch()
    every = migrate.migrations()
    with closing(connect(path)) as conn:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "migrations", lambda: every[:version])
            migrate.migrate(conn)
        yield conn
