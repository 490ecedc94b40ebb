"""What is typed and said at a till."""

from __future__ import annotations

import re
from datetime import date
from typing import Final, Literal

from qrisd.domain.money import rupiah
from qrisd.domain.terbilang import terbilang

# "15000", "15.000", "Rp 1.250.000": dots only where they part thousands, for "15.00" may mean something else.
_TYPED: Final = re.compile(r"\s*(?:Rp\.?)?\s*([0-9]{1,13}|[0-9]{1,3}(?:\.[0-9]{3}){1,4})\s*", re.IGNORECASE)
_LONGEST_ORDER_ID: Final = 64


def typed_amount(text: str) -> int:
    """Whole rupiah as somebody types them. Raises ValueError for whatever could be meant in two ways."""
    match = _TYPED.fullmatch(text)
    if match is None or not text.isascii():
        raise ValueError("not an amount of whole rupiah; write it like 15000 or 15.000")
    return int(match[1].replace(".", ""))


def order_id(day: date, outlet: str, number: int) -> str:
    """The name of the outlet's so-manieth sale of the business day: "POS-20260115-main-7"."""
    end = f"-{number}"
    start = f"POS-{day:%Y%m%d}-{outlet}"
    return start[: _LONGEST_ORDER_ID - len(end)] + end


def said_when_paid(amount: int, language: Literal["id", "en"]) -> str:
    """What the till says aloud when `amount` rupiah have come."""
    if language == "id":
        return f"Pembayaran {terbilang(amount)} rupiah diterima"
    return f"Payment of {rupiah(amount).removeprefix('Rp').replace('.', ',')} rupiah received"
