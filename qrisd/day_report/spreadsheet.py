"""The report's findings as CSV, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from qrisd.day_report.drawing import Words, facts
from qrisd.domain.reconciliation_report import Report
from qrisd.exports.cells import inert
from qrisd.web.languages import Language


def chunks(report: Report, language: Language) -> Iterator[str]:
    """CSV with a heading and one row for each finding; no cell can begin a formula."""
    words = Words(language)
    rows = [facts(finding, words) for finding in report.findings]
    names = (
        "day",
        "class",
        "order",
        "provider",
        "trx",
        "here",
        "there",
        "gap",
        "status",
        "what",
        "todo",
        "owner",
        "note",
        "id",
    )
    yield _line([words.of("heading", name) for name in names])
    for row in rows:
        yield _line([report.day.isoformat(), *(_cell(row[name]) for name in names[1:])])


def _cell(value: str | int | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else inert(value)


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
