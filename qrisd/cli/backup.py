"""`qrisd backup` and `qrisd restore`: a copy of the database out of a running server, and into a new installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qrisd.cli.common import AsJson, Config, clear_errors, fail, open_database, print_json, read_settings

if TYPE_CHECKING:
    from qrisd.data_dir import DataDir


def backup(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A new file; one in data_dir/backups when left out.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Copy the database, also beside a running server. The copy is whole and checked, or there is none."""
    from qrisd.data_dir import DataDir, copy

    settings = read_settings(config)
    data_dir = DataDir(settings.data_dir)
    target = path or data_dir.new_backup()
    with open_database(settings, read_only=True) as conn, _clear_file_errors():
        if target.exists():
            fail(f"{target} exists already and is not overwritten; give the name of a new file.")
        copy(conn, target)
    size = target.stat().st_size
    if as_json:
        print_json({"path": str(target), "bytes": size})
    else:
        typer.echo(f"{target}  ({size} bytes)")
        typer.echo(f"It does not hold {data_dir.secret_key.name}: keep that file too, in another place.")


def restore(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file made by `qrisd backup`.")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Bring a backup into a data directory that has no working database. The server must not run."""
    from qrisd.data_dir import DataDir

    settings = read_settings(config)
    data_dir = DataDir(settings.data_dir)
    os.umask(0o077)
    with _clear_file_errors(), _claimed(data_dir):
        aside = data_dir.restore(path)
    key_missing = settings.secret_key is None and not data_dir.secret_key.exists()
    if as_json:
        told = {"database": str(data_dir.database), "set_aside": [str(one) for one in aside]}
        print_json({**told, "secret_key": "missing" if key_missing else "present"})
    else:
        _print_next_steps(data_dir, aside, key_missing)


@contextmanager
def _claimed(data_dir: DataDir) -> Iterator[None]:
    """No server runs here, and none can start, until this is over."""
    data_dir.make()
    lock = data_dir.claim()
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _clear_file_errors() -> Iterator[None]:
    with clear_errors():
        try:
            yield
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}")


def _print_next_steps(data_dir: DataDir, aside: list[Path], key_missing: bool) -> None:
    typer.echo(f"Restored into {data_dir.database}.")
    for one in aside:
        typer.echo(f"What lay there could not be used and was kept as {one}.")
    if key_missing:
        typer.echo(f"Put the secret.key of the old installation at {data_dir.secret_key} (or set QRISD_SECRET_KEY).")
    typer.echo("Then check it with: qrisd verify, and start: qrisd serve")
    typer.echo("Payments made since the backup are not in it: reconcile those days with qrisd reconcile --date DATE")
