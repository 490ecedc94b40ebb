"""Who is paid, as a QRIS says it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from qrisd.domain import qris


@dataclass(frozen=True, slots=True)
class Merchant:
    """The merchant as payers' apps show them."""

    name: str
    nmid: str | None
    terminal: str | None


@lru_cache(maxsize=256)
def merchant_of(payload: str | None) -> Merchant | None:
    """The merchant a QRIS names; None where there is no QRIS or it names nobody."""
    read = qris.soundness(payload or "").qris
    name = (read.merchant_name or "").strip() if read else ""
    return Merchant(name, read.nmid, read.additional.get("07")) if read and name else None
