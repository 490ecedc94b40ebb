"""How SNAP BI signs: times, the text that is signed, and both kinds of signature. Pure: no I/O, no clock.

The asymmetric signature (RSA, SHA-256, PKCS#1 v1.5) asks for a token; the symmetric one (HMAC-SHA512) covers a service
call. Providers sign their notifications in one of five ways, see `NotifyScheme`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

WIB: Final = timezone(timedelta(hours=7))
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2})+|(?:[0-9A-F]{2})+")
_QUOTE, _BACKSLASH, _SPACES = 0x22, 0x5C, b" \t\r\n"


class NotifyScheme(StrEnum):
    """What a provider signs when it notifies us. `TS` is X-TIMESTAMP, `HASH` the body's, each exactly as sent."""

    HMAC_TOKEN = "hmac_token"  # METHOD:PATH:TOKEN:HASH:TS, where the token is one we issued
    HMAC_NOTOKEN = "hmac_notoken"  # METHOD:PATH:HASH:TS
    HMAC_EMPTYTOKEN = "hmac_emptytoken"  # METHOD:PATH::HASH:TS
    RSA_BODY = "rsa_body"  # METHOD:PATH:HASH:TS, signed with the provider's key
    RSA_CLIENTID = "rsa_clientid"  # CLIENT-KEY|TS, signed with the provider's key

    @property
    def covers_body(self) -> bool:
        """False when whoever has seen one notification can write others."""
        return self is not NotifyScheme.RSA_CLIENTID

    @property
    def is_rsa(self) -> bool:
        return self in (NotifyScheme.RSA_BODY, NotifyScheme.RSA_CLIENTID)


def timestamp(moment: datetime) -> str:
    """An aware time as SNAP writes it: `2025-01-31T10:15:30+07:00`, 25 characters."""
    return moment.astimezone(WIB).isoformat(timespec="seconds")


def moment(text: str | None) -> datetime | None:
    """Aware UTC from their time, with `Z`, an offset, a fraction, or none of these (then WIB); None when unreadable."""
    try:
        read = datetime.fromisoformat((text or "").strip())
        return (read if read.tzinfo else read.replace(tzinfo=WIB)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def minify(raw: bytes) -> bytes:
    """JSON without the white space between its tokens; inside strings nothing changes."""
    kept = bytearray()
    in_string = escaped = False
    for byte in raw:
        if not in_string and byte in _SPACES:
            continue
        kept.append(byte)
        if in_string and not escaped and byte == _BACKSLASH:
            escaped = True
            continue
        if byte == _QUOTE and not escaped:
            in_string = not in_string
        escaped = False
    return bytes(kept)


def body_hash(body: bytes) -> str:
    """SHA-256 as small hex letters."""
    return hashlib.sha256(body).hexdigest()


def token_text(client_id: str, sent_at: str) -> str:
    """What is signed to ask for a token."""
    return f"{client_id}|{sent_at}"


def service_text(method: str, path: str, token: str | None, body: bytes, sent_at: str) -> str:
    """What is signed of a call; `body` is exactly what is sent. None leaves the token's place out altogether."""
    parts = [method, path, *([] if token is None else [token]), body_hash(body), sent_at]
    return ":".join(parts)


def hmac_signature(secret: str, text: str) -> str:
    """HMAC-SHA512, base64 on one line."""
    return b64encode(_hmac(secret, text)).decode()


def rsa_signature(key: RSAPrivateKey, text: str) -> str:
    """SHA256withRSA, base64 on one line."""
    return b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def hmac_matches(secret: str, given: str, texts: Iterable[str]) -> bool:
    """Whether `given`, base64 or hex, signs one of `texts`. Compared in constant time; an empty secret never does."""
    signature = _signature_bytes(given)
    if not secret or signature is None:
        return False
    return any(hmac.compare_digest(_hmac(secret, text), signature) for text in texts)


def rsa_matches(key: RSAPublicKey, given: str, texts: Iterable[str]) -> bool:
    """Whether `given`, base64 or hex, signs one of `texts`."""
    signature = _signature_bytes(given)
    return signature is not None and any(_rsa_matches(key, signature, text) for text in texts)


def notify_texts(
    scheme: NotifyScheme, *, paths: Iterable[str], token: str, client_key: str, body: bytes, sent_at: str
) -> Iterator[str]:
    """Every text a notification may have been signed over: providers disagree about its path, and whether white space
    belongs to the body."""
    if scheme is NotifyScheme.RSA_CLIENTID:
        yield token_text(client_key, sent_at)
        return
    within = {NotifyScheme.HMAC_TOKEN: token, NotifyScheme.HMAC_EMPTYTOKEN: ""}.get(scheme)
    for each in dict.fromkeys((body, minify(body))):
        for path in paths:
            yield service_text("POST", path, within, each, sent_at)


def _hmac(secret: str, text: str) -> bytes:
    return hmac.digest(secret.encode(), text.encode(), "sha512")


def _rsa_matches(key: RSAPublicKey, signature: bytes, text: str) -> bool:
    try:
        key.verify(signature, text.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _signature_bytes(given: str) -> bytes | None:
    """The bytes of a signature: hex where it has the length and the letters of one, else base64; None when neither."""
    raw = given.encode()
    if _HEX.fullmatch(raw) and len(raw) in (128, 512, 768, 1024):
        return bytes.fromhex(given)
    try:
        return b64decode(raw, validate=True)
    except Base64Error:
        return None
