"""`type = "snap"`: a SNAP BI bank that is a table in the configuration, and no code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from qrisd.providers.base import ProviderSettings
from qrisd.providers.http import ProviderHttp
from qrisd.providers.snap.calls import SnapCalls
from qrisd.providers.snap.keys import read_private_key, read_public_key
from qrisd.providers.snap.notify import Notifications
from qrisd.providers.snap.profile import TOKEN_PATH, Account, Profile
from qrisd.providers.snap.qr import Snap, make_snap
from qrisd.providers.snap.signing import NotifyScheme


def _path(text: str) -> str:
    if text and (not text.startswith("/") or text.endswith("/")):
        raise ValueError("begins with a slash and ends without one, like /v1.0/qr")
    return text


def _listed(value: Any) -> Any:
    """In the environment: "/a, /b"."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


UrlPath = Annotated[str, AfterValidator(_path)]
UrlPaths = Annotated[tuple[UrlPath, ...], BeforeValidator(_listed)]


class SnapSettings(ProviderSettings):
    """`[providers.NAME]` with `type = "snap"`: a bank is a table, no code."""

    client_id: str = Field("", description="The client id (X-CLIENT-KEY) from the bank.")
    client_secret: SecretStr | None = Field(None, description="The client secret from the bank.")
    private_key_file: Path | None = Field(None, description="Your RSA key; the bank has its public half.")
    provider_public_key_file: Path | None = Field(None, description="The bank's RSA key, to check what it sends.")
    partner_id: str = Field("", description="X-PARTNER-ID; the client id when left out.")
    channel_id: str = Field("95221", description="CHANNEL-ID, from the bank.")
    merchant_id: str = Field("", description="The merchant id from the bank.")
    terminal_id: str | None = Field(None, max_length=16, description="The terminal id, where the bank gives one.")
    token_path: UrlPath = Field(TOKEN_PATH, description="Where the bank gives tokens, after base_url.")
    path_prefix: UrlPath = Field("", description="What stands before qr_path, after base_url.")
    qr_path: UrlPath = Field("/v1.0/qr", description="What stands before /qr-mpm-generate and its like.")
    signed_path_strip: UrlPath = Field("", description="What is left off the front of a path when it is signed.")
    additional_info: dict[str, Any] = Field({}, description="What the bank wants in additionalInfo when a QR is made.")
    cancel: bool = Field(False, description="True when the bank closes QRs (service 77).")
    refund: bool = Field(False, description="True when the bank refunds QRIS payments (service 78).")
    partial_refund: bool = Field(False, description="True when it also refunds a part.")
    notify_scheme: NotifyScheme = Field(NotifyScheme.HMAC_TOKEN, description="How the bank signs its notifications.")
    notify_signed_paths: UrlPaths = Field((), description="Further paths the bank may sign for its notifications.")

    @property
    def configured(self) -> bool:
        return all((self.base_url, self.client_id, plain(self.client_secret), self.private_key_file, self.merchant_id))


def snap_bank(
    name: str,
    settings: SnapSettings,
    http: ProviderHttp,
    clock: Callable[[], datetime],
    base_path: str,
    notify_url: str | None,
) -> Snap:
    """The adapter for `[providers.NAME]`. `base_path` is the path of our address, "" mostly; `notify_url` is where the
    bank's notifications reach us, None when our address is not public.

    Raises SettingsError when a key file cannot be used."""
    profile = _profile(name, settings)
    account = _account(name, settings)
    calls = SnapCalls(name, profile, account, http, clock, settings.timeout)
    return make_snap(calls, Notifications(name, profile, account, base_path), clock, notify_url)


def _profile(name: str, settings: SnapSettings) -> Profile:
    more = {"additionalInfo": settings.additional_info} if settings.additional_info else {}
    return Profile(
        label=name,
        base_url=(settings.base_url or "").rstrip("/"),
        token_path=settings.token_path,
        path_prefix=settings.path_prefix,
        qr_path=settings.qr_path,
        signed_path_strip=settings.signed_path_strip,
        charge_extra=lambda _: more,
        cancel=settings.cancel,
        refund=settings.refund,
        partial_refund=settings.partial_refund,
        notify_schemes=(settings.notify_scheme,),
        notify_paths=settings.notify_signed_paths,
    )


def _account(name: str, settings: SnapSettings) -> Account:
    private, public = settings.private_key_file, settings.provider_public_key_file
    return Account(
        client_id=settings.client_id,
        client_secret=plain(settings.client_secret),
        private_key=read_private_key(f"providers.{name}.private_key_file", private),
        provider_key=read_public_key(f"providers.{name}.provider_public_key_file", public),
        partner_id=settings.partner_id or settings.client_id,
        channel_id=settings.channel_id,
        merchant_id=settings.merchant_id,
        terminal_id=settings.terminal_id,
    )


def plain(secret: SecretStr | None) -> str:
    """The secret's text without the white space that pasting adds; empty when there is none."""
    return secret.get_secret_value().strip() if secret else ""
