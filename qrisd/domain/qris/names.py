"""What the objects of a QRIS are called."""

from __future__ import annotations

_ROOT = {
    "00": "Payload format indicator",
    "01": "Point of initiation",
    "51": "National merchant account",
    "52": "Merchant category code",
    "53": "Currency",
    "54": "Amount",
    "55": "Tip indicator",
    "56": "Fixed fee",
    "57": "Percentage fee",
    "58": "Country",
    "59": "Merchant name",
    "60": "Merchant city",
    "61": "Postal code",
    "62": "Additional data",
    "63": "Checksum",
    "64": "Other language",
}
_ACCOUNT = {"00": "Acquirer", "01": "Merchant PAN", "02": "Merchant id", "03": "Criteria"}
_NATIONAL = {"00": "Repository", "02": "NMID", "03": "Criteria"}
_LANGUAGE = {"00": "Language", "01": "Merchant name", "02": "Merchant city"}
_ADDITIONAL = {
    "01": "Bill number",
    "02": "Mobile number",
    "03": "Store label",
    "04": "Loyalty number",
    "05": "Reference label",
    "06": "Customer label",
    "07": "Terminal label",
    "08": "Purpose",
    "09": "Consumer data request",
}


def name_of(tag: str, sub: str | None = None) -> str:
    """The English name of a root object, or of its sub-object; empty for a sub-object without a public name."""
    if sub is None:
        return _ROOT.get(tag) or _name_of_range(tag)
    if tag == "62":
        return _ADDITIONAL.get(sub, "Acquirer data" if sub >= "50" else "")
    names = {"51": _NATIONAL, "64": _LANGUAGE}
    return names.get(tag, _ACCOUNT if tag <= "45" else {"00": "Owner"}).get(sub, "")


def _name_of_range(tag: str) -> str:
    if tag <= "25":
        return "Card network account"
    if tag <= "50":
        return "Merchant account"
    return "Private data" if tag >= "80" else "Reserved"
