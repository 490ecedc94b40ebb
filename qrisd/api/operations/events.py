"""The calls that say what happened, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api import examples
from qrisd.api.operations.base import Answer, Operation, Parameter
from qrisd.api.shapes.events import EventPage

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

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
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
        answers={200: Answer("The events behind `after`.", EventPage, examples.EVENTS)},
        problems=("validation_failed",),
    ),
}
