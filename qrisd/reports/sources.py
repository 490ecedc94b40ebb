"""Whose reports can be imported, and what is needed to read one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from qrisd.domain.errors import FieldError, Invalid
from qrisd.reports.layout import Layout

_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to import and how: the file, its name for people, whose report it is, the layouts it may have, the
    merchant's zone. `by_amount` where this provider's payments are told apart by their amounts alone."""

    path: Path
    name: str
    provider: str
    layouts: Sequence[Layout]
    zone: ZoneInfo
    by_amount: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """The layouts that each provider's reports may have, the providers told apart by amounts alone, and the merchant's
    zone."""

    layouts: Mapping[str, Sequence[Layout]]
    by_amount: frozenset[str]
    zone: ZoneInfo

    def source(self, path: Path, name: str, provider: str) -> Source:
        """What to import. Raises Invalid for a provider nobody knows."""
        if provider not in self.layouts:
            known = ", ".join(self.layouts)
            raise Invalid(FieldError("provider", f"There is no provider {provider[:40]!r}; choose from {known}."))
        layouts, by_amount = self.layouts[provider], provider in self.by_amount
        name = "".join(mark for mark in name if mark.isprintable())[:_LONGEST_NAME]
        return Source(path=path, name=name, provider=provider, layouts=layouts, zone=self.zone, by_amount=by_amount)
