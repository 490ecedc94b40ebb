"""The calls about providers' settlement reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import PAGE_PARAMETERS, Answer, Operation, text_filter
from qrisd.api.shapes.settlements import Import, OverchargePage, SettlementFilePage, SettlementPage
from qrisd.domain.settlement import Kind

SETTLEMENT_PARAMETERS: Final = (
    text_filter("date", "Only what is paid out, or expected to be, on this business day.", format="date"),
    text_filter("provider", "Only lines of this provider."),
    text_filter("kind", "Only lines of this kind.", enum=[kind.value for kind in Kind]),
    text_filter("file", "Only lines of this report."),
    text_filter("matched", "`false`: only lines that are about no payment here.", enum=["true", "false"]),
    *PAGE_PARAMETERS,
)
OVERCHARGE_PARAMETERS: Final = (
    text_filter("from", "The first business day it was paid out on.", format="date"),
    text_filter("to", "The last such day, itself included.", format="date"),
    text_filter("provider", "Only lines of this provider."),
    *PAGE_PARAMETERS,
)
IMPORT_PARAMETERS: Final = (
    text_filter("provider", "Whose report it is. Needed."),
    text_filter("name", "The file's name, for people."),
    text_filter("dry_run", "`true`: check and count everything, store nothing.", enum=["true", "false"]),
)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/settlements"): Operation(
        id="listSettlements",
        tag="Money",
        summary="List settlement lines",
        description="What providers pay out, line by line of their reports, newest first.",
        scope="settlements:read",
        parameters=SETTLEMENT_PARAMETERS,
        answers={200: Answer("A page.", SettlementPage, {"data": [examples.SETTLEMENT], "next_cursor": None})},
    ),
    ("GET", "/settlements/files"): Operation(
        id="listSettlementFiles",
        tag="Money",
        summary="List imported reports",
        description="Newest first, with their counts and sums.",
        scope="settlements:read",
        parameters=(text_filter("provider", "Only reports of this provider."), *PAGE_PARAMETERS),
        answers={200: Answer("A page.", SettlementFilePage, {"data": [examples.SETTLEMENT_FILE], "next_cursor": None})},
    ),
    ("GET", "/settlements/overcharges"): Operation(
        id="listOvercharges",
        tag="Money",
        summary="List what was kept too much",
        description=(
            "Payments of which the provider kept more than the MDR allows for the merchant's criteria on that day, "
            "newest first. Follow `next_cursor` to its end: a page may be empty before it."
        ),
        scope="settlements:read",
        parameters=OVERCHARGE_PARAMETERS,
        answers={200: Answer("A page.", OverchargePage, {"data": [examples.OVERCHARGE], "next_cursor": None})},
    ),
    ("POST", "/settlements/import"): Operation(
        id="importSettlements",
        tag="Money",
        summary="Import a settlement report",
        description=(
            "Send the provider's file as the body, CSV, XLSX or XLS, at most 32 MB. All of it is stored, or nothing "
            "when a row is wrong: `errors` names row and column. The same file is taken only once, and lines that "
            "another report had already are not counted again. Send no form (multipart/form-data): 415."
        ),
        scope="settlements:write",
        parameters=IMPORT_PARAMETERS,
        file_example=examples.REPORT,
        answers={
            200: Answer("What it would come to, after a dry run.", Import, {**examples.IMPORT, "file_id": None}),
            201: Answer("Imported.", Import, examples.IMPORT),
        },
        problems=("report_known", "unsupported_media_type", "validation_failed"),
    ),
}
