"""What can go wrong, named by what the caller does next. `api/problems.py` turns each into a problem document."""

from __future__ import annotations

from dataclasses import dataclass


class QrisdError(Exception):
    """The root of every error we raise on purpose; its text may be shown to the caller."""


class SettingsError(QrisdError):
    """The configuration cannot be used; the text lists every problem with its fix."""


class Unauthorized(QrisdError):
    """No usable API key came with the request."""


class SignInRefused(Unauthorized):
    """Whoever signs in is not who they say, or may not any longer. It never says which."""


class Forbidden(QrisdError):
    """Whoever calls is known but may not do this: their key lacks the scope, or their role the permission."""


class SelfApproval(Forbidden):
    """Somebody tried to decide about what they asked for themselves: `who`, from `source`."""

    def __init__(self, message: str, refund_id: str, who: str, source: str | None) -> None:
        super().__init__(message)
        self.refund_id = refund_id
        self.who = who
        self.source = source


class NotFound(QrisdError):
    """There is no such thing, or the caller may not know of it."""


class WrongState(QrisdError):
    """The payment's present status does not allow this; `status` says which it is."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class WrongRefundState(QrisdError):
    """The refund's present status does not allow this; `status` says which it is."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: its path (`customer.email`) and what to send instead."""

    field: str
    message: str


class Invalid(QrisdError):
    """Fields of the request are wrong; `errors` names each."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class EndpointOff(QrisdError):
    """The receiver of a callback is switched off: nothing is sent to it until a person resumes it."""


class ReportKnown(QrisdError):
    """This very settlement report was imported before; `file_id` says which it is."""

    def __init__(self, message: str, file_id: str) -> None:
        super().__init__(message)
        self.file_id = file_id


class OrderIdTaken(QrisdError):
    """The order id belongs to a payment made by a different request; `payment_id` says which, where the caller may know
    of it."""

    def __init__(self, message: str, payment_id: str | None) -> None:
        super().__init__(message)
        self.payment_id = payment_id


class IdempotencyKeyRequired(QrisdError):
    """A call that moves money came without an Idempotency-Key."""


class IdempotencyKeyInvalid(QrisdError):
    """The Idempotency-Key header cannot be read."""


class IdempotencyKeyReused(QrisdError):
    """The Idempotency-Key was used with another request."""


class IdempotencyInProgress(QrisdError):
    """The first request with this Idempotency-Key is still running."""


class RateLimited(QrisdError):
    """Too many requests; `retry_after_s` says when to come back."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageBusy(QrisdError):
    """The database is locked or its queue is full; nothing was written."""


class StorageUnavailable(QrisdError):
    """The database cannot take writes (disk full, read-only, input/output error); nothing was written."""


class DatabaseUnusable(QrisdError):
    """The database file cannot be opened as ours; the text says what to do."""


class ProviderError(QrisdError):
    """A provider did not do what was asked.

    `provider` is its configured name, `provider_code` its own code if it gave one, `retry_after_s` how long it asked us
    to wait. The text holds no secrets.
    """

    def __init__(
        self, provider: str, message: str, provider_code: str | None = None, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.provider_code = provider_code
        self.retry_after_s = retry_after_s


class ProviderRejected(ProviderError):
    """The provider said no: nothing exists there, another provider may be asked."""


class ProviderKeysRefused(ProviderRejected):
    """The provider does not know our keys or our account: it will refuse everything until somebody sets them right."""


class ProviderUnreachable(ProviderError):
    """Nothing was sent: nothing exists there, another provider may be asked, the same call may be repeated."""


class ProviderUncertain(ProviderError):
    """We asked and do not know whether it acted: a live QR may exist. Only looking it up may settle this."""


class WebhookUnsigned(QrisdError):
    """The webhook's proof is missing, malformed, stale or wrong. The caller learns no more than that."""


class WebhookUnreadable(QrisdError):
    """The webhook is proven but its body cannot be understood."""
