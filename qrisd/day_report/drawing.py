"""The report's words in both languages, and the page to print."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

import jinja2

from qrisd.domain.money import rupiah
from qrisd.domain.payout import EXPECTED
from qrisd.domain.reconciliation import Class, Finding, FindingStatus
from qrisd.domain.reconciliation_report import Report
from qrisd.web.languages import Language, templates
from qrisd.web.pages import FILES

STYLE: Final = "reconciliation.css"
# A page with more rows than this is no longer one that is read; all of them are in the CSV.
ROWS_MAX: Final = 1000


def page(report: Report, language: Language, *, root: str = "", is_file: bool = False) -> str:
    """The report as HTML. As a file it carries its style with it; else it is loaded from below `root`."""
    waiting, healed = report.of(FindingStatus.OPEN, FindingStatus.RESOLVED), report.of(FindingStatus.HEALED)
    shown = waiting[:ROWS_MAX]
    put_right = healed[: ROWS_MAX - len(shown)]
    template = _environment(language).get_template("reconciliation/report.html")
    return template.render(
        report=report,
        shown=shown,
        put_right=put_right,
        hidden=len(report.findings) - len(shown) - len(put_right),
        healed=len(healed),
        expected=EXPECTED,
        language=language,
        root=root,
        style=(FILES / STYLE).read_text("utf-8") if is_file else None,
    )


class Words:
    """What codes are called for people."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._macros = _environment(language).get_template("reconciliation/words.html").module

    def of(self, macro: str, code: str) -> str:
        """The words of a `kind`, `reason`, `todo`, `part`, `status` or `heading`."""
        return str(getattr(self._macros, macro)(code))

    def detail(self, text: str) -> str:
        """What else there is to know of a difference; days are written as people write them."""
        return _detail(text, self.language)


@lru_cache(maxsize=2)
def _environment(language: Language) -> jinja2.Environment:
    made = templates(language)
    filters: dict[str, Callable[..., Any]] = {
        "signed": signed,
        "number": lambda count: f"{count:,}".replace(",", "." if language == "id" else ","),
        "long_day": lambda day: _long_day(day, language),
        "detail": lambda text: _detail(text, language),
        "by_kind": _by_kind,
    }
    made.filters |= filters
    return made


def signed(amount: int) -> str:
    """Rupiah with its sign: "+Rp500", "-Rp500", "Rp0"."""
    return f"+{rupiah(amount)}" if amount > 0 else rupiah(amount)


def _long_day(day: date, language: Language) -> str:
    from babel.dates import format_date

    return format_date(day, "EEEE, d MMMM y", locale=language)


def _detail(text: str, language: Language) -> str:
    """Days in it ("2026-01-15", "2026-01-15/2026-01-19") as people write them; anything else as it is."""
    from babel.dates import format_date

    try:
        days = [date.fromisoformat(part) for part in text.split("/")]
    except ValueError:
        return text
    return " → ".join(format_date(day, "d MMM y", locale=language) for day in days)


def _by_kind(findings: Iterable[Finding]) -> Sequence[tuple[Class, Mapping[str, list[Finding]]]]:
    """The findings by class, and of each by reason, in the order of the classes."""
    groups: defaultdict[Class, dict[str, list[Finding]]] = defaultdict(dict)
    for finding in findings:
        groups[finding.difference.kind].setdefault(finding.difference.reason, []).append(finding)
    return [(kind, groups[kind]) for kind in Class if kind in groups]


def facts(finding: Finding, words: Words) -> Mapping[str, Any]:
    """One row of a table, by heading."""
    told = finding.difference
    return {
        "class": words.of("kind", told.kind),
        "order": told.name,
        "provider": told.provider,
        "trx": told.provider_trx_id,
        "here": told.amount_here,
        "there": told.amount_there,
        "gap": told.gap,
        "status": words.of("status", finding.status),
        "what": words.of("reason", told.reason),
        "todo": words.of("todo", told.reason),
        "owner": finding.owner,
        "note": finding.note,
        "id": told.id,
    }
