"""What can be said about an account at a SNAP bank without charging anybody."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from qrisd.domain.errors import ProviderError
from qrisd.providers.diagnosis import Line, clock_line, webhook_line
from qrisd.providers.snap.calls import SnapCalls
from qrisd.providers.snap.profile import TOKEN_PATH
from qrisd.providers.snap.signing import NotifyScheme
from qrisd.providers.snap.wire import is_absent


async def diagnose(calls: SnapCalls, notify_url: str | None) -> list[Line]:
    """(fine, one line saying what is so and what to do). `notify_url` is where notifications reach us."""
    return [*await _account_lines(calls), *_notify_lines(calls, notify_url)]


async def _account_lines(calls: SnapCalls) -> list[Line]:
    label, where = calls.profile.label, calls.profile.base_url
    try:
        reply = await calls.ask_for_token()
    except ProviderError as error:
        return [(False, f"{where}: {error}")]
    clock = clock_line(label, reply.answer, datetime.now(UTC))
    try:
        calls.token_in(reply)
    except ProviderError as error:
        return [(False, f"{where}: {error}"), clock]
    keys = (True, f"{label} ({where}) accepts the client id and the key in private_key_file.")
    return [keys, clock, await _service_line(calls)]


async def _service_line(calls: SnapCalls) -> Line:
    """A query for nothing: the answer shows whether the secret, the paths and the merchant id are right."""
    nothing = {"originalPartnerReferenceNo": f"QRISDDIAGNOSE{secrets.token_hex(3).upper()}"}
    try:
        reply = await calls.query(nothing, calls.deadline())
    except ProviderError as error:
        return (False, f"Asking for a QR that does not exist failed: {error}")
    if reply.is_success or is_absent(reply.message, reply.case):
        return (
            True,
            f"{calls.profile.label} accepts the secret, the signed path and merchant_id, for QRIS.",
        )
    return (False, f"Asking for a QR that does not exist failed: {calls.error(reply)}")


def _notify_lines(calls: SnapCalls, notify_url: str | None) -> list[Line]:
    label, schemes = calls.profile.label, calls.profile.notify_schemes
    lines = [webhook_line(label, notify_url, calls.profile.notify_where)]
    if notify_url is not None and NotifyScheme.HMAC_TOKEN in schemes:
        lines.append((True, f"Where {label} asks for a token address too, give it {notify_url}{TOKEN_PATH}."))
    needs_key = NotifyScheme.HMAC_TOKEN in schemes or any(scheme.is_rsa for scheme in schemes)
    if needs_key and calls.account.provider_key is None:
        text = "provider_public_key_file is not set, so notifications are refused and payments are found by asking."
        lines.append((False, text))
    return lines
