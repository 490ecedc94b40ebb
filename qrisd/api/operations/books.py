"""The calls that read the books: ledger, exports, audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import ID, STORAGE, Answer, Operation, Parameter, text_filter
from qrisd.api.shapes.books import Accounts, AuditPage, LedgerEntries
from qrisd.store.export_tables import TABLES

EXPORT_FILES: Final = [f"{table}.{form}" for table in TABLES for form in ("csv", "xlsx")]
EXPORT_PARAMETERS: Final = (
    Parameter("file", "path", "The table, and how it is written.", {"enum": EXPORT_FILES}, "payments.csv"),
    text_filter("from", "The first business day, in the merchant's or the outlet's time zone. Needed.", format="date"),
    text_filter("to", "The last business day, itself included. Needed.", format="date"),
    text_filter("outlet", "Only what is of this outlet."),
    text_filter("provider", "Only what is of this provider."),
    text_filter("totals", "`true` ends the file with a line of totals.", enum=["true", "false"]),
    text_filter("bom", "`true` begins CSV with the mark by which Excel knows UTF-8.", enum=["true", "false"]),
)
AUDIT_PARAMETERS: Final = (
    text_filter("since", "Only what was done since then.", format="date-time"),
    text_filter("who", "Only what this username, or this `who`, did."),
    text_filter("action", "Only this action; `refund.*` is every action that begins so."),
    text_filter("what", "Only what was done to the thing with this id."),
    Parameter("limit", "query", "Rows a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    text_filter("cursor", "`next_cursor` of the page before."),
)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/ledger"): Operation(
        id="listAccounts",
        tag="Money",
        summary="The accounts of the ledger",
        description="Where every rupiah is: what providers owe, sales, refunds, fees, the bank. Each with its balance.",
        scope="ledger:read",
        answers={200: Answer("The accounts.", Accounts, examples.ACCOUNTS)},
    ),
    ("GET", "/payments/{id}/ledger"): Operation(
        id="listEntries",
        tag="Money",
        summary="What a payment has posted",
        description="Its entries in the ledger, oldest first. Each takes an amount from one account to another.",
        scope="ledger:read",
        parameters=(ID,),
        answers={200: Answer("The entries.", LedgerEntries, examples.LEDGER_ENTRIES)},
        problems=("not_found",),
    ),
    ("GET", "/exports/{file}"): Operation(
        id="getExport",
        tag="Money",
        summary="A table as CSV or XLSX",
        description=(
            "Every row of the business days from `from` to `to`, as it stood at one moment. Amounts are whole rupiah; "
            "text that a spreadsheet would calculate is made harmless. Who exported what is in the audit log."
        ),
        scope="exports:read",
        parameters=EXPORT_PARAMETERS,
        answers={200: Answer("The file.", media_type="*/*")},
        problems=("not_found", "validation_failed", *STORAGE),
    ),
    ("GET", "/audit"): Operation(
        id="listAudit",
        tag="Money",
        summary="Who did what",
        description=(
            "What people and API keys did, newest first: who, when, to what, what it was and became, and why. Each "
            "row's `hash` covers the row and the hash of the row before it."
        ),
        scope="audit:read",
        parameters=AUDIT_PARAMETERS,
        answers={200: Answer("A page.", AuditPage, {"data": [examples.AUDITED], "next_cursor": None})},
    ),
}
