from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.data_dir import DataDir
from qrisd.store.db import connect
from tests.support.server import LiveServer
from tests.test_data_dir import overwrite_header


def qrisd(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"QRISD_DATA_DIR": str(data_dir)})


@pytest.fixture
def shop(tmp_path: Path) -> DataDir:
    data_dir = DataDir(tmp_path / "shop")
    data_dir.make()
    data_dir.open_database()
    return data_dir


def test_a_dead_machine_comes_back_from_its_backup_and_its_secret_key(server: LiveServer, tmp_path: Path) -> None:
    with server.client() as client:
        paid = client.post("/payments", json={"order_id": "INV-1", "amount": 15_000}).json()
        told = json.loads(server.run("backup", str(tmp_path / "away.db"), "--json").stdout)
        client.post("/payments", json={"order_id": "INV-2", "amount": 15_000})
    assert told == {"path": str(tmp_path / "away.db"), "bytes": (tmp_path / "away.db").stat().st_size}
    kept = server.data_dir / "secret.key"
    server.kill()
    with_nothing = LiveServer(tmp_path / "new machine" / "data")
    with_nothing.data_dir.parent.mkdir()
    restored = with_nothing.run("restore", told["path"])
    assert restored.returncode == 0, restored.stderr
    assert "Put the secret.key" in restored.stdout
    (with_nothing.data_dir / "secret.key").write_bytes(kept.read_bytes())
    assert with_nothing.run("verify").returncode == 0
    with_nothing.key = server.key
    with with_nothing, with_nothing.client() as client:
        assert client.get(f"/payments/{paid['id']}").json()["status"] == "PENDING"
        assert client.get("/payments").json()["data"][0]["order_id"] == "INV-1"


def test_a_backup_holds_no_secret(server: LiveServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    assert server.run("backup", str(tmp_path / "b.db")).returncode == 0
    content = (tmp_path / "b.db").read_bytes()
    secrets = [(server.data_dir / name).read_text().strip() for name in ("secret.key", "simulator.secret")]
    assert not [secret for secret in [server.key, *secrets] if secret.encode() in content]


def test_a_backup_lies_in_the_data_directory_for_the_owner_only(shop: DataDir) -> None:
    first, second = (json.loads(qrisd(shop.root, "backup", "--json").stdout)["path"] for _ in range(2))
    assert {Path(first), Path(second)} == set(shop.backups.iterdir())
    assert [path.stat().st_mode & 0o777 for path in shop.backups.iterdir()] == [0o600, 0o600]
    assert shop.newest_backup() == Path(second)


def test_a_backup_never_overwrites(shop: DataDir, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    refused = qrisd(shop.root, "backup", str(tmp_path / "precious"))
    assert (refused.exit_code, (tmp_path / "precious").read_text()) == (1, "mine")


def test_a_backup_where_nothing_can_be_written_is_one_clear_line(shop: DataDir) -> None:
    refused = qrisd(shop.root, "backup", "/proc/here.db")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)


def test_a_damaged_database_is_not_backed_up(shop: DataDir, tmp_path: Path) -> None:
    overwrite_header(shop.database)
    refused = qrisd(shop.root, "backup", str(tmp_path / "b.db"))
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "b.db").exists()


def test_a_restore_leaves_a_working_database_alone(shop: DataDir, tmp_path: Path) -> None:
    qrisd(shop.root, "backup", str(tmp_path / "b.db"))
    before = shop.database.read_bytes()
    refused = qrisd(shop.root, "restore", str(tmp_path / "b.db"))
    assert refused.exit_code == 1
    assert "working database" in refused.stderr
    assert shop.database.read_bytes() == before


def test_a_restore_is_refused_while_a_server_runs(server: LiveServer, tmp_path: Path) -> None:
    server.run("backup", str(tmp_path / "b.db"))
    refused = server.run("restore", str(tmp_path / "b.db"))
    assert refused.returncode == 1
    assert server.process is not None
    assert f"pid {server.process.pid}" in refused.stderr


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00 and no more", b"%PDF-1.7" * 1000])
def test_only_a_good_backup_is_restored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.db").write_bytes(content)
    refused = qrisd(tmp_path / "new", "restore", str(tmp_path / "b.db"))
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "new" / "qrisd.db").exists()


def test_a_missing_backup_is_said_to_be_missing(tmp_path: Path) -> None:
    refused = qrisd(tmp_path / "new", "restore", str(tmp_path / "b.db"))
    assert (refused.exit_code, "There is no file" in refused.stderr) == (1, True)


def test_a_restore_over_a_damaged_database_keeps_it_beside(shop: DataDir, tmp_path: Path) -> None:
    qrisd(shop.root, "backup", str(tmp_path / "b.db"))
    overwrite_header(shop.database)
    told = json.loads(qrisd(shop.root, "restore", str(tmp_path / "b.db"), "--json").stdout)
    assert told["secret_key"] == "present"
    assert all(Path(path).exists() for path in told["set_aside"])
    assert Path(told["set_aside"][0]).read_bytes()[:16] == bytes(16)
    with closing(connect(shop.database, read_only=True)) as conn:
        assert conn.execute("PRAGMA quick_check").fetchone()[0] == "ok"


def test_a_second_server_and_broken_starts_are_refused_by_the_command_itself(server: LiveServer) -> None:
    assert server.process is not None
    second = server.run("serve", "--port", "0")
    assert second.returncode == 1
    assert f"pid {server.process.pid}" in second.stderr
    with server.client() as client:
        assert client.get("/healthz").status_code == 200
    server.run("backup")
    server.kill()
    server.start()
    server.terminate()
    overwrite_header(server.data_dir / "qrisd.db")
    broken = server.run("serve", "--port", "0")
    assert broken.returncode == 1
    assert "qrisd restore" in broken.stderr
