"""Hashing passwords and PINs: argon2id, slow on purpose, on threads of its own so that payments do not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from qrisd.domain.errors import RateLimited
from qrisd.domain.passwords import normalised

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

AT_ONCE: Final = 2
MAX_WAITING: Final = 50
BUSY_RETRY_S: Final = 5


class Hashing:
    """Two hashes at a time (64 MiB each), and a short queue."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0
        self._hasher: PasswordHasher | None = None
        self._nobodys_hash = ""

    async def hash(self, text: str) -> str:
        """The hash to store. Raises RateLimited when too many are waiting."""
        return await self._run(lambda: self._argon2().hash(normalised(text)))

    async def verify(self, secret_hash: str | None, text: str) -> bool:
        """Whether this is what was hashed. Without a hash the answer is no, after the same time."""
        return await self._run(lambda: self._verify(secret_hash, text))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise RateLimited("Too many people are signing in; try again in a moment.", BUSY_RETRY_S)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _verify(self, secret_hash: str | None, text: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        hasher = self._argon2()
        try:
            return hasher.verify(secret_hash or self._nobodys_hash, normalised(text)) and secret_hash is not None
        except (VerificationError, InvalidHashError):
            return False

    def _argon2(self) -> PasswordHasher:
        if self._hasher is None:
            from argon2 import PasswordHasher

            hasher = PasswordHasher()
            self._nobodys_hash = hasher.hash(b"nobody")
            self._hasher = hasher
        return self._hasher

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
