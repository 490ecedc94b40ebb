"""DOKU: SNAP QRIS with DOKU's profile, and the three forms in which DOKU tells of a payment.

Habits of DOKU worth knowing: the prefix of its paths is signed; only the latest token is honoured, so two programs must
not share credentials; amounts come back as numbers; a refund needs the approval code of the payment; which form of
notification an account gets is not said anywhere, so every one is a reason to ask.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from pydantic import AliasPath, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from qrisd.domain.errors import WebhookUnreadable, WebhookUnsigned
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import ProviderSettings, RefundOrder, WebhookEvent
from qrisd.providers.http import ProviderHttp
from qrisd.providers.personal import without_personal
from qrisd.providers.snap.bank import plain
from qrisd.providers.snap.calls import SnapCalls
from qrisd.providers.snap.keys import read_private_key, read_public_key
from qrisd.providers.snap.notify import MAX_BYTES, Notifications, event_id, read_object
from qrisd.providers.snap.profile import Account, Profile
from qrisd.providers.snap.qr import Snap, make_snap
from qrisd.providers.snap.signing import NotifyScheme, moment

_BASE_URL: Final = {"sandbox": "https://api-sandbox.doku.com", "production": "https://api.doku.com"}
_NO_TIP: Final = "1"
_SIGNATURE_PREFIX: Final = "HMACSHA256="
_FORM: Final = "application/x-www-form-urlencoded"

# `transaction.status` outside SNAP. After FAILED the payer may try again.
_STATUS: Final = {
    "PENDING": Status.PENDING,
    "REDIRECT": Status.PENDING,
    "TIMEOUT": Status.PENDING,
    "FAILED": Status.PENDING,
    "SUCCESS": Status.PAID,
    "EXPIRED": Status.EXPIRED,
    "REFUNDED": Status.REFUNDED,
}


class DokuSettings(ProviderSettings):
    """`[providers.doku]`."""

    client_id: str = Field("", description="The Client ID from the DOKU dashboard (BRN-... or MCH-...).")
    secret_key: SecretStr | None = Field(None, description="The Secret Key from the DOKU dashboard (SK-...).")
    private_key_file: Path | None = Field(None, description="Your RSA key; its public half is in the DOKU dashboard.")
    provider_public_key_file: Path | None = Field(None, description="DOKU's public key from the dashboard.")
    merchant_id: str = Field("", description="The merchant id (mall id) DOKU gave you for QRIS.")
    terminal_id: str = Field("", max_length=16, description="The terminal id DOKU gave you for QRIS.")
    postal_code: str = Field("", description="The merchant's postal code.")
    channel_id: str = Field("H2H", description="CHANNEL-ID, should DOKU tell you another.")
    cancel: bool = Field(False, description="True when DOKU has told you that your account may close QRs.")
    unsigned_notifications: bool = Field(
        False, description="True to take the unsigned notifications of old QRIS accounts as a reason to ask DOKU."
    )

    @property
    def configured(self) -> bool:
        places = (self.merchant_id, self.terminal_id, self.postal_code)
        return all((self.client_id, plain(self.secret_key), self.private_key_file, *places))


def doku(
    name: str,
    settings: DokuSettings,
    http: ProviderHttp,
    clock: Callable[[], datetime],
    base_path: str,
    notify_url: str | None,
) -> Snap:
    """The adapter for `[providers.doku]`. `base_path` is the path of our address, "" mostly; `notify_url` is where
    DOKU's notifications reach us, None when our address is not public.

    Raises SettingsError when a key file cannot be used."""
    profile = _profile(settings)
    account = _account(name, settings)
    calls = SnapCalls(name, profile, account, http, clock, settings.timeout)
    unsigned = settings.unsigned_notifications
    notifications = DokuNotifications(name, profile, account, base_path, takes_unsigned=unsigned)
    return make_snap(calls, notifications, clock, notify_url)


def _profile(settings: DokuSettings) -> Profile:
    return Profile(
        label="DOKU",
        base_url=(settings.base_url or _BASE_URL[settings.environment]).rstrip("/"),
        token_path="/authorization/v1/access-token/b2b",
        path_prefix="/snap-adapter/b2b",
        charge_extra=lambda _: {"additionalInfo": {"postalCode": settings.postal_code, "feeType": _NO_TIP}},
        cancel_extra={"terminalId": settings.terminal_id},
        refund_extra=_approval,
        cancel=settings.cancel,
        refund=True,
        notify_schemes=(NotifyScheme.HMAC_TOKEN, NotifyScheme.HMAC_EMPTYTOKEN),
        notify_is_believed=False,
        notify_where="dashboard, Settings, Payment Settings, QRIS",
    )


def _account(name: str, settings: DokuSettings) -> Account:
    private, public = settings.private_key_file, settings.provider_public_key_file
    return Account(
        client_id=settings.client_id,
        client_secret=plain(settings.secret_key),
        private_key=read_private_key(f"providers.{name}.private_key_file", private),
        provider_key=read_public_key(f"providers.{name}.provider_public_key_file", public),
        partner_id=settings.client_id,
        channel_id=settings.channel_id,
        merchant_id=settings.merchant_id,
        terminal_id=settings.terminal_id,
    )


def _approval(attempt: Attempt, order: RefundOrder, paid: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payment's approval code, from the answer to a query."""
    code = paid.get("approvalcode") or attempt.provider_ref_no
    return {"additionalInfo": {"approvalCode": code}} if code else {}


