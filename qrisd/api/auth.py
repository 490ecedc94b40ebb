"""Bearer key -> caller, within the rate it may call at."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.headers import single_header
from qrisd.domain.errors import Forbidden, RateLimited, Unauthorized
from qrisd.services.api_keys import Caller, Keyring

Handler = Callable[[Request, Caller], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

_SCHEME: Final = "bearer "
MISSING: Final = "Send your API key in the header Authorization: Bearer <api key>."


def secret_of(request: Request) -> str:
    """The API key that a request was sent with. Raises Unauthorized when there is none."""
    header = single_header(request.headers, "authorization")
    if header is None or header[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthorized(MISSING)
    return header[len(_SCHEME) :].strip()


class Auth:
    """Guards endpoints. `per_key` and `failed_auth` are rates like "6000/minute"."""

    def __init__(self, keyring: Keyring, *, per_key: str, failed_auth: str) -> None:
        self._keyring = keyring
        # One count costs the same however high the limit is, unlike a list of moments.
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._per_key = parse(per_key)
        self._failed_auth = parse(failed_auth)

    def requires(self, scope: str, handler: Handler) -> Endpoint:
        """An endpoint that calls `handler(request, caller)` for a caller with this scope.

        It raises Unauthorized, Forbidden and RateLimited."""

        async def endpoint(request: Request) -> Response:
            caller = await self._caller(request)
            self._count(self._per_key, caller.id)
            if not caller.may(scope):
                raise Forbidden(f"This API key does not have the scope {scope}.")
            return await handler(request, caller)

        return endpoint

    async def _caller(self, request: Request) -> Caller:
        address = request.client.host if request.client else "-"
        try:
            return await self._keyring.recognise(secret_of(request))
        except Unauthorized:
            self._count(self._failed_auth, f"address {address}")
            raise

    def _count(self, rate: RateLimitItem, who: str) -> None:
        if self._limiter.hit(rate, who):
            return
        window = self._limiter.get_window_stats(rate, who)
        wait_s = max(1, math.ceil(window.reset_time - time.time()))
        raise RateLimited(f"More than {rate}; wait {wait_s} s.", wait_s)
