"""A report on its way into the settlements table.

Its lines wait in a temporary table of the connection, where they are checked, matched and compared with what is stored,
all without keeping anybody from writing; only the last step, `move`, needs the database for itself, and is short.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from qrisd.domain.ledger import Entry
from qrisd.domain.settlement import Line, Sums
from qrisd.domain.times import to_text, to_text_or_none
from qrisd.store import settlement_matching
from qrisd.store.db import Connection
from qrisd.store.rows import marks, to_json

_LINE_COLUMNS: Final = (
    "kind, line_id, provider_trx_id, reference, order_id, provider_ref_no, amount, fee, vat, net_amount, currency, "
    "settlement_date, is_settled, transacted_at, batch, status, row_number, raw"
)
_NAMES: Final = tuple(_LINE_COLUMNS.split(", "))
_TABLES: Final = (
    "DROP TABLE IF EXISTS temp.staged",
    "DROP TABLE IF EXISTS temp.staged_entries",
    # `change` is what becomes of the line: new, changed, fee (it came later), repeated, gone (void and never known).
    f"CREATE TEMP TABLE staged (id INTEGER PRIMARY KEY, {_LINE_COLUMNS}, is_void, is_planned, says_day, provider, "
    "attempt_id, payment_id, settlement_id, change)",
    "CREATE INDEX temp.staged_by_line ON staged (kind, line_id)",
    "CREATE TEMP TABLE staged_entries (staged_id, kind, debit_account, credit_account, amount, happened_at)",
    "CREATE INDEX temp.staged_entries_by_line ON staged_entries (staged_id)",
)
_TAKEN_OVER: Final = (
    "amount, fee, vat, net_amount, settlement_date, is_settled, transacted_at, batch, status, row_number, raw"
)


@dataclass(frozen=True, slots=True)
class Staged:
    """A line as it is put down: whether it is void, whether it is planned (to be settled on a day to come), and what it
    posts, which is nothing while it is not settled."""

    line: Line
    entries: Sequence[Entry] = ()
    is_void: bool = False
    is_planned: bool = False


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A line that says something else than a row above it, or than what was settled: `column` names what differs."""

    row_number: int
    column: str
    what: str


def begin(conn: Connection) -> None:
    """Make room for a report."""
    for statement in _TABLES:
        conn.execute(statement)


def add(conn: Connection, lines: Sequence[Staged], first_id: int) -> None:
    """Put down lines, numbered from `first_id`."""
    conn.executemany(
        f"INSERT INTO staged (id, is_void, is_planned, provider, says_day, {_LINE_COLUMNS}) "
        f"VALUES (?, ?, ?, ?, ?, {marks(_NAMES)})",
        [(staged_id, one.is_void, one.is_planned, *_staged(one.line)) for staged_id, one in enumerate(lines, first_id)],
    )
    conn.executemany(
        "INSERT INTO staged_entries VALUES (?, ?, ?, ?, ?, ?)",
        [
            (staged_id, entry.kind, entry.debit, entry.credit, entry.amount, to_text(entry.happened_at))
            for staged_id, one in enumerate(lines, first_id)
            for entry in one.entries
        ],
    )


def match(conn: Connection, provider: str, *, by_amount: bool) -> None:
    """Find the attempt of every line; `by_amount` as in `settlement_matching.match`."""
    settlement_matching.match(conn, "temp.staged", provider, by_amount=by_amount)


def twice(conn: Connection, limit: int) -> list[Contradiction]:
    """The first lines that are in the file a second time."""
    rows = conn.execute(
        "SELECT row_number, line_id, first_row FROM (SELECT id, row_number, line_id, "
        "first_value(row_number) OVER line AS first_row, row_number() OVER line AS occurrence FROM temp.staged "
        "WINDOW line AS (PARTITION BY kind, line_id ORDER BY id)) WHERE occurrence > 1 ORDER BY id LIMIT ?",
        (limit,),
    )
    return [Contradiction(row[0], "", f"is the line {row[1]!r} of row {row[2]} again") for row in rows]