class _Jokul(BaseModel):
    """A notification of DOKU's own API, which Checkout and some QRIS accounts use."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    reference: str = Field(validation_alias=AliasPath("order", "invoice_number"))
    amount: str | None = Field(None, validation_alias=AliasPath("order", "amount"))
    status: str | None = Field(None, validation_alias=AliasPath("transaction", "status"))
    date: str | None = Field(None, validation_alias=AliasPath("transaction", "date"))
    approval_code: str | None = Field(None, validation_alias=AliasPath("emoney_payment", "approval_code"))


class DokuNotifications(Notifications):
    """SNAP's notifications, those of DOKU's own API, and, when told so, the unsigned ones of old QRIS accounts."""

    def __init__(self, name: str, profile: Profile, account: Account, base_path: str, *, takes_unsigned: bool) -> None:
        super().__init__(name, profile, account, base_path)
        self._client_id = account.client_id
        self._secret = account.client_secret
        self._takes_unsigned = takes_unsigned

    def event(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify and translate whichever of the three it is. Raises WebhookUnsigned or WebhookUnreadable."""
        if len(body) > MAX_BYTES:
            raise WebhookUnreadable("The notification is larger than any DOKU sends.")
        if "x-signature" in headers:
            return super().event(headers, body, now)
        if "signature" in headers:
            return self._jokul_event(headers, body)
        if self._takes_unsigned and headers.get("content-type", "").startswith(_FORM):
            return _unsigned_event(body)
        raise WebhookUnsigned("The notification's signature is missing or wrong.")

    def _jokul_event(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent:
        if not self._is_jokul_signed(headers, body):
            raise WebhookUnsigned("The notification's signature is missing or wrong.")
        payload = read_object(body)
        try:
            seen = _Jokul.model_validate(payload)
        except ValidationError as error:
            raise WebhookUnreadable("The notification's members are not of the documented types.") from error
        return WebhookEvent(
            event_id=event_id(payload),
            reference=seen.reference,
            provider_trx_id=None,
            observation=_jokul_observation(seen),
            proven=False,
            payload=without_personal(payload),
        )

    def _is_jokul_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """HMAC-SHA256 over the headers, our path and the body. Its age does not count: DOKU repeats for hours."""
        names = ("client-id", "request-id", "request-timestamp")
        client_id, request_id, sent_at = (headers.get(name, "") for name in names)
        if client_id != self._client_id or not (request_id and sent_at and self._secret):
            return False
        given = headers["signature"].encode()
        for path in self.paths:
            component = jokul_component(client_id, request_id, sent_at, path, body)
            if hmac.compare_digest(jokul_signature(self._secret, component).encode(), given):
                return True
        return False


def jokul_component(client_id: str, request_id: str, sent_at: str, path: str, body: bytes) -> str:
    """The text DOKU's own API signs; `body` is exactly what was sent."""
    digest = b64encode(hashlib.sha256(body).digest()).decode()
    return "\n".join(
        (
            f"Client-Id:{client_id}",
            f"Request-Id:{request_id}",
            f"Request-Timestamp:{sent_at}",
            f"Request-Target:{path}",
            f"Digest:{digest}",
        )
    )


def jokul_signature(secret: str, component: str) -> str:
    """The header `Signature` of DOKU's own API."""
    return _SIGNATURE_PREFIX + b64encode(hmac.digest(secret.encode(), component.encode(), "sha256")).decode()


def _jokul_observation(seen: _Jokul) -> Observation:
    status, amount, problem = _STATUS.get(seen.status or ""), None, None
    try:
        amount = None if seen.amount is None else whole_rupiah(seen.amount)
    except ValueError:
        problem = "amount_format"
    return Observation(
        source=Source.WEBHOOK,
        status=status,
        amount=amount,
        currency="IDR",
        provider_ref_no=seen.approval_code,
        paid_at=moment(seen.date) if status is Status.PAID else None,
        contradiction=problem,
        detail=f"transaction.status {seen.status}"[:100],
    )


def _unsigned_event(body: bytes) -> WebhookEvent:
    """Proves nothing, so it only names a QR to ask about, and its id allows one question per QR and status."""
    try:
        members = parse_qs(body.decode("ascii"), max_num_fields=100)
    except ValueError as error:
        raise WebhookUnreadable("The notification is not a form.") from error
    invoice, status = (members.get(name, [""])[0][:64] for name in ("INVOICE", "TXNSTATUS"))
    if not invoice:
        raise WebhookUnreadable("The notification names no INVOICE.")
    return WebhookEvent(
        event_id=f"unsigned:{invoice}:{status}",
        reference=invoice,
        provider_trx_id=None,
        observation=Observation(source=Source.WEBHOOK, detail=f"TXNSTATUS {status}"),
        proven=False,
        payload={"INVOICE": invoice, "TXNSTATUS": status},
    )
