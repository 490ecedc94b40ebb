"""Access tokens: the one a provider gave us, and those we give a provider that asks us for one."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

ISSUED_LIFETIME_S: Final = 900
_USUAL_LIFETIME_S: Final = 900
_LONGEST_LIFETIME_S: Final = 86_400
_MARGIN_S: Final = 60
_TIME_BYTES, _NONCE_BYTES, _MAC_BYTES = 8, 16, 32


@dataclass(frozen=True, slots=True)
class Token:
    """A provider's token, and how many seconds it says it lives."""

    text: str
    lifetime_s: int


class TokenCache:
    """Keeps one token and fetches it once, however many calls want it: some providers honour the latest one only."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]], clock: Callable[[], datetime]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: str | None = None
        self._until: datetime | None = None
        self._fetching: asyncio.Task[str] | None = None

    async def get(self) -> str:
        """A token that is good for a while. Raises what `fetch` raises, the same for all who wait."""
        if self._token is not None and self._until is not None and self._clock() < self._until:
            return self._token
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._renew())
            self._fetching.add_done_callback(self._fetched)
        return await asyncio.shield(self._fetching)

    def drop(self, token: str) -> None:
        """The provider refused `token`. A newer one that somebody else has fetched meanwhile is kept."""
        if self._token == token:
            self._token = None

    async def _renew(self) -> str:
        asked_at = self._clock()
        token = await self._fetch()
        margin_s = min(_MARGIN_S, token.lifetime_s / 2)
        self._token, self._until = token.text, asked_at + timedelta(seconds=token.lifetime_s - margin_s)
        return token.text

    def _fetched(self, done: asyncio.Task[str]) -> None:
        self._fetching = None
        if not done.cancelled():
            done.exception()  # whoever waited for it has been told


def lifetime_s(expires_in: Any) -> int:
    """Seconds from `expiresIn`, which is a number or its text; the usual 900 when it is neither."""
    text = str(expires_in).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return _USUAL_LIFETIME_S
    return min(int(text), _LONGEST_LIFETIME_S)


class TokenIssuer:
    """Tokens that prove themselves: an expiry and random bytes under a MAC, so that none has to be stored."""

    def __init__(self, secret: str, name: str) -> None:
        self._key = hmac.digest(secret.encode(), f"qrisd token issued by {name}".encode(), "sha256") if secret else None

    def issue(self, now: datetime) -> str | None:
        """A token good for `ISSUED_LIFETIME_S`; None without a secret."""
        if self._key is None:
            return None
        ends = int(now.timestamp()) + ISSUED_LIFETIME_S
        facts = ends.to_bytes(_TIME_BYTES) + secrets.token_bytes(_NONCE_BYTES)
        return urlsafe_b64encode(facts + hmac.digest(self._key, facts, "sha256")).decode().rstrip("=")

    def accepts(self, token: str, now: datetime) -> bool:
        """Whether we issued `token` and it still lives."""
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (Base64Error, ValueError):
            return False
        if self._key is None or len(raw) != _TIME_BYTES + _NONCE_BYTES + _MAC_BYTES:
            return False
        facts, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        genuine = hmac.compare_digest(hmac.digest(self._key, facts, "sha256"), mac)
        return genuine and now.timestamp() < int.from_bytes(facts[:_TIME_BYTES])
