"""Numbers in Indonesian words, as a till says an amount aloud."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("", "satu", "dua", "tiga", "empat", "lima", "enam", "tujuh", "delapan", "sembilan")
_SCALES: Final = ((10**12, "triliun"), (10**9, "miliar"), (10**6, "juta"))
LARGEST: Final = 10**15 - 1


def terbilang(number: int) -> str:
    """A whole number from 0 to 999 trillion: 15000 -> "lima belas ribu", 1_001_000 -> "satu juta seribu".

    Raises ValueError outside that range."""
    if not 0 <= number <= LARGEST:
        raise ValueError("only whole numbers from 0 to 999 trillion can be said")
    return " ".join(_words(number)) or "nol"


def _words(number: int) -> list[str]:
    for scale, name in _SCALES:
        if number >= scale:
            return [*_words(number // scale), name, *_words(number % scale)]
    return _below_a_million(number)


def _below_a_million(number: int) -> list[str]:
    if number >= 2_000:
        return [*_below_a_thousand(number // 1_000), "ribu", *_below_a_thousand(number % 1_000)]
    if number >= 1_000:
        return ["seribu", *_below_a_thousand(number % 1_000)]
    return _below_a_thousand(number)


def _below_a_thousand(number: int) -> list[str]:
    if number >= 200:
        return [_UNITS[number // 100], "ratus", *_below_a_hundred(number % 100)]
    if number >= 100:
        return ["seratus", *_below_a_hundred(number % 100)]
    return _below_a_hundred(number)


def _below_a_hundred(number: int) -> list[str]:
    if number >= 20:
        return [_UNITS[number // 10], "puluh", *_below_a_hundred(number % 10)]
    if number >= 12:
        return [_UNITS[number - 10], "belas"]
    return {10: ["sepuluh"], 11: ["sebelas"], 0: []}.get(number, [_UNITS[number]] if number < 10 else [])
