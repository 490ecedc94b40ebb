"""What can be exported: each table's columns, where they are read from, and when a row happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from qrisd.domain.permissions import Outlets
from qrisd.store.db import Connection

Row = tuple[Any, ...]


class Kind(Enum):
    """What a column holds."""

    TEXT = auto()
    NUMBER = auto()
    RUPIAH = auto()  # whole rupiah; added up
    TIME = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and the SQL it is read by."""

    name: str
    sql: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `moment` is when a row happened, as UTC, or its business day itself when `is_dated`; `provider` is the
    condition that `:provider` must meet, `outlet` is whose row it is, and `place` whose business day counts (NULL: the
    merchant's) where that is another.

    A file has the business day before these columns and the time zone of its times after them."""

    name: str
    source: str
    moment: str
    columns: tuple[Column, ...]
    outlet: str = "p.outlet"
    place: str | None = None
    provider: str
    order: str
    is_dated: bool = False

    @property
    def headings(self) -> tuple[str, ...]:
        """The first line of a file."""
        return ("business_day", *(column.name for column in self.columns), "timezone")

    @property
    def places(self) -> dict[str, int]:
        """Where each column is in a row as it is read: behind the moment and the outlet."""
        return {column.name: place for place, column in enumerate(self.columns, 2)}

    @property
    def sums(self) -> tuple[str, ...]:
        """The columns that are added up."""
        return tuple(column.name for column in self.columns if column.kind is Kind.RUPIAH)


def _columns(prefix: str, *names: str, kind: Kind = Kind.TEXT) -> tuple[Column, ...]:
    return tuple(Column(name, f"{prefix}.{name}", kind) for name in names)


_PAYMENTS: Final = Table(
    name="payments",
    source="payments p",
    moment="p.created_at",
    columns=(
        *_columns("p", "created_at", "paid_at", kind=Kind.TIME),
        *_columns("p", "order_id", "id", "outlet", "provider", "status", "exception"),
        *_columns("p", "amount", "amount_paid", "amount_refunded", kind=Kind.RUPIAH),
        *_columns("p", "currency", "provider_trx_id", "provider_ref_no"),
        *_columns("p", "attempt", kind=Kind.NUMBER),
        *_columns("p", "description"),
        *_columns("p", "updated_at", kind=Kind.TIME),
    ),
    provider="p.provider = :provider",
    order="p.created_at, p.id",
)

_REFUNDS: Final = Table(
    name="refunds",
    source=(
        "refunds r JOIN payments p ON p.id = r.payment_id LEFT JOIN attempts a ON a.id = r.attempt_id "
        "LEFT JOIN users u ON u.id = r.requested_by"
    ),
    moment="r.created_at",
    columns=(
        *_columns("r", "created_at", "sent_at", "done_at", kind=Kind.TIME),
        *_columns("p", "order_id"),
        *_columns("r", "id", "payment_id"),
        *_columns("p", "outlet"),
        Column("provider", "coalesce(a.provider, p.provider)"),
        *_columns("r", "method", "status"),
        *_columns("r", "amount", kind=Kind.RUPIAH),
        Column("amount_done", "iif(r.status = 'DONE', r.amount, 0)", Kind.RUPIAH),
        *_columns("p", "currency"),
        *_columns("r", "reason", "evidence"),
        Column("requested_by", "coalesce(u.username, r.requested_by)"),
        Column(
            "approved_by",
            "(SELECT group_concat(coalesce(v.username, d.decided_by), ', ') FROM refund_decisions d "
            "LEFT JOIN users v ON v.id = d.decided_by WHERE d.refund_id = r.id AND d.decision = 'approved')",
        ),
        *_columns("r", "reference", "provider_refund_id", "provider_ref_no", "detail"),
    ),
    provider="coalesce(a.provider, p.provider) = :provider",
    order="r.created_at, r.id",
)

_SETTLEMENTS: Final = Table(
    name="settlements",
    source="settlements s JOIN settlement_files f ON f.id = s.file_id LEFT JOIN payments p ON p.id = s.payment_id",
    moment="s.settlement_date",
    is_dated=True,
    columns=(
        *_columns("s", "provider", "kind"),
        Column("settled", "iif(s.is_settled, 'yes', 'no')"),
        *_columns("s", "transacted_at", kind=Kind.TIME),
        Column("order_id", "coalesce(p.order_id, s.order_id)"),
        *_columns("s", "payment_id"),
        *_columns("p", "outlet"),
        *_columns("s", "provider_trx_id", "provider_ref_no", "reference", "batch", "status"),
        *_columns("s", "amount", "fee", "vat", "net_amount", kind=Kind.RUPIAH),
        *_columns("s", "currency"),
        Column("file", "f.name"),
        *_columns("s", "row_number", kind=Kind.NUMBER),
        *_columns("s", "line_id"),
    ),
    provider="s.provider = :provider",
    order="s.settlement_date, s.provider, s.id",
)

_LEDGER: Final = Table(
    name="ledger",
    source="ledger_entries l LEFT JOIN payments p ON p.id = l.payment_id",
    moment="l.happened_at",
    place="iif(l.settlement_id IS NULL, p.outlet, NULL)",  # what is settled moves on the merchant's day
    columns=(
        *_columns("l", "happened_at", "created_at", kind=Kind.TIME),
        *_columns("l", "id", kind=Kind.NUMBER),
        *_columns("l", "kind", "debit_account", "credit_account"),
        *_columns("l", "amount", kind=Kind.RUPIAH),
        *_columns("p", "order_id"),
        *_columns("l", "payment_id"),
        *_columns("p", "outlet"),
        *_columns("l", "refund_id"),
        *_columns("l", "settlement_id", kind=Kind.NUMBER),
        *_columns("l", "reason"),
    ),
    provider="'receivable:' || :provider IN (l.debit_account, l.credit_account)",
    order="l.happened_at, l.id",
)

TABLES: Final[Mapping[str, Table]] = {table.name: table for table in (_PAYMENTS, _REFUNDS, _SETTLEMENTS, _LEDGER)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which rows: from `start` on and before `end`, as the table's moments are written; None leaves a condition out.
    `outlets` are those the asker is limited to."""

    start: str
    end: str
    outlet: str | None
    provider: str | None
    outlets: Outlets


def rows(conn: Connection, table: Table, choice: Choice) -> Iterator[Row]:
    """The chosen rows as they are at one moment, in the table's order: the moment, whose day it is, then the columns.

    One read transaction is open until the last row is taken."""
    outlets = {f"outlet{number}": outlet for number, outlet in enumerate(sorted(choice.outlets or ()))}
    conditions = [f"{table.moment} >= :start", f"{table.moment} < :end"]
    if choice.outlet is not None:
        conditions.append(f"{table.outlet} = :outlet")
    if choice.provider is not None:
        conditions.append(table.provider)
    if choice.outlets is not None:
        conditions.append(f"{table.outlet} IN ({', '.join(f':{name}' for name in outlets)})")
    columns = ", ".join([table.moment, table.place or table.outlet, *(column.sql for column in table.columns)])
    sql = f"SELECT {columns} FROM {table.source} WHERE {' AND '.join(conditions)} ORDER BY {table.order}"
    given = {"start": choice.start, "end": choice.end, "outlet": choice.outlet, "provider": choice.provider}
    for row in conn.execute(sql, given | outlets):
        yield tuple(row)
