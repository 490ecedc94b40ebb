"""The table of URLs: which scope each call needs, and who answers it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import Route

from qrisd.api import docs
from qrisd.api.auth import Auth
from qrisd.api.callbacks import CallbacksApi
from qrisd.api.events import EventsApi
from qrisd.api.health import HealthApi
from qrisd.api.payments import PaymentsApi
from qrisd.api.providers import ProvidersApi
from qrisd.api.streams import StreamsApi
from qrisd.api.webhooks import WebhooksApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The handlers the routes lead to."""

    auth: Auth
    payments: PaymentsApi
    streams: StreamsApi
    events: EventsApi
    callbacks: CallbacksApi
    providers: ProvidersApi
    webhooks: WebhooksApi
    health: HealthApi


def routes(api: Api) -> list[Route]:
    """Every call of the API, those that are made most often first."""
    to, payments = api.auth.requires, api.payments
    return [
        Route("/payments", to("payments:write", payments.create), methods=["POST"]),
        Route("/payments/{id}", to("payments:read", payments.get)),
        Route("/webhooks/{provider}", api.webhooks.receive, methods=["POST"]),
        Route("/payments", to("payments:read", payments.find)),
        Route("/payments/{id}/qr.svg", to("payments:read", payments.qr_svg)),
        Route("/payments/{id}/qr.png", to("payments:read", payments.qr_png)),
        Route("/payments/{id}/timeline", to("payments:read", payments.timeline)),
        Route("/payments/{id}/events", to("payments:read", api.streams.follow)),
        Route("/payments/{id}/check", to("payments:write", payments.check), methods=["POST"]),
        Route("/payments/{id}/cancel", to("payments:write", payments.cancel), methods=["POST"]),
        Route("/payments/{id}/renew", to("payments:write", payments.renew), methods=["POST"]),
        Route("/payments/{id}/confirm", to("payments:confirm", payments.confirm), methods=["POST"]),
        Route("/events", to("events:read", api.events.find)),
        Route("/callbacks", to("callbacks:read", api.callbacks.find)),
        Route("/callbacks/replay", to("callbacks:write", api.callbacks.replay_all), methods=["POST"]),
        Route("/callbacks/test", to("callbacks:write", api.callbacks.ping), methods=["POST"]),
        Route("/callbacks/endpoints", to("callbacks:read", api.callbacks.endpoints)),
        Route("/callbacks/endpoints/resume", to("callbacks:write", api.callbacks.resume), methods=["POST"]),
        Route("/callbacks/{id}", to("callbacks:read", api.callbacks.get)),
        Route("/callbacks/{id}/replay", to("callbacks:write", api.callbacks.replay), methods=["POST"]),
        Route("/providers", to("providers:read", api.providers.find)),
        Route("/webhooks/{provider}/v1.0/access-token/b2b", api.webhooks.issue_token, methods=["POST"]),
        # Some providers append a path of their own to the address they were given.
        Route("/webhooks/{provider}/{appended:path}", api.webhooks.receive, methods=["POST"], include_in_schema=False),
        Route("/healthz", api.health.live),
        Route("/readyz", api.health.ready),
        Route("/metrics", api.health.metrics),
        Route("/openapi.json", docs.openapi),
        Route("/docs", docs.page),
        Route("/docs/{file}", docs.file),
    ]
