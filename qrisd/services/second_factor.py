"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when the phone is lost."""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from datetime import datetime
from typing import Final

from qrisd.domain.errors import NotFound
from qrisd.sealing import Sealer
from qrisd.services.tokens import hashed
from qrisd.store import recovery_codes, users
from qrisd.store.db import Connection
from qrisd.store.users import User

STEP_S: Final = 30
RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
_TOTP_CODE: Final = re.compile(r"[0-9]{6}")
_ISSUER: Final = "qrisd"


class SecondFactor:
    """Its secrets lie sealed; every code works once."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def begin(self, conn: Connection, user: User) -> None:
        """Make a secret that is to be tried before it counts."""
        from pyotp import random_base32

        sealed = self._sealer.seal(random_base32(), _purpose(user))
        users.save_second_factor(conn, user.id, secret=user.totp_secret, pending=sealed)

    def uri(self, user: User) -> str:
        """What the QR for the authenticator app says. Raises NotFound when no secret waits to be tried."""
        from pyotp import TOTP

        return TOTP(self.pending_secret(user)).provisioning_uri(name=user.username, issuer_name=_ISSUER)

    def pending_secret(self, user: User) -> str:
        """The secret that waits to be tried, to type it by hand. Raises NotFound when there is none."""
        if user.totp_pending is None:
            raise NotFound("No second factor is being set up.")
        return self._sealer.unseal(user.totp_pending, _purpose(user))

    def switch_on(self, conn: Connection, user: User, code: str, now: datetime) -> list[str] | None:
        """Make the pending secret the second factor, once a code proves that the app has it; answers the recovery
        codes, None when the code is wrong."""
        if user.totp_pending is None or not self._is_totp(conn, user, user.totp_pending, code, now):
            return None
        users.save_second_factor(conn, user.id, secret=user.totp_pending, pending=None)
        return self.new_recovery_codes(conn, user)

    def new_recovery_codes(self, conn: Connection, user: User) -> list[str]:
        """Ten codes in the place of those there were."""
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        recovery_codes.replace(conn, user.id, [hashed(_bare(code)) for code in codes])
        return codes

    def accepts(self, conn: Connection, user: User, code: str, now: datetime) -> str | None:
        """How this code proves who they are, "totp" or "recovery code", and spends it; None when it does not."""
        if user.totp_secret is not None and self._is_totp(conn, user, user.totp_secret, code, now):
            return "totp"
        return "recovery code" if recovery_codes.use(conn, user.id, hashed(_bare(code)), now) else None

    def _is_totp(self, conn: Connection, user: User, sealed: str, code: str, now: datetime) -> bool:
        from pyotp import TOTP

        code = "".join(code.split())
        if not _TOTP_CODE.fullmatch(code):
            return False
        totp, present = TOTP(self._sealer.unseal(sealed, _purpose(user))), int(now.timestamp()) // STEP_S
        steps = [step for step in (present - 1, present, present + 1) if _same(totp.generate_otp(step), code)]
        return bool(steps) and users.use_step(conn, user.id, steps[0])


def switch_off(conn: Connection, user: User) -> None:
    """From now on the password is enough."""
    users.save_second_factor(conn, user.id, secret=None, pending=None)
    recovery_codes.replace(conn, user.id, ())


def _purpose(user: User) -> str:
    return f"totp of {user.id}"


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _recovery_code() -> str:
    """80 random bits as four groups: "abcd-efgh-ijkl-mnop"."""
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _bare(code: str) -> str:
    """A code as it is compared: however it was typed off the paper."""
    return re.sub(r"[^a-z0-9]", "", code.lower())
