"""The calls about reconciled days, their exceptions and payouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import PAGE_PARAMETERS, STORAGE, UNREADABLE, Answer, Operation, Parameter, text_filter
from qrisd.api.shapes.reconciliations import (
    EnteredPayout,
    ReconciledDayPage,
    Reconciliation,
    ReconciliationException,
    ReconciliationExceptionPage,
)
from qrisd.domain.reconciliation import Class, FindingStatus
from qrisd.schemas import (
    ActOnException,
    EnterPayout,
    StartReconciliation,
)

DAY: Final = Parameter(
    "date", "path", "The business day; `today` and `yesterday` are known too.", {"type": "string"}, "today"
)
DAY_PROVIDER: Final = text_filter("provider", "The run over this provider alone.")
RECONCILIATION_PARAMETERS: Final = (
    DAY,
    DAY_PROVIDER,
    text_filter("format", "What is answered; Accept says the same.", enum=["json", "csv", "html"]),
    text_filter("lang", "The language of CSV and HTML.", enum=["id", "en"]),
)
EXCEPTION_PARAMETERS: Final = (
    DAY,
    DAY_PROVIDER,
    text_filter("status", "Only those that stand like this.", enum=[status.lower() for status in FindingStatus]),
    text_filter("class", "Only those of this class.", enum=[str(kind) for kind in Class]),
    *PAGE_PARAMETERS,
)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/reconciliations"): Operation(
        id="startReconciliation",
        tag="Money",
        summary="Reconcile a business day",
        description=(
            "Asks the providers how every payment of the day stands, compares with their reports, and advances what is "
            "paid there and not here. It may be run again at any time; a run that is under way is joined."
        ),
        scope="reconciliations:write",
        body=StartReconciliation,
        body_example={"date": "today"},
        answers={
            200: Answer("It is done.", Reconciliation, examples.RECONCILIATION),
            202: Answer(
                "It is running: look again after Retry-After.",
                Reconciliation,
                examples.RECONCILIATION_RUNNING,
                headers=("Retry-After",),
            ),
        },
        problems=(*UNREADABLE, "validation_failed", *STORAGE),
    ),
    ("GET", "/reconciliations"): Operation(
        id="listReconciliations",
        tag="Money",
        summary="List reconciled days",
        description="The last run over each day, newest day first.",
        scope="reconciliations:read",
        parameters=PAGE_PARAMETERS,
        answers={200: Answer("A page.", ReconciledDayPage, {"data": [examples.RECONCILED_DAY], "next_cursor": None})},
    ),
    ("GET", "/reconciliations/{date}"): Operation(
        id="getReconciliation",
        tag="Money",
        summary="A day as it was reconciled last",
        description="As JSON, as CSV of its exceptions, or as a page to print. Exceptions are as they stand now.",
        scope="reconciliations:read",
        parameters=RECONCILIATION_PARAMETERS,
        answers={200: Answer("The day.", Reconciliation, examples.RECONCILIATION, also=("text/csv", "text/html"))},
        problems=("not_found",),
    ),
    ("GET", "/reconciliations/{date}/exceptions"): Operation(
        id="listExceptions",
        tag="Money",
        summary="List a day's exceptions",
        description="By class, a page at a time.",
        scope="reconciliations:read",
        parameters=EXCEPTION_PARAMETERS,
        answers={
            200: Answer("A page.", ReconciliationExceptionPage, {"data": [examples.EXCEPTION], "next_cursor": None})
        },
        problems=("not_found",),
    ),
    ("POST", "/reconciliations/exceptions/{id}"): Operation(
        id="actOnException",
        tag="Money",
        summary="Note, resolve or reopen an exception",
        description="To resolve or to reopen needs a reason. A resolved one opens again when its facts change.",
        scope="reconciliations:write",
        parameters=(Parameter("id", "path", "The exception's `id`.", {"type": "string"}, examples.EXCEPTION_ID),),
        body=ActOnException,
        body_example={"action": "resolve", "reason": "the provider gave it back", "owner": "Sari"},
        answers={
            200: Answer(
                "The exception.",
                ReconciliationException,
                {**examples.EXCEPTION, "status": "resolved", "note": "the provider gave it back", "owner": "Sari"},
            )
        },
        problems=(*UNREADABLE, "not_found", "wrong_state", "validation_failed", *STORAGE),
    ),
    ("POST", "/payouts"): Operation(
        id="enterPayout",
        tag="Money",
        summary="Enter what arrived at the bank",
        description=(
            "The next reconciliation of that day compares it with what the report pays out. Another amount in the "
            "place of one that was entered needs a reason."
        ),
        scope="reconciliations:write",
        body=EnterPayout,
        body_example={"provider": "simulator", "date": "2026-01-17", "amount": 14_895},
        answers={
            200: Answer(
                "It is entered.",
                EnteredPayout,
                {"provider": "simulator", "date": "2026-01-17", "amount": 14_895},
            )
        },
        problems=(*UNREADABLE, "validation_failed", *STORAGE),
    ),
}
