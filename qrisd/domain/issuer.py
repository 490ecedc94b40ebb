"""Issuers: the banks and wallets payers pay from, and what the names mean that providers give them.

Every provider spells them its own way ("GOPAY", "ID_DANA", "PT Bank Permata Tbk") and some give a number. A name counts
only where it means one issuer known here; of any other nothing is guessed.
"""

from __future__ import annotations

import re
from typing import Final

# Each issuer with the words, in small letters, that mean it.
_SPELLINGS: Final = {
    "BCA": ("bca", "bank central asia"),
    "BNI": ("bni", "bank negara indonesia"),
    "BRI": ("bri", "brimo", "bank rakyat indonesia"),
    "BSI": ("bsi", "bank syariah indonesia"),
    "BTN": ("btn", "bank tabungan negara"),
    "CIMB": ("cimb", "octo"),
    "DANA": ("dana",),
    "Danamon": ("danamon",),
    "GoPay": ("gopay", "go pay", "gojek"),
    "Jenius": ("jenius", "smbc", "btpn"),
    "LinkAja": ("linkaja", "link aja"),
    "Mandiri": ("mandiri", "livin"),
    "OVO": ("ovo",),
    "Permata": ("permata", "permatabank"),
    "SeaBank": ("seabank", "sea bank"),
    "ShopeePay": ("shopeepay", "shopee pay", "shopee", "airpay"),
}
NAMES: Final = tuple(_SPELLINGS)

_MAX_LENGTH: Final = 64
# An issuer's number has eight digits; those of accounts, cards and telephones have more.
_MOST_DIGITS: Final = 8


def meant(told: str | None) -> str | None:
    """Which of `NAMES` a provider's name means; None when it means none of them, or more than one."""
    words = f" {' '.join(re.findall('[a-z0-9]+', (told or '').lower()))} "
    found = [name for name, spellings in _SPELLINGS.items() if any(f" {each} " in words for each in spellings)]
    # "BTPN Syariah" is a bank of its own, and those of the state's banks are BSI by now.
    is_sister = " syariah " in words and found != ["BSI"]
    return found[0] if len(found) == 1 and not is_sister else None


def kept(told: str | None) -> str | None:
    """A provider's name of an issuer as it may be stored: one line of at most 64 characters. None when there is none,
    or when it holds what may be the number of the payer's account."""
    if told is None or sum(letter.isdigit() for letter in told) > _MOST_DIGITS:
        return None
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in told).split())
    return line[:_MAX_LENGTH] or None
