"""A payment on paper: lines of text for rolls of 58 or 80 mm, and the bytes a receipt printer understands (ESC/POS)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from qrisd.domain.money import rupiah

PaperMm = Literal[58, 80]
COLUMNS: Final = {58: 32, 80: 48}
COPY_MARK: Final = "*** SALINAN ***"

_INITIALISE: Final = b"\x1b@"
_FEED_AND_CUT: Final = b"\x1bd\x04\x1dV\x00"
# What phones write of themselves, and no decomposition makes ASCII.
_ASCII: Final = str.maketrans("‘’‚‛′“”„‟″«»‹›‐‑‒–—―−•·×", "'''''\"\"\"\"\"\"\"''-------**x")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is printed. `amount` is what was paid and `amount_refunded` what went back of it, in whole rupiah; `is_copy`
    marks every print after the first."""

    merchant_name: str
    nmid: str | None
    outlet: str
    cashier: str | None
    order_id: str
    amount: int
    amount_refunded: int = 0
    paid_at: datetime
    provider_ref_no: str | None
    description: str | None
    is_copy: bool = False


def lines(receipt: Receipt, paper_mm: PaperMm, zone: ZoneInfo) -> list[str]:
    """The receipt as lines that fit the paper."""
    width = COLUMNS[paper_mm]
    paid_at = receipt.paid_at.astimezone(zone)
    rows = [
        ("Waktu", f"{paid_at:%d-%m-%Y %H:%M} {paid_at.tzname()}"),
        ("Order", receipt.order_id),
        ("Outlet", receipt.outlet),
        ("Kasir", receipt.cashier),
        ("No. ref", receipt.provider_ref_no),
        ("Catatan", receipt.description),
    ]
    head = [receipt.merchant_name, f"NMID {receipt.nmid}" if receipt.nmid else "", COPY_MARK if receipt.is_copy else ""]
    body = [line for name, value in rows if value for line in _row(name, value, width)]
    rule = "-" * width
    total = [rule, *_row("QRIS", rupiah(receipt.amount), width), *_returned(receipt, width), rule]
    return [*_centred(head, width), *body, *total, *_centred([_standing(receipt)], width)]


def _returned(receipt: Receipt, width: int) -> list[str]:
    return _row("Dikembalikan", rupiah(receipt.amount_refunded), width) if receipt.amount_refunded else []


def _standing(receipt: Receipt) -> str:
    if receipt.amount_refunded >= receipt.amount:
        return "DIKEMBALIKAN"
    return "LUNAS, DIKEMBALIKAN SEBAGIAN" if receipt.amount_refunded else "LUNAS"


def escpos(text: Sequence[str]) -> bytes:
    """What to send to a receipt printer: the lines, then a feed and a cut. Letters lose their accents."""
    return _INITIALISE + b"".join(_plain(line) + b"\n" for line in text) + _FEED_AND_CUT


def _centred(texts: Sequence[str], width: int) -> list[str]:
    return [line.center(width).rstrip() for text in texts for line in _wrapped(text, width)]


def _row(name: str, value: str, width: int) -> list[str]:
    """Name on the left, value on the right; on lines of its own when both do not fit on one."""
    if len(name) + 1 + len(value) <= width:
        return [name + value.rjust(width - len(name))]
    return [name, *(part.rjust(width) for part in _wrapped(value, width))]


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in pieces of at most `width`, broken between words where there are any."""
    pieces, rest = [], " ".join(text.replace("…", "...").split())
    while len(rest) > width:
        at = rest.rfind(" ", 0, width + 1)
        at = at if at > 0 else width
        pieces.append(rest[:at])
        rest = rest[at:].lstrip()
    return [*pieces, rest] if rest else pieces


def _plain(line: str) -> bytes:
    """ASCII without control characters: a printer takes those as commands."""
    text = unicodedata.normalize("NFKD", line.translate(_ASCII)).encode("ascii", "ignore").decode()
    return "".join(char if char.isprintable() else " " for char in text).encode()
