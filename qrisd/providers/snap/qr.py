"""Dynamic QRIS at any bank that speaks SNAP BI, Indonesia's national standard for payment APIs, by its `Profile`.

Habits of SNAP worth knowing: there is no common host, and banks differ in paths and in what they sign; a code in the
body outranks the HTTP status; there is no status for an expired QR, and "cancelled" is often said of one; only the
answer that made a QR carries its text; a refund can only be asked for again, under the same number.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from qrisd.domain.errors import ProviderError
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, RefundObservation, RefundOrder, WebhookAnswer, WebhookEvent
from qrisd.providers.snap.calls import Deadline, Reply, SnapCalls
from qrisd.providers.snap.diagnosis import diagnose
from qrisd.providers.snap.notify import Notifications
from qrisd.providers.snap.profile import Profile, Service
from qrisd.providers.snap.refunds import SnapRefunds
from qrisd.providers.snap.signing import moment, timestamp
from qrisd.providers.snap.wire import (
    DUPLICATE,
    EXPIRED,
    RETRY_CASES,
    Message,
    absence,
    is_absent,
    money,
    observed,
    original,
    unpaid_status,
)
from qrisd.qr_image import decode


class Snap:
    """One account at one SNAP bank. Whether it also cancels and refunds depends on the profile: see `make_snap`.
    `notify_url` is where its notifications reach us; None when they cannot."""

    def __init__(
        self, calls: SnapCalls, notifications: Notifications, clock: Callable[[], datetime], notify_url: str | None
    ) -> None:
        self.name = calls.name
        self._calls = calls
        self._profile = calls.profile
        self._account = calls.account
        self._clock = clock
        self._notifications = notifications
        self._notify_url = notify_url
        self.capabilities = _capabilities(calls.profile)

    async def create_qr(self, charge: Charge) -> Observation:
        """Generate under `charge.reference`. A duplicate is uncertain: only asking shows what became of the first.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        reply = await self._generate(charge)
        if not reply.is_success:
            raise self._calls.error(reply)
        return await self._made(Source.PROVIDER, reply.message, charge)

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Ask by our reference. A live QR whose text was lost is asked for once more, for a query does not bring it.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        seen = await self._lookup(attempt, self._calls.deadline())
        lost = attempt.status is Status.CREATED and attempt.qris_payload is None
        if lost and seen.status is Status.PENDING and seen.contradiction is None:
            return await self._recovered(attempt, seen)
        return seen

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify and translate a notification. Raises WebhookUnsigned or WebhookUnreadable."""
        return self._notifications.event(headers, body, now)

    def issue_token(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookAnswer:
        """Answer the bank's request for a token of ours: (HTTP status, body)."""
        return self._notifications.issue_token(headers, body, now)

    def acknowledge(self, outcome: str | None, error: Exception | None, now: datetime) -> WebhookAnswer:
        """Answer a notification as SNAP wants it: (HTTP status, body)."""
        return self._notifications.acknowledge(outcome, error, now)

    async def diagnose(self) -> list[tuple[bool, str]]:
        """Whether the keys are accepted, the clocks agree, and where notifications go. Charges nobody."""
        return await diagnose(self._calls, self._notify_url)

    async def _generate(self, charge: Charge) -> Reply:
        account = self._account
        body = {
            "partnerReferenceNo": charge.reference,
            "amount": money(charge.amount, self._profile.amount_style),
            "merchantId": account.merchant_id,
            **({"terminalId": account.terminal_id} if account.terminal_id else {}),
            "validityPeriod": timestamp(charge.expires_at),
            **self._profile.charge_extra(charge),
        }
        return await self._calls.call(Service.GENERATE, body, self._calls.deadline())

    async def _made(self, source: Source, message: Message, charge: Charge) -> Observation:
        """A new QR. Its amount is what we asked unless the bank names another; the QR's own amount is checked later."""
        seen = observed(message, source, self._profile, self._account, charge.reference)
        problem = seen.contradiction or ("amount_mismatch" if seen.amount not in (None, charge.amount) else None)
        return replace(
            seen,
            status=Status.PENDING,
            amount=charge.amount if seen.amount is None else seen.amount,
            provider_ref_no=None,
            qris_payload=message.qr_content or await _read_picture(message.qr_image),
            expires_at=moment(message.validity) or charge.expires_at.replace(microsecond=0),
            paid_at=None,
            contradiction=problem,
        )

    async def _recovered(self, attempt: Attempt, seen: Observation) -> Observation:
        """Ask again for a QR under the same reference. Nobody has seen the first, so when the bank will not show it,
        it is as good as never made."""
        left_s = int((attempt.expires_at - self._clock()).total_seconds())
        if left_s <= 0:
            return replace(seen, status=Status.EXPIRED)
        charge = Charge(
            reference=attempt.reference, amount=attempt.amount, expires_in=left_s, expires_at=attempt.expires_at
        )
        reply = await self._generate(charge)
        if reply.is_success:
            return await self._made(Source.LOOKUP, reply.message, charge)
        if reply.case == DUPLICATE:
            said = f"the QR's text was lost, and it is not given again ({self._calls.said(reply.message)})"
            return replace(seen, status=Status.FAILED, detail=said)
        raise self._calls.error(reply)

    async def _lookup(self, attempt: Attempt, deadline: Deadline) -> Observation:
        return self._read(attempt, await self._calls.query(original(attempt), deadline))

    def _read(self, attempt: Attempt, reply: Reply) -> Observation:
        """What the answer to a query says of the attempt."""
        message, now = reply.message, self._clock()
        said = self._calls.said(message)
        if is_absent(message, reply.case):
            return absence(attempt, now, said)
        if reply.case == EXPIRED:
            return Observation(source=Source.LOOKUP, status=Status.EXPIRED, detail=said)
        if not reply.is_success:
            raise self._calls.error(reply)
        seen = observed(message, Source.LOOKUP, self._profile, self._account, attempt.reference)
        if seen.status is Status.PAID and message.amount is None:
            # Our reference was used for one QR of one amount, which the payer cannot change.
            return replace(seen, amount=attempt.amount)
        if seen.status is Status.REFUNDED and self._profile.partial_refund and attempt.amount_paid:
            return _partly(attempt, seen)
        return replace(seen, status=unpaid_status(attempt, seen.status, now))


