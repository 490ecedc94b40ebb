"""Rupiah as whole numbers: parse and format. Never a float, never a fraction."""

from __future__ import annotations

import re

# At most 13 digits: what tag 54 of a QRIS holds, and far above any rupiah amount a provider reports.
_WHOLE = re.compile(r"([0-9]{1,13})(?:\.0{0,2})?")


def rupiah(amount: int) -> str:
    """Whole rupiah as Indonesians write it: 15000 -> "Rp15.000", -500 -> "-Rp500"."""
    sign = "-" if amount < 0 else ""
    return f"{sign}Rp{abs(amount):,}".replace(",", ".")


def whole_rupiah(text: str) -> int:
    """Whole rupiah from a provider's decimal string: "10000", "10000." and "10000.00" -> 10000.

    Raises ValueError for everything else: fractions, three decimals ("1.000" is a thousand to an Indonesian and one
    to a computer), signs, spaces, commas, exponents, other scripts' digits, more than 13 digits.
    """
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError("not an amount of whole rupiah; write it like 15000 or 15000.00")
    return int(match[1])
