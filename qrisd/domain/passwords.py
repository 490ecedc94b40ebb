"""What may be a password or a PIN. Hashing them is the business of `services/hashing.py`."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from qrisd.domain.permissions import Role

SHORTEST_PASSWORD: Final = 10
LONGEST: Final = 256
_PIN: Final = re.compile(r"[0-9]{4,8}")
_DIGITS: Final = "01234567890"


def is_readable(text: str) -> bool:
    """Whether this can be anybody's password at all: 1 to 256 characters. What is longer is never hashed."""
    return 1 <= len(text) <= LONGEST


def normalised(text: str) -> bytes:
    """The bytes that are hashed: the same whichever way a keyboard composes accents and widths (NFKC)."""
    return unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")


def is_pin(text: str, role: Role) -> bool:
    """Whether this is a PIN: four to eight digits, for a cashier."""
    return role is Role.CASHIER and _PIN.fullmatch(text) is not None


def is_good(text: str, role: Role) -> bool:
    """Whether somebody of this role may choose this: 10 to 256 characters, or a PIN that is no row of digits."""
    if is_pin(text, role):
        return len(set(text)) > 1 and text not in _DIGITS and text not in _DIGITS[::-1]
    return SHORTEST_PASSWORD <= len(text) <= LONGEST
