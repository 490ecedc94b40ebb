"""`qrisd doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from qrisd.cli.common import AsJson, Config, fail, print_json, read_settings

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.diagnosis import Line
    from qrisd.providers.base import ProviderSettings

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def doctor(
    provider: Annotated[
        str | None, typer.Argument(metavar="[PROVIDER]", help="Look at this provider only, even when it is off.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Check settings, disk, database, clock and providers. Exit 2 when something needs attention."""
    from qrisd.diagnosis import examine

    settings = read_settings(config)
    lines = asyncio.run(examine(settings, _chosen(settings, provider), config))
    if as_json:
        print_json([{"check": line.check, "state": line.state, "text": line.text} for line in lines])
    else:
        _print(lines)
    if any(line.state != "ok" for line in lines):
        raise typer.Exit(2)


def _chosen(settings: Settings, name: str | None) -> dict[str, ProviderSettings]:
    """The providers that are on, or the one named."""
    from qrisd.providers.registry import SETTINGS

    if name is None:
        return settings.provider_settings()
    table = settings.providers.get(name, {})
    kind = table.get("type") or name
    if kind not in SETTINGS:
        fail(
            f"there is no provider {name!r}; configure it under providers.{name}, or name one of {', '.join(SETTINGS)}"
        )
    return {name: SETTINGS[kind].model_validate(table)}


def _print(lines: list[Line]) -> None:
    width = max(len(line.check) for line in lines)
    for line in lines:
        state = typer.style(f"{line.state:4}", fg=_COLOURS[line.state])
        typer.echo(f"{state} {line.check:{width}}  {line.text}")
