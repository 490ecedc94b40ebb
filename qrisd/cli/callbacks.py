"""`qrisd callbacks`: what the merchant's servers were told, what waits, what was given up, and sending it again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from qrisd.cli.common import (
    AsJson,
    Config,
    by_command,
    clear_errors,
    fail,
    moment,
    note,
    open_database,
    print_json,
    read_settings,
    transaction,
)

if TYPE_CHECKING:
    from qrisd.callback_secrets import CallbackSecrets
    from qrisd.config import Settings
    from qrisd.domain.callback import Callback, CallbackStatus, Try
    from qrisd.services.callbacks import Batch, Tested, Trouble
    from qrisd.store.callbacks import Filter
    from qrisd.store.db import Connection

ENDPOINTS_LIMIT = 100
HISTORY_LIMIT = 100

app = typer.Typer(no_args_is_help=True, help="Callbacks: list, show, replay, resume, test; their secret.")
CallbackId = Annotated[str, typer.Argument(metavar="ID", help="The callback's id, from `qrisd callbacks list`.")]
Status = Annotated[str | None, typer.Option("--status", help="WAITING, DELIVERED or DEAD.")]
EndpointOption = Annotated[str | None, typer.Option("--endpoint", help="Only those to this URL.")]
Url = Annotated[str, typer.Argument(metavar="URL", help="Where callbacks go.")]


@app.command(name="list")
def list_callbacks(
    status: Status = None,
    endpoint: EndpointOption = None,
    payment: Annotated[str | None, typer.Option("--payment", help="Only those about this payment (its id).")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Callbacks that wait or were given up, and endpoints that are switched off. Exit 2 when some need you."""
    from qrisd.domain.callback import CallbackStatus
    from qrisd.store.callbacks import Filter

    chosen = [_status(status)] if status else [CallbackStatus.WAITING, CallbackStatus.DEAD]
    url = _endpoint(endpoint)
    with open_database(read_settings(config), read_only=True) as conn:
        found = _newest(conn, [Filter(status=one, endpoint=url, payment_id=payment) for one in chosen], limit)
        off = _switched_off(conn, url)
    if as_json:
        _print_list_as_json(found, off)
    else:
        _print_list(found, off)
    if off or any(callback.status is CallbackStatus.DEAD for callback in found):
        raise typer.Exit(2)


@app.command()
def show(callback_id: CallbackId, as_json: AsJson = False, config: Config = None) -> None:
    """One callback: what is sent, and every try so far."""
    from qrisd.schemas import callback_details
    from qrisd.store import callback_tries, callbacks

    with open_database(read_settings(config), read_only=True) as conn:
        callback = callbacks.get(conn, callback_id)
        history = callback_tries.of_callback(conn, callback_id, HISTORY_LIMIT)
    if callback is None:
        fail("there is no callback with this id; see `qrisd callbacks list`")
    if as_json:
        print_json(callback_details(callback, history))
    else:
        _print_one(callback, history)


