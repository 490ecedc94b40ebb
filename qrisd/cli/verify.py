"""`qrisd verify`: does everything that must hold about the stored payments hold?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from qrisd.cli.common import AsJson, Config, clear_errors, open_database, print_json, read_settings

if TYPE_CHECKING:
    from qrisd.store.verify import Finding

SHOWN = 3


def verify(as_json: AsJson = False, config: Config = None) -> None:
    """Check every invariant on the stored payments; changes nothing. Exit 0 when all hold, 2 when one is broken."""
    from qrisd.store.verify import findings

    with open_database(read_settings(config), read_only=True) as conn, clear_errors():
        found = list(findings(conn, datetime.now(UTC)))
    if as_json:
        print_json([_described(finding) for finding in found])
    else:
        _print_table(found)
    if any(finding.offenders for finding in found):
        raise typer.Exit(2)


def _state(finding: Finding) -> str:
    if not finding.offenders:
        return "ok"
    return "warn" if finding.is_warning else "fail"


def _count(finding: Finding) -> str:
    from qrisd.store.verify import OFFENDERS_MAX

    count = len(finding.offenders)
    return f"{count} or more" if count == OFFENDERS_MAX else str(count)


def _described(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.rule,
        "state": _state(finding),
        "text": finding.says,
        "count": len(finding.offenders),
        "offenders": finding.offenders,
    }


def _print_table(found: list[Finding]) -> None:
    for finding in found:
        typer.echo(f"{_state(finding):5} {finding.rule:16} {finding.says}")
        if finding.offenders:
            first = "; ".join(finding.offenders[:SHOWN])
            typer.echo(f"{'':22} {_count(finding)}: {first}{' …' if len(finding.offenders) > SHOWN else ''}")
    broken = sum(bool(finding.offenders) for finding in found)
    typer.echo(f"{broken} of {len(found)} checks need attention." if broken else f"All {len(found)} checks hold.")
