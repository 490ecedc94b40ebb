"""A callback: one event on its way to the merchant's server, tried until it arrives or is given up.

Tries follow the contract: at once, then later and later. Whatever is not a 2xx answer is a failed try; a redirect is
never followed, and 410 Gone switches the endpoint off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

# The pause before each try, in seconds.
PAUSES_S: Final = (0, 5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400)
# Each pause is made up to this share longer, so that what failed together is not tried together.
JITTER: Final = 0.1
LONGEST_ASKED_PAUSE_S: Final = 86_400.0
SWITCHED_OFF_AFTER: Final = timedelta(days=5)
# Longer than any pause between two tries: nothing was tried meanwhile, so nothing is known of the time between.
LONGEST_SILENCE: Final = timedelta(days=2)
GONE: Final = 410
# Our API keys and signing secrets, signatures, bearer tokens, and what is called a secret in JSON or a form.
_SECRET: Final = re.compile(
    r"qrisd_(?:test|live)_[\w-]+|whsec_[\w+/=]+|v1,[\w+/=]{20,}|(?i:(?<=bearer )[\w.~+/-]+=*"
    r"|(?<=\"password\":\")[^\"]+|(?<=\"token\":\")[^\"]+|(?<=\"secret\":\")[^\"]+|(?<=\"api_key\":\")[^\"]+)"
)


class CallbackStatus(StrEnum):
    """How one callback stands."""

    WAITING = "WAITING"  # it will be tried, now or later
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"  # given up; a person may replay it


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One event for one URL. `id` is the same on every try and every replay; `tries` counts those since it was made or
    last replayed; `reason` says why the last try failed, or why it was given up. `body` is the JSON text that is sent.
    """

    id: str
    event_id: int
    payment_id: str
    type: str
    sequence: int
    body: str
    url: str
    endpoint: str
    origin: str
    status: CallbackStatus
    tries: int
    next_try_at: datetime | None
    reason: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One request to the merchant's server. `status_code` is None when no answer came, `address` None when there was no
    connection either; then `error` says why. `answer` is the beginning of what it answered, `retry_after_s` the pause
    it asked for."""

    at: datetime
    latency_ms: int
    status_code: int | None = None
    address: str | None = None
    answer: str | None = None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def succeeded(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def says_gone(self) -> bool:
        """True when the receiver says that nothing will ever be received there again."""
        return self.status_code == GONE

    @property
    def failure(self) -> str:
        """Why it failed, in a few words."""
        if self.status_code is None:
            return self.error or "no answer"
        note = "; redirects are not followed" if 300 <= self.status_code < 400 else ""
        return f"answered HTTP {self.status_code}{note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A receiver: a callback URL without its query. `failing_since` is when it began to fail every time, and
    `last_failed_at` when it did so last; `off_since` is
    set while it is switched off, with the `reason`."""

    url: str
    failing_since: datetime | None = None
    last_failed_at: datetime | None = None
    off_since: datetime | None = None
    reason: str | None = None


def endpoint_of(url: str) -> str:
    """The receiver behind a callback URL: all that is the same for every payment."""
    return urlunsplit(urlsplit(url)._replace(query=""))


def origin_of(url: str) -> str:
    """The server behind a callback URL: receivers that share one are slow or down together."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def after_try(callback: Callback, tried: Try, luck: float) -> Callback:
    """The callback after a try. `luck`, from 0 to 1, spreads what failed together. One that was given up while it was
    under way stays so, unless it arrived."""
    if callback.status is not CallbackStatus.WAITING and not tried.succeeded:
        return callback
    done = replace(callback, tries=callback.tries + 1, next_try_at=None)
    if tried.succeeded:
        return replace(done, status=CallbackStatus.DELIVERED, reason=None, delivered_at=tried.at)
    if done.tries >= len(PAUSES_S):
        return replace(done, status=CallbackStatus.DEAD, reason=f"given up after {done.tries} tries: {tried.failure}")
    pause = timedelta(seconds=_pause_s(done.tries, tried.retry_after_s, luck))
    return replace(done, next_try_at=tried.at + pause, reason=tried.failure)


def _pause_s(tries: int, asked_s: float | None, luck: float) -> float:
    """The pause before the next try: never shorter than the schedule's, longer when the receiver asks for it."""
    asked_s = min(asked_s or 0.0, LONGEST_ASKED_PAUSE_S)
    return max(PAUSES_S[tries], asked_s) * (1 + JITTER * luck)


def endpoint_after(endpoint: Endpoint, tried: Try) -> Endpoint:
    """The endpoint after a try: well again, failing, or switched off because it is gone or has failed for days. Only a
    person switches it on again."""
    if endpoint.off_since is not None:
        return endpoint
    if tried.succeeded:
        return Endpoint(url=endpoint.url)
    if tried.says_gone:
        return replace(endpoint, off_since=tried.at, reason="it answered 410 Gone")
    idle = endpoint.last_failed_at is None or tried.at - endpoint.last_failed_at > LONGEST_SILENCE
    since = tried.at if idle or endpoint.failing_since is None else endpoint.failing_since
    if tried.at - since < SWITCHED_OFF_AFTER:
        return replace(endpoint, failing_since=since, last_failed_at=tried.at)
    reason = f"every try has failed for {SWITCHED_OFF_AFTER.days} days; last: {tried.failure}"
    return replace(endpoint, failing_since=since, last_failed_at=tried.at, off_since=tried.at, reason=reason)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """The seconds a Retry-After header asks for, as a number or as a date; None when it says nothing usable."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def without_secrets(text: str) -> str:
    """`text` with everything taken out that looks like a key, a token or a signature."""
    return _SECRET.sub("[redacted]", text)
