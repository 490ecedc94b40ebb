"""The grammar under a QRIS: id, length, value, repeated, closed by a checksum (EMVCo Merchant-Presented Mode, 4)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from functools import lru_cache

Objects = tuple[tuple[str, str], ...]

# ASCII only: `int` and `str.isdigit` would also take " 4", "+4" and the digits of other scripts.
_TWO_DIGITS = re.compile(r"[0-9]{2}")
_HEAD = re.compile(r"[0-9]{2}(?!00)[0-9]{2}")
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


@lru_cache(maxsize=256)
def parse(text: str) -> Objects:
    """The objects of `text` as (id, value) in order. Lengths count characters. Raises TlvError.

    Remembered, because the templates of one merchant are the same in all its codes."""
    objects = []
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        if not _HEAD.fullmatch(head):
            raise TlvError(_flaw(head))
        end = at + 4 + int(head[2:])
        if end > len(text):
            raise TlvError("tlv_truncated")
        objects.append((head[:2], text[at + 4 : end]))
        at = end
    return tuple(objects)


def _flaw(head: str) -> str:
    """What is wrong with the id and length at the beginning of an object."""
    if len(head) < 4:
        return "tlv_truncated"
    if not _TWO_DIGITS.fullmatch(head[:2]):
        return "tlv_bad_id"
    return "tlv_zero_length" if head[2:] == "00" else "tlv_bad_length"


def join(objects: Iterable[tuple[str, str]]) -> str:
    """The text of `objects`, whose values must have 1 to 99 characters."""
    return "".join(f"{tag}{len(value):02d}{value}" for tag, value in objects)


def seal(objects: Iterable[tuple[str, str]]) -> str:
    """The text of `objects` (without 63), closed by its checksum."""
    body = join(objects) + "6304"
    return body + crc16(body)
