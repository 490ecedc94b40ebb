"""What `qrisd doctor` looks at. Reads only: it makes, changes and charges nothing."""

from __future__ import annotations

import os
import shlex
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from qrisd.config import DEFAULT_FILE, Settings
from qrisd.data_dir import DataDir, database_problem
from qrisd.domain.errors import ProviderError, SettingsError
from qrisd.jobs.reconcile import last_due, missed
from qrisd.providers.base import Diagnoses, ProviderSettings
from qrisd.providers.http import ProviderHttp, parse_object
from qrisd.providers.registry import Toolbox, make
from qrisd.providers.simulator import SimulatorSettings
from qrisd.services.health import LITTLE_ROOM_BYTES, MIB, NO_ROOM_BYTES, clock_problem
from qrisd.store import callback_endpoints, callbacks, findings, migrate
from qrisd.store.db import Connection, connect

State = Literal["ok", "warn", "fail"]
SECRET_KEY_MIN_CHARS: Final = 32
ANSWER_WITHIN_S: Final = 5.0
GIVEN_UP_WITHIN: Final = timedelta(days=7)
ENDPOINTS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One thing looked at. `fail`: it does not work, or soon will not; `warn`: it works, but look at it."""

    check: str
    state: State
    text: str


async def examine(settings: Settings, providers: Mapping[str, ProviderSettings], config: Path | None) -> list[Line]:
    """Everything that can be said about this installation and these providers, in the order to mend it."""
    data_dir = DataDir(settings.data_dir)
    settings = _as_served(settings, data_dir)
    http = ProviderHttp()
    lines = [*_settings_lines(settings, config), *_clock_lines()]
    try:
        if _is_forbidden(data_dir.root):
            lines.append(Line("data_dir", "fail", f"{data_dir.root} is closed to this user; run as the server's user"))
        else:
            lines += [*_directory_lines(data_dir), *_database_lines(data_dir), *_secret_key_lines(settings, data_dir)]
            lines += _stored_lines(settings, data_dir)
            lines.append(await _server_line(settings, data_dir, http))
        for name, provider in providers.items():
            lines += await _provider_lines(settings, name, provider, http)
    finally:
        await http.aclose()
    return lines


def _as_served(settings: Settings, data_dir: DataDir) -> Settings:
    """The settings with the address that the running server listens on: its flags may have named another."""
    url = None if _is_forbidden(data_dir.root) else data_dir.server_url()
    if url is None:
        return settings
    parts = urlsplit(url)
    return settings.model_copy(update={"host": parts.hostname, "port": parts.port})


def _is_forbidden(root: Path) -> bool:
    return root.exists() and not os.access(root, os.R_OK | os.W_OK | os.X_OK)


def _settings_lines(settings: Settings, config: Path | None) -> Iterator[Line]:
    said = f"environment {settings.environment}, default provider {settings.default_provider}, {settings.address}"
    yield Line("settings", "ok", said)
    if settings.environment == "live" and urlsplit(settings.base_url or "").scheme != "https":
        yield Line("settings", "warn", "base_url should be the https:// address customers and providers reach us at")
    for file in (config or DEFAULT_FILE, Path(".env")):
        if settings.providers and file.exists() and file.stat().st_mode & 0o007:
            yield Line("settings", "warn", f"others can read {file}, which may hold keys; chmod o= {_quoted(file)}")


def _clock_lines() -> Iterator[Line]:
    now = datetime.now(UTC)
    problem = clock_problem(now)
    yield Line("clock", "fail" if problem else "ok", problem or f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _directory_lines(data_dir: DataDir) -> Iterator[Line]:
    root = data_dir.root
    if not root.exists():
        yield Line("data_dir", "ok", f"{root} is not there yet; the first qrisd serve makes it")
        return
    exposed = data_dir.exposed()
    if exposed:
        names = ", ".join(str(path) for path in exposed[:3])
        yield Line("data_dir", "fail", f"others can read {names}; chmod -R go= {_quoted(root)}")
    else:
        yield Line("data_dir", "ok", f"{root.absolute()}, for its owner only")
    yield _disk_line(root)


def _disk_line(root: Path) -> Line:
    stat = os.statvfs(root)
    free = stat.f_bavail * stat.f_frsize
    if free < NO_ROOM_BYTES:
        return Line("disk", "fail", f"{free // MIB} MiB free: no new payments are taken until there is room")
    if free < LITTLE_ROOM_BYTES:
        return Line("disk", "warn", f"{free // MIB} MiB free: make room before new payments are refused")
    return Line("disk", "ok", f"{free // MIB} MiB free")


def _database_lines(data_dir: DataDir) -> Iterator[Line]:
    try:
        yield from _database_state(data_dir)
    except (sqlite3.DatabaseError, OSError) as error:
        yield Line("database", "fail", f"{data_dir.database} cannot be read: {error}")


def _database_state(data_dir: DataDir) -> Iterator[Line]:
    if not data_dir.database.exists():
        loss = data_dir.loss() if data_dir.root.exists() else None
        yield Line("database", "fail" if loss else "ok", loss or "not there yet; the first qrisd serve makes it")
        return
    problem = database_problem(data_dir.database, thorough=False)
    if problem is not None:
        yield Line("database", "fail", f"{data_dir.database} {problem}. {data_dir.restore_hint()}")
        return
    with closing(connect(data_dir.database, read_only=True)) as conn:
        version, newest = migrate.version_of(conn), migrate.newest()
        mode = conn.execute("PRAGMA journal_mode").fetchone()[0]
    yield _schema_line(version, newest)
    if mode != "wal" and data_dir.is_served():
        yield Line("database", "fail", f"journal mode is {mode}, not wal: another program changed it; restart qrisd")


def _schema_line(version: int, newest: int) -> Line:
    if version > newest:
        return Line(
            "database", "fail", f"schema {version} is of a newer qrisd; this one knows {newest}. Install that one"
        )
    if version < newest:
        return Line("database", "warn", f"schema {version}; the next start of qrisd serve brings it to {newest}")
    return Line("database", "ok", f"opens, schema {version}")


def _secret_key_lines(settings: Settings, data_dir: DataDir) -> Iterator[Line]:
    if settings.secret_key is not None:
        yield Line("secret_key", "ok", "set in the settings")
    elif data_dir.secret_key.exists():
        short = data_dir.secret_key.stat().st_size < SECRET_KEY_MIN_CHARS
        advice = f"{data_dir.secret_key} is shorter than 32 characters; put the right file back"
        yield Line("secret_key", "fail" if short else "ok", advice if short else f"{data_dir.secret_key}; keep a copy")
    elif data_dir.database.exists():
        advice = f"{data_dir.secret_key} is missing; put it back, or set QRISD_SECRET_KEY to its content"
        yield Line("secret_key", "fail", advice)
    else:
        yield Line("secret_key", "ok", "not there yet; the first qrisd serve makes it")


def _stored_lines(settings: Settings, data_dir: DataDir) -> Iterator[Line]:
    """Nothing where the database cannot be read: the lines about it say so."""
    if not data_dir.database.exists():
        return
    try:
        with closing(connect(data_dir.database, read_only=True)) as conn:
            if migrate.version_of(conn) == migrate.newest():
                yield from _callback_state(conn)
                yield from _reconciliation_state(conn, settings)
    except (sqlite3.DatabaseError, OSError):
        return


def _callback_state(conn: Connection) -> Iterator[Line]:
    off = callback_endpoints.switched_off(conn)
    for url, reason in [*off.items()][:ENDPOINTS_SHOWN]:
        advice = f"mend it, then: qrisd callbacks resume {shlex.quote(url)}"
        yield Line("callbacks", "warn", f"{url} is switched off: {reason}; {advice}")
    dead = callbacks.count_dead(conn, datetime.now(UTC) - GIVEN_UP_WITHIN)
    waiting = f"{callbacks.count_waiting(conn)} waiting"
    if dead:
        advice = "see qrisd callbacks list --status DEAD, then qrisd callbacks replay"
        yield Line("callbacks", "warn", f"{dead} given up in the last {GIVEN_UP_WITHIN.days} days, {waiting}; {advice}")
    elif not off:
        yield Line("callbacks", "ok", f"{waiting}, none given up in the last {GIVEN_UP_WITHIN.days} days")


def _reconciliation_state(conn: Connection, settings: Settings) -> Iterator[Line]:
    """Nothing while no night has been missed and nothing waits. The last night may be under way."""
    due = last_due(datetime.now(UTC), settings.zones, time.fromisoformat(settings.reconcile.at))
    nights = len(missed(conn, settings.zones, due - timedelta(days=1)))
    if nights:
        advice = "the server catches up while it runs; see its log"
        yield Line("reconciliation", "warn", f"{nights} business days have not been reconciled; {advice}")
    waiting = findings.count_open(conn)
    if waiting:
        first = findings.oldest_open(conn)
        count = "1 exception waits" if waiting == 1 else f"{waiting} exceptions wait"
        advice = f"the oldest is of {first}: see qrisd reconcile --date {first}; GET /reconciliations lists the days"
        yield Line("reconciliation", "warn", f"{count} for a person; {advice}")


async def _server_line(settings: Settings, data_dir: DataDir, http: ProviderHttp) -> Line:
    where = f"{settings.host}:{settings.port}"
    if not data_dir.is_served():
        problem = _port_problem(settings.host, settings.port)
        return Line("server", "fail" if problem else "ok", problem or f"not running; {where} is free")
    running, url = f"running (pid {data_dir.server_pid()})", data_dir.server_url()
    if url is None:
        return Line("server", "warn", f"{running}, still starting")
    try:
        answer = await http.request("The server", "GET", f"{url}/readyz", headers={}, timeout_s=ANSWER_WITHIN_S)
        problems = parse_object(answer.body).get("problems") or {}
    except (ProviderError, ValueError):
        return Line("server", "fail", f"{running}, but {url} does not answer; look at its log and restart it")
    if answer.status == 200:
        return Line("server", "ok", f"{running}, ready at {url}")
    told = "; ".join(f"{part}: {problem}" for part, problem in problems.items())
    return Line("server", "fail", f"{running}, not ready: {told or f'HTTP {answer.status} from /readyz'}")


def _port_problem(host: str, port: int) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"not running, and {host}:{port} cannot be listened on ({error.strerror}); choose another with --port"
    return None


async def _provider_lines(settings: Settings, name: str, provider: ProviderSettings, http: ProviderHttp) -> list[Line]:
    if isinstance(provider, SimulatorSettings):
        return [_simulator_line(settings, name)]
    tools = Toolbox(
        http=http,
        clock=lambda: datetime.now(UTC),
        simulator_secret="",
        notify_url=lambda other: _webhook_url(settings, other) if settings.public_base_url else None,
        base_path=urlsplit(settings.address).path,
    )
    lines = [_environment_line(settings, name, provider)]
    try:
        adapter = make(name, provider, tools)
    except SettingsError as error:
        return [*lines, Line(name, "fail", str(error))]
    if isinstance(adapter, Diagnoses):
        return lines + [Line(name, "ok" if fine else "fail", text) for fine, text in await adapter.diagnose()]
    if not provider.configured:
        return [
            *lines,
            Line(name, "fail", f"its credentials are not set; see providers.{name} in docs/configuration.md"),
        ]
    return [*lines, Line(name, "ok", f"webhooks arrive at {_webhook_url(settings, name)}: paste it in the dashboard")]


def _simulator_line(settings: Settings, name: str) -> Line:
    if settings.environment == "live":
        return Line(name, "ok", "off, because environment is live")
    route = "qris" if name == "simulator" else name
    return Line(name, "ok", f"payments are simulated; webhooks arrive at {_webhook_url(settings, route)}")


def _environment_line(settings: Settings, name: str, provider: ProviderSettings) -> Line:
    where = provider.environment + (f", {provider.base_url}" if provider.base_url else "")
    if settings.environment == "live" and provider.environment == "sandbox":
        return Line(name, "warn", f"{where}: nobody can pay its QRs; set providers.{name}.environment to production")
    if settings.environment == "test" and provider.environment == "production" and provider.base_url is None:
        return Line(name, "warn", f"{where}: takes real money although environment is test")
    return Line(name, "ok", where)


def _webhook_url(settings: Settings, name: str) -> str:
    return f"{settings.address}/webhooks/{name}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
