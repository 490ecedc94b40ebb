"""A Midtrans account: its settings, calls to it with their errors told apart, and what its answers say of an order.

Habits of Midtrans worth knowing: the `status_code` in the body outranks the HTTP status; 407 (expired) is a success;
times are WIB without an offset; amounts are strings like "10000.00".
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, SecretStr, ValidationError

from qrisd.domain.errors import ProviderKeysRefused, ProviderRejected, ProviderUncertain, ProviderUnreachable
from qrisd.domain.payment import Observation, Source, Status
from qrisd.providers.base import ProviderSettings
from qrisd.providers.http import Answer, ProviderHttp, json_object, retry_after_s
from qrisd.providers.midtrans.wire import EXPIRED, Transaction, moment

# A second call within one verb (looking a conflict up, fetching the picture) must not double the caller's wait.
FOLLOW_UP_S: Final = 2.5
_BASE_URL: Final = {"sandbox": "https://api.sandbox.midtrans.com", "production": "https://api.midtrans.com"}
_UNKNOWN_KEY: Final = 401
# Codes after which nothing exists and repeating the call is of no use. Any other error leaves the outcome open.
FINAL: Final = frozenset({400, _UNKNOWN_KEY, 402, 403, 405, 410, 411, 413, 414})

_ADVICE: Final = {
    _UNKNOWN_KEY: "Midtrans does not know this server key. Copy it again from the dashboard (Settings, Access keys), "
    "and check that `environment` is the one the key was made in.",
    402: "QRIS is not active on this Midtrans account: ask Midtrans to activate it (payment type and Core API).",
    403: "Midtrans refuses this account or this network. Ask Midtrans' support.",
}


class MidtransSettings(ProviderSettings):
    """`[providers.midtrans]`."""

    server_key: SecretStr | None = Field(None, description="The Server Key from the Midtrans dashboard.")
    acquirer: str = Field("gopay", description="Who issues the QRIS: `gopay` or `airpay shopee`.")
    payment_type: Literal["qris", "gopay"] = Field("qris", description="`qris` for any wallet, or GoPay's own QR.")
    merchant_id: str | None = Field(None, description="When set, answers that name another merchant are refused.")

    @property
    def configured(self) -> bool:
        return self.server_key is not None and bool(self.server_key.get_secret_value().strip())


@dataclass(frozen=True, slots=True)
class Reply:
    """What Midtrans answered; `code` is the body's, or the HTTP status when the body has none."""

    code: int
    in_body: bool
    transaction: Transaction
    answer: Answer

    @property
    def is_absent(self) -> bool:
        """Only Midtrans' own word counts: a gateway's HTTP 404 says nothing about the order."""
        return self.in_body and self.code == 404


