from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qrisd.data_dir import DataDir, copy, database_problem
from qrisd.domain.errors import DatabaseUnusable, SettingsError
from qrisd.services import api_keys
from qrisd.store import migrate
from qrisd.store.db import connect

PRESENT = migrate.migrations()
NOW = migrate.newest()
NEXT = NOW + 1
TWO_STEPS = "CREATE TABLE tips (id INTEGER PRIMARY KEY) STRICT;\nALTER TABLE payments ADD COLUMN tip INTEGER;\n"


@pytest.fixture
def used(tmp_path: Path) -> DataDir:
    """A data directory after some use, with a good backup; no server runs."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.make()
    assert data_dir.open_database()
    with closing(connect(data_dir.database)) as conn:
        for number in range(300):
            api_keys.create(conn, f"key {number}", (), "test", datetime.now(UTC))
        copy(conn, data_dir.new_backup())
    return data_dir


def files(root: Path) -> dict[str, str]:
    """Every file below `root` with the hash of its content."""
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\x00" * 100)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def put_foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE recipes (name)")


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 8192)


BROKEN = [overwrite_header, cut_in_half, empty, put_foreign, scribble, Path.unlink]


@pytest.mark.parametrize("harm", BROKEN)
def test_an_unusable_database_is_refused_and_nothing_is_touched(used: DataDir, harm: Callable[[Path], None]) -> None:
    harm(used.database)
    before = files(used.root)
    with pytest.raises(DatabaseUnusable) as refused:
        used.open_database()
    assert files(used.root) == before
    assert f"qrisd restore {next(used.backups.iterdir())}" in str(refused.value)


@pytest.mark.parametrize("harm", BROKEN)
def test_the_restore_that_was_named_works_and_keeps_what_lay_there(used: DataDir, harm: Callable[[Path], None]) -> None:
    harm(used.database)
    harmed = used.database.read_bytes() if used.database.exists() else None
    aside = used.restore(next(used.backups.iterdir()))
    assert [path.read_bytes() for path in aside] == ([] if harmed is None else [harmed])
    assert not used.open_database()
    with closing(connect(used.database, read_only=True)) as conn:
        assert conn.execute("SELECT count(*) FROM api_keys").fetchone()[0] == 300


def test_a_stray_write_ahead_log_does_not_reach_a_restored_database(used: DataDir) -> None:
    used.database.unlink()
    stray = used.root / "qrisd.db-wal"
    stray.write_bytes(b"what the lost database had not yet taken in")
    aside = used.restore(next(used.backups.iterdir()))
    assert [path.name.split(".unusable")[0] for path in aside] == ["qrisd.db-wal"]
    assert not stray.exists()


def test_the_newest_good_backup_is_named_and_not_a_broken_newer_one(used: DataDir) -> None:
    good = next(used.backups.iterdir())
    newer = used.backups / "qrisd-newer.db"
    newer.write_bytes(good.read_bytes()[:8192])
    os.utime(newer, (time.time() + 60, time.time() + 60))
    assert used.newest_backup() == good


@pytest.mark.parametrize("trace", ["secret.key", "simulator.secret", "qrisd.db-wal", "backups"])
def test_a_lost_database_is_noticed_by_any_trace_of_use(used: DataDir, trace: str) -> None:
    (used.root / "qrisd.db-wal").write_bytes(b"x")
    (used.root / "simulator.secret").write_text("x")
    used.database.unlink()
    for path in [used.secret_key, used.simulator_secret, used.root / "qrisd.db-wal", *used.backups.iterdir()]:
        if trace not in (path.name, path.parent.name):
            path.unlink()
    with pytest.raises(DatabaseUnusable, match="was in use"):
        used.open_database()


def test_a_first_start_that_was_cut_off_begins_again(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "data")
    data_dir.make()
    for name in ("qrisd.db.creating", "qrisd.db.creating-wal", "secret.key"):
        (data_dir.root / name).write_bytes(b"half of it")
    assert data_dir.open_database()
    assert database_problem(data_dir.database) is None
    assert sorted(path.name for path in data_dir.root.iterdir()) == ["qrisd.db", "secret.key"]


def test_a_database_of_a_newer_program_is_refused(used: DataDir) -> None:
    with closing(connect(used.database)) as conn:
        conn.execute("PRAGMA user_version = 99")
    before = files(used.root)
    with pytest.raises(DatabaseUnusable, match="newer qrisd"):
        used.open_database()
    assert files(used.root) == before


def test_a_backup_of_a_newer_program_is_not_restored(used: DataDir) -> None:
    backup = next(used.backups.iterdir())
    with closing(sqlite3.connect(backup)) as conn:
        conn.execute("PRAGMA user_version = 99")
    used.database.unlink()
    with pytest.raises(DatabaseUnusable, match="newer qrisd"):
        used.restore(backup)
    assert not used.database.exists()


def test_an_upgrade_makes_a_backup_of_the_old_schema_first(used: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "migrations", lambda: [*PRESENT, (NEXT, TWO_STEPS)])
    assert not used.open_database()
    with closing(connect(used.database, read_only=True)) as conn:
        assert (migrate.version_of(conn), conn.execute("SELECT count(*) FROM tips").fetchone()[0]) == (NEXT, 0)
    backup = next(used.backups.glob(f"before-upgrade-{NOW}-*.db"))
    assert (database_problem(backup), backup.stat().st_mode & 0o777) == (None, 0o600)
    with closing(connect(backup, read_only=True)) as conn:
        assert migrate.version_of(conn) == NOW


def test_an_upgrade_that_fails_leaves_the_old_schema(used: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        migrate, "migrations", lambda: [*PRESENT, (NEXT, TWO_STEPS + "SELECT no_such_column FROM tips;")]
    )
    with pytest.raises(DatabaseUnusable, match="cannot be made ready"):
        used.open_database()
    assert schema(used) == (NOW, False)


def schema(data_dir: DataDir) -> tuple[int, bool]:
    """(schema version, whether the table of the next migration is there)"""
    with closing(connect(data_dir.database, read_only=True)) as conn:
        tips = conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'tips'").fetchone()
        return migrate.version_of(conn), tips is not None


KILLED_UPGRADE = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from qrisd.data_dir import DataDir
from qrisd.store import migrate
from qrisd.store.db import connect

steps = 0
def die_at_nth(statement):
    global steps
    steps += 1
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

present = migrate.migrations()
migrate.migrations = lambda: [*present, (present[-1][0] + 1, sys.argv[3])]
with closing(connect(DataDir(Path(sys.argv[1])).database)) as conn:
    conn.set_trace_callback(die_at_nth)
    migrate.migrate(conn)
"""


