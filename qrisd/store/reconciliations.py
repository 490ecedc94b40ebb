"""The runs of the reconciliation: one row per run over a day, and what providers were asked in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from qrisd.domain.reconciliation import Look
from qrisd.domain.times import from_text, from_text_or_none, to_text
from qrisd.store.db import Connection
from qrisd.store.rows import marks

Origin = Literal["nightly", "person"]
GOES_ON_FOR: Final = timedelta(hours=24)
_COLUMNS: Final = "id, day, provider, origin, status, asked, unasked, summary, began_at, finished_at"
_SELECT: Final = f"SELECT {_COLUMNS} FROM reconciliations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run over a day; `provider` None is all of them. `summary` is JSON, once it is done."""

    id: int
    day: date
    provider: str | None
    origin: Origin
    status: Literal["RUNNING", "DONE"]
    asked: int
    unasked: int
    summary: str | None
    began_at: datetime
    finished_at: datetime | None


def begin(conn: Connection, day: date, provider: str | None, origin: Origin, now: datetime) -> Run:
    """The run to do now: the last one, when it was cut off or could not ask about everything and is not old; else a new
    one."""
    last = latest(conn, day, provider)
    if last is not None and (last.status == "RUNNING" or last.unasked) and now - last.began_at < GOES_ON_FOR:
        return last
    conn.execute(
        "INSERT INTO reconciliations (day, provider, origin, status, began_at) VALUES (?, ?, ?, 'RUNNING', ?)",
        (day.isoformat(), provider, origin, to_text(now)),
    )
    begun = latest(conn, day, provider, "RUNNING")
    assert begun is not None, "it was stored just now"
    return begun


def latest(conn: Connection, day: date, provider: str | None, status: str | None = None) -> Run | None:
    """The newest run over this day of this provider, of all when None; with `status` the newest such."""
    row = conn.execute(
        f"{_SELECT} WHERE day = ? AND provider IS ? AND status = coalesce(?, status) ORDER BY id DESC LIMIT 1",
        (day.isoformat(), provider, status),
    ).fetchone()
    return None if row is None else _run(row)


def finish(conn: Connection, run_id: int, summary: str, unasked: int, now: datetime) -> None:
    """The run is done; again, when a later look at the same answers comes to another sum."""
    conn.execute(
        "UPDATE reconciliations SET status = 'DONE', summary = ?, unasked = ?, finished_at = ?, "
        "asked = (SELECT count(*) FROM reconciliation_looks WHERE run_id = id) WHERE id = ?",
        (summary, unasked, to_text(now), run_id),
    )


def newest_days(conn: Connection, before: date | None, limit: int) -> list[Run]:
    """The newest run of every day over all providers, the newest day first."""
    sql = (
        f"{_SELECT} WHERE id IN (SELECT max(id) FROM reconciliations WHERE provider IS NULL "
        "AND day < coalesce(?, '9999') GROUP BY day) ORDER BY day DESC LIMIT ?"
    )
    return [_run(row) for row in conn.execute(sql, (before and before.isoformat(), limit))]


def days_done(conn: Connection, since: date) -> dict[date, datetime]:
    """The days from `since` on whose whole was reconciled, and when its last such run began."""
    rows = conn.execute(
        "SELECT day, max(began_at) FROM reconciliations WHERE provider IS NULL AND status = 'DONE' AND unasked = 0 "
        "AND day >= ? GROUP BY day",
        (since.isoformat(),),
    )
    return {date.fromisoformat(row[0]): from_text(row[1]) for row in rows}


def days_waiting(conn: Connection, since: date, providers: Collection[str]) -> list[date]:
    """The days from `since` on of whose money, at one of these providers, some was on its way when they were compared
    last."""
    rows = conn.execute(
        "SELECT r.day FROM reconciliations r WHERE r.id IN (SELECT max(id) FROM reconciliations WHERE provider IS NULL "
        "AND status = 'DONE' AND day >= ? GROUP BY day) AND EXISTS (SELECT 1 FROM json_each(r.summary, '$.totals') t "
        f"WHERE t.value ->> 'waiting' > 0 AND t.value ->> 'provider' IN ({marks(providers)})) ORDER BY r.day",
        (since.isoformat(), *providers),
    )
    return [date.fromisoformat(row[0]) for row in rows]


def first_nightly(conn: Connection) -> date | None:
    """The first day that was ever reconciled at night."""
    row = conn.execute("SELECT min(day) FROM reconciliations WHERE origin = 'nightly'").fetchone()
    return row[0] and date.fromisoformat(row[0])


def last_day_done(conn: Connection) -> date | None:
    """The newest day whose whole was reconciled."""
    row = conn.execute(
        "SELECT max(day) FROM reconciliations WHERE provider IS NULL AND status = 'DONE' AND unasked = 0"
    ).fetchone()
    return row[0] and date.fromisoformat(row[0])


def save_look(conn: Connection, run_id: int, attempt_id: str, look: Look) -> None:
    """Keep what the provider said, in place of what it said before."""
    conn.execute(
        "INSERT OR REPLACE INTO reconciliation_looks (attempt_id, run_id, version, status, absent, amount, "
        "amount_refunded, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            attempt_id,
            run_id,
            look.version,
            look.status,
            look.absent,
            look.amount,
            look.amount_refunded,
            look.problem,
        ),
    )


def asked_about(conn: Connection, run_id: int, attempt_ids: Collection[str]) -> set[str]:
    """Those of these attempts that this run has asked about."""
    rows = conn.execute(
        f"SELECT attempt_id FROM reconciliation_looks WHERE run_id = ? AND attempt_id IN ({marks(attempt_ids)})",
        (run_id, *attempt_ids),
    )
    return {row[0] for row in rows}


def _run(row: Sequence[Any]) -> Run:
    facts = dict(zip(_COLUMNS.split(", "), row, strict=True))
    facts["day"] = date.fromisoformat(facts["day"])
    facts["began_at"] = from_text(facts["began_at"])
    facts["finished_at"] = from_text_or_none(facts["finished_at"])
    return Run(**facts)
