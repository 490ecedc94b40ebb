"""An adapter on its fake, made as the product makes it: what the contract suite runs on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from qrisd.domain.payment import Attempt, Observation, Status
from qrisd.providers.base import Cancels, Charge, IssuesTokens, Provider, Refunds
from qrisd.providers.http import ProviderHttp
from qrisd.providers.registry import SETTINGS, Toolbox, make
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.server import Reply, Request
from tests.fakes.xendit import FakeXendit
from tests.providers.kinds import Kind
from tests.support import payments as sample

REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
AMOUNT = 15_000


@dataclass(slots=True)
class Bench:
    """An adapter and its fake. `arrived` are the notifications it was sent, as they came."""

    kind: Kind
    fake: Any
    provider: Provider
    http: ProviderHttp
    folder: Path
    notify_url: str = ""
    arrived: list[Request] = field(default_factory=list)

    def elsewhere(self, url: str) -> Provider:
        """The same adapter, asking at another address."""
        return made(self.kind, self.fake, self.http, self.folder, url)

    def cancelling(self) -> Cancels:
        assert isinstance(self.provider, Cancels)
        return self.provider

    def refunding(self) -> Refunds:
        assert isinstance(self.provider, Refunds)
        return self.provider

    async def charged(self) -> Attempt:
        """An attempt with a live QR; what becomes of it is told to `catch`."""
        attempt = attempt_of(await self.provider.create_qr(charge()), self.kind.name)
        if isinstance(self.fake, FakeMidtrans):
            self.fake.book[REFERENCE].notify_urls = [self.notify_url]
        else:
            self.fake.notify_url = self.notify_url
        return attempt

    async def paid(self) -> Attempt:
        """An attempt whose money the core has seen."""
        attempt = await self.charged()
        self.fake.pay(REFERENCE)
        seen = await self.provider.fetch_status(attempt)
        assert seen.status is Status.PAID
        return replace(
            attempt,
            status=Status.PAID,
            amount_paid=AMOUNT,
            provider_trx_id=seen.provider_trx_id or attempt.provider_trx_id,
            provider_ref_no=seen.provider_ref_no,
        )

    def refunded(self) -> int:
        """Rupiah the provider has given back for our charge."""
        entry = self.fake.book[REFERENCE]
        if isinstance(self.fake, FakeXendit):
            return sum(refund.amount for refund in entry.refunds)
        return int(entry.refunded)

    async def notified(self) -> list[Request]:
        """What waits to be told, as it arrives at the address that the provider was given."""
        self.arrived.clear()
        answers = await self.fake.deliver()
        assert set(answers) <= {200}
        return list(self.arrived)

    async def catch(self, request: Request) -> Reply:
        """Us, as the provider sees us: tokens are issued, notifications are kept."""
        if request.path.endswith("/access-token/b2b"):
            assert isinstance(self.provider, IssuesTokens)
            answer = self.provider.issue_token(request.headers, request.body, datetime.now(UTC))
            return Reply.json(answer.status, answer.body)
        self.arrived.append(request)
        return Reply.json(200, {"responseCode": "2005200", "responseMessage": "Successful"})


def made(kind: Kind, fake: Any, http: ProviderHttp, folder: Path, url: str) -> Provider:
    table = {"base_url": url, "timeout": 1.5, **kind.table(fake, folder)}
    settings = SETTINGS[table.get("type", kind.name)].model_validate(table)
    tools = Toolbox(
        http=http, clock=lambda: datetime.now(UTC), simulator_secret="x", notify_url=lambda name: None, base_path=""
    )
    return make(kind.name, settings, tools)


def charge() -> Charge:
    ends = datetime.now(UTC) + timedelta(seconds=900)
    return Charge(reference=REFERENCE, amount=AMOUNT, expires_in=900, expires_at=ends)


def attempt_of(seen: Observation, provider: str) -> Attempt:
    """The live attempt the core keeps of a charge's answer."""
    return sample.attempt(
        provider=provider,
        reference=REFERENCE,
        amount=AMOUNT,
        provider_trx_id=seen.provider_trx_id,
        provider_ref_no=seen.provider_ref_no,
        qris_payload=seen.qris_payload,
        expires_at=seen.expires_at or datetime.now(UTC) + timedelta(seconds=900),
    )


def changed(body: bytes, member: str, value: str) -> bytes:
    """The body with another value in one of its members; JSON or a form, as it was."""
    if body.lstrip().startswith(b"{"):
        content = json.loads(body)
        place = content["data"] if member not in content and "data" in content else content
        place[member] = value
        return json.dumps(content).encode()
    return urlencode({**dict(parse_qsl(body.decode())), member: value}).encode()
