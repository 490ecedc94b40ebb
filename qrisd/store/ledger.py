"""The ledger_entries table: transfers between accounts, only ever added."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from qrisd.domain.ledger import Entry, Kind, grows_by_debit
from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection


def add(conn: Connection, entries: Iterable[Entry], now: datetime) -> None:
    """Post the entries of one fact, in the transaction that stores the fact."""
    for entry in entries:
        conn.execute(
            "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, refund_id, "
            "settlement_id, reason, happened_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.kind,
                entry.debit,
                entry.credit,
                entry.amount,
                entry.payment_id,
                entry.refund_id,
                entry.settlement_id,
                entry.reason,
                to_text(entry.happened_at),
                to_text(now),
            ),
        )


def balances(conn: Connection) -> dict[str, int]:
    """Every account that was ever used, with its balance on its own side, in whole rupiah."""
    rows = conn.execute(
        "SELECT account, sum(amount) AS debited FROM (SELECT debit_account AS account, amount FROM ledger_entries "
        "UNION ALL SELECT credit_account, -amount FROM ledger_entries) GROUP BY account ORDER BY account"
    )
    return {account: debited if grows_by_debit(account) else -debited for account, debited in rows}


def of_payment(conn: Connection, payment_id: str) -> list[Entry]:
    """The payment's entries, oldest first."""
    rows = conn.execute("SELECT * FROM ledger_entries WHERE payment_id = ? ORDER BY id", (payment_id,))
    return [_entry(row) for row in rows]


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        kind=Kind(row["kind"]),
        debit=row["debit_account"],
        credit=row["credit_account"],
        amount=row["amount"],
        payment_id=row["payment_id"],
        refund_id=row["refund_id"],
        settlement_id=row["settlement_id"],
        reason=row["reason"],
        happened_at=from_text(row["happened_at"]),
    )