class MidtransAccount:
    """Calls to one account. They raise ProviderRejected, ProviderUnreachable or ProviderUncertain."""

    def __init__(self, name: str, settings: MidtransSettings, http: ProviderHttp) -> None:
        self.name = name
        self.settings = settings
        self.base_url = (settings.base_url or _BASE_URL[settings.environment]).rstrip("/")
        self.key = settings.server_key.get_secret_value().strip() if settings.server_key else ""
        self._credentials = b64encode(f"{self.key}:".encode()).decode()
        self._http = http

    async def status(self, order_id: str, timeout_s: float) -> Reply:
        """How an order stands, within `timeout_s` seconds."""
        path = f"/v2/{quote(order_id, safe='')}/status"
        return self._reply(await self._send("GET", path, {"Accept": "application/json"}, None, timeout_s))

    async def post(
        self, path: str, reference: str, action: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Reply:
        """One key per reference *and* action: Midtrans answers a known key with what it answered first, whatever the
        endpoint."""
        sent = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid5(NAMESPACE_URL, f"qrisd:{action}:{reference}")),
            **headers,
        }
        return self._reply(await self._send("POST", path, sent, json.dumps(body).encode(), self.settings.timeout))

    async def picture(self, path: str) -> bytes:
        """The PNG at `path`."""
        answer = await self._send("GET", path, {"Accept": "image/png"}, None, FOLLOW_UP_S)
        if answer.status != 200:
            raise ProviderUncertain(self.name, f"HTTP {answer.status} instead of a picture")
        return answer.body

    def expect_success(self, reply: Reply) -> None:
        """Raises for every code that is an error."""
        if reply.code in FINAL:
            raise self.rejected(reply)
        if reply.code >= 400 and reply.code != EXPIRED:
            raise self.unknown(reply)

    def rejected(self, reply: Reply) -> ProviderRejected:
        """A refusal in our words and theirs."""
        said = self.said(reply.transaction)
        advice = _ADVICE.get(reply.code)
        message = f"{advice} ({said})" if advice else f"Midtrans refused: {said}."
        kind = ProviderKeysRefused if reply.code == _UNKNOWN_KEY else ProviderRejected
        return kind(self.name, message, str(reply.code))

    def unknown(self, reply: Reply) -> ProviderUncertain:
        """An answer that leaves open what was done."""
        return ProviderUncertain(self.name, f"Midtrans answered {self.said(reply.transaction)}.", str(reply.code))

    def said(self, seen: Transaction) -> str:
        """Their words, without our key should they repeat it."""
        said = seen.said
        for secret in filter(None, (self.key, self._credentials)):
            said = said.replace(secret, "***")
        return said[:300]

    def observe(self, source: Source, seen: Transaction, reference: str | None) -> Observation:
        """What an answer or a notification says of the order with our `reference`."""
        if seen.order_id is None:
            raise ProviderUncertain(self.name, f"Midtrans' answer does not name its order ({self.said(seen)}).")
        amount, refunded, problem = _amounts(seen)
        return Observation(
            source=source,
            status=seen.status,
            amount=amount,
            amount_refunded=refunded,
            currency=seen.currency,
            provider_trx_id=seen.transaction_id,
            provider_ref_no=seen.reference_number,
            issuer=seen.issuer,
            qris_payload=seen.qr_string or None,
            expires_at=moment(seen.expiry_time),
            paid_at=moment(seen.settlement_time),
            contradiction=self.foreign(seen, reference) or problem,
            detail=self.said(seen),
        )

    def foreign(self, seen: Transaction, reference: str | None) -> str | None:
        """Why what was said is not about our order; None when it is."""
        if seen.order_id != reference:
            return "reference_mismatch"
        if self.settings.merchant_id and seen.merchant_id not in (None, self.settings.merchant_id):
            return "merchant_mismatch"
        return None

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None, timeout_s: float
    ) -> Answer:
        return await self._http.request(
            self.name,
            method,
            self.base_url + path,
            headers={"Authorization": f"Basic {self._credentials}", **headers},
            content=content,
            timeout_s=min(timeout_s, self.settings.timeout),
        )

    def _reply(self, answer: Answer) -> Reply:
        """Raises for what says nothing about the order: a limit, a fault of theirs, a repeat still running."""
        if answer.status == 429:
            raise self._limited(answer)
        if answer.status == 202:
            raise ProviderUncertain(self.name, "Midtrans is still working on the same request.", "202")
        if answer.status >= 500 or 300 <= answer.status < 400:
            raise ProviderUncertain(self.name, f"Midtrans answered HTTP {answer.status}.", str(answer.status))
        try:
            transaction = Transaction.model_validate(json_object(self.name, answer))
        except ValidationError as error:
            raise ProviderUncertain(self.name, "Midtrans' answer is not of the documented shape.") from error
        code = transaction.status_code or str(answer.status)
        if not (code.isascii() and code.isdigit() and len(code) == 3):
            raise ProviderUncertain(self.name, "Midtrans' answer carries no usable status code.")
        if code == "429":
            raise self._limited(answer)
        return Reply(int(code), transaction.status_code is not None, transaction, answer)

    def _limited(self, answer: Answer) -> ProviderUnreachable:
        """The limit stands before the work, so nothing exists and the same call may be repeated."""
        wait_s = retry_after_s(answer)
        when = "in a while" if wait_s is None else f"in {wait_s:.0f} seconds"
        text = f"Midtrans limits how often it is called: try again {when}."
        return ProviderUnreachable(self.name, text, "429", retry_after_s=wait_s)


def _amounts(seen: Transaction) -> tuple[int | None, int | None, str | None]:
    try:
        amount, refunded = seen.amount, seen.refunded
    except ValueError:
        return None, None, "amount_format"
    missing = seen.status is Status.PARTIALLY_REFUNDED and refunded is None
    return amount, refunded, "refund_amount_missing" if missing else None
