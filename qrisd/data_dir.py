"""The data directory: who may read it, which server owns it, and what lies in it."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from qrisd.domain.errors import DatabaseUnusable, SettingsError
from qrisd.store import migrate
from qrisd.store.db import connect

DATABASE_NAME: Final = "qrisd.db"
_CREATING_NAME: Final = "qrisd.db.creating"
_SMALL_BYTES: Final = 64 * 1024 * 1024


class DataDir:
    """Paths below `data_dir`. Making one touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / DATABASE_NAME
        self.creating = root / _CREATING_NAME
        self.secret_key = root / "secret.key"
        self.simulator_secret = root / "simulator.secret"
        self.lock = root / "qrisd.lock"
        self.backups = root / "backups"

    def make(self) -> None:
        """Make the directory, readable by its owner only. Raises SettingsError when it cannot be used."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            for path in self.root.iterdir():
                path.chmod(0o700 if path.is_dir() else 0o600)
        except OSError as error:
            raise SettingsError(f"data_dir {self.root} cannot be used: {error.strerror}. Choose another one.") from None

    def claim(self) -> int:
        """Become the one server of this directory. The lock lives as long as the process, however it ends.

        Returns the lock's file descriptor. Raises SettingsError naming the process that has it."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise SettingsError(
                f"Another qrisd (pid {pid}) is already serving {self.root}. "
                "Stop it first, or give this one another data_dir."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor

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
        """No database where there was one: never start over on top of lost data. (A first start that was cut off leaves
        its half-made file behind, and may begin again.)"""
        used = self.secret_key.exists() and not self.creating.exists()
        if used or self.newest_backup() is not None:
            raise DatabaseUnusable(f"{self.database} is missing, but {self.root} was in use. {self._restore_hint()}")

    def _create(self) -> None:
        self.creating.unlink(missing_ok=True)
        os.close(os.open(self.creating, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self.read_or_make_secret(self.secret_key)
        with closing(connect(self.creating)) as conn:
            migrate.migrate(conn)
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.rename(self.creating, self.database)
        sync_directory(self.root)

    def _check(self) -> None:
        problem = database_problem(self.database, thorough=False)
        if problem is not None:
            raise DatabaseUnusable(f"{self.database} {problem}. Nothing was touched. {self._restore_hint()}")

    def newest_backup(self) -> Path | None:
        """The newest backup that opens as ours."""
        if not self.backups.is_dir():
            return None
        found = sorted(self.backups.glob("*.db"), key=lambda path: path.stat().st_mtime, reverse=True)
        return next((path for path in found if database_problem(path) is None), None)

    def _restore_hint(self) -> str:
        backup = self.newest_backup()
        if backup is None:
            return "No good backup was found in it. Put the file back, or choose another data_dir to begin anew."
        return f"The newest good backup is {backup}. Bring it back with: qrisd restore {backup}"

    def _backup_before_upgrade(self, conn: sqlite3.Connection) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        copy(conn, self.backups / f"before-upgrade-{migrate.version_of(conn)}-{stamp}.db")


def database_problem(path: Path, *, thorough: bool = True) -> str | None:
    """Why `path` cannot be our database, or None. Opens it read-only. `thorough` reads every page; without it only a
    small file is read whole, so that a large one does not delay the start."""
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    try:
        with closing(connect(path, read_only=True)) as conn:
            if conn.execute("PRAGMA application_id").fetchone()[0] != migrate.APPLICATION_ID:
                return "is not a qrisd database"
            if _is_cut_short(path, size):
                return "is damaged"
            check_whole = thorough or size < _SMALL_BYTES
            if check_whole and conn.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                return "is damaged"
    except sqlite3.DatabaseError as error:
        return "cannot be opened now" if (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY else "is damaged"
    return None


def _is_cut_short(path: Path, size: int) -> bool:
    """True when the file has fewer pages than its header says (a write-ahead log may still hold them)."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        return False
    with path.open("rb") as file:
        header = file.read(32)
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    return size < int.from_bytes(header[28:32], "big") * page_size


def copy(conn: sqlite3.Connection, target: Path) -> None:
    """A consistent copy of an open database at `target`, which exists only once it is whole and checked."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(part)) as out:
            conn.backup(out, pages=2000, sleep=0.01)
            out.execute("PRAGMA journal_mode = DELETE")
        problem = database_problem(part)
        if problem is not None:
            raise DatabaseUnusable(f"The copy {problem}; it was not kept.")
        sync_file(part)
        os.rename(part, target)
        sync_directory(target.parent)
    finally:
        part.unlink(missing_ok=True)


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
