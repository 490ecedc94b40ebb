"""Amounts of a report's cells as whole rupiah, never guessed.

A dot or a comma before three digits may part thousands in Indonesia what it parts from a fraction elsewhere, so "1.000"
is refused unless the layout says which it is. "1.000,00", "1,000.00", "1.000.000" and "15000.00" can be read one way
only. All of a column is written the same way, so a column with both kinds is refused, too.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Literal

Unit = Literal["rupiah", "cents"]
Mark = Literal[".", ","]
Cell = object

# As many digits as the amount of any report has; what is longer is no amount.
_LONGEST: Final = 15
_DRESS: Final = re.compile(r"^(?:IDR|Rp\.?)\s*|\s*IDR$", re.IGNORECASE)
# What a spreadsheet shows for 0 rupiah.
_NOTHING: Final = re.compile(r"(?:IDR|Rp\.?)\s*-", re.IGNORECASE)
# "15.000,-" is 15.000 rupiah and no cents; its dash is no sign.
_NO_CENTS: Final = re.compile(r"([.,])-{1,2}(?=\s*\)?$)")
_PLAIN: Final = re.compile(r"[0-9]{1,15}")
_SINGLE: Final = re.compile(r"([0-9]+)([.,])([0-9]*)")
_MARKED: Final = {
    ".": re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]*)?"),
    ",": re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,[0-9]*)?"),
}


class AmountReader:
    """Reads the cells of one column. `mark` is what parts a fraction from the whole; None where the layout does not
    say, and then it is seen from the cells that leave no doubt."""

    def __init__(self, unit: Unit, mark: Mark | None = None) -> None:
        self._in_cents = unit == "cents"
        self._mark = mark
        self._is_stated = mark is not None

    def read(self, cell: Cell) -> int:
        """Whole rupiah, with its sign. Raises ValueError saying what is wrong with the cell."""
        if isinstance(cell, str):
            return self._from_text(cell)
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            raise ValueError("is no amount")
        if not abs(cell) < 10**_LONGEST:  # said so, NaN is refused, too
            raise ValueError("is too large for an amount")
        # A spreadsheet shows 15 digits; what is behind them is left over from its sums.
        return self._in_rupiah(Decimal(f"{cell:.15g}"))

    def _from_text(self, cell: str) -> int:
        text = _DRESS.sub("", cell.strip())
        if _PLAIN.fullmatch(text):
            return self._in_rupiah(int(text))
        text, sign = _unsigned(_NO_CENTS.sub(_in_digits, text))
        text = _DRESS.sub("", text)
        if _NOTHING.fullmatch(cell.strip()):
            return 0
        if len(text) > _LONGEST + 6:
            raise ValueError("is too large for an amount")
        mark = self._mark_of(text)
        whole = text.replace("." if mark == "," else ",", "").replace(",", ".")
        return sign * self._in_rupiah(Decimal(whole))

    def _in_rupiah(self, value: int | Decimal) -> int:
        rupiah, rest = divmod(value, 100 if self._in_cents else 1)
        if rest:
            raise ValueError("has a fraction of a rupiah")
        return int(rupiah)

    def _mark_of(self, text: str) -> Mark:
        """What parts the fraction in `text`."""
        if _PLAIN.fullmatch(text):
            return "."
        readings: list[Mark] = [mark for mark in (".", ",") if _MARKED[mark].fullmatch(text)]
        if not readings:
            raise ValueError("is no amount")
        if self._is_stated:
            if self._mark not in readings:
                raise ValueError(f"is not written with {self._mark!r} before the fraction, as the layout says")
            return readings[readings.index(self._mark)]
        return self._seen(text, readings)

    def _seen(self, text: str, readings: list[Mark]) -> Mark:
        if len(readings) == 2 or _is_doubtful(text):
            raise ValueError(
                'can be read as thousands or as a fraction: say which with decimal = "," or decimal = "." in a layout'
            )
        if self._mark not in (None, readings[0]):
            raise ValueError("is written in another way than the amounts above it")
        self._mark = readings[0]
        return readings[0]


def _is_doubtful(text: str) -> bool:
    """A single mark with more than two digits behind it: cents have two, and thousands three."""
    parts = _SINGLE.fullmatch(text)
    return parts is not None and len(parts[3]) > 2


def _in_digits(no_cents: re.Match[str]) -> str:
    """A comma parts the cents it has none of; a dot may be but the end of the number."""
    return ",00" if no_cents[1] == "," else ""


def _unsigned(text: str) -> tuple[str, int]:
    """The text without its sign, and the sign: "-5", "5-", "(5)" are below zero."""
    if text.startswith("(") and text.endswith(")"):
        return text[1:-1].strip(), -1
    if text.startswith(("-", "\u2212")):
        return text[1:].strip(), -1
    if text.endswith("-"):
        return text[:-1].strip(), -1
    return text.removeprefix("+").strip(), 1
