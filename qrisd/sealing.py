"""Keeping a secret at rest: AES-GCM under a key made from the installation's secret key."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION: Final = "v1."
_NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """What is stored was sealed under another secret key or for another purpose, or was changed."""


class Sealer:
    """`seal` and `unseal` under one secret key. A purpose names what the secret is and whose ("totp of USER"): sealed
    for one purpose it cannot be opened for another."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key.encode()

    def seal(self, text: str, purpose: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, text.encode(), purpose.encode())
        return _VERSION + urlsafe_b64encode(nonce + sealed).decode()

    def unseal(self, sealed: str, purpose: str) -> str:
        """What was sealed. Raises Unsealable."""
        from cryptography.exceptions import InvalidTag

        try:
            raw = urlsafe_b64decode(sealed.removeprefix(_VERSION))
            return self._cipher().decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise Unsealable(f"The {purpose.split()[0]} cannot be opened with this secret key.") from error

    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"qrisd sealing v1").derive(self._secret_key))