@app.command()
def replay(
    callback_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this callback.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Those of events since this business day, or a time in RFC 3339.")
    ] = None,
    endpoint: EndpointOption = None,
    status: Status = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Send callbacks again now, under their old ids: one by its id, or all that the options describe."""
    settings = read_settings(config)
    given = [one for one in (since, endpoint, status) if one is not None]
    if (callback_id is None) == (not given):
        fail("say which callbacks: one ID, or at least one of --since, --endpoint and --status")
    if callback_id is not None:
        replayed, switched_off = _replay_one(settings, callback_id), 0
    else:
        replayed, switched_off = _replay_all(settings, _wanted(settings, since, endpoint, status))
    if as_json:
        print_json({"replayed": replayed, "switched_off": switched_off})
    else:
        typer.echo(f"{replayed} will be sent again{_now(settings)}.")
        if switched_off:
            typer.echo(f"{switched_off} not: their endpoint is switched off; see `qrisd callbacks list`.")
    if switched_off:
        raise typer.Exit(2)


@app.command()
def resume(url: Url, as_json: AsJson = False, config: Config = None) -> None:
    """Switch an endpoint on again, and send it everything that was given up for it."""
    from qrisd.services import callbacks

    settings, now = read_settings(config), datetime.now(UTC)
    endpoint = _endpoint(url) or ""
    with open_database(settings) as conn, clear_errors():
        with transaction(conn):
            begun = callbacks.resume(conn, endpoint, by_command(), now)
        replayed, _ = _finish(conn, begun, now)
    if as_json:
        print_json({"url": endpoint, "replayed": replayed})
    else:
        typer.echo(f"{endpoint} is on again; {replayed} will be sent again{_now(settings)}.")


@app.command(name="test")
def ping(url: Url, as_json: AsJson = False, config: Config = None) -> None:
    """Send one signed ping to a URL, and say what it answered. Exit 2 when it did not take it."""
    settings = read_settings(config)
    _require_installation(settings)
    with clear_errors():
        tested = asyncio.run(_ping(settings, url))
    tried = tested.tried
    if as_json:
        from qrisd.schemas import try_resource

        print_json({"delivered": tried.succeeded, **try_resource(tried), "curl": tested.curl})
    else:
        outcome = f"delivered: HTTP {tried.status_code}" if tried.succeeded else f"not delivered: {tried.failure}"
        typer.echo(f"{outcome} ({tried.latency_ms} ms, {tried.address or 'no connection'})")
        if tried.answer:
            typer.echo(f"it said: {tried.answer}")
        typer.echo(f"\nThe very same request, with its signature:\n\n{tested.curl}")
    if not tried.succeeded:
        raise typer.Exit(2)


@app.command()
def secret(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one signs beside it for a day.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """The secret callbacks are signed with, for your receiver; newest first while there are two."""
    from qrisd.domain.times import to_text_or_none

    settings = read_settings(config)
    _require_installation(settings)
    secrets = _secrets(settings)
    until = _rotate(settings, secrets) if rotate else None
    if as_json:
        print_json({"secrets": secrets.live(), "old_until": to_text_or_none(until)})
        return
    for one in secrets.live():
        typer.echo(one)
    if until is not None:
        typer.echo(
            f"The first signs from now on. Give it to your receiver before {until:%Y-%m-%d %H:%M} UTC:", err=True
        )
        typer.echo("until then the second signs beside it.", err=True)


def _rotate(settings: Settings, secrets: CallbackSecrets) -> datetime:
    if secrets.are_configured:
        fail(
            "the secret is in the settings: put a new one into callbacks.secret and the present one into "
            "callbacks.old_secret, and restart the server"
        )
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        note(conn, "callback_secret.rotated", "callbacks.secret", datetime.now(UTC))
        return secrets.rotate()[1]


def _secrets(settings: Settings) -> CallbackSecrets:
    from qrisd.callback_secrets import CallbackSecrets
    from qrisd.data_dir import DataDir

    path = DataDir(settings.data_dir).callback_secrets
    return CallbackSecrets(path, settings.callbacks.secrets, lambda: datetime.now(UTC))


def _require_installation(settings: Settings) -> None:
    with open_database(settings, read_only=True):
        pass


async def _ping(settings: Settings, url: str) -> Tested:
    from qrisd.app import make_delivery, utc_now
    from qrisd.data_dir import DataDir
    from qrisd.services import callbacks
    from qrisd.store.db import Database

    database = Database(DataDir(settings.data_dir).database)  # stays closed: a ping is not stored
    delivery = make_delivery(settings, database, utc_now, lambda callback, tried: None)
    return await callbacks.ping(delivery, url, settings.callback_policy.problem, utc_now())


def _status(text: str) -> CallbackStatus:
    from qrisd.domain.callback import CallbackStatus

    if text.upper() not in CallbackStatus.__members__:
        fail(f"there is no status {text!r}; use {', '.join(CallbackStatus)}")
    return CallbackStatus(text.upper())


def _endpoint(url: str | None) -> str | None:
    from qrisd.domain.callback import endpoint_of

    try:
        return None if url is None else endpoint_of(url)
    except ValueError:
        fail(f"{url} is no web address")


def _wanted(settings: Settings, since: str | None, endpoint: str | None, status: str | None) -> Filter:
    from qrisd.store.callbacks import Filter

    return Filter(
        status=_status(status) if status else None,
        endpoint=_endpoint(endpoint),
        since=moment(since, ZoneInfo(settings.timezone)) if since else None,
    )


def _newest(conn: Connection, wanted: list[Filter], limit: int) -> list[Callback]:
    from qrisd.store import callbacks

    found = [callback for one in wanted for callback in callbacks.find(conn, one, limit)]
    return sorted(found, key=lambda callback: -callback.event_id)[:limit]


def _switched_off(conn: Connection, endpoint: str | None) -> list[Trouble]:
    from qrisd.services.callbacks import troubles

    off = [one for one in troubles(conn, ENDPOINTS_LIMIT) if one.endpoint.off_since is not None]
    return [one for one in off if endpoint in (None, one.endpoint.url)]


def _replay_one(settings: Settings, callback_id: str) -> int:
    from qrisd.services import callbacks

    with open_database(settings) as conn, clear_errors(), transaction(conn):
        callbacks.replay(conn, callback_id, by_command(), datetime.now(UTC))
    return 1


def _replay_all(settings: Settings, wanted: Filter) -> tuple[int, int]:
    from qrisd.services import callbacks

    now = datetime.now(UTC)
    with open_database(settings) as conn, clear_errors():
        with transaction(conn):
            begun = callbacks.begin_replay(conn, wanted, by_command(), now)
        return _finish(conn, begun, now)


def _finish(conn: Connection, batch: Batch, now: datetime) -> tuple[int, int]:
    """Do what a replay has left to do; answers how many callbacks it sends again, and how many it cannot."""
    from qrisd.services import callbacks

    replayed, switched_off = batch.replayed, batch.switched_off
    while batch.rest is not None:
        with transaction(conn):
            batch = callbacks.replay_batch(conn, batch.rest, now)
        replayed, switched_off = replayed + batch.replayed, switched_off + batch.switched_off
    return replayed, switched_off


def _now(settings: Settings) -> str:
    from qrisd.data_dir import DataDir

    return " now" if DataDir(settings.data_dir).is_served() else " when the server runs"


def _print_list_as_json(found: list[Callback], off: list[Trouble]) -> None:
    from qrisd.schemas import callback_resource, endpoint_resource

    switched_off = [endpoint_resource(one.endpoint, one.waiting, one.dead) for one in off]
    print_json({"callbacks": [callback_resource(one) for one in found], "switched_off": switched_off})


def _print_list(found: list[Callback], off: list[Trouble]) -> None:
    for one in off:
        typer.echo(
            f"{one.endpoint.url} is switched off since {one.endpoint.off_since:%Y-%m-%d %H:%M} UTC: "
            f"{one.endpoint.reason}; {one.dead} given up.\n"
            f"  Mend it, try it with `qrisd callbacks test URL`, then `qrisd callbacks resume {one.endpoint.url}`."
        )
    for callback in found:
        typer.echo(f"{callback.id}  {callback.status:9} {callback.type:24} {callback.url}")
        typer.echo(f"{'':36}  payment {callback.payment_id}, {_standing(callback)}")
    typer.echo(_summary(found))


def _standing(callback: Callback) -> str:
    tries = f"{callback.tries} tries" if callback.tries != 1 else "1 try"
    if callback.delivered_at is not None:
        return f"delivered {callback.delivered_at:%Y-%m-%d %H:%M:%S} UTC after {tries}"
    due = f", next {callback.next_try_at:%Y-%m-%d %H:%M:%S} UTC" if callback.next_try_at else ""
    return f"{tries}{due}: {callback.reason}" if callback.reason else f"{tries}{due}"


def _summary(found: list[Callback]) -> str:
    from qrisd.domain.callback import CallbackStatus

    dead = sum(callback.status is CallbackStatus.DEAD for callback in found)
    if dead:
        return f"{dead} given up: `qrisd callbacks show ID` says why, `qrisd callbacks replay ID` sends it again."
    return f"{len(found)} callbacks." if found else "Nothing waits, nothing was given up."


def _print_one(callback: Callback, history: list[Try]) -> None:
    import json

    facts: Mapping[str, Any] = {
        "payment": callback.payment_id,
        "event": f"{callback.event_id}, {callback.type}, sequence {callback.sequence}",
        "url": callback.url,
        "status": f"{callback.status}, {_standing(callback)}",
    }
    typer.echo(callback.id)
    for name, value in facts.items():
        typer.echo(f"  {name:8} {value}")
    for tried in history:
        answer = f"HTTP {tried.status_code}" if tried.status_code is not None else tried.failure
        typer.echo(
            f"  {tried.at:%Y-%m-%d %H:%M:%S} UTC  {answer}, {tried.latency_ms} ms, {tried.address or 'no connection'}"
        )
        if tried.answer:
            typer.echo(f"    {tried.answer}")
    typer.echo(json.dumps(json.loads(callback.body), indent=2, ensure_ascii=False))
