"""Where the parts meet: the one file that knows every room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.middleware import Middleware

from qrisd import log
from qrisd.api.audit import AuditApi
from qrisd.api.auth import Auth
from qrisd.api.callbacks import CallbacksApi
from qrisd.api.events import EventsApi
from qrisd.api.exports import ExportsApi
from qrisd.api.health import HealthApi
from qrisd.api.ledger import LedgerApi
from qrisd.api.middleware import Edge
from qrisd.api.payments import PaymentsApi
from qrisd.api.problems import HANDLERS
from qrisd.api.providers import ProvidersApi
from qrisd.api.reconciliations import ReconciliationsApi
from qrisd.api.refunds import RefundsApi
from qrisd.api.rendered import Rendered
from qrisd.api.routes import Api, routes
from qrisd.api.settlements import SettlementsApi
from qrisd.api.streams import StreamsApi
from qrisd.api.webhooks import WebhooksApi
from qrisd.callback_secrets import CallbackSecrets
from qrisd.config import Settings
from qrisd.data_dir import DataDir
from qrisd.domain.callback import Callback, Try
from qrisd.jobs import cleanup, reconcile, refunds, watch
from qrisd.jobs.scheduler import Job, Scheduler
from qrisd.metrics import Metrics
from qrisd.net.guarded import GuardedHttp
from qrisd.net.printer import Printer
from qrisd.providers.base import Provider, ProviderSettings
from qrisd.providers.http import ProviderHttp
from qrisd.providers.registry import Toolbox, make
from qrisd.sealing import Sealer
from qrisd.services.api_keys import Keyring
from qrisd.services.calling import ProviderCalls
from qrisd.services.charging import Charging
from qrisd.services.circuits import Circuits
from qrisd.services.comparing import Comparing
from qrisd.services.connectivity import Connectivity
from qrisd.services.creating import Creating, Terms
from qrisd.services.delivering import Delivery
from qrisd.services.expected_fees import ExpectedFees
from qrisd.services.hashing import Hashing
from qrisd.services.health import Health
from qrisd.services.live import Live
from qrisd.services.long_readers import EVERY_S as READERS_EVERY_S
from qrisd.services.long_readers import LongReaders
from qrisd.services.observing import Door
from qrisd.services.outbox import PAUSE_S as OUTBOX_PAUSE_S
from qrisd.services.outbox import Outbox
from qrisd.services.payments import Payments
from qrisd.services.proof import Proofs
from qrisd.services.receipts import Receipts
from qrisd.services.recent import Recent
from qrisd.services.reconciling import Reconciling
from qrisd.services.refunding import Refunding
from qrisd.services.refunds import Terms as RefundTerms
from qrisd.services.refunds import abilities_of
from qrisd.services.second_factor import SecondFactor
from qrisd.services.selling import Selling
from qrisd.services.sessions import Sessions
from qrisd.services.shifts import Shifts
from qrisd.services.sign_in import SignIn
from qrisd.services.sweeping import Sweep
from qrisd.services.till_mark import TillMarks
from qrisd.services.watching import Watcher
from qrisd.services.webhooks import Webhooks
from qrisd.store.db import Database
from qrisd.web.account import AccountPages
from qrisd.web.checkout import Checkout
from qrisd.web.guard import Guard
from qrisd.web.limits import Limit, PosLimits
from qrisd.web.pages import Pages
from qrisd.web.people import PeoplePages
from qrisd.web.pos import Till
from qrisd.web.pos_connection import ConnectionPage
from qrisd.web.pos_payment import PosPayment
from qrisd.web.pos_shifts import ShiftPages
from qrisd.web.proof import ProofPages
from qrisd.web.receipts import ReceiptPages
from qrisd.web.refusals import Refusals
from qrisd.web.routes import Pos, Web
from qrisd.web.routes import routes as page_routes
from qrisd.web.sign_in import SetupPages, SignInPages

GENERIC_WEBHOOK: Final = "qris"
KEYS_FRESH_S: Final = 0.2


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What the services stand on."""

    settings: Settings
    clock: Callable[[], datetime]
    chosen: Mapping[str, ProviderSettings]
    nmids: Mapping[str, str | None]
    longest_call_s: float
    http: ProviderHttp
    providers: Mapping[str, Provider]
    db: Database
    live: Live
    recent: Recent
    metrics: Metrics
    health: Health
    readers: LongReaders
    circuits: Circuits
    calls: ProviderCalls
    delivery: Delivery
    outbox: Outbox
    door: Door


