"""The contract suite as a table, providers across and cases down: `python -m tests.providers.table`."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.providers.kinds import KINDS

SUITE = sorted(map(str, Path(__file__).parent.glob("test_contract*.py")))
_NAME = re.compile(r"::test_(?P<case>\w+)\[(?P<ids>.*)\]$")


class Outcomes:
    """A pytest plugin that notes how each case went for each provider."""

    def __init__(self) -> None:
        self.by_case: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = _NAME.search(report.nodeid)
        if found is None or (report.when != "call" and report.passed):
            return
        kind = next(kind for kind in KINDS if kind in found["ids"])
        case = f"{found['case']} {found['ids'].replace(kind, '').strip('-')}".strip()
        self.by_case[case][kind].append(report.passed)


def _cell(outcomes: list[bool]) -> str:
    """ "-" where the case is about a call that this provider does not have."""
    if not outcomes:
        return "-"
    return "[green]ok[/]" if all(outcomes) else "[red]FAILS[/]"


def main() -> int:
    outcomes = Outcomes()
    code = pytest.main(["-q", "--no-header", "-p", "no:xdist", *SUITE], plugins=[outcomes])
    table = Table("case", *KINDS)
    for case, by_kind in outcomes.by_case.items():
        table.add_row(case.replace("_", " "), *(_cell(by_kind[kind]) for kind in KINDS))
    Console(width=160).print(table)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
