"""The grammar under a QRIS: id, length, value, repeated, closed by a checksum (EMVCo Merchant-Presented Mode, 4)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable

Objects = tuple[tuple[str, str], ...]

# ASCII only: `int` and `str.isdigit` would also take " 4", "+4" and the digits of other scripts.
_TWO_DIGITS = re.compile(r"[0-9]{2}")
MAX_VALUE_CHARS = 99


class TlvError(ValueError):
    """The text is not TLV; `code` says where the grammar broke."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def crc16(text: str) -> str:
    """CRC-16/IBM-3740 over the UTF-8 bytes of `text`, as four upper-case hex digits.

    For a QRIS, `text` is everything up to and including "6304". A lone surrogate is not UTF-8 but must not raise here:
    `read` promises an answer for any str.
    """
    return format(binascii.crc_hqx(text.encode("utf-8", "surrogatepass"), 0xFFFF), "04X")


def parse(text: str) -> Objects:
    """The objects of `text` as (id, value) in order. Lengths count characters. Raises TlvError."""
    objects = []
    at = 0
    while at < len(text):
        end = at + 4 + _length_at(text, at)
        if end > len(text):
            raise TlvError("tlv_truncated")
        objects.append((text[at : at + 2], text[at + 4 : end]))
        at = end
    return tuple(objects)


def _length_at(text: str, at: int) -> int:
    tag, length = text[at : at + 2], text[at + 2 : at + 4]
    if len(length) < 2:
        raise TlvError("tlv_truncated")
    if not _TWO_DIGITS.fullmatch(tag):
        raise TlvError("tlv_bad_id")
    if not _TWO_DIGITS.fullmatch(length):
        raise TlvError("tlv_bad_length")
    if length == "00":
        raise TlvError("tlv_zero_length")
    return int(length)


def join(objects: Iterable[tuple[str, str]]) -> str:
    """The text of `objects`, whose values must have 1 to 99 characters."""
    return "".join(f"{tag}{len(value):02d}{value}" for tag, value in objects)


def seal(objects: Iterable[tuple[str, str]]) -> str:
    """The text of `objects` (without 63), closed by its checksum."""
    body = join(objects) + "6304"
    return body + crc16(body)
