"""The colour-and-word pair that the payer's page and the till show alike, under the installation's own key."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Final

from qrisd.domain.till_mark import Mark, mark_of

_PURPOSE: Final = b"qrisd till mark v1"


class TillMarks:
    """`at(outlet, moment)` under one secret key, of which only a derived key is kept."""

    def __init__(self, secret_key: str) -> None:
        self._key = hmac.digest(secret_key.encode(), _PURPOSE, hashlib.sha256)

    def at(self, outlet: str, moment: datetime) -> Mark:
        """The outlet's pair in the minute of `moment`, which is aware."""
        return mark_of(self._key, outlet, moment)
