"""Who acts at the machine: a person, who proves it as they do when they sign in."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from qrisd.cli.common import clear_errors, fail, found_user, open_database

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.store.users import User

Username = Annotated[
    str,
    typer.Option("--as", metavar="USERNAME", help="Who does it; their password is asked for, or read from stdin."),
]


def proven(settings: Settings, username: str) -> User:
    """The person with this username, once they have proven that it is them. Their password, and the code of their
    second factor where they have one, are asked for at the terminal; without one each is a line of stdin. Every try
    counts as one to sign in does. Exits 1 when it is not them."""
    with open_database(settings, read_only=True) as conn:
        user = found_user(conn, username)
    secret = _asked(f"Password of {user.username}")
    code = _asked("Code of the second factor") if user.totp_secret is not None else ""
    with clear_errors():
        return asyncio.run(_prove(settings, user.username, secret, code))


def _asked(what: str) -> str:
    """What is typed, unseen."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True, err=True))
    line = sys.stdin.readline()
    if not line:
        fail(f"{what}: type it at a terminal, or give it as a line of stdin")
    return line.rstrip("\r\n")


async def _prove(settings: Settings, username: str, secret: str, code: str) -> User:
    from qrisd.app import secret_key_of
    from qrisd.data_dir import DataDir
    from qrisd.sealing import Sealer
    from qrisd.services.hashing import Hashing
    from qrisd.services.second_factor import SecondFactor
    from qrisd.services.sign_in import SignIn
    from qrisd.store.audit_log import COMMAND_LINE
    from qrisd.store.db import Database

    db, hashing = Database(DataDir(settings.data_dir).database), Hashing()
    await db.open()
    try:
        factor = SecondFactor(Sealer(secret_key_of(settings)))
        ways = SignIn(db=db, hashing=hashing, second_factor=factor, clock=lambda: datetime.now(UTC))
        return await ways.prove(username, secret, code, COMMAND_LINE)
    finally:
        await db.close()
        hashing.close()
