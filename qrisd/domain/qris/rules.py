"""The rules a well-formed payload must keep to be a sound QRIS: each function yields the codes of what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from qrisd.domain.qris import tlv
from qrisd.domain.qris.payload import Qris, is_template

# Bank Indonesia, one QRIS payment, since 1 March 2022.
LIMIT_IDR = 10_000_000
NATIONAL_GUID = "ID.CO.QRIS.WWW"
CRITERIA = frozenset({"UMI", "UKE", "UME", "UBE", "URE", "PSO", "BLU"})

_AMOUNT = re.compile(r"[0-9]+(\.[0-9]{0,2})?")
_PERCENTAGE = re.compile(r"[0-9]{1,2}(\.[0-9]{0,2})?")
_CRC = re.compile(r"[0-9A-Fa-f]{4}")
_MCC = re.compile(r"[0-9]{4}")
_PAN = re.compile(r"[0-9]{1,19}")
_NMID = re.compile(r"ID[0-9]{13}")
_MANDATORY = ("52", "53", "58", "59", "60")
_MAX_AMOUNT_CHARS = 13
_MAX_CHARS = {"59": (25, "name_too_long"), "60": (15, "city_too_long"), "61": (10, "postal_too_long")}


def structure(objects: tlv.Objects) -> Iterator[str]:
    """Duplicates and broken templates: what makes two readers see two different codes."""
    if _repeats(objects):
        yield "duplicate_id"
    for tag, value in objects:
        if is_template(tag):
            yield from _template(tag, value)


def _template(tag: str, value: str) -> Iterator[str]:
    try:
        subs = tlv.parse(value)
    except tlv.TlvError:
        yield "unreserved_template_malformed" if tag >= "80" else "template_malformed"
        return
    if _repeats(subs):
        yield "duplicate_id"


def _repeats(objects: tlv.Objects) -> bool:
    return len({tag for tag, _ in objects}) < len(objects)


def frame(text: str, objects: tlv.Objects) -> Iterator[str]:
    """The first object and the last: format indicator and checksum."""
    if objects[0] != ("00", "01"):
        yield "format_indicator"
    tags = [tag for tag, _ in objects]
    if "63" not in tags:
        yield "crc_missing"
    elif tags[-1] != "63":
        yield "crc_not_last"
    else:
        yield from _checksum(text, objects[-1][1])


def _checksum(text: str, crc: str) -> Iterator[str]:
    if not _CRC.fullmatch(crc):
        yield "crc_format"
    elif crc.upper() != tlv.crc16(text[:-4]):
        yield "crc_mismatch"
    elif crc != crc.upper():
        yield "crc_lowercase"


def errors(qris: Qris) -> Iterator[str]:
    """What makes strict reading refuse a well-formed payload."""
    yield from _mandatory(qris)
    yield from _merchant(qris)
    yield from _amount(qris)
    yield from _tip(qris)
    yield from _text(qris)


def warnings(qris: Qris) -> Iterator[str]:
    """What is odd but seen in codes that work."""
    yield from _initiation(qris)
    yield from _templates(qris)
    if _is_domestic(qris):
        yield from _national(qris)
    yield from _layout(qris)


def _is_domestic(qris: Qris) -> bool:
    # Other countries fill the same account fields by rules of their own.
    return qris.country in ("ID", None)


def _mandatory(qris: Qris) -> Iterator[str]:
    missing = [tag for tag in _MANDATORY if tag not in qris.fields]
    if not any("02" <= tag <= "51" for tag in qris.fields):
        missing.insert(0, "02-51")
    if missing:
        yield f"missing_mandatory:{','.join(missing)}"


def _merchant(qris: Qris) -> Iterator[str]:
    if _is_transfer(qris):
        yield "transfer_code"
    if qris.fields.get("01", "11") not in ("11", "12"):
        yield "poi_value"
    if qris.mcc is not None and not _MCC.fullmatch(qris.mcc):
        yield "mcc_format"
    if qris.currency not in ("360", None):
        yield "currency_not_idr"
    if not _is_domestic(qris):
        yield "country_not_id"
    elif not all(_PAN.fullmatch(account.pan) for account in qris.accounts if account.pan and account.tag <= "45"):
        yield "pan_format"


def _is_transfer(qris: Qris) -> bool:
    # One mark alone proves nothing: real merchants use category 4829, and "BOOK" may be what they sell.
    purpose = qris.additional.get("08")
    return ("40" in qris.fields) + (qris.mcc == "4829") + (purpose in ("BOOK", "DMCT", "XBCT")) >= 2


def _amount(qris: Qris) -> Iterator[str]:
    if qris.amount is None:
        return
    if not _is_amount(qris.amount):
        yield "amount_format"
    elif not Decimal(qris.amount):
        yield "amount_zero"


def _is_amount(text: str) -> bool:
    # `Decimal` alone would also take "1e5", "NaN", "1_000" and other scripts' digits.
    return len(text) <= _MAX_AMOUNT_CHARS and _AMOUNT.fullmatch(text) is not None


def _is_percentage(text: str) -> bool:
    return _PERCENTAGE.fullmatch(text) is not None


def _tip(qris: Qris) -> Iterator[str]:
    mode = qris.fields.get("55")
    if mode not in ("01", "02", "03", None):
        yield "tip_indicator"
        return
    for tag, announced_by, fits in (("56", "02", _is_amount), ("57", "03", _is_percentage)):
        value = qris.text(tag)
        if value is None and mode == announced_by:
            yield "tip_value_missing"
        elif value is not None and mode != announced_by:
            yield "tip_value_orphan"
        elif value is not None and not (fits(value) and Decimal(value)):
            yield "tip_value_format"


def _text(qris: Qris) -> Iterator[str]:
    if not qris.payload.isascii() and any(_has_foreign_letters(value) for value in _ascii_values(qris)):
        yield "charset_nonascii"
    for tag, (limit, code) in _MAX_CHARS.items():
        if len(qris.text(tag) or "") > limit:
            yield code


def _has_foreign_letters(value: str) -> bool:
    return any(not char.isascii() and char.isprintable() for char in value)


def _ascii_values(qris: Qris) -> Iterator[str]:
    """The values of format "ans"; 62.50-62.99 and 64-99 may hold any script."""
    for tag, value in qris.objects:
        if tag == "62":
            yield from (text for sub, text in qris.additional.items() if sub < "50")
        elif tag < "64":
            yield value


def _initiation(qris: Qris) -> Iterator[str]:
    if "01" not in qris.fields:
        yield "poi_missing"
    if qris.kind == "static" and qris.amount is not None:
        yield "amount_on_static"
    if qris.kind == "dynamic" and qris.amount is None:
        yield "amount_missing_on_dynamic"
    if qris.currency == "360" and _is_amount(qris.amount or "") and Decimal(qris.amount or "") > LIMIT_IDR:
        yield "amount_over_limit"


def _templates(qris: Qris) -> Iterator[str]:
    owned = [field for tag, field in qris.fields.items() if "26" <= tag <= "51" or tag >= "80"]
    if any(isinstance(field, dict) and "00" not in field for field in owned):
        yield "guid_missing"


def _layout(qris: Qris) -> Iterator[str]:
    tags = [tag for tag, _ in qris.objects if tag != "63"]
    if tags != sorted(tags):
        yield "order_unusual"
    name = qris.merchant_name or ""
    if name != name.strip():
        yield "name_outer_space"
    if any("|" in (qris.text(tag) or "") for tag in ("58", "59", "60", "61")):
        yield "pipe_character"


def _national(qris: Qris) -> Iterator[str]:
    if "61" not in qris.fields:
        yield "postal_missing"
    if qris.national is None:
        yield "national_missing"
    else:
        if qris.national.guid not in (NATIONAL_GUID, None):
            yield "national_legacy_guid"
        if not _NMID.fullmatch(qris.national.nmid or ""):
            yield "nmid_format"
    if _criteria(qris) - CRITERIA:
        yield "criteria_unknown"


def _criteria(qris: Qris) -> set[str]:
    found = {account.criteria for account in qris.accounts if account.tag <= "45"}
    found.add(qris.national.criteria if qris.national else None)
    return {criteria for criteria in found if criteria is not None}
