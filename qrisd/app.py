"""Where the parts meet: the one file that knows every room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.middleware import Middleware

from qrisd import log
from qrisd.api.auth import Auth
from qrisd.api.health import HealthApi
from qrisd.api.middleware import Edge
from qrisd.api.payments import PaymentsApi
from qrisd.api.problems import HANDLERS
from qrisd.api.providers import ProvidersApi
from qrisd.api.routes import Api, routes
from qrisd.api.webhooks import WebhooksApi
from qrisd.config import Settings
from qrisd.data_dir import DataDir
from qrisd.jobs import cleanup, watch
from qrisd.jobs.scheduler import Job, Scheduler
from qrisd.metrics import Metrics
from qrisd.providers.base import Provider, ProviderSettings
from qrisd.providers.http import ProviderHttp
from qrisd.providers.registry import Toolbox, make
from qrisd.services.api_keys import Keyring
from qrisd.services.calling import ProviderCalls
from qrisd.services.circuits import Circuits
from qrisd.services.health import Health
from qrisd.services.live import Live
from qrisd.services.observing import Door
from qrisd.services.payments import Payments, Terms
from qrisd.services.recent import Recent
from qrisd.services.watching import Watcher
from qrisd.services.webhooks import Webhooks
from qrisd.store.db import Database

GENERIC_WEBHOOK: Final = "qris"
KEYS_FRESH_S: Final = 0.2


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


def build(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    http: ProviderHttp | None = None,
    stop: asyncio.Event | None = None,
) -> Starlette:
    """The whole application, made without I/O; its lifespan opens and closes everything.

    The data directory must be ready (`DataDir.open_database`). `stop`, once set, sends long-polls and streams home."""
    data_dir = DataDir(settings.data_dir)
    base_url = settings.address
    chosen = settings.provider_settings()
    http = http or ProviderHttp()
    providers = make_providers(settings, chosen, http, clock)
    nmids = {name: one.nmid for name, one in chosen.items()}
    db, live, metrics = Database(data_dir.database), Live(), Metrics()
    health = Health(db, clock)
    circuits = Circuits(providers, metrics.provider_call)
    calls = ProviderCalls(circuits)
    recent = Recent()
    door = Door(providers=providers, live=live, recent=recent, base_url=base_url, count=metrics.changed)
    watcher = Watcher(
        db=db,
        providers=providers,
        door=door,
        nmids=nmids,
        longest_call_s=max((one.timeout for one in chosen.values()), default=0.0),
        clock=clock,
        clock_is_trusted=health.clock_is_trusted,
        calls=calls,
    )
    payments = Payments(
        db=db,
        providers=providers,
        door=door,
        recent=recent,
        watcher=watcher,
        terms=_terms(settings, nmids),
        clock=clock,
        has_room=health.has_room,
        calls=calls,
    )
    aliases = {GENERIC_WEBHOOK: "simulator"} if "simulator" in providers else {}
    webhooks = Webhooks(
        db=db, providers=providers, aliases=aliases, door=door, recent=recent, watcher=watcher, clock=clock
    )
    keyring = Keyring(db, settings.environment)
    watching = watch.Watch(watcher)
    scheduler = Scheduler(
        [
            Job("health", 1.0, health.tick),
            Job("watch", watch.EVERY_S, watching.run),
            Job("changes", KEYS_FRESH_S, _notice_changes(db, keyring, recent, live)),
            Job("log", 1.0, _flush_log),
            Job("cleanup", cleanup.EVERY_S, cleanup.Cleanup(db, clock).run),
        ]
    )
    zone = ZoneInfo(settings.timezone)
    api = Api(
        auth=Auth(keyring, per_key=settings.rate_limit.per_key, failed_auth=settings.rate_limit.failed_auth),
        payments=PaymentsApi(service=payments, db=db, live=live, base_url=base_url, zone=zone),
        providers=ProvidersApi(providers, {name: one.type or name for name, one in chosen.items()}, circuits),
        webhooks=WebhooksApi(webhooks, metrics.webhook),
        health=HealthApi(health, scheduler, circuits, metrics),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await db.open()
        scheduler.start()
        closing = asyncio.create_task(_close_when(stop, live))
        try:
            yield
        finally:
            closing.cancel()
            live.close()
            await scheduler.stop()
            for part in (payments, webhooks, watching, watcher):
                await part.finish()
            await db.close()
            await http.aclose()

    return Starlette(
        routes=routes(api),
        middleware=[Middleware(Edge, observe=metrics.request)],
        exception_handlers=dict(HANDLERS),
        lifespan=lifespan,
    )


def make_providers(
    settings: Settings,
    chosen: Mapping[str, ProviderSettings],
    http: ProviderHttp,
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, Provider]:
    """The adapters of the providers that are on, by name."""
    data_dir = DataDir(settings.data_dir)
    public = settings.public_base_url
    tools = Toolbox(
        http=http,
        clock=clock,
        simulator_secret=data_dir.read_or_make_secret(data_dir.simulator_secret),
        notify_url=lambda name: f"{public}/webhooks/{name}" if public else None,
    )
    return {name: make(name, one, tools) for name, one in chosen.items()}


def _terms(settings: Settings, nmids: Mapping[str, str | None]) -> Terms:
    return Terms(
        base_url=settings.address,
        currency=settings.currency,
        expires_in=settings.payment.expires_in,
        max_amount=settings.payment.max_amount,
        order=settings.routing.order or (settings.default_provider,),
        nmids=nmids,
        signature_version=settings.signature_version,
    )


def _notice_changes(db: Database, keyring: Keyring, recent: Recent, live: Live) -> Callable[[], Any]:
    async def notice() -> None:
        if await db.changed_elsewhere():
            keyring.forget()
            recent.forget()
            live.tell_all()

    return notice


async def _close_when(stop: asyncio.Event | None, live: Live) -> None:
    if stop is not None:
        await stop.wait()
        live.close()


async def _flush_log() -> None:
    log.flush()
