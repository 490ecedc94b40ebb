"""Layouts described in the settings: `[settlements.layouts.NAME]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from qrisd.domain.settlement import Kind
from qrisd.reports.amounts import Mark, Unit
from qrisd.reports.layout import FIELDS, IDENTITIES, Layout, Standing
from qrisd.reports.moments import zone_of
from qrisd.reports.presets import PRESETS, preset, presets_of

_NAMES: Final = tuple(layout.name for layout in PRESETS)
# Rows that are put together to one line: only a preset knows how.
_PRESETS_ONLY: Final = frozenset({"part", "direction", "group"})
_COLUMNS: Final = tuple(name for name in FIELDS if name not in _PRESETS_ONLY)
_DATES: Final = ("settlement_date", "transacted_at")
_MARK: Final = re.compile(r"%(.?)", re.DOTALL)
_MARKS: Final = frozenset("dmbByYHIMSfpz%")


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]


class LayoutSettings(BaseModel):
    """`[settlements.layouts.NAME]`"""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    provider: str = Field(description="The provider whose reports look like this, by its name under providers.")
    like: str | None = Field(None, description="The layout it differs from: " + ", ".join(_NAMES) + ".")
    columns: dict[str, Names] = Field(
        default_factory=dict, description="The header of each column, or several it may have: " + ", ".join(_COLUMNS)
    )
    unit: Unit | None = Field(None, description="What the amounts are: rupiah or cents.")
    decimal: Mark | None = Field(None, description='What is before a fraction: "." or ",".')
    timezone: str | None = Field(None, description="The zone of times without one; the merchant's when unset.")
    date_format: str | None = Field(
        None, description="How days and times are written, such as %d/%m/%Y %H:%M or %d %b %Y."
    )
    statuses: dict[str, Standing] = Field(
        default_factory=dict, description="What words in the status column mean: settled, waiting, skipped or void."
    )
    kinds: dict[str, Kind | Literal["skipped"]] = Field(
        default_factory=dict,
        description="What words in the kind column mean: payment, refund, fee, adjustment, skipped.",
    )

    @field_validator("like")
    @classmethod
    def _is_preset(cls, like: str | None) -> str | None:
        if like not in (None, *_NAMES):
            raise ValueError(f"is no layout; the layouts are {', '.join(_NAMES)}")
        return like

    @field_validator("columns")
    @classmethod
    def _are_fields(cls, columns: dict[str, Names]) -> dict[str, Names]:
        unknown = [name for name in columns if name not in _COLUMNS]
        if unknown:
            raise ValueError(f"{unknown[0]} is nothing a column can say; use {', '.join(_COLUMNS)}")
        return columns

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            zone_of(zone)
        return zone

    @field_validator("date_format")
    @classmethod
    def _is_format(cls, date_format: str | None) -> str | None:
        if date_format is not None:
            _refuse_format(_MARK.findall(date_format))
        return date_format

    @model_validator(mode="after")
    def _is_whole(self) -> LayoutSettings:
        """A layout that is like no other says everything that matters."""
        if self.like is not None:
            return self
        missing = [] if "amount" in self.columns else ["columns.amount"]
        if not any(name in self.columns for name in IDENTITIES):
            missing.append("one of columns." + ", columns.".join(IDENTITIES))
        if not any(name in self.columns for name in _DATES):
            missing.append("one of columns." + ", columns.".join(_DATES))
        if self.unit is None:
            missing.append('unit ("rupiah" or "cents")')
        if missing:
            raise ValueError("must have " + "; ".join(missing))
        return self


def _refuse_format(marks: Sequence[str]) -> None:
    """Raises ValueError for a format that says no day, or one that cannot be followed."""
    unknown = [mark for mark in marks if mark not in _MARKS]
    if unknown:
        known = " ".join(f"%{mark}" for mark in sorted(_MARKS, key=str.casefold))
        raise ValueError(f"{'%' + unknown[0]!r} is not read; use {known}, and write other words as they are")
    months, years = ([mark for mark in marks if mark in wanted] for wanted in ("mbB", "yY"))
    if "d" not in marks or not months or not years:
        raise ValueError(
            "must have %d, a month (%m, %b or %B) and a year (%Y or %y), such as %d/%m/%Y or %d %b %Y, %H:%M"
        )
    for what, several in (("month", months), ("year", years)):
        if len(several) > 1:
            raise ValueError(f"says the {what} twice")


def layouts_for(described: Mapping[str, LayoutSettings], provider: str, kinds: Collection[str]) -> list[Layout]:
    """The layouts that reports of this provider may have, those described in the settings first; `kinds` are the types
    whose reports it may send."""
    own = [_layout(name, one) for name, one in described.items() if one.provider == provider]
    return [*own, *presets_of(kinds)]


def _layout(name: str, given: LayoutSettings) -> Layout:
    base = preset(given.like) if given.like else _described(name, given)
    return replace(
        base,
        name=name,
        provider=given.provider,
        columns={**base.columns, **given.columns},
        unit=given.unit or base.unit,
        mark=given.decimal or base.mark,
        timezone=given.timezone or base.timezone,
        date_format=given.date_format or base.date_format,
        statuses={**base.statuses, **given.statuses},
        kinds={**base.kinds, **_kinds(given.kinds)},
    )


def _described(name: str, given: LayoutSettings) -> Layout:
    """A layout of its own: every column it names must be there."""
    plain = preset("plain")
    return Layout(
        name=name,
        provider=given.provider,
        columns=given.columns,
        needs=[(column,) for column in given.columns],
        statuses=plain.statuses,
        kinds=plain.kinds,
    )


def _kinds(kinds: Mapping[str, Kind | Literal["skipped"]]) -> dict[str, Kind | None]:
    return {word: None if kind == "skipped" else Kind(kind) for word, kind in kinds.items()}
