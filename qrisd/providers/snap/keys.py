"""RSA keys from files, however the provider or OpenSSL wrote them."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from qrisd.domain.errors import SettingsError

_MIN_BITS: Final = 2048
_ARMOURED: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----")


def read_private_key(setting: str, path: Path | None) -> RSAPrivateKey:
    """Our key: PEM (PKCS#8 or PKCS#1), or base64 of its DER without the BEGIN and END lines.

    Raises SettingsError, which names `setting` and never shows what is in the file."""
    if path is None:
        raise SettingsError(f"{setting} is not set: give the path of your RSA key.")
    data = _read(setting, path)
    try:
        key = load_pem_private_key(data, None) if _ARMOURED.search(data) else load_der_private_key(_bare(data), None)
    except TypeError as error:
        raise SettingsError(f"{setting}: {path} is locked with a password; store it without one.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable(setting, path, "private") from error
    if not isinstance(key, RSAPrivateKey):
        raise _unusable(setting, path, "private")
    if key.key_size < _MIN_BITS:
        raise SettingsError(f"{setting}: {path} has only {key.key_size} bits; make a key of {_MIN_BITS}.")
    return key


def read_public_key(setting: str, path: Path | None) -> RSAPublicKey | None:
    """The provider's key, in the same forms; None when no file is set. Raises SettingsError."""
    if path is None:
        return None
    data = _read(setting, path)
    try:
        key = load_pem_public_key(data) if _ARMOURED.search(data) else load_der_public_key(_bare(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable(setting, path, "public") from error
    if not isinstance(key, RSAPublicKey):
        raise _unusable(setting, path, "public")
    return key


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting}: {path} cannot be read: {error.strerror}.") from error


def _bare(data: bytes) -> bytes:
    """DER from base64, whatever its line breaks. Raises ValueError."""
    try:
        return b64decode(b"".join(data.split()), validate=True)
    except Base64Error as error:
        raise ValueError("neither PEM nor base64") from error


def _unusable(setting: str, path: Path, kind: str) -> SettingsError:
    return SettingsError(
        f"{setting}: {path} holds no RSA {kind} key; give a PEM file (-----BEGIN ...), or base64 of the key's DER."
    )