def compare(conn: Connection) -> None:
    """Say of every line what becomes of it, by what is stored now."""
    conn.execute(
        "UPDATE staged SET settlement_id = (SELECT s.id FROM settlements s WHERE s.provider = staged.provider "
        "AND s.kind = staged.kind AND s.line_id = staged.line_id)"
    )
    conn.execute("UPDATE staged SET change = iif(is_void, 'gone', 'new') WHERE settlement_id IS NULL")
    conn.execute(
        "UPDATE staged SET change = CASE "
        "WHEN s.is_settled AND staged.is_settled AND staged.amount = s.amount AND s.amount > 0 AND s.fee = 0 "
        "AND staged.fee > 0 THEN 'fee' "
        "WHEN s.is_settled THEN 'repeated' "
        "WHEN (s.amount, s.fee, s.settlement_date, s.is_settled, s.status, s.batch) IS NOT "
        "(staged.amount, staged.fee, staged.settlement_date, staged.is_settled, staged.status, staged.batch) "
        "THEN 'changed' ELSE 'repeated' END FROM settlements s WHERE s.id = staged.settlement_id"
    )
    # What is void has no day, and a fee that comes later does not move the day of its line.
    conn.execute(
        "UPDATE staged SET settlement_date = iif(is_void OR change = 'fee', s.settlement_date, says_day) "
        "FROM settlements s WHERE s.id = staged.settlement_id"
    )


def contradictions(conn: Connection, limit: int, layout: str, is_day: Callable[[str], bool]) -> list[Contradiction]:
    """The first lines that contradict what another report said had been settled. `layout` is that of this report, and
    `is_day` says of a header whether the day of the payout is below it: only two reports that are written alike and
    that both say the day can contradict each other in it."""
    rows = conn.execute(
        "SELECT t.row_number, t.is_void, t.amount AS says, s.amount, t.fee AS says_fee, s.fee, t.status, f.name, "
        "t.says_day, s.settlement_date AS day, t.raw AS says_raw, s.raw, t.change = 'repeated' AND t.is_settled "
        "AND (t.amount != s.amount OR t.fee NOT IN (0, s.fee)) AS is_other_money "
        "FROM temp.staged t JOIN settlements s ON s.id = t.settlement_id JOIN settlement_files f ON f.id = s.file_id "
        "WHERE t.change IN ('repeated', 'fee') AND s.is_settled AND (t.is_void OR is_other_money OR "
        "((t.is_settled OR t.is_planned) AND f.layout = ? AND t.says_day != s.settlement_date)) ORDER BY t.id",
        (layout,),
    )
    found = (row for row in rows if row["is_void"] or row["is_other_money"] or _says_other_day(row, is_day))
    return [_contradiction(row) for row in islice(found, limit)]


def _says_other_day(row: Any, is_day: Callable[[str], bool]) -> bool:
    """Whether both say the day, and not the same: a line whose day is that of the payment was never said to be settled
    then."""
    says, said = (_days(row[name], is_day) for name in ("says_raw", "raw"))
    return bool(says and said) and says != said


def _days(raw: str, is_day: Callable[[str], bool]) -> list[str]:
    return [cell for header, cell in json.loads(raw).items() if is_day(header)]


def sums(conn: Connection) -> dict[str, Sums]:
    """What the lines add up to, by what becomes of them; and "all" and "unmatched"."""
    totals = (
        "count(*) AS lines, coalesce(sum(amount), 0) AS amount, coalesce(sum(fee), 0) AS fee, "
        "coalesce(sum(net_amount), 0) AS net_amount"
    )
    rows = conn.execute(
        f"SELECT change, {totals} FROM temp.staged GROUP BY change UNION ALL "
        f"SELECT 'all', {totals} FROM temp.staged WHERE change != 'gone' UNION ALL "
        f"SELECT 'unmatched', {totals} FROM temp.staged WHERE payment_id IS NULL AND kind IN ('payment', 'refund') "
        "AND change != 'gone'"
    )
    return {row[0]: Sums(lines=row[1], amount=row[2], fee=row[3], net_amount=row[4]) for row in rows}


def brought(conn: Connection, first: int, last: int) -> Sums:
    """What those of the lines numbered `first` to `last` add up to that are new, or change what is stored."""
    row = conn.execute(
        "SELECT count(*), coalesce(sum(amount), 0), coalesce(sum(fee), 0), coalesce(sum(net_amount), 0) "
        "FROM temp.staged WHERE change IN ('new', 'changed', 'fee') AND id BETWEEN ? AND ?",
        (first, last),
    ).fetchone()
    return Sums(lines=row[0], amount=row[1], fee=row[2], net_amount=row[3])


