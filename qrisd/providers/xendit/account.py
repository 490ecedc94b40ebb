"""A Xendit account: its settings, and calls to it with their errors told apart.

Habits of Xendit worth knowing: test and live share one host, and the key decides which it is; some refusals with HTTP
400 may simply be repeated, so the error code counts and not the HTTP status; a webhook carries a fixed token and no
signature, so it is only a hint; a payment can be found by our reference only in the list of transactions.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from pydantic import (
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from qrisd.domain.errors import (
    ProviderError,
    ProviderKeysRefused,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
)
from qrisd.providers.base import ProviderSettings
from qrisd.providers.http import Answer, ProviderHttp, json_object, parse_object, retry_after_s

NOT_FOUND: Final = "DATA_NOT_FOUND"
# A further call within one verb must not double the caller's wait.
FOLLOW_UP_S: Final = 2.5
# After these the same call may be repeated: they stand before the work, some of them with HTTP 400.
RETRY_CODES: Final = (
    "PAYMENT_REQUEST_RATE_LIMITED",
    "TEMPORARILY_UNAVAILABLE",
    "CHANNEL_UNAVAILABLE",
    "RATE_LIMIT_EXCEEDED",
    "REFUND_IN_PROGRESS",
)
# A request Xendit has seen before (409), or one that may come through later, is not refused for sure.
_NOT_FINAL: Final = frozenset({408, 409, 425})
_SECONDS: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,9})?")
_KEY_ENVIRONMENTS: Final = {"xnd_development_": "sandbox", "xnd_production_": "production"}

_ADVICE: Final = {
    "INVALID_API_KEY": "Xendit does not know this secret key. Copy it again from the dashboard (Settings, API Keys).",
    "REQUEST_FORBIDDEN_ERROR": "This secret key may not do that. In the dashboard (Settings, API Keys) give it "
    "Money-in Write and Transaction Read; if an IP allowlist is on, add this computer's address.",
    "INVALID_MERCHANT_SETTINGS": "QRIS is not active on this Xendit account, or not for this API: ask Xendit to "
    "activate it (Settings, Payment Channels).",
    "INSUFFICIENT_BALANCE": "The Xendit balance is too small: top it up, and the refund goes out by itself.",
    "REFUND_NOT_SUPPORTED": "The payer's bank takes no refunds through Xendit: give the money back by hand.",
    "PARTIAL_REFUND_NOT_SUPPORTED": "The payer's bank takes only full refunds: refund all of it, or by hand.",
}


class XenditSettings(ProviderSettings):
    """`[providers.xendit]`."""

    secret_key: SecretStr | None = Field(None, description="The secret API key from the Xendit dashboard.")
    webhook_token: SecretStr | None = Field(
        None, description="The webhook verification token from the dashboard; without it every webhook is refused."
    )
    api: Literal["payment_requests", "qr_codes"] = Field(
        "payment_requests", description="`payment_requests` (2024-11-11), or `qr_codes` (2022-07-31), the older one."
    )

    @field_validator("secret_key")
    @classmethod
    def _check_environment(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        environment = info.data.get("environment")
        for prefix, meant in _KEY_ENVIRONMENTS.items():
            if plain(key).startswith(prefix) and environment not in (None, meant):
                raise ValueError(f'is a key of {meant}; set environment = "{meant}", or use a key of {environment}')
        return key

    @property
    def configured(self) -> bool:
        return bool(plain(self.secret_key))


class Wire(BaseModel):
    """What every answer and webhook is read into: members may be missing, numbers are kept as their text."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


W = TypeVar("W", bound=Wire)


class Transaction(Wire):
    """A line of the account's list of transactions. `product_id` is the payment's id."""

    product_id: str | None = None
    type: str | None = None
    status: str | None = None
    reference_id: str | None = None
    currency: str | None = None
    amount: str | None = None
    created: str | None = None
    payment_request_id: str | None = Field(None, validation_alias=AliasPath("product_data", "payment_request_id"))


class _Transactions(Wire):
    data: list[Transaction]


class _Refusal(Wire):
    error_code: str | None = None
    message: str | None = None
    errors: list[Any] | None = None


