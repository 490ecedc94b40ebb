"""What people do about callbacks: send them again, switch a receiver on again, try one out.

The API and the commands share these; whoever changes something inside a running server wakes the outbox afterwards.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic_core import to_json
from uuid_utils.compat import uuid7

from qrisd.domain.callback import Callback, CallbackStatus, Endpoint, Try
from qrisd.domain.errors import EndpointOff, FieldError, Invalid, NotFound
from qrisd.domain.times import to_text
from qrisd.services.delivering import Delivery
from qrisd.store import audit_log, callback_endpoints, callbacks
from qrisd.store.audit_log import Actor
from qrisd.store.callbacks import Filter
from qrisd.store.db import Connection

# Many may have to be sent again; nobody else shall wait for the database while they are marked.
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of a replay did: how many will be sent again, and how many not because their endpoint is switched
    off. `rest` is what is left to do, None when that is nothing."""

    replayed: int
    switched_off: int
    rest: Filter | None


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a ping. `curl` is a command for the shell that sends the very same request."""

    tried: Try
    curl: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A receiver that fails or is switched off, and how many callbacks wait for it or were given up."""

    endpoint: Endpoint
    waiting: int
    dead: int


def replay(conn: Connection, callback_id: str, by: Actor, now: datetime) -> Callback:
    """Make one callback due now, under its old id, as `by` wants it. Raises NotFound, and EndpointOff where nothing may
    be sent."""
    callback = callbacks.get(conn, callback_id)
    if callback is None:
        raise NotFound("There is no such callback.")
    endpoint = callback_endpoints.get(conn, callback.endpoint)
    if endpoint.off_since is not None:
        raise EndpointOff(f"{endpoint.url} is switched off: {endpoint.reason}. Mend it, resume it, then replay.")
    callbacks.replay(conn, [callback_id], now)
    was = {"status": callback.status, "tries": callback.tries}
    audit_log.add(conn, by, "callback.replayed", now, what=callback_id, before=was)
    done = callbacks.get(conn, callback_id)
    assert done is not None
    return done


def begin_replay(conn: Connection, wanted: Filter, by: Actor, now: datetime) -> Batch:
    """Note who wants these callbacks sent again, and do the first step of it."""
    limits = None if wanted.outlets is None else sorted(wanted.outlets)
    conditions = {**asdict(wanted), "outlets": limits}
    audit_log.add(conn, by, "callbacks.replayed", now, after=_given(conditions))
    return replay_batch(conn, wanted, now)


def _given(conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in conditions.items() if value is not None}


def replay_batch(conn: Connection, wanted: Filter, now: datetime) -> Batch:
    """Make the newest of the wanted callbacks due now; call it with `rest` until there is none."""
    found = callbacks.find(conn, wanted, BATCH)
    off = callback_endpoints.switched_off(conn)
    going = [callback.id for callback in found if callback.endpoint not in off]
    callbacks.replay(conn, going, now)
    rest = replace(wanted, before=found[-1].event_id) if len(found) == BATCH else None
    return Batch(len(going), len(found) - len(going), rest)


def resume(conn: Connection, url: str, by: Actor, now: datetime) -> Batch:
    """Switch an endpoint on again, as `by` wants it; what was given up for it is due now, as far as `replay_batch`
    goes. Raises NotFound when it is not switched off."""
    endpoint = callback_endpoints.get(conn, url)
    if endpoint.off_since is None:
        raise NotFound(f"No endpoint {url[:200]} is switched off.")
    was = {"off_since": to_text(endpoint.off_since), "reason": endpoint.reason}
    audit_log.add(conn, by, "endpoint.resumed", now, what=url, before=was)
    callback_endpoints.save(conn, Endpoint(url=url))
    return replay_batch(conn, Filter(status=CallbackStatus.DEAD, endpoint=url), now)


def troubles(conn: Connection, limit: int) -> list[Trouble]:
    """The receivers in trouble, those that are switched off first."""
    found = callback_endpoints.in_trouble(conn, limit)
    return [Trouble(endpoint, *callbacks.counts(conn, endpoint.url)) for endpoint in found]


async def ping(delivery: Delivery, url: str, problem: Callable[[str], str | None], now: datetime) -> Tested:
    """Send one signed ping to `url` now; nothing is stored. `problem` says why a URL cannot be a callback URL: then
    Invalid is raised."""
    wrong = problem(url)
    if wrong is not None:
        raise Invalid(FieldError("url", wrong))
    body = to_json({"type": "ping", "timestamp": to_text(now), "sequence": 0, "data": {}}).decode()
    headers = delivery.signed(f"msg_{uuid7().hex}", body)
    return Tested(await delivery.post(url, headers, body), _curl(url, headers, body))


def _curl(url: str, headers: Mapping[str, str], body: str) -> str:
    """`--globoff`, because curl would read brackets in a URL as a pattern."""
    lines = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    return shlex.join(["curl", "--include", "--globoff", url, *lines, "--data-raw", body])
