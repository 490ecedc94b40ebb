"""Making: a dynamic QRIS from a merchant's static one, and a whole one from its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qrisd.domain.money import whole_rupiah
from qrisd.domain.qris import tlv
from qrisd.domain.qris.codes import QrisError
from qrisd.domain.qris.payload import Qris, Tip
from qrisd.domain.qris.reading import Reading, read
from qrisd.domain.qris.rules import LIMIT_IDR, NATIONAL_GUID

# Flaws of the source's own text. They stay: changing name or city would impersonate another merchant.
_INHERITED = frozenset({"charset_nonascii", "name_too_long", "city_too_long", "postal_too_long"})
_TIDIED = ("surrounding_whitespace", "crc_lowercase")
_PRICE_TAGS = ("54", "55", "56", "57")
_TIP_MODES = {"fixed": ("02", "56"), "percentage": ("03", "57")}
# Unassigned identifiers: a code that carries them pays nobody.
_NO_ACQUIRER, _NO_PAN, _NO_MERCHANT = "ID.CO.EXAMPLE.WWW", "936009990000000017", "UJI000000000001"
_LARGEST_AMOUNT = 10**13 - 1  # what fits into 54
# The limit is the caller's setting, and several acquirers issue codes without a national account.
_CALLERS_CHOICE = frozenset({"amount_over_limit", "national_missing"})
_LONGEST = {"26.00": 32, "26.01": 19, "26.02": 15, "26.03": 3, "51.02": 15, "51.03": 3, "62.05": 25, "62.07": 25}


def make_dynamic(
    static_payload: str, amount: int | str, *, tip: Tip | None = None, max_amount: int = LIMIT_IDR
) -> tuple[str, tuple[str, ...]]:
    """Put an amount into a merchant's own static QRIS.

    `amount` and `max_amount` are whole rupiah; `tip` adds a fixed or percentage fee for the payer. Answers with the
    dynamic payload and warning codes: what was removed from the source, and what is odd about it. Raises QrisError
    when the source is damaged, foreign or a transfer code, or when the amount does not fit. Nothing but 01, 54-57
    and the checksum changes.
    """
    price = _price(amount, max_amount)
    source = read(static_payload, lenient=True)
    if source.qris is None or source.errors:
        raise QrisError(source.errors)
    payload = tlv.seal(_repriced(source.qris.objects, [("54", price), *_tip_objects(tip)]))
    _refuse_unless_sound(payload)
    return payload, tuple(dict.fromkeys(_notes(source, source.qris, payload, tip)))


def _price(amount: int | str, max_amount: int) -> str:
    try:
        if isinstance(amount, bool):
            raise ValueError("a truth value is no amount")
        amount_idr = whole_rupiah(str(amount))
    except ValueError:
        raise QrisError(["amount_format"]) from None
    if amount_idr == 0:
        raise QrisError(["amount_zero"])
    if amount_idr > max_amount:
        raise QrisError([f"amount_over_limit:{max_amount}"])
    return str(amount_idr)


def _tip_objects(tip: Tip | None) -> tlv.Objects:
    if tip is None:
        return ()
    # A prompt would let the payer pay another amount than the one expected.
    if tip.mode not in _TIP_MODES:
        raise QrisError(["tip_indicator"])
    if not tip.value or len(tip.value) > tlv.MAX_VALUE_CHARS:
        raise QrisError(["tip_value_missing" if not tip.value else "tip_value_format"])
    indicator, value_tag = _TIP_MODES[tip.mode]
    return (("55", indicator), (value_tag, tip.value))


def _repriced(objects: tlv.Objects, price: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    has_initiation = any(tag == "01" for tag, _ in objects)
    for tag, value in objects:
        if tag in (*_PRICE_TAGS, "63"):
            continue
        yield tag, "12" if tag == "01" else value
        if tag == "00" and not has_initiation:
            yield "01", "12"
        if tag == "53":
            yield from price


def _refuse_unless_sound(payload: str) -> None:
    if codes := [code for code in read(payload).errors if code not in _INHERITED]:
        raise QrisError(codes)


def _notes(source: Reading, before: Qris, payload: str, tip: Tip | None) -> Iterator[str]:
    yield from (code for code in _TIDIED if code in source.warnings)
    if before.amount is not None:
        yield "amount_replaced"
    if before.tip is not None:
        yield "tip_prompt_removed" if before.tip.mode == "prompt" else "tip_removed"
    if tip is not None:
        yield "tip_added"
    yield from read(payload, lenient=True).warnings


def build(
    *,
    merchant_name: str,
    merchant_city: str,
    nmid: str | None,
    amount: int | None = None,
    reference_label: str | None = None,
    terminal_label: str | None = None,
    postal_code: str = "10110",
    mcc: str = "5812",
    criteria: str = "UMI",
    guid: str = _NO_ACQUIRER,
    pan: str = _NO_PAN,
    merchant_id: str = _NO_MERCHANT,
) -> str:
    """A QRIS from its parts, one domestic account (26) and the national one (51).

    `amount` is whole rupiah; with it the code is dynamic, without it static. `guid`, `pan` and `merchant_id` are the
    merchant at its acquirer and by default nobody at none; `nmid` is its national id (ID and 13 digits),
    without which there is no 51. Raises QrisError when a part does not fit.
    """
    account = _fitted("26", {"00": guid, "01": pan, "02": merchant_id, "03": criteria})
    national = _fitted("51", {"00": NATIONAL_GUID, "02": nmid, "03": criteria}) if nmid is not None else None
    additional = _fitted("62", {"05": reference_label, "07": terminal_label})
    price = None if amount is None else _price(amount, _LARGEST_AMOUNT)
    parts: dict[str, str | None] = {"00": "01", "01": "12" if price else "11", "26": account, "51": national}
    parts |= {"52": mcc, "53": "360", "54": price, "58": "ID"}
    parts |= {"59": merchant_name, "60": merchant_city, "61": postal_code, "62": additional or None}
    payload = tlv.seal(_present("", parts))
    found = read(payload)
    if codes := [code for code in (*found.errors, *found.warnings) if code not in _CALLERS_CHOICE]:
        raise QrisError(codes)
    return payload


def _fitted(template: str, parts: dict[str, str | None]) -> str:
    return tlv.join(_present(f"{template}.", parts))


def _present(prefix: str, parts: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    for tag, value in parts.items():
        if value is None:
            continue
        if not 1 <= len(value) <= _LONGEST.get(prefix + tag, tlv.MAX_VALUE_CHARS):
            raise QrisError([f"value_length:{prefix}{tag}"])
        yield tag, value


def relabel(payload: str, amount: int, reference_label: str) -> str:
    """A code that `build` made with amount and reference label, with others in their place.

    For a maker of many codes for one merchant, whose first code was checked whole. Raises QrisError for an amount or
    a label that does not fit."""
    changed = {"54": _price(amount, _LARGEST_AMOUNT), "62": _fitted("62", {"05": reference_label})}
    return tlv.seal((tag, changed.get(tag, value)) for tag, value in tlv.parse(payload) if tag != "63")