def test_an_upgrade_killed_at_any_statement_leaves_the_old_schema_or_the_new(
    used: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "migrations", lambda: [*PRESENT, (NEXT, TWO_STEPS)])
    seen = set()
    for step in range(1, 20):
        command = [sys.executable, "-c", KILLED_UPGRADE, str(used.root), str(step), TWO_STEPS]
        ended = subprocess.run(command, check=False)
        seen.add(schema(used))
        assert seen <= {(NOW, False), (NEXT, True)}
        if ended.returncode == 0:
            break
    assert step > 5
    assert seen == {(NOW, False), (NEXT, True)}
    assert not used.open_database()
    assert schema(used) == (NEXT, True)


def test_a_second_server_is_refused_and_told_which_process_has_the_directory(used: DataDir) -> None:
    lock = used.claim()
    assert used.is_served()
    with pytest.raises(SettingsError, match=rf"pid {os.getpid()}\)"):
        used.claim()
    os.close(lock)
    assert not used.is_served()
    os.close(used.claim())


def test_a_command_that_looks_whether_a_server_runs_does_not_stop_a_start(used: DataDir) -> None:
    os.close(used.claim())
    looking = os.open(used.lock, os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [looking]).start()
    os.close(used.claim())


def test_what_others_could_read_is_closed_to_them_at_the_start(used: DataDir) -> None:
    backup = next(used.backups.iterdir())
    for path, mode in [(used.root, 0o755), (used.database, 0o644), (used.secret_key, 0o666), (backup, 0o640)]:
        path.chmod(mode)
    assert set(used.exposed()) == {used.root, used.database, used.secret_key, backup}
    used.make()
    assert used.exposed() == []
    assert used.database.stat().st_mode & 0o777 == 0o600


def test_a_copy_taken_while_others_write_ends_and_holds_all_that_was_there_before(used: DataDir) -> None:
    with closing(connect(used.database)) as conn:
        conn.execute("CREATE TABLE filler (page BLOB)")
        conn.executemany("INSERT INTO filler VALUES (?)", [(bytes(4000),)] * 10_000)
    done = threading.Event()

    def write_on() -> None:
        with closing(connect(used.database)) as conn:
            while not done.is_set():
                conn.execute("REPLACE INTO heartbeat VALUES (1, hex(randomblob(8)))")

    writing = threading.Thread(target=write_on)
    writing.start()
    try:
        with closing(connect(used.database, read_only=True)) as conn:
            copy(conn, used.root / "copy.db")
    finally:
        done.set()
        writing.join()
    with closing(connect(used.root / "copy.db", read_only=True)) as conn:
        assert conn.execute("SELECT count(*) FROM filler").fetchone()[0] == 10_000


def test_a_copy_that_fails_leaves_no_file(used: DataDir) -> None:
    scribble(used.database)
    target = used.root / "copy.db"
    with closing(connect(used.database, read_only=True)) as conn, pytest.raises(DatabaseUnusable):
        copy(conn, target)
    assert not list(used.root.glob("copy.db*"))
