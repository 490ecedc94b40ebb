"""The table of URLs: who answers each call. What a call needs is said in `domain/permissions.py`."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import Route

from qrisd.api import docs
from qrisd.api.audit import AuditApi
from qrisd.api.auth import Auth, Endpoint, Handler
from qrisd.api.callbacks import CallbacksApi
from qrisd.api.events import EventsApi
from qrisd.api.exports import ExportsApi
from qrisd.api.health import HealthApi
from qrisd.api.ledger import LedgerApi
from qrisd.api.payments import PaymentsApi
from qrisd.api.providers import ProvidersApi
from qrisd.api.reconciliations import ReconciliationsApi
from qrisd.api.refunds import RefundsApi
from qrisd.api.settlements import SettlementsApi
from qrisd.api.streams import StreamsApi
from qrisd.api.webhooks import WebhooksApi
from qrisd.domain.permissions import OPEN, ROUTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The handlers the routes lead to."""

    auth: Auth
    payments: PaymentsApi
    streams: StreamsApi
    events: EventsApi
    callbacks: CallbacksApi
    refunds: RefundsApi
    ledger: LedgerApi
    settlements: SettlementsApi
    reconciliations: ReconciliationsApi
    exports: ExportsApi
    audit: AuditApi
    providers: ProvidersApi
    webhooks: WebhooksApi
    health: HealthApi


def routes(api: Api) -> list[Route]:
    """Every call of the API, those that are made most often first, each with the permission that the table asks for. A
    route without a row in the table cannot be made: KeyError."""
    payments = api.payments

    def keyed(method: str, path: str, handler: Handler) -> Route:
        return Route(path, api.auth.requires(ROUTES[method, path], handler), methods=[method])

    def unkeyed(method: str, path: str, handler: Endpoint, *, is_listed: bool = True) -> Route:
        assert ROUTES[method, path] in OPEN, "the table asks for no key here"
        return Route(path, handler, methods=[method], include_in_schema=is_listed)

    return [
        keyed("POST", "/payments", payments.create),
        keyed("GET", "/payments/{id}", payments.get),
        unkeyed("POST", "/webhooks/{provider}", api.webhooks.receive),
        keyed("GET", "/payments", payments.find),
        keyed("GET", "/payments/{id}/qr.svg", payments.qr_svg),
        keyed("GET", "/payments/{id}/qr.png", payments.qr_png),
        keyed("GET", "/payments/{id}/timeline", payments.timeline),
        keyed("GET", "/payments/{id}/events", api.streams.follow),
        keyed("POST", "/payments/{id}/check", payments.check),
        keyed("POST", "/payments/{id}/cancel", payments.cancel),
        keyed("POST", "/payments/{id}/renew", payments.renew),
        keyed("POST", "/payments/{id}/confirm", payments.confirm),
        keyed("POST", "/payments/{id}/refunds", api.refunds.create),
        keyed("GET", "/payments/{id}/refunds", api.refunds.of_payment),
        keyed("GET", "/payments/{id}/refundable", api.refunds.refundable),
        keyed("GET", "/refunds", api.refunds.find),
        keyed("GET", "/refunds/{id}", api.refunds.get),
        keyed("POST", "/refunds/{id}/approve", api.refunds.approve),
        keyed("POST", "/refunds/{id}/reject", api.refunds.reject),
        keyed("POST", "/refunds/{id}/cancel", api.refunds.cancel),
        keyed("GET", "/payments/{id}/ledger", api.ledger.of_payment),
        keyed("GET", "/ledger", api.ledger.balances),
        keyed("GET", "/events", api.events.find),
        keyed("GET", "/callbacks", api.callbacks.find),
        keyed("POST", "/callbacks/replay", api.callbacks.replay_all),
        keyed("POST", "/callbacks/test", api.callbacks.ping),
        keyed("GET", "/callbacks/endpoints", api.callbacks.endpoints),
        keyed("POST", "/callbacks/endpoints/resume", api.callbacks.resume),
        keyed("GET", "/callbacks/{id}", api.callbacks.get),
        keyed("POST", "/callbacks/{id}/replay", api.callbacks.replay),
        keyed("GET", "/settlements", api.settlements.find),
        keyed("GET", "/settlements/files", api.settlements.files),
        keyed("GET", "/settlements/overcharges", api.settlements.overcharges),
        keyed("POST", "/settlements/import", api.settlements.import_report),
        keyed("POST", "/reconciliations", api.reconciliations.start),
        keyed("GET", "/reconciliations", api.reconciliations.find),
        keyed("POST", "/reconciliations/exceptions/{id}", api.reconciliations.act),
        keyed("GET", "/reconciliations/{date}", api.reconciliations.get),
        keyed("GET", "/reconciliations/{date}/exceptions", api.reconciliations.exceptions),
        keyed("POST", "/payouts", api.reconciliations.enter_payout),
        keyed("GET", "/exports/{file}", api.exports.export),
        keyed("GET", "/audit", api.audit.find),
        keyed("GET", "/providers", api.providers.find),
        unkeyed("POST", "/webhooks/{provider}/v1.0/access-token/b2b", api.webhooks.issue_token),
        # Some providers append a path of their own to the address they were given.
        unkeyed("POST", "/webhooks/{provider}/{appended:path}", api.webhooks.receive, is_listed=False),
        unkeyed("GET", "/healthz", api.health.live),
        unkeyed("GET", "/readyz", api.health.ready),
        unkeyed("GET", "/metrics", api.health.metrics),
        unkeyed("GET", "/openapi.json", docs.openapi),
        unkeyed("GET", "/docs", docs.page),
        unkeyed("GET", "/docs/{file}", docs.file),
    ]
