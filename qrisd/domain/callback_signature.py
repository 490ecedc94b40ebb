"""How callbacks are signed: Standard Webhooks, symmetric (`v1`)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

SECRET_PREFIX: Final = "whsec_"
SHORTEST_BYTES: Final = 24
LONGEST_BYTES: Final = 64


def secret_text(key: bytes) -> str:
    """A signing key as the receiver is given it."""
    return SECRET_PREFIX + b64encode(key).decode()


def secret_key(text: str) -> bytes:
    """The signing key in a `whsec_` secret, 24 to 64 bytes. Raises ValueError saying what to use instead."""
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except Base64Error:
        key = b""
    if not text.startswith(SECRET_PREFIX) or not SHORTEST_BYTES <= len(key) <= LONGEST_BYTES:
        raise ValueError("is no signing secret; use whsec_ followed by 24 to 64 random bytes in base64")
    return key


def signed_headers(secrets: Sequence[str], callback_id: str, body: str, now: datetime) -> Mapping[str, str]:
    """The three headers of a callback sent now, with one signature for each of `secrets`."""
    timestamp = str(int(now.timestamp()))
    content = f"{callback_id}.{timestamp}.{body}".encode()
    return {
        "webhook-id": callback_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret_key(secret), content) for secret in secrets),
    }


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