class XenditAccount:
    """Calls to one account. Every method raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""

    def __init__(self, name: str, settings: XenditSettings, http: ProviderHttp) -> None:
        self.name = name
        self.settings = settings
        self._http = http
        self.base_url = (settings.base_url or "https://api.xendit.co").rstrip("/")

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, *, version: str | None = None, timeout_s: float = 60
    ) -> Answer:
        """GET `path`, with `version` as api-version where the path has several; within `timeout_s` seconds."""
        where = f"{path}?{urlencode(query)}" if query else path
        return await self._call("GET", where, {}, None, version, timeout_s)

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], *, version: str | None = None
    ) -> Answer:
        """POST `body` as JSON; `headers` carry what makes a repeat known."""
        sent = {"Content-Type": "application/json", **headers}
        return await self._call("POST", path, sent, json.dumps(body).encode(), version, 60)

    async def probe(self, path: str, *, version: str | None = None) -> tuple[Answer, ProviderError | None]:
        """GET `path`: the answer whatever its status, and the error it means."""
        answer = await self._send("GET", path, {}, None, version, 60)
        return answer, None if _is_success(answer) else self._error(answer)

    async def payment_made(self, reference: str, timeout_s: float = 60) -> Transaction | None:
        """The successful payment under our reference, however it came about; None when there is none."""
        query = {"reference_id": reference, "types": "PAYMENT", "limit": "50"}
        page = self.read(_Transactions, await self.get("/transactions", query, timeout_s=timeout_s))
        for row in page.data:
            if (row.reference_id, row.type, row.status) == (reference, "PAYMENT", "SUCCESS"):
                return row
        return None

    def read(self, model: type[W], answer: Answer) -> W:
        """The answer as `model`. Raises ProviderUncertain when it is of another shape."""
        try:
            return model.model_validate(json_object(self.name, answer))
        except ValidationError as error:
            raise ProviderUncertain(self.name, "Xendit's answer is not of the documented shape.") from error

    def told(self, status: str | None, failure_code: str | None, qr_text: str | None) -> str:
        """One line for the log. Test keys may be given a stand-in text where a QRIS should be: that is said."""
        is_stand_in = self.settings.environment == "sandbox" and qr_text and not qr_text.startswith("000201")
        words = [
            status or "no status",
            failure_code,
            "a stand-in text of test mode, not a QRIS" if is_stand_in else None,
        ]
        return "; ".join(word for word in words if word)[:200]

    async def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        version: str | None,
        timeout_s: float,
    ) -> Answer:
        answer = await self._send(method, path, headers, content, version, timeout_s)
        if _is_success(answer):
            return answer
        raise self._error(answer)

    async def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        version: str | None,
        timeout_s: float,
    ) -> Answer:
        return await self._http.request(
            self.name,
            method,
            self.base_url + path,
            headers={
                "Authorization": f"Basic {self._credentials}",
                "Accept": "application/json",
                **({"api-version": version} if version else {}),
                **headers,
            },
            content=content,
            timeout_s=min(timeout_s, self.settings.timeout),
        )

    def _error(self, answer: Answer) -> ProviderError:
        """What an answer other than success means. Only Xendit's own error code counts as a refusal: an edge proxy's
        HTML says nothing about what was done behind it."""
        if answer.status == 429:
            return self._limited(answer)
        try:
            refusal = _Refusal.model_validate(parse_object(answer.body))
        except ValueError:
            refusal = _Refusal()
        code, said = refusal.error_code, self._said(refusal, answer)
        if code in RETRY_CODES:
            return ProviderUnreachable(self.name, f"Xendit cannot do this just now; try again later ({said}).", code)
        if code is None or not 400 <= answer.status < 500 or answer.status in _NOT_FINAL:
            return ProviderUncertain(self.name, f"Xendit answered HTTP {answer.status}: {said}.", code)
        advice = _ADVICE.get(code)
        kind = ProviderKeysRefused if answer.status == 401 else ProviderRejected
        return kind(self.name, f"{advice} ({said})" if advice else f"Xendit refused: {said}.", code)

    def _limited(self, answer: Answer) -> ProviderUnreachable:
        """The limit stands before the work, so nothing exists and the same call may be repeated."""
        wait_s = _reset_s(answer)
        when = "in a while" if wait_s is None else f"in {wait_s:.0f} seconds"
        text = f"Xendit limits how often it is called: try again {when}."
        return ProviderUnreachable(self.name, text, "RATE_LIMIT_EXCEEDED", retry_after_s=wait_s)

    def _said(self, refusal: _Refusal, answer: Answer) -> str:
        """Their words in one line, and the request's id, which their support asks for; without our secrets."""
        details = json.dumps(refusal.errors, ensure_ascii=False) if refusal.errors else None
        words = [refusal.error_code, refusal.message, details]
        said = "; ".join(" ".join(word.split()) for word in words if word) or "no message"
        for secret in filter(None, (self._key, self._credentials, plain(self.settings.webhook_token))):
            said = said.replace(secret, "***")
        request_id = answer.headers.get("request-id", "")[:64]
        return f"{said[:300]}; Request-Id {request_id}" if request_id else said[:300]

    @property
    def _key(self) -> str:
        return plain(self.settings.secret_key)

    @property
    def _credentials(self) -> str:
        return b64encode(f"{self._key}:".encode()).decode()


def plain(secret: SecretStr | None) -> str:
    """The secret's text without the white space that pasting adds; empty when there is none."""
    return secret.get_secret_value().strip() if secret else ""


def repeat_key(action: str, reference: str) -> str:
    """The same for every try of one action, so that Xendit can tell a repeat."""
    return str(uuid5(NAMESPACE_URL, f"qrisd:{action}:{reference}"))


def _is_success(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def moment(text: str | None) -> datetime | None:
    """Xendit's time, UTC with up to nine decimals; None when it cannot be read, for nothing hangs on it."""
    try:
        read = datetime.fromisoformat(text or "")
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _reset_s(answer: Answer) -> float | None:
    """The seconds until the limit is lifted: decimals in Rate-Limit-Reset."""
    text = answer.headers.get("rate-limit-reset", "")
    return float(text) if _SECONDS.fullmatch(text) else retry_after_s(answer)
