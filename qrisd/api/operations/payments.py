"""The calls about a payment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import ID, IDEMPOTENCY_KEY, UNREADABLE, Answer, Operation, Parameter, text_filter
from qrisd.api.shapes.payments import Payment, PaymentPage, Timeline
from qrisd.domain.payment import Status
from qrisd.schemas import (
    ConfirmPayment,
    CreatePayment,
)

SCALE: Final = Parameter(
    "scale", "query", "Pixels per module of the QR.", {"type": "integer", "minimum": 1, "maximum": 20, "default": 8}
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", "header", "An `ETag` you have: 304 without a body when nothing changed.", {"type": "string"}
)
WAIT: Final = Parameter(
    "wait",
    "query",
    "Hold the answer until the payment leaves its present status, at most this many seconds.",
    {"type": "integer", "minimum": 0, "maximum": 60, "default": 0},
)
LAST_EVENT_ID: Final = Parameter(
    "Last-Event-ID",
    "header",
    "The `id` of the last event you had: it is not repeated while it still says how the payment stands.",
    {"type": "string"},
)
LIST_PARAMETERS: Final = (
    text_filter("status", "Only payments that stand like this now.", enum=[status.value for status in Status]),
    text_filter("order_id", "Only the payment of this order."),
    text_filter("provider", "Only payments whose present QR is of this provider."),
    text_filter("outlet", "Only payments of this outlet."),
    text_filter("from", "The first business day, in the merchant's time zone.", format="date"),
    text_filter("to", "The last business day, itself included.", format="date"),
    Parameter("limit", "query", "Payments per page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    text_filter("cursor", "`next_cursor` of the page before."),
)
PROVIDER: Final = ("provider_error", "provider_unavailable")
_SHOWN = Answer("The payment.", Payment, examples.PAYMENT)
_ASK_AGAIN = Answer(
    "The provider's answer is not known yet. It is being asked; look again after Retry-After.",
    Payment,
    examples.UNKNOWN,
    headers=("Retry-After",),
)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/payments"): Operation(
        id="createPayment",
        tag="Payments",
        summary="Create a payment and its QR",
        description=(
            "Only `order_id` and `amount` are required. `order_id` is unique for ever: the same request again gives "
            "the same payment, so it is always safe to repeat a request that was not answered."
        ),
        scope="payments:write",
        parameters=(IDEMPOTENCY_KEY,),
        body=CreatePayment,
        body_example=examples.ORDER,
        answers={
            201: Answer("Made; its QR is live.", Payment, examples.PAYMENT, headers=("Idempotent-Replayed",)),
            200: Answer(
                "The payment this order has already.",
                Payment,
                examples.PAYMENT,
                headers=("Idempotent-Replayed",),
            ),
            202: _ASK_AGAIN,
        },
        problems=(
            *UNREADABLE,
            "idempotency_key_invalid",
            "order_id_taken",
            "idempotency_in_progress",
            "wrong_state",
            "validation_failed",
            "idempotency_key_reused",
            *PROVIDER,
        ),
    ),
    ("GET", "/payments"): Operation(
        id="listPayments",
        tag="Payments",
        summary="List payments",
        description="Newest first. Follow `next_cursor`; payments made meanwhile neither repeat nor hide others.",
        scope="payments:read",
        parameters=LIST_PARAMETERS,
        answers={
            200: Answer("A page.", PaymentPage, {"data": [examples.PAYMENT], "next_cursor": None}),
        },
    ),
    ("GET", "/payments/{id}"): Operation(
        id="getPayment",
        tag="Payments",
        summary="Read a payment",
        description="With `wait` this is a long-poll: the answer comes as soon as the status changes.",
        scope="payments:read",
        parameters=(ID, WAIT, IF_NONE_MATCH),
        answers={
            200: Answer("The payment.", Payment, examples.PAYMENT, headers=("ETag",)),
            304: Answer("Nothing changed since the ETag you sent.", headers=("ETag",)),
        },
        problems=("not_found",),
    ),
    ("GET", "/payments/{id}/qr.svg"): Operation(
        id="getQrSvg",
        tag="Payments",
        summary="The QR as SVG",
        description="Sharp at any size. 404 while the payment has no QR.",
        scope="payments:read",
        parameters=(ID, SCALE),
        answers={200: Answer("The image.", media_type="image/svg+xml")},
        problems=("not_found",),
    ),
    ("GET", "/payments/{id}/qr.png"): Operation(
        id="getQrPng",
        tag="Payments",
        summary="The QR as PNG",
        description="For printers and chat. 404 while the payment has no QR.",
        scope="payments:read",
        parameters=(ID, SCALE),
        answers={200: Answer("The image.", media_type="image/png")},
        problems=("not_found",),
    ),
    ("GET", "/payments/{id}/timeline"): Operation(
        id="getTimeline",
        tag="Payments",
        summary="What happened to a payment",
        description="Its log, oldest first. Who asked for money back, and why, needs `refunds:read` besides.",
        scope="payments:read",
        parameters=(ID,),
        answers={200: Answer("The log.", Timeline, examples.TIMELINE)},
        problems=("not_found",),
    ),
    ("GET", "/payments/{id}/events"): Operation(
        id="streamPayment",
        tag="Payments",
        summary="Follow a payment live",
        description=(
            "Server-sent events: one `payment` event at once and one on every change, whose data is the payment in "
            "JSON. A comment every 15 seconds keeps the connection open. It does not end by itself; when it breaks, "
            "connect again."
        ),
        scope="payments:read",
        parameters=(ID, LAST_EVENT_ID),
        answers={200: Answer("The stream.", media_type="text/event-stream")},
        problems=("not_found",),
    ),
    ("POST", "/payments/{id}/check"): Operation(
        id="checkPayment",
        tag="Payments",
        summary="Ask the provider now",
        description="For a payer who says that they have paid. Changes nothing by itself; what the provider says does.",
        scope="payments:write",
        parameters=(ID,),
        answers={200: _SHOWN, 202: _ASK_AGAIN},
        problems=("not_found", *PROVIDER),
    ),
    ("POST", "/payments/{id}/cancel"): Operation(
        id="cancelPayment",
        tag="Payments",
        summary="Cancel an unpaid payment",
        description="Closes the QR at the provider too, where that can be done. Money that still comes is not lost.",
        scope="payments:write",
        parameters=(ID,),
        answers={200: Answer("Cancelled.", Payment, examples.CANCELLED)},
        problems=("not_found", "wrong_state", *PROVIDER),
    ),
    ("POST", "/payments/{id}/confirm"): Operation(
        id="confirmPayment",
        tag="Payments",
        summary="Say that the money came",
        description=(
            "Only for a provider nobody can ask, such as the merchant's own static QRIS: a named person has seen the "
            "money in the merchant's app or bank. The word is kept in the timeline."
        ),
        scope="payments:confirm",
        parameters=(ID,),
        body=ConfirmPayment,
        body_example=examples.WORD,
        answers={200: Answer("Recorded.", Payment, examples.CONFIRMED)},
        problems=(*UNREADABLE, "not_found", "wrong_state", "validation_failed"),
    ),
    ("POST", "/payments/{id}/renew"): Operation(
        id="renewPayment",
        tag="Payments",
        summary="Make a fresh QR",
        description=(
            "For an EXPIRED or FAILED payment, or a PENDING one whose old QR can be closed. Money on the old QR still "
            "finds the payment."
        ),
        scope="payments:write",
        parameters=(ID,),
        answers={
            200: Answer("Its QR is new.", Payment, {**examples.PAYMENT, "attempt": 2}),
            202: _ASK_AGAIN,
        },
        problems=("not_found", "wrong_state", *PROVIDER),
    ),
}
