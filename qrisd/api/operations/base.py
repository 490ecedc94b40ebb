"""What a call of the API says about itself, and what several calls share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from qrisd.api import examples


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
    """One answer that is no problem: a JSON `shape`, or anything of `media_type`, or no body; `headers` by name, and
    the media types it may be asked for `also`."""

    description: str
    shape: type[BaseModel] | None = None
    example: Mapping[str, Any] | None = None
    media_type: str | None = None
    also: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. `scope` None means that no API key is needed; `problems` are the codes of its own refusals. A call that
    takes a file as its body has a `file_example` instead of a `body`."""

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
    file_example: str | None = None


TAGS: Final[Mapping[str, str]] = {
    "Payments": "Ask for money, show the QR, learn when it is paid.",
    "Events": "Everything that happens, in order.",
    "Callbacks": "What your server is told, and what to do when it was not reached.",
    "Refunds": "Give money back, with the approval of another person.",
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
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "1 to 255 visible ASCII characters, such as a UUID. The same key with the same request gives the stored answer.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "7d0d3f3e-5a0c-4b2e-9a37-0c1f2f6f6d11",
)


def text_filter(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter(name, "query", description, {"type": "string", **schema})


PAGE_PARAMETERS: Final = (
    Parameter("limit", "query", "Rows a page.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    text_filter("cursor", "`next_cursor` of the page before."),
)
STORAGE: Final = ("storage_busy", "storage_unavailable")
UNREADABLE: Final = ("bad_json", "bad_encoding", "duplicate_key", "unsupported_media_type")