@dataclass(frozen=True, slots=True, kw_only=True)
class _Services:
    """The use-cases, and the one job that asks providers."""

    watcher: Watcher
    charging: Charging
    creating: Creating
    payments: Payments
    webhooks: Webhooks
    till_marks: TillMarks
    keyring: Keyring
    hashing: Hashing
    second_factor: SecondFactor
    watch: watch.Watch
    refunding: Refunding
    reconciling: Reconciling


def build(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    http: ProviderHttp | None = None,
    stop: asyncio.Event | None = None,
) -> Starlette:
    """The whole application; its lifespan opens and closes everything.

    The data directory must be ready (`DataDir.open_database`). `stop`, once set, sends long-polls and streams home."""
    ground = _ground(settings, clock, http or ProviderHttp())
    services = _services(ground)
    scheduler = _scheduler(ground, services)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await ground.db.open()
        scheduler.start()
        closing = asyncio.create_task(_close_when(stop, ground.live))
        try:
            yield
        finally:
            closing.cancel()
            ground.live.close()
            await scheduler.stop()
            await services.reconciling.finish()
            asking = (services.watch, services.refunding, services.watcher)
            for part in (services.charging, services.webhooks, *asking, ground.outbox):
                await part.finish()
            services.hashing.close()
            await ground.db.close()
            await ground.http.aclose()

    web = _web(ground, services)
    calls, shown = routes(_api(ground, services, scheduler)), page_routes(web)
    refusals = Refusals(web.pages, shown=shown, calls=calls)
    app = Starlette(
        routes=[*calls, *shown],
        middleware=[_edge(settings, ground.metrics, refusals)],
        exception_handlers=refusals.handlers(HANDLERS),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect loses the body of a webhook, and would be built from Host
    return app


def _edge(settings: Settings, metrics: Metrics, refusals: Refusals) -> Middleware:
    is_secure = settings.address.startswith("https://")
    line = log.RequestLog().write
    return Middleware(Edge, observe=metrics.request, log=line, page=refusals.page, is_secure=is_secure)


def _ground(settings: Settings, clock: Callable[[], datetime], http: ProviderHttp) -> _Ground:
    chosen = settings.provider_settings()
    providers = make_providers(settings, chosen, http, clock)
    db = Database(DataDir(settings.data_dir).database)
    live, recent, metrics = Live(), Recent(), Metrics()
    circuits = Circuits(providers, metrics.provider_call)
    delivery = make_delivery(settings, db, clock, metrics.callback)
    outbox = Outbox(db=db, delivery=delivery, clock=clock)
    return _Ground(
        settings=settings,
        clock=clock,
        chosen=chosen,
        nmids={name: one.nmid for name, one in chosen.items()},
        longest_call_s=max((one.timeout for one in chosen.values()), default=0.0),
        http=http,
        providers=providers,
        db=db,
        live=live,
        recent=recent,
        metrics=metrics,
        health=Health(db, clock),
        readers=LongReaders(db),
        circuits=circuits,
        calls=ProviderCalls(circuits),
        delivery=delivery,
        outbox=outbox,
        door=Door(
            providers=providers,
            live=live,
            recent=recent,
            base_url=settings.address,
            count=metrics.changed,
            wake_outbox=outbox.wake,
        ),
    )


def _services(on: _Ground) -> _Services:
    db, providers, door, calls, clock = on.db, on.providers, on.door, on.calls, on.clock
    trusted = on.health.clock_is_trusted
    watcher = Watcher(
        db=db, providers=providers, door=door, nmids=on.nmids, clock=clock, clock_is_trusted=trusted, calls=calls
    )
    charging = Charging(
        db=db,
        providers=providers,
        door=door,
        calls=calls,
        nmids=on.nmids,
        longest_call_s=on.longest_call_s,
        clock=clock,
    )
    creating = Creating(
        db=db,
        providers=providers,
        charging=charging,
        watcher=watcher,
        calls=calls,
        terms=_terms(on.settings),
        clock=clock,
        has_room=on.health.has_room,
    )
    payments = Payments(
        db=db,
        providers=providers,
        charging=charging,
        watcher=watcher,
        calls=calls,
        recent=on.recent,
        clock=clock,
    )
    aliases = {GENERIC_WEBHOOK: "simulator"} if "simulator" in providers else {}
    webhooks = Webhooks(
        db=db, providers=providers, aliases=aliases, door=door, recent=on.recent, watcher=watcher, clock=clock
    )
    return _Services(
        watcher=watcher,
        charging=charging,
        creating=creating,
        payments=payments,
        webhooks=webhooks,
        till_marks=TillMarks(secret_key_of(on.settings)),
        keyring=Keyring(db, on.settings.environment),
        hashing=Hashing(),
        second_factor=SecondFactor(Sealer(secret_key_of(on.settings))),
        watch=watch.Watch(watcher),
        refunding=_refunding(on),
        reconciling=_reconciling(on),
    )


def _refunding(on: _Ground) -> Refunding:
    return Refunding(
        db=on.db,
        providers=on.providers,
        door=on.door,
        calls=on.calls,
        terms=refund_terms(on.settings, on.providers),
        longest_call_s=on.longest_call_s,
        clock=on.clock,
    )


def _reconciling(on: _Ground) -> Reconciling:
    db, providers, door, zones, rules = on.db, on.providers, on.door, on.settings.zones, on.settings.reconcile
    days = {name: one.settles_after_days for name, one in on.chosen.items()}
    sweep = Sweep(
        db=db,
        providers=providers,
        door=door,
        calls=on.calls,
        nmids=on.nmids,
        zones=zones,
        clock=on.clock,
        calls_per_second=rules.calls_per_second,
    )
    comparing = Comparing(
        db=db,
        door=door,
        providers=providers,
        zones=zones,
        settles_after={name: own for name, own in days.items() if own is not None},
        settles_after_otherwise=rules.settles_after_days,
        expected_fee=ExpectedFees(on.settings.mdr.table).of,
        clock=on.clock,
    )
    return Reconciling(
        db=db,
        sweep=sweep,
        comparing=comparing,
        providers=providers,
        zones=zones,
        lock=DataDir(on.settings.data_dir).reconciling,
        clock=on.clock,
    )


def _nightly(on: _Ground, reconciling: Reconciling) -> reconcile.Nightly:
    rules = on.settings.reconcile
    days = [one.settles_after_days or 0 for one in on.chosen.values()]
    return reconcile.Nightly(
        db=on.db,
        reconciling=reconciling,
        zones=on.settings.zones,
        at=rules.at,
        settles_after_days=max([rules.settles_after_days, *days]),
        clock=on.clock,
    )


@asynccontextmanager
async def reconciling_alone(settings: Settings, clock: Callable[[], datetime] = utc_now) -> AsyncIterator[Reconciling]:
    """For a command, beside a running server or without one: what it stores, the server notices."""
    ground = _ground(settings, clock, ProviderHttp())
    await ground.db.open()
    reconciling = _reconciling(ground)
    try:
        yield reconciling
    finally:
        await reconciling.finish()
        await ground.db.close()
        await ground.http.aclose()


def _scheduler(on: _Ground, services: _Services) -> Scheduler:
    return Scheduler(
        [
            Job("health", 1.0, on.health.tick),
            Job("readers", READERS_EVERY_S, on.readers.tick),
            Job("watch", watch.EVERY_S, services.watch.run),
            Job("refunds", refunds.EVERY_S, services.refunding.tick),
            Job("callbacks", OUTBOX_PAUSE_S, on.outbox.run, longest_s=10.0),
            Job("changes", KEYS_FRESH_S, _notice_changes(on.db, services.keyring, on.recent, on.live)),
            Job("log", 1.0, _flush_log),
            Job("cleanup", cleanup.EVERY_S, cleanup.Cleanup(on.db, on.clock).run),
            Job("reconcile", reconcile.EVERY_S, _nightly(on, services.reconciling).run),
        ]
    )


def _api(on: _Ground, services: _Services, scheduler: Scheduler) -> Api:
    limits, rendered = on.settings.rate_limit, Rendered(on.settings.address)
    return Api(
        auth=Auth(services.keyring, per_key=limits.per_key, failed_auth=limits.failed_auth),
        payments=PaymentsApi(
            creating=services.creating,
            service=services.payments,
            db=on.db,
            live=on.live,
            keyring=services.keyring,
            rendered=rendered,
            base_url=on.settings.address,
            zone=ZoneInfo(on.settings.timezone),
        ),
        streams=StreamsApi(services.payments, on.live, rendered, services.keyring),
        events=EventsApi(on.db, on.live, services.keyring),
        callbacks=CallbacksApi(
            db=on.db,
            delivery=on.delivery,
            problem=on.settings.callback_policy.problem,
            wake=on.outbox.wake,
            clock=on.clock,
        ),
        refunds=RefundsApi(
            db=on.db, payments=services.payments, terms=refund_terms(on.settings, on.providers), clock=on.clock
        ),
        ledger=LedgerApi(on.db, services.payments),
        settlements=SettlementsApi(
            db=on.db,
            reports=on.settings.reports,
            mdr=on.settings.mdr.table,
            zones=on.settings.zones,
            clock=on.clock,
        ),
        reconciliations=ReconciliationsApi(
            db=on.db,
            reconciling=services.reconciling,
            providers=on.providers,
            root=urlsplit(on.settings.address).path,
            clock=on.clock,
        ),
        exports=ExportsApi(on.db, on.settings.zones, on.clock),
        audit=AuditApi(on.db),
        providers=ProvidersApi(on.providers, {name: one.type or name for name, one in on.chosen.items()}, on.circuits),
        webhooks=WebhooksApi(services.webhooks, on.providers, on.clock, on.metrics.webhook),
        health=HealthApi(on.health, on.readers, scheduler, on.circuits, on.metrics, on.db),
    )


def _web(on: _Ground, services: _Services) -> Web:
    address = on.settings.address
    parts = urlsplit(address)
    pages = Pages(zones=on.settings.zones, is_secure=parts.scheme == "https", root=parts.path)
    sessions = Sessions(on.db, on.clock)
    guard = Guard(pages=pages, sessions=sessions, db=on.db, clock=on.clock, address=address)
    hashing, factor = services.hashing, services.second_factor
    sign_in = SignIn(db=on.db, hashing=hashing, second_factor=factor, clock=on.clock)
    limits = _pos_limits(on.settings)
    return Web(
        pages=pages,
        checkout=Checkout(
            pages=pages,
            payments=services.payments,
            marks=services.till_marks,
            live=on.live,
            clock=on.clock,
            address=address,
        ),
        guard=guard,
        sign_in=SignInPages(pages=pages, guard=guard, sign_in=sign_in),
        setup=SetupPages(pages=pages, guard=guard, db=on.db, hashing=hashing, clock=on.clock),
        account=AccountPages(pages=pages, guard=guard, db=on.db, hashing=hashing, second_factor=factor, clock=on.clock),
        people=PeoplePages(
            pages=pages, guard=guard, db=on.db, clock=on.clock, address=address, changed=services.keyring.forget
        ),
        pos=_pos(on, services, pages, guard, limits),
        receipts=ReceiptPages(pages=pages, receipts=_receipts(on, services)),
        proof=_proof(on, services, pages, limits.check),
    )


def _receipts(on: _Ground, services: _Services) -> Receipts:
    pos = on.settings.pos
    return Receipts(
        db=on.db,
        payments=services.payments,
        printer=Printer(pos.printer) if pos.printer else None,
        paper_mm=pos.paper_mm,
        zones=on.settings.zones,
        clock=on.clock,
    )


def _pos_limits(settings: Settings) -> PosLimits:
    rates = settings.pos
    return PosLimits(
        create=rates.create_limit,
        check=rates.check_limit,
        cancel=rates.cancel_limit,
        test_connection=rates.test_connection_limit,
    )


def _proof(on: _Ground, services: _Services, pages: Pages, limit: Limit) -> ProofPages:
    proofs = Proofs(db=on.db, payments=services.payments, providers=on.providers, clock=on.clock)
    return ProofPages(pages=pages, proofs=proofs, limit=limit)


def _pos(on: _Ground, services: _Services, pages: Pages, guard: Guard, limits: PosLimits) -> Pos:
    zones, db, clock = on.settings.zones, on.db, on.clock
    shifts = Shifts(db=db, providers=on.providers, calls=on.calls, watcher=services.watcher, clock=clock)
    return Pos(
        till=Till(
            pages=pages,
            guard=guard,
            db=db,
            selling=Selling(db=db, creating=services.creating, zones=zones, clock=clock),
            shifts=shifts,
            marks=services.till_marks,
            circuits=on.circuits,
            order=on.settings.routing.order or (on.settings.default_provider,),
            max_amount=on.settings.payment.max_amount,
            limits=limits,
            zones=zones,
            clock=clock,
        ),
        payment=PosPayment(
            pages=pages,
            guard=guard,
            payments=services.payments,
            marks=services.till_marks,
            live=on.live,
            limits=limits,
            clock=clock,
        ),
        connection=ConnectionPage(
            pages=pages, connectivity=Connectivity(on.health, on.circuits, on.providers), limits=limits
        ),
        shifts=ShiftPages(pages=pages, guard=guard, db=db, shifts=shifts, limit=limits.check),
    )


def secret_key_of(settings: Settings) -> str:
    """What is stored encrypted is sealed under this: the setting, or the file in the data directory."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    return DataDir(settings.data_dir).require_secret_key()


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
        base_path=urlsplit(settings.address).path,
    )
    return {name: make(name, one, tools) for name, one in chosen.items()}


def make_delivery(
    settings: Settings, db: Database, clock: Callable[[], datetime], count: Callable[[Callback, Try], None]
) -> Delivery:
    """The way out to the merchant's servers."""
    secrets = CallbackSecrets(DataDir(settings.data_dir).callback_secrets, settings.callbacks.secrets, clock)
    return Delivery(db=db, http=GuardedHttp(settings.callback_policy), secrets=secrets, clock=clock, count=count)


def refund_terms(settings: Settings, providers: Mapping[str, Provider]) -> RefundTerms:
    """The settings refunds are made under."""
    expires_in = timedelta(seconds=settings.refunds.approval_expires_in)
    return RefundTerms(settings.refunds.approval_above, expires_in, abilities_of(providers))


def _terms(settings: Settings) -> Terms:
    return Terms(
        base_url=settings.address,
        currency=settings.currency,
        expires_in=settings.payment.expires_in,
        max_amount=settings.payment.max_amount,
        order=settings.routing.order or (settings.default_provider,),
        signature_version=settings.signature_version,
        callback_problem=settings.callback_policy.problem,
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
