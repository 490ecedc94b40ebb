"""Names of months in dates: English and Indonesian, long and short, whatever the locale of the process."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = (
    ("jan", "january", "januari"),
    ("feb", "february", "februari", "peb", "pebruari"),
    ("mar", "march", "maret"),
    ("apr", "april"),
    ("may", "mei"),
    ("jun", "june", "juni"),
    ("jul", "july", "juli"),
    ("aug", "august", "agu", "agt", "ags", "agst", "agustus"),
    ("sep", "sept", "september"),
    ("oct", "october", "okt", "oktober"),
    ("nov", "november", "nop", "nopember"),
    ("dec", "december", "des", "desember"),
)
_MONTHS: Final = {name: f"{number:02}" for number, names in enumerate(_NAMES, 1) for name in names}
_WORD: Final = re.compile(r"[^\W\d_]+")
_NAMED: Final = re.compile(r"%[bB]")


def in_digits(text: str, date_format: str) -> tuple[str, str]:
    """The text and its format, for strptime, with the month as a number where the format has it by name. Raises
    ValueError when the text does not name one month."""
    if _NAMED.search(date_format) is None:
        return text, date_format
    found = [word for word in _WORD.finditer(text) if word[0].casefold() in _MONTHS]
    if len(found) != 1:
        raise ValueError("does not name one month")
    start, end = found[0].span()
    return text[:start] + _MONTHS[found[0][0].casefold()] + text[end:], _NAMED.sub("%m", date_format)
