"""What may be found in a QRIS: one code and one plain line each."""

from __future__ import annotations

from collections.abc import Iterable

from qrisd.domain.errors import QrisdError

# Flaws that a merchant's own working sticker may have; lenient reading turns them into warnings.
LENIENT = frozenset(
    {
        "surrounding_whitespace",
        "crc_lowercase",
        "charset_nonascii",
        "name_too_long",
        "city_too_long",
        "postal_too_long",
    }
)

_ERRORS = {
    "empty": "There is no text.",
    "too_long": "The text is longer than 512 characters.",
    "surrounding_whitespace": "There are spaces or line breaks around the text.",
    "tlv_bad_id": "An object's id is not two digits; this may not be a QRIS at all.",
    "tlv_bad_length": "An object's length is not two digits.",
    "tlv_zero_length": "An object has length 00; lengths run from 01 to 99.",
    "tlv_truncated": "The text ends in the middle of an object, or something was added after it.",
    "template_malformed": "A template (26-51, 62 or 64) does not hold well-formed objects.",
    "duplicate_id": "An object occurs twice, so that readers could disagree about it.",
    "format_indicator": "The text does not begin with the payload format indicator 000201.",
    "crc_missing": "The checksum (63) is missing.",
    "crc_not_last": "The checksum (63) is not the last object.",
    "crc_format": "The checksum (63) is not four hexadecimal digits.",
    "crc_mismatch": "The checksum (63) does not fit the text: it was damaged or edited.",
    "crc_lowercase": "The checksum (63) is written in lower-case letters.",
    "missing_mandatory": "Mandatory objects are missing.",
    "poi_value": "The point of initiation (01) is neither 11 (static) nor 12 (dynamic).",
    "mcc_format": "The merchant category code (52) is not four digits.",
    "pan_format": "The merchant PAN (01 of an account) is not 1 to 19 digits.",
    "currency_not_idr": "The currency (53) is not 360, rupiah: not a QRIS.",
    "country_not_id": "The country (58) is not ID, Indonesia: not a QRIS.",
    "amount_format": "The amount is not written in plain digits with at most two decimals, as in 15000 or 15000.00.",
    "amount_zero": "The amount is zero.",
    "tip_indicator": "The tip indicator (55) is none of 01, 02 and 03.",
    "tip_value_missing": "A fixed or percentage fee (55) is announced, but its value (56 or 57) is missing.",
    "tip_value_orphan": "A fee value (56 or 57) is present that the tip indicator (55) does not announce.",
    "tip_value_format": "The fixed fee (56) is no amount, or the percentage (57) is not between 0.01 and 99.99.",
    "charset_control": "The text holds control, formatting or unusual space characters, which can disguise a name.",
    "charset_nonascii": "A field limited to plain ASCII characters holds others.",
    "name_too_long": "The merchant name (59) has more than 25 characters.",
    "city_too_long": "The merchant city (60) has more than 15 characters.",
    "postal_too_long": "The postal code (61) has more than 10 characters.",
    "transfer_code": "This is a QRIS Transfer between persons, not a code for paying a merchant.",
    "value_length": "A value is empty or longer than its field allows.",
}

_WARNINGS = {
    "poi_missing": "The point of initiation (01) is missing, so the code does not say whether it is static or dynamic.",
    "postal_missing": "The postal code (61) is missing.",
    "national_missing": "The national merchant account (51) is missing.",
    "national_legacy_guid": "The national merchant account (51) carries an identifier other than ID.CO.QRIS.WWW.",
    "guid_missing": "An account or private template does not name its owner (00).",
    "nmid_format": "The national merchant id (51.02) is not ID followed by 13 digits.",
    "criteria_unknown": "The merchant criteria (03) is none of UMI, UKE, UME, UBE, URE, PSO and BLU.",
    "amount_over_limit": "The amount is above the limit for one QRIS payment.",
    "amount_on_static": "The code says it is static (01) yet carries an amount (54).",
    "amount_missing_on_dynamic": "The code says it is dynamic (01) yet carries no amount (54).",
    "order_unusual": "The objects are not in ascending order.",
    "name_outer_space": "The merchant name (59) begins or ends with a space.",
    "pipe_character": "The country, name, city or postal code (58-61) holds a pipe character.",
    "unreserved_template_malformed": "A private template (80-99) does not hold well-formed objects.",
    "amount_replaced": "The source already carried an amount (54); it was replaced.",
    "tip_prompt_removed": "The source asked the payer for a tip (55); that was removed, or the payer could pay more.",
    "tip_removed": "The source added a fee (55 with 56 or 57); it was removed.",
    "tip_added": "A fee for the payer was added; merchants must not pass their provider's fee on to the payer.",
}

_LINES = _ERRORS | _WARNINGS


class QrisError(QrisdError, ValueError):
    """A QRIS could not be made; `codes` says why, `explain` says it in words."""

    def __init__(self, codes: Iterable[str]) -> None:
        self.codes = tuple(codes)
        super().__init__(" ".join(explain(code) for code in self.codes))


def explain(code: str) -> str:
    """One plain English line for an error or warning code, with its detail ("missing_mandatory:52,59") in brackets."""
    name, _, detail = code.partition(":")
    line = _LINES.get(name, f"Unknown finding: {name}.")
    return f"{line[:-1]} ({detail})." if detail else line
