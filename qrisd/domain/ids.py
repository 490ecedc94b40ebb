"""Names we give: how a reference at a provider is written."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to misread
REFERENCE_LENGTH: Final = 20  # fits every provider's limit, DANA's 25 characters included
_RANDOM_BITS: Final = 52


def reference(now: datetime, random_bits: int) -> str:
    """A reference for an attempt: 48 bits of milliseconds and 52 random bits as 20 characters of 0-9A-Z, sortable."""
    number = (int(now.timestamp() * 1000) << _RANDOM_BITS) | (random_bits & ((1 << _RANDOM_BITS) - 1))
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(5 * (REFERENCE_LENGTH - 1), -1, -5))
