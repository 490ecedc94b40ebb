from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.data_dir import DataDir
from qrisd.domain.times import to_text
from qrisd.services.health import MIB
from tests.support.server import LiveServer
from tests.test_data_dir import overwrite_header

KEY = {"QRISD_PROVIDERS__MIDTRANS__SERVER_KEY": "SB-Mid-server-0123456789abcdef"}
NOWHERE = {"QRISD_PROVIDERS__MIDTRANS__BASE_URL": "http://127.0.0.1:1"}


@pytest.fixture
def shop(tmp_path: Path) -> DataDir:
    data_dir = DataDir(tmp_path / "data")
    data_dir.make()
    data_dir.open_database()
    return data_dir


def doctor(data_dir: Path, *arguments: str, **env: str) -> Result:
    free = {"QRISD_PORT": "0"}
    return CliRunner().invoke(app, ["doctor", *arguments], env={"QRISD_DATA_DIR": str(data_dir), **free, **env})


def states(result: Result) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in json.loads(result.stdout):
        found.setdefault(line["check"], set()).add(line["state"])
    return found


def test_before_the_first_start_nothing_is_wrong(tmp_path: Path) -> None:
    result = doctor(tmp_path / "data")
    assert result.exit_code == 0, result.stdout
    assert "the first qrisd serve makes it" in result.stdout
    assert not (tmp_path / "data").exists()


def test_a_sound_installation_is_ok_in_every_line(shop: DataDir) -> None:
    result = doctor(shop.root, "--json")
    assert result.exit_code == 0, result.stdout
    checks = ["settings", "clock", "data_dir", "disk", "database", "secret_key", "callbacks", "server", "simulator"]
    assert list(states(result)) == checks
    assert set.union(*states(result).values()) == {"ok"}


def test_a_running_server_is_asked_whether_it_is_ready(server: LiveServer) -> None:
    told = server.run("doctor")
    assert told.returncode == 0, told.stdout
    assert f"ready at {server.url}" in told.stdout
    assert f"webhooks arrive at {server.url}/webhooks/qris" in told.stdout


def expose(shop: DataDir) -> None:
    shop.database.chmod(0o644)


def lose_key(shop: DataDir) -> None:
    shop.secret_key.unlink()


def shorten_key(shop: DataDir) -> None:
    shop.secret_key.write_text("short")
    shop.secret_key.chmod(0o600)


def lose_database(shop: DataDir) -> None:
    shop.database.unlink()


def harm_database(shop: DataDir) -> None:
    overwrite_header(shop.database)


