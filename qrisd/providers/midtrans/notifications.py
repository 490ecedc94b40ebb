"""Midtrans' notifications. Their signature covers neither the status nor the times, so each is only a hint."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from qrisd.domain.errors import WebhookUnreadable, WebhookUnsigned
from qrisd.domain.payment import Source
from qrisd.providers.base import WebhookEvent
from qrisd.providers.http import parse_object
from qrisd.providers.midtrans.account import MidtransAccount
from qrisd.providers.midtrans.wire import Transaction
from qrisd.providers.personal import without_personal

_MAX_BYTES: Final = 65_536


def parse_webhook(account: MidtransAccount, body: bytes) -> WebhookEvent:
    """Verify, then translate. Raises WebhookUnreadable when it is not a JSON object, else WebhookUnsigned."""
    payload = _read(body)
    if not _is_signed(payload, account.key):
        raise WebhookUnsigned("The notification's signature is missing or wrong.")
    try:
        transaction = Transaction.model_validate(payload)
    except ValidationError as error:
        raise WebhookUnreadable("The notification's members are not of the documented types.") from error
    return WebhookEvent(
        event_id=_event_id(payload),
        reference=transaction.order_id,
        provider_trx_id=transaction.transaction_id,
        observation=account.observe(Source.WEBHOOK, transaction, transaction.order_id),
        proven=False,
        payload=without_personal(payload),
    )


def _read(body: bytes) -> dict[str, Any]:
    if len(body) > _MAX_BYTES:
        raise WebhookUnreadable("The notification is larger than any Midtrans sends.")
    try:
        return parse_object(body)
    except ValueError as error:
        raise WebhookUnreadable("The notification is not a JSON object.") from error


def _is_signed(payload: Mapping[str, Any], key: str) -> bool:
    """SHA-512 over order id, code, amount and server key, each exactly as received."""
    parts = [payload.get(name) for name in ("order_id", "status_code", "gross_amount")]
    given = payload.get("signature_key")
    texts = [part for part in parts if isinstance(part, str) and part]
    if len(texts) != len(parts) or not isinstance(given, str) or not key:
        return False
    expected = hashlib.sha512("".join([*texts, key]).encode()).hexdigest()
    return hmac.compare_digest(expected.encode(), given.encode())


def _event_id(payload: Mapping[str, Any]) -> str:
    """A hash of all members, whatever their order: the second notification of a refund differs from the first by one
    time only, and nobody can use up the id of a notification that is still to come without knowing all of it."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
