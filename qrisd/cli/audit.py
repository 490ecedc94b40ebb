"""`qrisd audit`: who did what, when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from qrisd.cli.common import AsJson, Config, local_time, moment, open_database, print_json, read_settings

if TYPE_CHECKING:
    from qrisd.domain.audit_chain import Entry


def audit(
    since: Annotated[
        str | None, typer.Option("--since", help="From this business day on, or from a time in RFC 3339.")
    ] = None,
    who: Annotated[
        str | None, typer.Option("--who", help="Only what this username did, or `command line`, or api_key:ID.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="Only this action, such as api_key.revoked; refund.* is all of them.")
    ] = None,
    what: Annotated[str | None, typer.Option("--what", help="Only what was done to the thing with this id.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """What people and API keys did, newest first. `qrisd verify` proves that nothing in it was changed or taken out."""
    from qrisd.schemas import audit_resource
    from qrisd.store import audit_log
    from qrisd.store.audit_log import Filter

    settings = read_settings(config)
    zone = ZoneInfo(settings.timezone)
    wanted = Filter(since=moment(since, zone) if since else None, who=who, action=action, what=what)
    with open_database(settings, read_only=True) as conn:
        found = audit_log.find(conn, wanted, limit)
    if as_json:
        print_json({"data": [audit_resource(entry) for entry in found]})
        return
    for entry in found:
        _print(entry, zone)
    typer.echo(f"Newest shown: row {found[0].id}, hash {found[0].hash}" if found else "Nothing of the kind.")


def _print(entry: Entry, zone: ZoneInfo) -> None:
    import json

    source = f" from {entry.source}" if entry.source else ""
    who = f"{entry.name or entry.who}{source}: {entry.action} {entry.what or ''}"
    typer.echo(f"{entry.id:>6}  {local_time(entry.at, zone)}  {who}".rstrip())
    for label, fields in (("before", entry.before), ("after", entry.after)):
        if fields is not None:
            typer.echo(f"{'':8}{label:7}{json.dumps(fields, ensure_ascii=False)}")
    if entry.why is not None:
        typer.echo(f"{'':8}why    {entry.why}")
