"""The payload: one QRIS text and the names of what stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from qrisd.domain.money import whole_rupiah
from qrisd.domain.qris import tlv

Kind = Literal["static", "dynamic", "unspecified"]
TipMode = Literal["prompt", "fixed", "percentage"]
Field = str | dict[str, str]

_KINDS: dict[str, Kind] = {"11": "static", "12": "dynamic"}
_TIP_MODES: dict[str, TipMode] = {"01": "prompt", "02": "fixed", "03": "percentage"}
_TIP_VALUE_TAGS = {"02": "56", "03": "57"}


@dataclass(frozen=True)
class Tip:
    """What the payer is asked to add (55). `value` is rupiah (56) when fixed, percent (57) when a percentage."""

    mode: TipMode
    value: str | None = None


@dataclass(frozen=True)
class Account:
    """One way the merchant is known to an acquirer or a card network (02-50).

    Card networks (02-25) have only a `value`; an acquirer's template has the other four, as far as it gives them.
    """

    tag: str
    value: str | None = None
    guid: str | None = None
    pan: str | None = None
    merchant_id: str | None = None
    criteria: str | None = None


@dataclass(frozen=True)
class National:
    """The merchant in the national repository (51). `nmid` is its national merchant id."""

    guid: str | None
    nmid: str | None
    criteria: str | None


@dataclass(frozen=True)
class Qris:
    """A payload that could be taken apart. Whether it is a sound QRIS is for `Reading.valid` to say.

    `payload` is the text, `objects` its root objects as (id, value) in order, 63 included.
    """

    payload: str
    objects: tlv.Objects

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Every root object by id: its value, or {sub-id: value} where it is a well-formed template."""
        return {tag: field_of(tag, value) for tag, value in self.objects}

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self.text("01") or "", "unspecified")

    @property
    def mcc(self) -> str | None:
        """The merchant category code, ISO 18245, four digits with leading zeros."""
        return self.text("52")

    @property
    def currency(self) -> str | None:
        """The numeric ISO 4217 code; 360 is rupiah."""
        return self.text("53")

    @property
    def amount(self) -> str | None:
        """Tag 54 as written, such as "25000.00"; None when the payer types the amount."""
        return self.text("54")

    @property
    def amount_idr(self) -> int | None:
        """The amount in rupiah, or None where there is none, it has a fraction, or it is another currency's."""
        if self.amount is None or self.currency != "360":
            return None
        try:
            return whole_rupiah(self.amount)
        except ValueError:
            return None

    @property
    def tip(self) -> Tip | None:
        mode = self.text("55") or ""
        if mode not in _TIP_MODES:
            return None
        return Tip(_TIP_MODES[mode], self.text(_TIP_VALUE_TAGS.get(mode, "")))

    @property
    def country(self) -> str | None:
        return self.text("58")

    @property
    def merchant_name(self) -> str | None:
        """Third-party text: escape it wherever it is shown."""
        return self.text("59")

    @property
    def merchant_city(self) -> str | None:
        return self.text("60")

    @property
    def postal_code(self) -> str | None:
        return self.text("61")

    @cached_property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(_account(tag, field) for tag, field in self.fields.items() if "02" <= tag <= "50")

    @cached_property
    def national(self) -> National | None:
        if "51" not in self.fields:
            return None
        subs = self.template("51")
        return National(subs.get("00"), subs.get("02"), subs.get("03"))

    @property
    def nmid(self) -> str | None:
        return self.national.nmid if self.national else None

    @cached_property
    def additional(self) -> dict[str, str]:
        """Additional data (62) by sub-id; 50-99 belong to the acquirer and stay as written."""
        return self.template("62")

    def text(self, tag: str) -> str | None:
        """The value of a root object that is no template, or None."""
        value = self.fields.get(tag)
        return value if isinstance(value, str) else None

    def template(self, tag: str) -> dict[str, str]:
        """The sub-objects of a template; empty where it is absent or malformed."""
        field = self.fields.get(tag)
        return field if isinstance(field, dict) else {}


def is_template(tag: str) -> bool:
    """Whether a root object's value is TLV again."""
    return "26" <= tag <= "51" or tag in ("62", "64") or tag >= "80"


def field_of(tag: str, value: str) -> Field:
    """A root object's value, taken apart one level if it is a well-formed template."""
    if not is_template(tag):
        return value
    try:
        return dict(tlv.parse(value))
    except tlv.TlvError:
        return value


def _account(tag: str, field: Field) -> Account:
    if isinstance(field, str):
        return Account(tag, value=field)
    return Account(tag, None, field.get("00"), field.get("01"), field.get("02"), field.get("03"))
