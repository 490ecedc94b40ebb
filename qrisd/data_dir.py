"""The data directory: who may read it, which server owns it, and what lies in it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import sqlite3
import stat
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from qrisd.domain.errors import DatabaseUnusable, SettingsError, StorageUnavailable
from qrisd.store import migrate
from qrisd.store.db import connect

DATABASE_NAME: Final = "qrisd.db"
_CREATING_NAME: Final = "qrisd.db.creating"
_RESTORING_NAME: Final = "qrisd.db.restoring"
_SIDECARS: Final = ("-wal", "-shm", "-journal")
_SMALL_BYTES: Final = 64 * 1024 * 1024
_BLOCKED: Final = "cannot be opened now"
_BLOCKED_CODES: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
)
_MAGIC: Final = b"SQLite format 3\0"
# A command that looks whether a server runs holds the lock for an instant; a server outlasts that.
_CLAIM_TRIES: Final = 5
_CLAIM_PAUSE_S: Final = 0.05


class DataDir:
    """Paths below `data_dir`. Making one touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / DATABASE_NAME
        self.creating = root / _CREATING_NAME
        self.secret_key = root / "secret.key"
        self.simulator_secret = root / "simulator.secret"
        self.callback_secrets = root / "callback.secrets"
        self.lock = root / "qrisd.lock"
        self.reconciling = root / "reconciling.lock"
        self.backups = root / "backups"

    def make(self) -> None:
        """Make the directory, readable by its owner only. Raises SettingsError when it cannot be used."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in self.exposed():
                path.chmod(0o700 if path.is_dir() else 0o600)
        except OSError as error:
            raise self._unusable(error) from None

    def exposed(self) -> list[Path]:
        """What in here others than the owner could read or write: the directory itself, its files, the backups."""
        paths = [self.root, *self.root.iterdir(), *(self.backups.iterdir() if self.backups.is_dir() else ())]
        return [path for path in paths if _is_open_to_others(path)]

    def _unusable(self, error: OSError) -> SettingsError:
        return SettingsError(f"data_dir {self.root} cannot be used: {error.strerror}. Choose another one.")

    def claim(self) -> int:
        """Become the one server of this directory. The lock lives as long as the process, however it ends.

        Returns the lock's file descriptor. Raises SettingsError naming the process that has it."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        if not _locked(descriptor):
            os.close(descriptor)
            raise SettingsError(
                f"Another qrisd (pid {self.server_pid()}) is already serving {self.root}. "
                "Stop it first, or give this one another data_dir."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

    def announce(self, claimed: int, url: str) -> None:
        """Say beside the claim where the server is, so that commands find it."""
        os.pwrite(claimed, f"{os.getpid()}\n{url}\n".encode(), 0)

    def server_pid(self) -> str:
        """The process that claimed this directory last."""
        return self._claim_lines()[0]

    def server_url(self) -> str | None:
        """Where the server of this directory is, while one runs and has said so."""
        lines = self._claim_lines() if self.is_served() else []
        return lines[1] if len(lines) > 1 else None

    def _claim_lines(self) -> list[str]:
        return self.lock.read_text("ascii", "replace").split() or ["unknown"]

    def is_served(self) -> bool:
        """True while a server owns this directory."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def open_database(self) -> bool:
        """Make the database ready: created when this is the first start, migrated when it is older.

        Returns True at the first start. Raises DatabaseUnusable, leaving every file as it is."""
        try:
            return self._open_database()
        except sqlite3.OperationalError as error:
            raise DatabaseUnusable(
                f"{self.database} cannot be made ready: {error}. Make room, or end what holds it, and start again."
            ) from error

    def _open_database(self) -> bool:
        if not self.database.exists():
            self._refuse_if_lost()
            self._create()
            return True
        self._check()
        with closing(connect(self.database)) as conn:
            if 0 < migrate.version_of(conn) < migrate.newest():
                self._backup_before_upgrade(conn)
            migrate.migrate(conn)
        return False

    def read_or_make_secret(self, path: Path) -> str:
        """The secret in `path`; written there, 256 random bits, when the file is missing."""
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError:
            secret = secrets.token_urlsafe(32)
            write_private(path, secret + "\n")
            return secret

    def require_secret_key(self) -> str:
        """The secret key. Raises DatabaseUnusable when its file is gone: a new one would not open what is encrypted."""
        if not self.secret_key.exists():
            raise DatabaseUnusable(
                f"{self.secret_key} is missing, but the database was made with it. "
                "Put the file back, or set QRISD_SECRET_KEY to its content."
            )
        return self.read_or_make_secret(self.secret_key)

    def _refuse_if_lost(self) -> None:
        """No database where there was one: never start over on top of lost data."""
        problem = self.loss()
        if problem is not None:
            raise DatabaseUnusable(problem)

    def loss(self) -> str | None:
        """What to do about a database that is gone from a directory that was in use; None when there is no such loss.
        (A first start that was cut off leaves its half-made file behind, and may begin again.)"""
        if self.database.exists():
            return None
        traces = [self.secret_key, self.simulator_secret, self.callback_secrets, *_sidecars(self.database)]
        used = any(path.exists() for path in traces) and not self.creating.exists()
        if not used and self.newest_backup() is None:
            return None
        return f"{self.database} is missing, but {self.root} was in use. {self.restore_hint()}"

    def _create(self) -> None:
        for leftover in [self.creating, *_sidecars(self.creating)]:
            leftover.unlink(missing_ok=True)
        os.close(os.open(self.creating, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self.read_or_make_secret(self.secret_key)
        with closing(connect(self.creating)) as conn:
            conn.execute("PRAGMA synchronous = OFF")  # the file counts once the checkpoint has it on the disk
            migrate.migrate(conn)
            conn.execute("PRAGMA synchronous = FULL")
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.rename(self.creating, self.database)
        sync_directory(self.root)

    def _check(self) -> None:
        problem = database_problem(self.database, thorough=False)
        if problem is not None:
            raise DatabaseUnusable(f"{self.database} {problem}. Nothing was touched. {self.restore_hint()}")

    def newest_backup(self) -> Path | None:
        """The newest backup that opens as ours."""
        if not self.backups.is_dir():
            return None
        found = sorted(self.backups.glob("*.db"), key=lambda path: path.stat().st_mtime, reverse=True)
        return next((path for path in found if database_problem(path) is None), None)

    def restore_hint(self) -> str:
        backup = self.newest_backup()
        if backup is None:
            return (
                f"No good backup was found in {self.backups}. If you have one elsewhere: qrisd restore FILE. "
                "Or choose another data_dir to begin anew."
            )
        return f"The newest good backup is {backup}. Bring it back with: qrisd restore {shlex.quote(str(backup))}"

    def _backup_before_upgrade(self, conn: sqlite3.Connection) -> None:
        copy(conn, self.backups / f"before-upgrade-{migrate.version_of(conn)}-{_stamp()}.db")

    def new_backup(self) -> Path:
        """Where the next backup goes when nothing else is said."""
        return self.backups / f"qrisd-{_stamp()}.db"

    def restore(self, backup: Path) -> list[Path]:
        """Make a checked copy of `backup` the database; the caller holds the claim. A file that cannot be the database
        is set aside, never deleted: returns the new names. Raises DatabaseUnusable, leaving everything as it is."""
        if self.database.exists() and database_problem(self.database) in (None, _BLOCKED):
            raise DatabaseUnusable(
                f"{self.database} is a working database and stays. Restore into another directory: "
                f"QRISD_DATA_DIR=NEW qrisd restore {shlex.quote(str(backup))}"
            )
        refuse_backup(backup)
        restoring = self.root / _RESTORING_NAME
        with closing(connect(backup, read_only=True)) as conn:
            copy(conn, restoring)
        aside = self._set_aside()
        os.rename(restoring, self.database)
        sync_directory(self.root)
        return aside

    def _set_aside(self) -> list[Path]:
        """Move away what lies in the database's place: a stray write-ahead log would be mixed into a restored one."""
        stamp, moved = _stamp(), []
        for path in [self.database, *_sidecars(self.database)]:
            if path.exists():
                moved.append(path.with_name(f"{path.name}.unusable-{stamp}"))
                os.rename(path, moved[-1])
        return moved


def database_problem(path: Path, *, thorough: bool = True) -> str | None:
    """Why `path` cannot be our database, or None. Opens it read-only. `thorough` reads every page; without it only a
    small file is read whole, so that a large one does not delay the start."""
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    try:
        return _header_problem(path, size) or _content_problem(path, thorough or size < _SMALL_BYTES)
    except sqlite3.DatabaseError as error:
        return _BLOCKED if (error.sqlite_errorcode & 0xFF) in _BLOCKED_CODES else "is damaged"


def _header_problem(path: Path, size: int) -> str | None:
    """What the first bytes say. (A write-ahead log would hide an overwritten header from SQLite for a while, but
    whoever wrote there may have written elsewhere too.)"""
    wal = path.with_name(path.name + "-wal")
    wal_size = wal.stat().st_size if wal.exists() else 0
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != _MAGIC:
        return "is damaged"
    if int.from_bytes(header[68:72], "big") != migrate.APPLICATION_ID:
        return "is not a qrisd database"
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    # Pages the file lacks may still be in the write-ahead log, but no more than it has room for.
    return "is damaged" if size + wal_size < int.from_bytes(header[28:32], "big") * page_size else None


def _content_problem(path: Path, whole: bool) -> str | None:
    with closing(_look_into(path)) as conn:
        if conn.execute("PRAGMA application_id").fetchone()[0] != migrate.APPLICATION_ID:
            return "is not a qrisd database"
        if whole and conn.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return "is damaged"
    return None


def _look_into(path: Path) -> sqlite3.Connection:
    """A read-only connection that leaves no files of its own beside a database nobody else has open."""
    if any(sidecar.exists() for sidecar in _sidecars(path)):
        return connect(path, read_only=True)
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def refuse_backup(path: Path) -> None:
    """Raises DatabaseUnusable when `path` is no backup that this program could serve."""
    if not path.is_file():
        raise DatabaseUnusable(f"There is no file {path}.")
    problem = database_problem(path)
    if problem is not None:
        raise DatabaseUnusable(f"{path} {problem}; it cannot be restored. Take another backup.")
    with closing(connect(path, read_only=True)) as conn:
        migrate.refuse_newer(conn)


def copy(conn: sqlite3.Connection, target: Path) -> None:
    """A consistent copy of an open database at `target`, which exists only once it is whole and checked.

    Raises StorageUnavailable when it cannot be written, DatabaseUnusable when the copy is not good."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _copy_pages(conn, part)
        problem = database_problem(part)
        if problem is not None:
            raise DatabaseUnusable(f"The copy {problem}; it was not kept.")
        sync_file(part)
        os.rename(part, target)
        sync_directory(target.parent)
    except sqlite3.OperationalError as error:
        raise StorageUnavailable(f"{target} could not be written: {error}. Nothing was kept.") from error
    except sqlite3.DatabaseError as error:
        raise DatabaseUnusable(f"The database could not be copied: {error}. Nothing was kept.") from error
    finally:
        part.unlink(missing_ok=True)


def _copy_pages(conn: sqlite3.Connection, part: Path) -> None:
    """All pages in one step: a copy in several begins again whenever somebody writes, and under load never ends."""
    with closing(sqlite3.connect(part)) as out:
        conn.backup(out)
        out.execute("PRAGMA journal_mode = DELETE")


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    sync_file(path)


def _sidecars(database: Path) -> list[Path]:
    """The files SQLite may keep beside a database."""
    return [database.with_name(database.name + suffix) for suffix in _SIDECARS]


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except FileNotFoundError:
        return False  # a running server or backup has just removed it


def _locked(descriptor: int) -> bool:
    for _ in range(_CLAIM_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_CLAIM_PAUSE_S)
    return False


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