class _Cancelling(Snap):
    async def cancel_qr(self, attempt: Attempt) -> Observation:
        """Close it, then ask: money that came at the same moment wins, whatever the bank answered to the cancel.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        body = {
            **original(attempt),
            "merchantId": self._account.merchant_id,
            "reason": "cancelled-by-merchant",
            **self._profile.cancel_extra,
        }
        deadline = self._calls.deadline()
        reply = await self._calls.call(Service.CANCEL, body, deadline)
        seen = await self._lookup_if_possible(attempt, deadline)
        if seen is not None and seen.status not in (None, Status.PENDING):
            return replace(seen, source=Source.PROVIDER)
        return self._closed(attempt, reply)

    def _closed(self, attempt: Attempt, reply: Reply) -> Observation:
        """What the answer to the cancel alone says."""
        said = self._calls.said(reply.message)
        if reply.is_success:
            return Observation(source=Source.PROVIDER, status=Status.CANCELLED, detail=said)
        is_missing = is_absent(reply.message, reply.case)
        if reply.case == EXPIRED or (is_missing and attempt.expires_at <= self._clock()):
            return Observation(source=Source.PROVIDER, status=Status.EXPIRED, detail=said)
        if is_missing:
            return Observation(source=Source.PROVIDER, absent=True, detail=said)
        raise self._calls.error(reply)

    async def _lookup_if_possible(self, attempt: Attempt, deadline: Deadline) -> Observation | None:
        try:
            return await self._lookup(attempt, deadline)
        except ProviderError:
            return None


class _Refunding(Snap):
    async def refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Give back under `order.reference`. Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        return await SnapRefunds(self._calls).send(attempt, order)

    async def fetch_refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """SNAP cannot be asked about a refund. It is asked for again under the same number, which banks know as a
        repeat. Raises as `refund` does."""
        return await self.refund(attempt, order)


class _CancellingAndRefunding(_Cancelling, _Refunding):
    pass


def make_snap(
    calls: SnapCalls, notifications: Notifications, clock: Callable[[], datetime], notify_url: str | None
) -> Snap:
    """The adapter for one bank; it is `Cancels` and `Refunds` where the profile says so."""
    kinds: dict[tuple[bool, bool], type[Snap]] = {
        (False, False): Snap,
        (True, False): _Cancelling,
        (False, True): _Refunding,
        (True, True): _CancellingAndRefunding,
    }
    return kinds[calls.profile.cancel, calls.profile.refund](calls, notifications, clock, notify_url)


def _partly(attempt: Attempt, seen: Observation) -> Observation:
    """The bank does not say how much of the money went back: what we gave back ourselves, or else nobody knows."""
    given_back = attempt.amount_refunded or None
    status = Status.REFUNDED if given_back == attempt.amount_paid else Status.PARTIALLY_REFUNDED
    return replace(seen, status=status, amount_refunded=given_back)


def _capabilities(profile: Profile) -> Capabilities:
    return Capabilities(
        min_expires_in=profile.min_expires_in,
        max_expires_in=profile.max_expires_in,
        cancel=profile.cancel,
        refund=profile.refund,
        partial_refund=profile.refund and profile.partial_refund,
        retry_codes=tuple(f"{case[:3]}{Service.GENERATE.code}{case[3:]}" for case in sorted(RETRY_CASES)),
        webhook_proves_status=profile.proves_status,
    )


async def _read_picture(picture: str | None) -> str | None:
    """The QR's text from a base64 PNG, where a bank sends no text; None without luck."""
    try:
        return await asyncio.to_thread(decode, b64decode(picture)) if picture else None
    except ValueError:
        return None