def use_newer(shop: DataDir) -> None:
    with closing(sqlite3.connect(shop.database)) as conn:
        conn.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("harm", "check", "advice"),
    [
        (expose, "data_dir", "chmod"),
        (lose_key, "secret_key", "put it back"),
        (shorten_key, "secret_key", "put the right file back"),
        (lose_database, "database", "qrisd restore"),
        (harm_database, "database", "qrisd restore"),
        (use_newer, "database", "newer qrisd"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(
    shop: DataDir, harm: Callable[[DataDir], None], check: str, advice: str
) -> None:
    harm(shop)
    result = doctor(shop.root, "--json")
    wrong = [line for line in json.loads(result.stdout) if line["state"] != "ok"]
    assert (result.exit_code, [line["check"] for line in wrong]) == (2, [check])
    assert advice in wrong[0]["text"]


def test_callbacks_that_were_given_up_and_receivers_that_are_off_are_seen(shop: DataDir) -> None:
    with closing(sqlite3.connect(shop.database)) as conn:
        now = to_text(datetime.now(UTC))
        conn.execute(
            "INSERT INTO callbacks VALUES ('msg_1', 1, 'a', 'https://a.id/', 'https://a.id/', 'https://a.id', 'DEAD', "
            "10, NULL, 'answered HTTP 500', ?, NULL)",
            (now,),
        )
        conn.execute(
            "INSERT INTO callback_endpoints VALUES ('https://b.id/', NULL, NULL, ?, 'it answered 410 Gone')", (now,)
        )
        conn.commit()
    result = doctor(shop.root)
    assert result.exit_code == 2
    assert "1 given up in the last 7 days" in result.stdout
    assert "qrisd callbacks resume https://b.id/" in result.stdout


@pytest.mark.parametrize(("free_mib", "state"), [(10, "fail"), (300, "warn"), (5000, "ok")])
def test_little_room_on_the_disk_is_seen(
    shop: DataDir, monkeypatch: pytest.MonkeyPatch, free_mib: int, state: str
) -> None:
    room = SimpleNamespace(f_bavail=free_mib, f_frsize=MIB)
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    assert states(doctor(shop.root, "--json"))["disk"] == {state}


def test_a_port_in_use_is_seen(shop: DataDir) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = doctor(shop.root, "--json", QRISD_PORT=str(taken.getsockname()[1]))
    assert (result.exit_code, states(result)["server"]) == (2, {"fail"})


def test_a_provider_is_asked_by_its_own_diagnosis(shop: DataDir) -> None:
    result = doctor(shop.root, "--json", **KEY, **NOWHERE)
    assert (result.exit_code, states(result)["midtrans"]) == (2, {"ok", "fail"})
    assert "could not be reached" in result.stdout
    assert "0123456789abcdef" not in result.stdout


def test_only_the_named_provider_is_looked_at_even_when_it_is_off(shop: DataDir) -> None:
    result = doctor(shop.root, "midtrans", "--json")
    assert "simulator" not in states(result)
    assert (result.exit_code, "server_key" in result.stdout) == (2, True)


def test_an_unknown_provider_cannot_be_looked_at(shop: DataDir) -> None:
    result = doctor(shop.root, "midtrens")
    assert (result.exit_code, "midtrans" in result.stderr) == (1, True)


def test_broken_settings_cannot_be_looked_past(shop: DataDir) -> None:
    assert doctor(shop.root, QRISD_PROT="1").exit_code == 1


def test_keys_that_others_can_read_are_a_warning(shop: DataDir, tmp_path: Path) -> None:
    toml = tmp_path / "shop.toml"
    toml.write_text('[providers.simulator]\nwebhook_secret = "0123456789abcdef"\n')
    toml.chmod(0o644)
    result = doctor(shop.root, "--json", "--config", str(toml))
    assert (result.exit_code, states(result)["settings"]) == (2, {"ok", "warn"})
    toml.chmod(0o640)
    assert doctor(shop.root, "--config", str(toml)).exit_code == 0


def test_live_without_https_and_at_a_sandbox_is_a_warning(shop: DataDir) -> None:
    live = {"QRISD_ENVIRONMENT": "live", "QRISD_DEFAULT_PROVIDER": "midtrans"}
    address = {"QRISD_PROVIDERS__MIDTRANS__BASE_URL": "https://127.0.0.1:1"}
    found = states(doctor(shop.root, "--json", **KEY, **live, **address))
    assert "warn" in found["settings"]
    assert "warn" in found["midtrans"]


def test_nights_that_were_missed_and_exceptions_that_wait_are_seen(shop: DataDir) -> None:
    with closing(sqlite3.connect(shop.database, isolation_level=None)) as conn:
        conn.execute(
            "INSERT INTO reconciliations (day, origin, status, summary, began_at, finished_at) "
            "VALUES (date('now', '-9 days'), 'nightly', 'DONE', '{}', '2026-01-16T00:00:00.000Z', "
            "'2026-01-16T00:00:00.000Z')"
        )
        conn.execute(
            "INSERT INTO reconciliation_exceptions (id, day, provider, class, reason, subject, status, created_at, "
            "updated_at) VALUES ('x', '2026-01-12', 'simulator', 'fee', 'fee_too_high', 'x', 'OPEN', '', '')"
        )
    said = doctor(shop.root).stdout
    assert "business days have not been reconciled" in said
    assert "1 exception waits for a person" in said
    assert "reconcile --date 2026-01-12" in said
