"""The command line: parse, call, print. A file per noun; heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from qrisd import __version__
from qrisd.cli import (
    audit,
    backup,
    callbacks,
    doctor,
    export,
    keys,
    ledger,
    qr,
    reconcile,
    refunds,
    serve,
    settlements,
    simulate_pay,
    users,
    verify,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="qrisd: the QRIS payment service a small merchant can own.",
)
app.command("serve")(serve.serve)
app.command("simulate-pay")(simulate_pay.simulate_pay)
app.command("doctor")(doctor.doctor)
app.command("verify")(verify.verify)
app.command("audit")(audit.audit)
app.command("export")(export.export)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(callbacks.app, name="callbacks")
app.add_typer(ledger.app, name="ledger")
app.add_typer(reconcile.app, name="reconcile")
app.add_typer(settlements.app, name="settlements")
app.add_typer(refunds.app, name="refunds")
app.add_typer(qr.app, name="qr")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qrisd {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Nothing is done here; the commands do it."""


def main() -> None:
    """The entry point. A command line that cannot be understood ends like every error: one line on stderr, exit 1."""
    try:
        sys.exit(app(standalone_mode=False))
    except TyperException as error:
        sys.exit(_misunderstood(error))
    except typer.Abort:
        sys.exit("qrisd: stopped; nothing was done")


def _misunderstood(error: TyperException) -> str | int:
    """What to exit with: a line for stderr, or 1 when the help has been shown instead."""
    message = error.format_message().rstrip(".")
    context: typer.Context | None = getattr(error, "ctx", None)
    if not message:
        return 1
    return f"qrisd: {message}. See: {context.command_path if context else 'qrisd'} --help"
