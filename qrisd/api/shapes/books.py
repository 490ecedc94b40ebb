"""The ledger and the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from qrisd.api.shapes.base import Moment, Shape
from qrisd.domain.ledger import Kind


class Account(Shape):
    """One account of the ledger."""

    account: str = Field(description="Its name, such as `sales` or `receivable:midtrans`.")
    balance: int = Field(description="Whole rupiah, on the side on which the account grows.")


class Accounts(Shape):
    """Every account that was ever used."""

    data: list[Account]


class LedgerEntry(Shape):
    """One transfer between two accounts."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [kind.value for kind in Kind]})]
    debit: str
    credit: str
    amount: int = Field(ge=1, description="Whole rupiah.")
    payment_id: str | None
    refund_id: str | None
    settlement_id: int | None
    reason: str | None
    happened_at: Moment


class LedgerEntries(Shape):
    """Entries of the ledger, oldest first."""

    data: list[LedgerEntry]


class Audited(Shape):
    """One thing that somebody did."""

    id: int
    at: Moment
    who: str = Field(description="A person's id, `api_key:` and the id of a machine's key, `command line` or `nobody`.")
    name: str | None = Field(description="The person's username, or the key's name.")
    action: str = Field(description="What was done, such as `payment.cancelled`.")
    what: str | None = Field(description="The id of what it was done to.")
    before: dict[str, Any] | None = Field(description="What it was, as far as it changed.")
    after: dict[str, Any] | None = Field(description="What it became.")
    why: str | None
    source: str | None = Field(description="The address it came from, and the key when a person used one.")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 over the row and the hash of the row before it.")


class AuditPage(Shape):
    """One page of the audit log, newest first."""

    data: list[Audited]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
