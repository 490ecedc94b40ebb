"""The secrets callbacks are signed with: those of the settings, or those in a file of the data directory.

Two are live while receivers change over from the old one to the new.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from qrisd.data_dir import write_private
from qrisd.domain.callback_signature import secret_text
from qrisd.domain.times import from_text, to_text

BOTH_LIVE_FOR: Final = timedelta(hours=24)
_KEY_BYTES: Final = 32


class CallbackSecrets:
    """`configured` are the secrets of the settings, newest first; with any of them the file is not used. The file has
    a secret a line, newest first, and behind the old one until when it is live."""

    def __init__(self, path: Path, configured: tuple[str, ...], clock: Callable[[], datetime]) -> None:
        self._path = path
        self._configured = configured
        self._clock = clock
        self._read_at: int | None = None
        self._stored: list[tuple[str, datetime | None]] = []

    @property
    def are_configured(self) -> bool:
        """True when the settings hold them, so that they are rotated there."""
        return bool(self._configured)

    def live(self) -> tuple[str, ...]:
        """The secrets that sign now, newest first."""
        if self._configured:
            return self._configured
        now = self._clock()
        return tuple(secret for secret, until in self._read() if until is None or now < until)

    def rotate(self) -> tuple[str, datetime]:
        """Make a new secret that signs from now on; answers it, and until when the present one signs beside it."""
        until = self._clock() + BOTH_LIVE_FOR
        present = self.live()[0]
        new = secret_text(secrets.token_bytes(_KEY_BYTES))
        write_private(self._path, f"{new}\n{present} {to_text(until)}\n")
        return new, until

    def _read(self) -> list[tuple[str, datetime | None]]:
        """The file's secrets, read again when a command has changed it; made when there is none."""
        try:
            changed_at = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            write_private(self._path, secret_text(secrets.token_bytes(_KEY_BYTES)) + "\n")
            changed_at = self._path.stat().st_mtime_ns
        if changed_at != self._read_at:
            lines = [line.split() for line in self._path.read_text("ascii").splitlines() if line.strip()]
            self._stored = [(words[0], from_text(words[1]) if len(words) > 1 else None) for words in lines]
            self._read_at = changed_at
        return self._stored
