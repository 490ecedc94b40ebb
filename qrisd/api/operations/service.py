"""The calls about providers, their notifications, and the service itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import STORAGE, Answer, Operation, Parameter
from qrisd.api.shapes.base import GenericWebhook
from qrisd.api.shapes.service import Live, Providers, Readiness, Received

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/providers"): Operation(
        id="listProviders",
        tag="Providers",
        summary="List providers",
        description="Those that are on, what each can do, and whether it is healthy.",
        scope="providers:read",
        answers={200: Answer("The providers.", Providers, examples.PROVIDERS)},
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
        body=GenericWebhook,
        body_example=examples.WEBHOOK,
        answers={200: Answer("Stored.", Received, {"received": True, "outcome": "applied"})},
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
        answers={200: Answer("It lives.", Live, {"status": "ok"})},
    ),
    ("GET", "/readyz"): Operation(
        id="getReadiness",
        tag="Service",
        summary="Can it serve?",
        description="The database takes writes, the scheduler ticks, the disk has room, the clock is plausible.",
        answers={
            200: Answer("Ready.", Readiness, examples.READY),
            503: Answer("Not ready, and why.", Readiness, examples.NOT_READY),
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
