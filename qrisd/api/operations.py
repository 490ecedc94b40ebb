"""What the API says about itself: one entry per call. `openapi.py` makes the document of it.

A new route needs an entry here and a section in `docs/api.md`; the tests name what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from qrisd.api import examples, shapes
from qrisd.domain.callback import CallbackStatus
from qrisd.domain.payment import Status
from qrisd.schemas import ConfirmPayment, CreatePayment, PingUrl, ReplayCallbacks, ResumeEndpoint


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `where` is path, query or header; path parameters are required, no other is."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any]
    example: str | int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that is no problem: a JSON `shape`, or anything of `media_type`, or no body; `headers` by name."""

    description: str
    shape: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None
    media_type: str | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. `scope` None means that no API key is needed; `problems` are the codes of its own refusals."""

    id: str
    tag: str
    summary: str
    description: str
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    scope: str | None = None
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    body_example: Mapping[str, Any] | None = None


TAGS: Final[Mapping[str, str]] = {
    "Payments": "Ask for money, show the QR, learn when it is paid.",
    "Events": "Everything that happens, in order.",
    "Callbacks": "What your server is told, and what to do when it was not reached.",
    "Money": "Where the money is, and the proof that everybody says the same.",
    "Providers": "Who makes the QRs.",
    "Webhooks": "What providers send. You call these only to test.",
    "Service": "For whoever runs the server: health, metrics and this description.",
}

HEADERS: Final[Mapping[str, str]] = {
    "X-Request-Id": "Names this request in the log: yours if it was sensible, else ours.",
    "ETag": "Changes whenever the payment does; send it back as If-None-Match.",
    "Retry-After": "Seconds to wait before asking again.",
    "Idempotent-Replayed": "`true` when the answer repeats an earlier one.",
    "WWW-Authenticate": "How to authenticate.",
}

ID: Final = Parameter("id", "path", "The payment's `id`.", {"type": "string"}, examples.PAYMENT_ID)
SCALE: Final = Parameter(
    "scale", "query", "Pixels per module of the QR.", {"type": "integer", "minimum": 1, "maximum": 20, "default": 8}
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "1 to 255 visible ASCII characters, such as a UUID. The same key with the same request gives the stored answer.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "7d0d3f3e-5a0c-4b2e-9a37-0c1f2f6f6d11",
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
FEED_PARAMETERS: Final = (
    Parameter(
        "after",
        "query",
        "The `id` of the last event you have; 0 for the very first one; `latest` for what comes from now on.",
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10**15 - 1}, {"const": "latest"}], "default": 0},
    ),
    Parameter(
        "wait",
        "query",
        "Hold the answer until there is an event, at most this many seconds.",
        {"type": "integer", "minimum": 0, "maximum": 60, "default": 0},
    ),
    Parameter("limit", "query", "Events per page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}),
)


def _text_filter(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter(name, "query", description, {"type": "string", **schema})


LIST_PARAMETERS: Final = (
    _text_filter("status", "Only payments that stand like this now.", enum=[status.value for status in Status]),
    _text_filter("order_id", "Only the payment of this order."),
    _text_filter("provider", "Only payments whose present QR is of this provider."),
    _text_filter("outlet", "Only payments of this outlet."),
    _text_filter("from", "The first business day, in the merchant's time zone.", format="date"),
    _text_filter("to", "The last business day, itself included.", format="date"),
    Parameter("limit", "query", "Payments per page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    _text_filter("cursor", "`next_cursor` of the page before."),
)

CALLBACK_ID: Final = Parameter("id", "path", "The callback's `id`.", {"type": "string"}, examples.CALLBACK_ID)
CALLBACK_PARAMETERS: Final = (
    _text_filter("status", "Only those that stand like this now.", enum=[status.value for status in CallbackStatus]),
    _text_filter("endpoint", "Only those to this URL; its query does not matter."),
    _text_filter("payment_id", "Only those about this payment."),
    _text_filter("since", "Only those of events since then.", format="date-time"),
    Parameter("limit", "query", "Callbacks a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    _text_filter("cursor", "`next_cursor` of the page before."),
)

STORAGE: Final = ("storage_busy", "storage_unavailable")
PROVIDER: Final = ("provider_error", "provider_unavailable")
UNREADABLE: Final = ("bad_json", "bad_encoding", "duplicate_key", "unsupported_media_type")

_SHOWN = Answer("The payment.", shapes.Payment, examples.PAYMENT)
_ASK_AGAIN = Answer(
    "The provider's answer is not known yet. It is being asked; look again after Retry-After.",
    shapes.Payment,
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
            201: Answer("Made; its QR is live.", shapes.Payment, examples.PAYMENT, headers=("Idempotent-Replayed",)),
            200: Answer(
                "The payment this order has already.",
                shapes.Payment,
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
            200: Answer("A page.", shapes.PaymentPage, {"data": [examples.PAYMENT], "next_cursor": None}),
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
            200: Answer("The payment.", shapes.Payment, examples.PAYMENT, headers=("ETag",)),
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
        description="Its log, oldest first.",
        scope="payments:read",
        parameters=(ID,),
        answers={200: Answer("The log.", shapes.Timeline, examples.TIMELINE)},
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
        answers={200: Answer("Cancelled.", shapes.Payment, examples.CANCELLED)},
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
        answers={200: Answer("Recorded.", shapes.Payment, examples.CONFIRMED)},
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
            200: Answer("Its QR is new.", shapes.Payment, {**examples.PAYMENT, "attempt": 2}),
            202: _ASK_AGAIN,
        },
        problems=("not_found", "wrong_state", *PROVIDER),
    ),
    ("GET", "/events"): Operation(
        id="listEvents",
        tag="Events",
        summary="Everything that happened since",
        description=(
            "Every event of every payment, oldest first, each exactly once: send `next_after` as `after` the next "
            "time. With `wait` this is a long-poll, for a till that callbacks cannot reach. 422 when `after` is "
            "beyond the newest event, as it may be after a restore."
        ),
        scope="events:read",
        parameters=FEED_PARAMETERS,
        answers={200: Answer("The events behind `after`.", shapes.EventPage, examples.EVENTS)},
        problems=("validation_failed",),
    ),
    ("GET", "/callbacks"): Operation(
        id="listCallbacks",
        tag="Callbacks",
        summary="List callbacks",
        description="Newest first. Follow `next_cursor`; callbacks made meanwhile neither repeat nor hide others.",
        scope="callbacks:read",
        parameters=CALLBACK_PARAMETERS,
        answers={200: Answer("A page.", shapes.CallbackPage, {"data": [examples.CALLBACK], "next_cursor": None})},
    ),
    ("GET", "/callbacks/{id}"): Operation(
        id="getCallback",
        tag="Callbacks",
        summary="Read a callback",
        description="With what is sent, and with every try: when, what was answered or went wrong, how long it took.",
        scope="callbacks:read",
        parameters=(CALLBACK_ID,),
        answers={200: Answer("The callback.", shapes.CallbackDetails, examples.CALLBACK_DETAILS)},
        problems=("not_found",),
    ),
    ("POST", "/callbacks/{id}/replay"): Operation(
        id="replayCallback",
        tag="Callbacks",
        summary="Send a callback again",
        description="However it stands. It keeps its id, by which your server knows it; its tries begin anew.",
        scope="callbacks:write",
        parameters=(CALLBACK_ID,),
        answers={202: Answer("It is due now.", shapes.Callback, examples.CALLBACK_REPLAYED)},
        problems=("not_found", "endpoint_off"),
    ),
    ("POST", "/callbacks/replay"): Operation(
        id="replayCallbacks",
        tag="Callbacks",
        summary="Send many callbacks again",
        description=(
            "All that meet every condition sent; at least one is required. Without a `status` those that were "
            "delivered are among them, as your server needs them after it lost data."
        ),
        scope="callbacks:write",
        body=ReplayCallbacks,
        body_example={"status": "DEAD", "since": "2026-01-15T03:00:00Z"},
        answers={200: Answer("They are due now.", shapes.Replayed, {"replayed": 12, "switched_off": 0})},
        problems=(*UNREADABLE, "validation_failed"),
    ),
    ("GET", "/callbacks/endpoints"): Operation(
        id="listEndpoints",
        tag="Callbacks",
        summary="Receivers in trouble",
        description=(
            "Those that fail, and those that are switched off because they answered 410 or failed for five days. A "
            "receiver that is well is not listed."
        ),
        scope="callbacks:read",
        answers={200: Answer("The receivers.", shapes.Endpoints, examples.ENDPOINTS)},
    ),
    ("POST", "/callbacks/endpoints/resume"): Operation(
        id="resumeEndpoint",
        tag="Callbacks",
        summary="Switch a receiver on again",
        description="And send it everything that was given up for it. 404 when it is not switched off.",
        scope="callbacks:write",
        body=ResumeEndpoint,
        body_example=examples.PING_URL,
        answers={200: Answer("It is on.", shapes.Resumed, {**examples.PING_URL, "replayed": 12})},
        problems=(*UNREADABLE, "not_found", "validation_failed"),
    ),
    ("POST", "/callbacks/test"): Operation(
        id="testCallback",
        tag="Callbacks",
        summary="Send a ping",
        description=(
            "One signed request of `type` `ping` to a URL, now; nothing is stored. The answer says what came of it "
            "and has a `curl` that sends the very same request, so that you can try your signature check by hand."
        ),
        scope="callbacks:write",
        body=PingUrl,
        body_example=examples.PING_URL,
        answers={200: Answer("It was tried; see `delivered`.", shapes.Pinged, examples.PINGED)},
        problems=(*UNREADABLE, "validation_failed"),
    ),
    ("GET", "/ledger"): Operation(
        id="listAccounts",
        tag="Money",
        summary="The accounts of the ledger",
        description="Where every rupiah is: what providers owe, sales, refunds, fees, the bank. Each with its balance.",
        scope="ledger:read",
        answers={200: Answer("The accounts.", shapes.Accounts, examples.ACCOUNTS)},
    ),
    ("GET", "/payments/{id}/ledger"): Operation(
        id="listEntries",
        tag="Money",
        summary="What a payment has posted",
        description="Its entries in the ledger, oldest first. Each takes an amount from one account to another.",
        scope="ledger:read",
        parameters=(ID,),
        answers={200: Answer("The entries.", shapes.LedgerEntries, examples.LEDGER_ENTRIES)},
        problems=("not_found",),
    ),
    ("GET", "/providers"): Operation(
        id="listProviders",
        tag="Providers",
        summary="List providers",
        description="Those that are on, what each can do, and whether it is healthy.",
        scope="providers:read",
        answers={200: Answer("The providers.", shapes.Providers, examples.PROVIDERS)},
    ),
    ("POST", "/webhooks/{provider}"): Operation(
        id="receiveWebhook",
        tag="Webhooks",
        summary="Receive a provider's notification",
        description=(
            "Each provider has its own format. `qris` is the generic one, signed as described under the webhook "
            "`genericWebhook`. Answered 200 once it is stored durably, duplicates and unknown orders too."
        ),
        parameters=(
            Parameter("provider", "path", "A configured provider, or `qris`.", {"type": "string"}, "qris"),
            Parameter(
                "X-Timestamp",
                "header",
                "Unix seconds; within 300 of now.",
                {"type": "string", "pattern": "^[0-9]{1,12}$"},
            ),
            Parameter(
                "X-Signature",
                "header",
                'HMAC-SHA256 in hex, with the webhook secret, over the timestamp, ".", and the body as sent.',
                {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            ),
        ),
        body=shapes.GenericWebhook,
        body_example=examples.WEBHOOK,
        answers={200: Answer("Stored.", shapes.Received, {"received": True, "outcome": "applied"})},
        problems=("bad_json", "unauthorized", "not_found", *STORAGE),
    ),
    ("POST", "/webhooks/{provider}/v1.0/access-token/b2b"): Operation(
        id="issueToken",
        tag="Webhooks",
        summary="Give a SNAP bank the token it asks for",
        description=(
            "Some SNAP banks fetch a token from us before they notify us. Asked for and answered in the words of SNAP "
            "BI, refusals too."
        ),
        parameters=(Parameter("provider", "path", "A configured SNAP provider.", {"type": "string"}, "bri"),),
        answers={200: Answer("The token, in the words of SNAP BI.", media_type="application/json")},
        problems=("not_found",),
    ),
    ("GET", "/healthz"): Operation(
        id="getHealth",
        tag="Service",
        summary="Is the process alive?",
        description="For whatever restarts it.",
        answers={200: Answer("It lives.", shapes.Live, {"status": "ok"})},
    ),
    ("GET", "/readyz"): Operation(
        id="getReadiness",
        tag="Service",
        summary="Can it serve?",
        description="The database takes writes, the scheduler ticks, the disk has room, the clock is plausible.",
        answers={
            200: Answer("Ready.", shapes.Readiness, examples.READY),
            503: Answer("Not ready, and why.", shapes.Readiness, examples.NOT_READY),
        },
    ),
    ("GET", "/metrics"): Operation(
        id="getMetrics",
        tag="Service",
        summary="Metrics for Prometheus",
        description="The text exposition format.",
        answers={200: Answer("The metrics.", media_type="text/plain")},
    ),
    ("GET", "/openapi.json"): Operation(
        id="getOpenapi",
        tag="Service",
        summary="This description",
        description="OpenAPI 3.1.",
        answers={200: Answer("The document.", media_type="application/json")},
    ),
    ("GET", "/docs"): Operation(
        id="getDocs",
        tag="Service",
        summary="This description as a page",
        description="Works without any other host.",
        answers={200: Answer("The page.", media_type="text/html")},
    ),
    ("GET", "/docs/{file}"): Operation(
        id="getDocsFile",
        tag="Service",
        summary="A file of that page",
        description="Its scripts and styles.",
        parameters=(Parameter("file", "path", "A file's name.", {"type": "string"}, "docs.js"),),
        answers={200: Answer("The file.", media_type="*/*")},
        problems=("not_found",),
    ),
}
