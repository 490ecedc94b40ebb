"""Synthetic dynamic QRIS, written by hand so that the product's own reader is really tested."""

from __future__ import annotations

Field = tuple[str, str]


def dynamic_qris(*, acquirer: list[Field], amount: str, name: str, place: tuple[str, str], more: list[Field]) -> str:
    """The text of a QR: `acquirer` is template 26, `place` city and postal code, `more` template 62."""
    fields = [
        ("00", "01"),
        ("01", "12"),
        ("26", _tlv(acquirer)),
        ("51", _tlv([("00", "ID.CO.QRIS.WWW"), ("02", "ID1020000000001"), ("03", "UMI")])),
        ("52", "5812"),
        ("53", "360"),
        ("54", amount),
        ("58", "ID"),
        ("59", name),
        ("60", place[0]),
        ("61", place[1]),
        ("62", _tlv(more)),
    ]
    unsigned = _tlv(fields) + "6304"
    return f"{unsigned}{_crc16(unsigned.encode()):04X}"


def _tlv(fields: list[Field]) -> str:
    return "".join(f"{tag}{len(value):02d}{value}" for tag, value in fields)


def _crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
