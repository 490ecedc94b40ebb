"""The QRIS payload: read it, explain it, make it. The text in the QR is EMVCo Merchant-Presented Mode with Indonesian
rules on top. It carries no signature and no expiry: the checksum detects damage, not fraud."""

from qrisd.domain.qris.codes import QrisError, explain
from qrisd.domain.qris.making import build, make_dynamic, relabel
from qrisd.domain.qris.names import name_of
from qrisd.domain.qris.payload import Account, Field, Kind, National, Qris, Tip
from qrisd.domain.qris.reading import Reading, read, soundness
from qrisd.domain.qris.tlv import crc16

__all__ = [
    "Account",
    "Field",
    "Kind",
    "National",
    "Qris",
    "QrisError",
    "Reading",
    "Tip",
    "build",
    "crc16",
    "explain",
    "make_dynamic",
    "name_of",
    "read",
    "relabel",
    "soundness",
]
