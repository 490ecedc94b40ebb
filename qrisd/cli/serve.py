"""`qrisd serve`: the API and the scheduler in one process."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from qrisd.cli.common import Config, fail, read_settings, transaction

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.data_dir import DataDir

FIRST_KEY_NAME = "first"


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.")] = None,
    config: Config = None,
) -> None:
    """Run everything: the API and the scheduler."""
    from qrisd import log
    from qrisd.data_dir import DataDir
    from qrisd.domain.errors import QrisdError
    from qrisd.server import free_port, run
    from qrisd.services.health import clock_problem

    os.umask(0o077)
    settings = read_settings(config, {"host": host, "port": port})
    if settings.port == 0:
        settings = settings.model_copy(update={"port": free_port(settings.host)})  # links must name it
    data_dir = DataDir(settings.data_dir)
    try:
        problem = clock_problem(datetime.now(UTC))
        if problem is not None:
            fail(problem)
        data_dir.make()
        lock = data_dir.claim()
        first = _prepare(data_dir, settings)
        log.configure()
        run(_run(settings, data_dir, lock, first))
        os.close(lock)
    except (QrisdError, OSError) as error:
        fail(str(error))


@dataclass(frozen=True, slots=True)
class _First:
    """What is told once: the API key made while there is none, the owner's link while there is no owner."""

    key: str | None
    owner_token: str | None


def _prepare(data_dir: DataDir, settings: Settings) -> _First:
    """Make the database ready, and what the first start needs."""
    from qrisd.services import api_keys, people
    from qrisd.store import api_keys as stored_keys
    from qrisd.store.db import connect

    data_dir.open_database()
    if settings.secret_key is None:
        data_dir.require_secret_key()
    now, secret = datetime.now(UTC), None
    with closing(connect(data_dir.database)) as conn:
        if not stored_keys.everything(conn):
            _, secret = api_keys.create(conn, FIRST_KEY_NAME, (), settings.environment, now)
        try:
            with transaction(conn):
                owner_token = people.owner_link(conn, now)
        except sqlite3.OperationalError:  # a full disk is no reason not to start: there are payments to watch
            owner_token = None
    return _First(secret, owner_token)


async def _run(settings: Settings, data_dir: DataDir, lock: int, first: _First) -> None:
    from qrisd.app import build
    from qrisd.server import serve as serve_http

    def started(url: str) -> None:
        data_dir.announce(lock, url)
        _greet(settings, settings.base_url or url, first)

    stop = asyncio.Event()
    app = build(settings, stop=stop)
    # What was made so far stays: the collector need not look at it again, nor look so often.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    await serve_http(
        app,
        host=settings.host,
        port=settings.port,
        on_started=started,
        stop=stop,
    )


def _greet(settings: Settings, url: str, first: _First) -> None:
    provider = (*settings.routing.order, settings.default_provider)[0]
    simulated = settings.environment == "test" and provider == "simulator"
    typer.echo(f"qrisd is ready at {url}   (API: {url}/docs, stop: Ctrl+C)")
    if simulated:
        typer.echo("Payments are simulated: no real money moves. Set up a provider to take real ones.")
    if first.owner_token is not None:
        typer.echo(_OWNER_LINK.format(url=url, token=first.owner_token))
    if first.key is not None:
        typer.echo(_FIRST_START.format(key=first.key, url=url, command=_own_name()))
    sys.stdout.flush()


def _own_name() -> str:
    """How this command was called, so that what we print can be pasted."""
    return sys.argv[0] if sys.argv[0].endswith("qrisd") else "qrisd"


_OWNER_LINK = """
Make the owner's account here (the link works once; the next start prints another one until somebody has used it):

  {url}/setup/{token}"""

_FIRST_START = """
Your API key, shown this once:

  {key}

Create a first payment (copy and paste):

  curl -s {url}/payments \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"order_id": "INV-0001", "amount": 15000}}'

Then pay it:

  {command} simulate-pay INV-0001
"""
