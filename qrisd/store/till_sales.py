"""The till_sales table: what cashiers typed in, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from qrisd.domain.payment import Status
from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class TillSale:
    """One sale, before its payment is made. `amount` is whole rupiah; `token` is that of the form it was typed in."""

    order_id: str
    shift_id: str
    day: date
    outlet: str
    number: int
    token: str
    amount: int
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Takings:
    """Money that came: how many payments, and whole rupiah."""

    count: int
    amount: int
    refunded: int


@dataclass(frozen=True, slots=True)
class Sold:
    """What a shift sold through one provider: payments that have money, whole rupiah, and QRs that are still open."""

    provider: str
    count: int
    amount: int
    open_count: int


def add(conn: Connection, sale: TillSale) -> None:
    conn.execute(
        "INSERT INTO till_sales (order_id, shift_id, day, outlet, number, token, amount, note, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sale.order_id,
            sale.shift_id,
            sale.day.isoformat(),
            sale.outlet,
            sale.number,
            sale.token,
            sale.amount,
            sale.note,
            to_text(sale.created_at),
        ),
    )


def by_token(conn: Connection, shift_id: str, token: str) -> TillSale | None:
    """The sale that was typed into this form."""
    sql = "SELECT * FROM till_sales WHERE shift_id = ? AND token = ?"
    row = conn.execute(sql, (shift_id, token)).fetchone()
    return None if row is None else _sale(row)


def last_number(conn: Connection, day: date, outlet: str) -> int:
    """The number of the outlet's latest sale of the day, 0 before the first."""
    sql = "SELECT max(number) FROM till_sales WHERE day = ? AND outlet = ?"
    return int(conn.execute(sql, (day.isoformat(), outlet)).fetchone()[0] or 0)


def is_taken(conn: Connection, order_id: str) -> bool:
    """Whether a sale or a payment has this order id."""
    sql = (
        "SELECT EXISTS (SELECT 1 FROM till_sales WHERE order_id = :id) "
        "OR EXISTS (SELECT 1 FROM payments WHERE order_id = :id)"
    )
    return bool(conn.execute(sql, {"id": order_id}).fetchone()[0])


def payment_ids(conn: Connection, shift_id: str) -> list[str]:
    """The payments that were made in a shift, oldest first."""
    sql = (
        "SELECT p.id FROM till_sales s JOIN payments p ON p.order_id = s.order_id WHERE s.shift_id = ? "
        "ORDER BY s.created_at, s.number"
    )
    return [row[0] for row in conn.execute(sql, (shift_id,))]


def sold_in(conn: Connection, shift_id: str) -> list[Sold]:
    """What our records say of a shift's payments, by provider."""
    sql = (
        "SELECT p.provider, sum(p.amount_paid > 0), sum(p.amount_paid), sum(p.status IN (?, ?)) "
        "FROM till_sales s JOIN payments p ON p.order_id = s.order_id WHERE s.shift_id = ? GROUP BY 1 ORDER BY 1"
    )
    rows = conn.execute(sql, (Status.CREATED, Status.PENDING, shift_id))
    return [Sold(*row) for row in rows]


def cashier_of(conn: Connection, order_id: str) -> str | None:
    """The name of the person who typed it in; None where it was not made at a till."""
    sql = (
        "SELECT u.name FROM till_sales s JOIN shifts h ON h.id = s.shift_id JOIN users u ON u.id = h.user_id "
        "WHERE s.order_id = ?"
    )
    row = conn.execute(sql, (order_id,)).fetchone()
    return None if row is None else str(row[0])


def takings(conn: Connection, outlet: str, start: datetime, end: datetime) -> Takings:
    """What the outlet's payments brought from `start`, included, to `end`, which is not."""
    sql = (
        "SELECT count(*), total(amount_paid), total(amount_refunded) FROM payments "
        "WHERE outlet = ? AND paid_at >= ? AND paid_at < ?"
    )
    count, amount, refunded = conn.execute(sql, (outlet, to_text(start), to_text(end))).fetchone()
    return Takings(count, int(amount), int(refunded))


def outlets(conn: Connection) -> list[str]:
    """Every outlet that has sold something or has people, by name."""
    # Each step asks the index for the next name: as quick with a million payments as with ten.
    sql = (
        "WITH RECURSIVE sold (outlet) AS ("
        "SELECT min(outlet) FROM payments WHERE paid_at IS NOT NULL UNION ALL "
        "SELECT (SELECT min(p.outlet) FROM payments p WHERE p.paid_at IS NOT NULL AND p.outlet > sold.outlet) "
        "FROM sold WHERE sold.outlet IS NOT NULL) "
        "SELECT outlet FROM sold WHERE outlet IS NOT NULL "
        "UNION SELECT outlet FROM shifts "
        "UNION SELECT j.value FROM users u, json_each(u.outlets) j WHERE u.outlets IS NOT NULL ORDER BY 1"
    )
    return [row[0] for row in conn.execute(sql)]


def _sale(row: Any) -> TillSale:
    return TillSale(
        order_id=row["order_id"],
        shift_id=row["shift_id"],
        day=date.fromisoformat(row["day"]),
        outlet=row["outlet"],
        number=row["number"],
        token=row["token"],
        amount=row["amount"],
        note=row["note"],
        created_at=from_text(row["created_at"]),
    )