def move(conn: Connection, file_id: str, first: int, last: int, now: datetime) -> None:
    """Bring the lines numbered `first` to `last` to where they belong, and post what they settle, in the transaction of
    the caller."""
    newest = conn.execute("SELECT coalesce(max(id), 0) FROM settlements").fetchone()[0]
    told = {"file": file_id, "now": to_text(now), "base": newest + 1 - first, "first": first, "last": last}
    conn.execute(
        "INSERT INTO settlement_changes (settlement_id, file_id, row_number, amount, fee, net_amount, "
        "settlement_date, status, changed_at) SELECT s.id, s.file_id, s.row_number, s.amount, s.fee, s.net_amount, "
        "s.settlement_date, s.status, :now FROM temp.staged t JOIN settlements s ON s.id = t.settlement_id "
        "WHERE t.change IN ('changed', 'fee') AND t.id BETWEEN :first AND :last ORDER BY t.id",
        told,
    )
    taken_over = ", ".join(f"{name} = t.{name}" for name in _TAKEN_OVER.split(", "))
    conn.execute(
        f"UPDATE settlements SET {taken_over}, file_id = :file, updated_at = :now, reconciled = 0, "
        "attempt_id = coalesce(settlements.attempt_id, t.attempt_id), "
        "payment_id = coalesce(settlements.payment_id, t.payment_id) FROM temp.staged t "
        "WHERE settlements.id = t.settlement_id AND t.change IN ('changed', 'fee') AND t.id BETWEEN :first AND :last",
        told,
    )
    conn.execute(
        f"INSERT INTO settlements (id, provider, {_LINE_COLUMNS}, attempt_id, payment_id, file_id, created_at, "
        f"updated_at) SELECT :base + id, provider, {_LINE_COLUMNS}, attempt_id, payment_id, :file, :now, :now "
        "FROM temp.staged WHERE change = 'new' AND id BETWEEN :first AND :last ORDER BY id",
        told,
    )
    _post(conn, told)


def _post(conn: Connection, told: dict[str, Any]) -> None:
    """Book the lines that were just stored, for the payment that their line has by now."""
    into = (
        "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, settlement_id, "
        "happened_at, created_at) "
    )
    conn.execute(
        f"{into} SELECT e.kind, e.debit_account, e.credit_account, e.amount, s.payment_id, s.id, e.happened_at, :now "
        "FROM temp.staged t JOIN temp.staged_entries e ON e.staged_id = t.id "
        "JOIN settlements s ON s.id = coalesce(t.settlement_id, :base + t.id) "
        "WHERE t.change IN ('new', 'changed') AND t.id BETWEEN :first AND :last ORDER BY t.id",
        told,
    )
    # The fee was not known when the whole amount was taken for settled: it goes back out of the bank.
    for kind, debit, credit in (("fee", "'fees'", "theirs"), ("settled_back", "theirs", "'bank'")):
        conn.execute(
            f"{into} SELECT '{kind}', {debit}, {credit}, fee, payment_id, settlement_id, :now, :now FROM "
            "(SELECT t.id, t.fee, s.payment_id, t.settlement_id, 'receivable:' || t.provider AS theirs "
            "FROM temp.staged t JOIN settlements s ON s.id = t.settlement_id WHERE t.change = 'fee') "
            "WHERE id BETWEEN :first AND :last ORDER BY id",
            told,
        )


def end(conn: Connection) -> None:
    """Let go of the report."""
    for statement in _TABLES[:2]:
        conn.execute(statement)


def _staged(line: Line) -> tuple[Any, ...]:
    return (line.provider, line.settlement_date.isoformat(), *_values(line))


def _values(line: Line) -> tuple[Any, ...]:
    return (
        line.kind,
        line.line_id,
        line.provider_trx_id,
        line.reference,
        line.order_id,
        line.provider_ref_no,
        line.amount,
        line.fee,
        line.vat,
        line.net_amount,
        line.currency,
        line.settlement_date.isoformat(),
        line.is_settled,
        to_text_or_none(line.transacted_at),
        line.batch,
        line.status,
        line.row_number,
        to_json(line.raw),
    )


def _contradiction(row: Any) -> Contradiction:
    imported = f"the file {row['name']!r}"
    if row["is_void"]:
        return Contradiction(row["row_number"], "status", f"says {row['status']!r}, but {imported} said it was settled")
    if not row["is_other_money"]:
        column, says, said = "settlement_date", row["says_day"], row["day"]
    elif row["says"] != row["amount"]:
        column, says, said = "amount", row["says"], row["amount"]
    else:
        column, says, said = "fee", row["says_fee"], row["fee"]
    return Contradiction(row["row_number"], column, f"says {says}, but {imported} said {said} and that it was settled")
