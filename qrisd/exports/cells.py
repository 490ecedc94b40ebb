"""Text on its way into a spreadsheet: it stays text, whatever a stranger wrote into it."""

from __future__ import annotations

import re
from typing import Final

Cell = int | str | None

# What XML and many CSV readers cannot hold: control characters besides tab, line feed and carriage return.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
# A formula begins with one of these; spreadsheets take the wide ones for the narrow. A reader that takes another
# separator than the comma begins a cell after it, and quotes do not keep it from that.
_FORMULA: Final = re.compile(r"(^|[;|\t\r\n])(?=[ \t\r\n]*[=+\-@\uff1d\uff0b\uff0d\uff20])")
# Text without any of these, and with none of those at its beginning, needs no closer look.
_SUSPICIOUS: Final = re.compile(r"[;|\x00-\x1f\x7f\ufffe\uffff]")
_SUSPICIOUS_FIRST: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20 ")
_LEADING: Final = re.compile(r"^(?=[\t\r\n])")
_REPLACED: Final = "\ufffd"


def printable(text: str) -> str:
    """The text with what a file cannot hold, such as NUL, replaced by U+FFFD."""
    return _UNPRINTABLE.sub(_REPLACED, text)


def inert(text: str) -> str:
    """The text for a file without types (CSV): an apostrophe stands before what a spreadsheet would calculate."""
    if text[:1] not in _SUSPICIOUS_FIRST and not _SUSPICIOUS.search(text):
        return text
    return _LEADING.sub("'", _FORMULA.sub(r"\1'", printable(text)))
