"""The calls about what a merchant's server was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import UNREADABLE, Answer, Operation, Parameter, text_filter
from qrisd.api.shapes.callbacks import Callback, CallbackDetails, CallbackPage, Endpoints, Pinged, Replayed, Resumed
from qrisd.domain.callback import CallbackStatus
from qrisd.schemas import PingUrl, ReplayCallbacks, ResumeEndpoint

CALLBACK_ID: Final = Parameter("id", "path", "The callback's `id`.", {"type": "string"}, examples.CALLBACK_ID)
CALLBACK_PARAMETERS: Final = (
    text_filter("status", "Only those that stand like this now.", enum=[status.value for status in CallbackStatus]),
    text_filter("endpoint", "Only those to this URL; its query does not matter."),
    text_filter("payment_id", "Only those about this payment."),
    text_filter("since", "Only those of events since then.", format="date-time"),
    Parameter("limit", "query", "Callbacks a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    text_filter("cursor", "`next_cursor` of the page before."),
)

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/callbacks"): Operation(
        id="listCallbacks",
        tag="Callbacks",
        summary="List callbacks",
        description="Newest first. Follow `next_cursor`; callbacks made meanwhile neither repeat nor hide others.",
        scope="callbacks:read",
        parameters=CALLBACK_PARAMETERS,
        answers={200: Answer("A page.", CallbackPage, {"data": [examples.CALLBACK], "next_cursor": None})},
    ),
    ("GET", "/callbacks/{id}"): Operation(
        id="getCallback",
        tag="Callbacks",
        summary="Read a callback",
        description="With what is sent, and with every try: when, what was answered or went wrong, how long it took.",
        scope="callbacks:read",
        parameters=(CALLBACK_ID,),
        answers={200: Answer("The callback.", CallbackDetails, examples.CALLBACK_DETAILS)},
        problems=("not_found",),
    ),
    ("POST", "/callbacks/{id}/replay"): Operation(
        id="replayCallback",
        tag="Callbacks",
        summary="Send a callback again",
        description="However it stands. It keeps its id, by which your server knows it; its tries begin anew.",
        scope="callbacks:write",
        parameters=(CALLBACK_ID,),
        answers={202: Answer("It is due now.", Callback, examples.CALLBACK_REPLAYED)},
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
        answers={200: Answer("They are due now.", Replayed, {"replayed": 12, "switched_off": 0})},
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
        answers={200: Answer("The receivers.", Endpoints, examples.ENDPOINTS)},
    ),
    ("POST", "/callbacks/endpoints/resume"): Operation(
        id="resumeEndpoint",
        tag="Callbacks",
        summary="Switch a receiver on again",
        description="And send it everything that was given up for it. 404 when it is not switched off.",
        scope="callbacks:write",
        body=ResumeEndpoint,
        body_example=examples.PING_URL,
        answers={200: Answer("It is on.", Resumed, {**examples.PING_URL, "replayed": 12})},
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
        answers={200: Answer("It was tried; see `delivered`.", Pinged, examples.PINGED)},
        problems=(*UNREADABLE, "validation_failed"),
    ),
}
