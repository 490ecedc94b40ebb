"""The calls about giving money back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import (
    ID,
    IDEMPOTENCY_KEY,
    STORAGE,
    UNREADABLE,
    Answer,
    Operation,
    Parameter,
    text_filter,
)
from qrisd.api.shapes.refunds import Refundable, RefundDetails, RefundPage, Refunds
from qrisd.domain.refund import Status as RefundStatus
from qrisd.schemas import (
    ApproveRefund,
    AskRefund,
    CancelRefund,
    RejectRefund,
)

REFUND_ID: Final = Parameter("id", "path", "The refund's `id`.", {"type": "string"}, examples.REFUND_ID)
REFUND_PARAMETERS: Final = (
    text_filter("status", "Only those that stand like this now.", enum=[status.value for status in RefundStatus]),
    text_filter("payment_id", "Only those of this payment."),
    Parameter("limit", "query", "Refunds a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    text_filter("cursor", "`next_cursor` of the page before."),
)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/payments/{id}/refundable"): Operation(
        id="getRefundable",
        tag="Refunds",
        summary="What may be given back",
        description="How much, by which way, by whom and until when; and where not, why not. Nothing is asked for.",
        scope="refunds:read",
        parameters=(ID,),
        answers={200: Answer("What is possible now.", Refundable, examples.REFUNDABLE)},
        problems=("not_found",),
    ),
    ("POST", "/payments/{id}/refunds"): Operation(
        id="requestRefund",
        tag="Refunds",
        summary="Ask for a refund",
        description=(
            "Of all that is left, or of a part. Its amount is reserved at once, so that all refunds of a payment "
            "together never exceed what came. It then waits for another person's approval, unless the settings let "
            "so little go without. An unpaid payment is not refunded but cancelled."
        ),
        scope="refunds:request",
        parameters=(ID, IDEMPOTENCY_KEY),
        body=AskRefund,
        body_example=examples.REFUND_ASKED,
        answers={
            201: Answer("It is asked for.", RefundDetails, examples.REFUND_REQUESTED, headers=("Idempotent-Replayed",))
        },
        problems=(
            *UNREADABLE,
            "idempotency_key_required",
            "idempotency_key_invalid",
            "not_found",
            "wrong_state",
            "validation_failed",
            "idempotency_key_reused",
            *STORAGE,
        ),
    ),
    ("GET", "/payments/{id}/refunds"): Operation(
        id="listRefundsOfPayment",
        tag="Refunds",
        summary="The refunds of a payment",
        description="Oldest first, with those that the provider made without us.",
        scope="refunds:read",
        parameters=(ID,),
        answers={200: Answer("The refunds.", Refunds, {"data": [examples.REFUND]})},
        problems=("not_found",),
    ),
    ("GET", "/refunds"): Operation(
        id="listRefunds",
        tag="Refunds",
        summary="List refunds",
        description="Newest first. With `status` `REQUESTED`: those that wait for an approval.",
        scope="refunds:read",
        parameters=REFUND_PARAMETERS,
        answers={200: Answer("A page.", RefundPage, {"data": [examples.REFUND], "next_cursor": None})},
    ),
    ("GET", "/refunds/{id}"): Operation(
        id="getRefund",
        tag="Refunds",
        summary="Read a refund",
        description="With every decision about it.",
        scope="refunds:read",
        parameters=(REFUND_ID,),
        answers={200: Answer("The refund.", RefundDetails, examples.REFUND_REQUESTED)},
        problems=("not_found",),
    ),
    ("POST", "/refunds/{id}/approve"): Operation(
        id="approveRefund",
        tag="Refunds",
        summary="Approve a refund",
        description=(
            "By a person, with an API key that acts for them, and never by who asked for it. The approval is for "
            "this content, and counts only while the person still may give it when the refund is sent."
        ),
        scope="refunds:approve",
        parameters=(REFUND_ID,),
        body=ApproveRefund,
        body_example={"reason": "the cashier confirms it"},
        answers={200: Answer("It will be sent.", RefundDetails, examples.REFUND_APPROVED)},
        problems=(*UNREADABLE, "self_approval", "not_found", "wrong_state", "validation_failed", *STORAGE),
    ),
    ("POST", "/refunds/{id}/reject"): Operation(
        id="rejectRefund",
        tag="Refunds",
        summary="Reject a refund",
        description="By a person who may approve it. Its amount is free again.",
        scope="refunds:approve",
        parameters=(REFUND_ID,),
        body=RejectRefund,
        body_example={"reason": "it was served"},
        answers={200: Answer("It is rejected.", RefundDetails, examples.REFUND_REJECTED)},
        problems=(*UNREADABLE, "self_approval", "not_found", "wrong_state", "validation_failed", *STORAGE),
    ),
    ("POST", "/refunds/{id}/cancel"): Operation(
        id="cancelRefund",
        tag="Refunds",
        summary="Withdraw a refund",
        description="Before it is sent, by who asked for it or by a person who may approve it.",
        scope="refunds:request",
        parameters=(REFUND_ID,),
        body=CancelRefund,
        body_example={"reason": "the customer takes another cup"},
        answers={200: Answer("It is withdrawn.", RefundDetails, examples.REFUND_CANCELLED)},
        problems=(*UNREADABLE, "not_found", "wrong_state", "validation_failed", *STORAGE),
    ),
}
