"""An older database is brought to the present schema with all that is in it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from qrisd.domain.callback import endpoint_of, origin_of
from qrisd.store import migrate
from qrisd.store.db import connect
from qrisd.store.verify import violations

URLS = [
    "https://shop.example/hooks",
    "http://Shop.Example:8080/a?b=c&d",
    "https://shop.example",
    "https://x.example?q=1",
]


def test_events_from_before_callbacks_can_be_replayed_and_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    path.touch()
    every = migrate.migrations()
    with closing(connect(path)) as conn:
        monkeypatch.setattr(migrate, "migrations", lambda: every[:1])
        migrate.migrate(conn)
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
        monkeypatch.setattr(migrate, "migrations", lambda: every)
        migrate.migrate(conn)
        rows = conn.execute("SELECT url, endpoint, origin, status FROM callbacks ORDER BY event_id").fetchall()
        assert [tuple(row) for row in rows] == [(url, endpoint_of(url), origin_of(url), "DEAD") for url in URLS]
        assert not [one for one in violations(conn) if one.rule.startswith("callback")]
