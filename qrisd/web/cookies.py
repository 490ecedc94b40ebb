"""The cookies a visitor gets: who is signed in, to whom a form was handed before anybody was, and the language."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

HOST_ONLY: Final = "__Host-"


class Cookie:
    """One cookie for this host and no other: HttpOnly, SameSite=Lax, and `__Host-` where we are reached over https."""

    def __init__(self, name: str, *, is_secure: bool) -> None:
        self.name = f"{HOST_ONLY}{name}" if is_secure else name
        self._is_secure = is_secure

    def read(self, request: Request) -> str | None:
        return request.cookies.get(self.name)

    def put(self, response: Response, value: str, lifetime: timedelta) -> None:
        response.set_cookie(
            self.name,
            value,
            max_age=int(lifetime.total_seconds()),
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )

    def drop(self, response: Response) -> None:
        response.delete_cookie(self.name, path="/", secure=self._is_secure, httponly=True, samesite="lax")


def remembered(request: Request, name: str) -> str | None:
    """What a cookie that decides nothing of weight says, whether it was put over https or without."""
    return request.cookies.get(f"{HOST_ONLY}{name}") or request.cookies.get(name)


def form_token(cookie: str) -> str:
    """The proof in a form that whoever sends it was shown it: nobody makes one without the secret in the cookie."""
    return hmac.digest(cookie.encode("utf-8", "surrogatepass"), b"qrisd form", hashlib.sha256).hex()


def is_form_token(given: str, cookie: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), form_token(cookie).encode())
