"""One bank's dialect of SNAP BI, and who we are at that bank. The adapter itself knows no bank by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from qrisd.domain.payment import Attempt, Status
from qrisd.providers.base import Charge, RefundOrder
from qrisd.providers.snap.signing import NotifyScheme

# `latestTransactionStatus`. There is none for an expired QR, and none for a partial refund.
STATUS: Final[Mapping[str, Status]] = {
    "00": Status.PAID,
    "01": Status.PENDING,
    "02": Status.PENDING,
    "03": Status.PENDING,
    "04": Status.REFUNDED,
    "05": Status.CANCELLED,
    "06": Status.FAILED,
    "08": Status.EXPIRED,
    "09": Status.FAILED,
}
NOT_FOUND: Final = "07"
NOTIFY_PATH: Final = "/v1.0/qr/qr-mpm-notify"
TOKEN_PATH: Final = "/v1.0/access-token/b2b"


class Service(Enum):
    """What a bank is asked for: its code, which stands in the middle of every `responseCode`, and its address."""

    TOKEN = ("73", "")
    GENERATE = ("47", "qr-mpm-generate")
    QUERY = ("51", "qr-mpm-query")
    NOTIFY = ("52", "qr-mpm-notify")
    CANCEL = ("77", "qr-mpm-cancel")
    REFUND = ("78", "qr-mpm-refund")

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def leaf(self) -> str:
        return self.value[1]


def nothing(*_: Any) -> Mapping[str, Any]:
    """No additions to a body."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one bank speaks SNAP.

    The `..._extra`s are further members of a request's body and go over the adapter's own; `refund_extra` is also given
    the paid transaction's `additionalInfo`, its names in small letters. `base_url` has no final slash."""

    label: str
    base_url: str
    token_path: str = TOKEN_PATH
    path_prefix: str = ""
    qr_path: str = "/v1.0/qr"
    # What a gateway takes off the front of a path before the bank checks the signature.
    signed_path_strip: str = ""
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    amount_style: Literal["string", "number"] = "string"
    query_service_code: str = Service.GENERATE.code
    charge_extra: Callable[[Charge], Mapping[str, Any]] = nothing
    query_extra: Mapping[str, Any] = field(default_factory=dict)
    cancel_extra: Mapping[str, Any] = field(default_factory=dict)
    refund_extra: Callable[[Attempt, RefundOrder, Mapping[str, Any]], Mapping[str, Any]] = nothing
    statuses: Mapping[str, Status] = field(default_factory=lambda: STATUS)
    cancel: bool = False
    refund: bool = False
    partial_refund: bool = False
    min_expires_in: int = 60
    max_expires_in: int = 604_800
    # A notification must be signed in one of these ways; with `hmac_token` among them it must also bring our token.
    notify_schemes: tuple[NotifyScheme, ...] = (NotifyScheme.HMAC_TOKEN,)
    # False where the bank is asked even after a notification that proves itself.
    notify_is_believed: bool = True
    # Paths the bank may have signed besides our own address and the standard's.
    notify_paths: tuple[str, ...] = ()
    # Where our address is set at the bank.
    notify_where: str = "developer portal or onboarding form, for the payment notification of QRIS"
    acknowledgement: Mapping[str, Any] = field(
        default_factory=lambda: {"responseCode": "2005200", "responseMessage": "Successful"}
    )

    def path(self, service: Service) -> str:
        """Where a service lives, after `base_url`."""
        return f"{self.path_prefix}{self.qr_path}/{service.leaf}"

    @property
    def proves_status(self) -> bool:
        """True when a notification settles by itself how a payment stands."""
        return self.notify_is_believed and all(scheme.covers_body for scheme in self.notify_schemes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who we are at the bank. `provider_key` is None when the bank's signatures cannot be checked."""

    client_id: str
    client_secret: str = field(repr=False)
    private_key: RSAPrivateKey = field(repr=False)
    provider_key: RSAPublicKey | None = None
    partner_id: str
    channel_id: str
    merchant_id: str
    terminal_id: str | None = None
