"""Callbacks, their tries, and the endpoints they go to."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from qrisd.api.shapes.base import Address, Moment, Shape
from qrisd.domain.callback import CallbackStatus


class Callback(Shape):
    """An event on its way to your server."""

    id: str = Field(description="The `webhook-id` of every try.")
    event_id: int = Field(ge=1, description="The event, as `GET /events` names it.")
    payment_id: str
    type: str = Field(description="The event's type, such as `payment.paid`.")
    sequence: int = Field(ge=1, description="Counts the events of this payment.")
    url: Address
    status: CallbackStatus = Field(description="`DEAD` is given up: it is sent again only when you replay it.")
    tries: int = Field(ge=0, description="Since it was made or last replayed.")
    next_try_at: Moment | None = Field(description="Null when it is not tried any more.")
    reason: str | None = Field(description="Why the last try failed, or why it was given up.")
    created_at: Moment
    delivered_at: Moment | None


class CallbackPage(Shape):
    """One page of a list, newest first."""

    data: list[Callback]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class CallbackTry(Shape):
    """One request to your server."""

    at: Moment
    status_code: int | None = Field(description="Null when no answer came.")
    latency_ms: int = Field(ge=0)
    address: str | None = Field(description="The IP address it went to; null when there was no connection.")
    answer: str | None = Field(description="The beginning of what your server answered.")
    error: str | None = Field(description="Why no answer came.")


class CallbackDetails(Callback):
    """An event on its way to your server, with its tries."""

    body: dict[str, Any] = Field(description="What is sent.")
    history: list[CallbackTry] = Field(description="The newest 100 tries, oldest first; those before a replay too.")


class Replayed(Shape):
    """How many callbacks are sent again."""

    replayed: int = Field(ge=0)
    switched_off: int = Field(ge=0, description="How many are not, because their endpoint is switched off.")


class Endpoint(Shape):
    """A receiver in trouble: the URL without its query."""

    url: Address
    failing_since: Moment | None = Field(description="Every try since then has failed.")
    off_since: Moment | None = Field(description="Nothing is sent since then, until you resume it.")
    reason: str | None = Field(description="Why it is switched off.")
    waiting: int = Field(ge=0, description="Callbacks that wait for it.")
    dead: int = Field(ge=0, description="Callbacks that were given up for it.")


class Endpoints(Shape):
    """Receivers in trouble, those that are switched off first, at most 100."""

    data: list[Endpoint]


class Resumed(Shape):
    """An endpoint that is on again."""

    url: Address
    replayed: int = Field(ge=0, description="How many callbacks that were given up for it are sent again.")


class Pinged(CallbackTry):
    """What came of a ping."""

    delivered: bool
    curl: str = Field(description="A command for the shell that sends the very same request, signature included.")
