"""What a SNAP bank sends us: notifications, and requests for a token to send them with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from qrisd.domain.errors import StorageBusy, StorageUnavailable, WebhookUnreadable, WebhookUnsigned
from qrisd.domain.payment import Source, Status
from qrisd.providers.base import WebhookAnswer, WebhookEvent
from qrisd.providers.http import parse_object
from qrisd.providers.personal import without_personal
from qrisd.providers.snap.profile import NOTIFY_PATH, Account, Profile
from qrisd.providers.snap.signing import (
    NotifyScheme,
    hmac_matches,
    moment,
    notify_texts,
    rsa_matches,
    timestamp,
    token_text,
)
from qrisd.providers.snap.token import ISSUED_LIFETIME_S, TokenIssuer
from qrisd.providers.snap.wire import Message, folded, observed

MAX_BYTES: Final = 65_536
_MAX_SKEW: Final = timedelta(minutes=5)


class Notifications:
    """Proves and reads what one bank sends. `paths` are those it may have signed, ours among them."""

    def __init__(self, name: str, profile: Profile, account: Account, base_path: str) -> None:
        self._profile = profile
        self._account = account
        self._issuer = TokenIssuer(account.client_secret, name)
        own = [f"{base_path}/webhooks/{name}", f"/webhooks/{name}"]
        standard = [*(path + NOTIFY_PATH for path in own), NOTIFY_PATH]
        self.paths = tuple(dict.fromkeys([*own, *profile.notify_paths, *standard]))

    def event(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify, then translate. Raises WebhookUnsigned or WebhookUnreadable."""
        if len(body) > MAX_BYTES:
            raise WebhookUnreadable("The notification is larger than any bank sends.")
        self._verify(headers, body, now)
        payload = read_object(body)
        try:
            message = Message.model_validate(folded(payload))
        except ValidationError as error:
            raise WebhookUnreadable("The notification's members are not of the documented types.") from error
        seen = observed(message, Source.WEBHOOK, self._profile, self._account, message.reference)
        # "Cancelled" may mean expired and "refunded" may mean a part: only the bank's answer tells, with our times.
        told = seen.status is Status.PENDING or (seen.status is Status.PAID and seen.amount is not None)
        return WebhookEvent(
            event_id=event_id(payload),
            reference=message.reference,
            provider_trx_id=message.trx_id,
            observation=seen,
            proven=told and self._profile.proves_status,
            payload=without_personal(payload),
        )

    def _verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        given, sent_at = headers.get("x-signature", ""), headers.get("x-timestamp", "")
        token = _bearer(headers)
        schemes = self._profile.notify_schemes
        fine = bool(given and sent_at)
        if NotifyScheme.HMAC_TOKEN in schemes:
            fine = fine and self._issuer.accepts(token, now)
        if not fine or not any(self._matches(scheme, headers, body, token, now) for scheme in schemes):
            raise WebhookUnsigned("The notification's signature is missing or wrong.")

    def _matches(
        self, scheme: NotifyScheme, headers: Mapping[str, str], body: bytes, token: str, now: datetime
    ) -> bool:
        given, sent_at = headers["x-signature"], headers["x-timestamp"]
        client_key = headers.get("x-client-key", "")
        # A signature over the body may be old, for banks repeat a notification hours later and a repeat tells the same.
        # One that leaves the body out may not.
        if not scheme.covers_body and not (self._knows(client_key) and _is_recent(sent_at, now)):
            return False
        texts = notify_texts(scheme, paths=self.paths, token=token, client_key=client_key, body=body, sent_at=sent_at)
        if not scheme.is_rsa:
            return hmac_matches(self._account.client_secret, given, texts)
        key = self._account.provider_key
        return key is not None and rsa_matches(key, given, texts)

    def issue_token(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookAnswer:
        """Answer a bank that asks for a token. Header names are lower case."""
        status, content = self._token_or_refusal(headers, body, now)
        return WebhookAnswer(status, content, {"X-TIMESTAMP": timestamp(now), "X-CLIENT-KEY": self._account.client_id})

    def _token_or_refusal(self, headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[int, dict[str, Any]]:
        if NotifyScheme.HMAC_TOKEN not in self._profile.notify_schemes:
            return _refusal(404, "4047300", "This provider needs no token from us")
        if not _asks_for_credentials(body):
            return _refusal(400, "4007301", "Invalid Field Format grantType")
        token = self._issuer.issue(now) if self._may_have_token(headers, now) else None
        if token is None:
            return _refusal(401, "4017300", "Unauthorized. Invalid Signature")
        return 200, {
            "responseCode": "2007300",
            "responseMessage": "Successful",
            "accessToken": token,
            "tokenType": "Bearer",
            "expiresIn": ISSUED_LIFETIME_S,
            "additionalInfo": "",
        }

    def _may_have_token(self, headers: Mapping[str, str], now: datetime) -> bool:
        client_key, sent_at = headers.get("x-client-key", ""), headers.get("x-timestamp", "")
        key = self._account.provider_key
        if key is None or not self._knows(client_key) or not _is_recent(sent_at, now):
            return False
        return rsa_matches(key, headers.get("x-signature", ""), [token_text(client_key, sent_at)])

    def _knows(self, client_key: str) -> bool:
        return client_key in (self._account.client_id, self._account.partner_id)

    def acknowledge(self, outcome: str | None, error: Exception | None, now: datetime) -> WebhookAnswer:
        """The answer to a notification. Whatever is stored is a success, a notification about somebody else's
        transaction too, so that the bank stops repeating it."""
        stored = error is None and outcome is not None
        status, content = (200, self._profile.acknowledgement) if stored else _refusal_of(error)
        return WebhookAnswer(status, content, {"X-TIMESTAMP": timestamp(now)})


def read_object(body: bytes) -> dict[str, Any]:
    """A notification's JSON object. Raises WebhookUnreadable."""
    try:
        return parse_object(body)
    except ValueError as error:
        raise WebhookUnreadable("The notification is not a JSON object.") from error


def event_id(payload: Mapping[str, Any]) -> str:
    """A hash of all members, whatever their order and spacing: the same for a repeat, and nobody can use up the id of
    a notification that is still to come without knowing all of it."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _is_recent(text: str, now: datetime) -> bool:
    sent_at = moment(text)
    return sent_at is not None and abs(sent_at - now) <= _MAX_SKEW


def _asks_for_credentials(body: bytes) -> bool:
    """The grant type, in either spelling."""
    try:
        asked = parse_object(body)
    except ValueError:
        return False
    return "client_credentials" in (asked.get("grantType"), asked.get("grant_type"))


def _refusal(status: int, code: str, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"responseCode": code, "responseMessage": message}


def _refusal_of(error: Exception | None) -> tuple[int, dict[str, Any]]:
    match error:
        case WebhookUnsigned():
            return _refusal(401, "4015200", "Unauthorized. Invalid Signature")
        case WebhookUnreadable():
            return _refusal(400, "4005200", "Bad Request")
        case StorageBusy() | StorageUnavailable():
            return _refusal(503, "5035200", "Service Unavailable")
    return _refusal(500, "5005200", "General Error")
