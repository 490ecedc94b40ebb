"""NICEPAY's V2 direct API for QRIS: registration, inquiry, cancel, and notifications that are only a hint.

Habits of it worth knowing: HTTP 200 also carries errors, the `resultCd` decides; one call both ends an unpaid QR and
gives paid money back; an inquiry wants NICEPAY's own id, which only the answer to a registration and a notification
carry; only the answer to a registration carries the QR's text; a refund has no reference of its own, so that only the
sum given back tells whether it happened; a notification's token covers neither its status nor its reference.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import uuid4

from pydantic import ValidationError

from qrisd.domain.errors import (
    ProviderError,
    ProviderKeysRefused,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    WebhookUnreadable,
    WebhookUnsigned,
)
from qrisd.domain.payment import MONEY, Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, RefundObservation, RefundOrder, RefundStatus, WebhookEvent
from qrisd.providers.diagnosis import Line, activation_line, clock_line, webhook_line
from qrisd.providers.http import Answer, ProviderHttp, json_object, retry_after_s
from qrisd.providers.nicepay.settings import (
    MAX_EXPIRES_IN,
    MIN_EXPIRES_IN,
    NOTIFY_WHERE,
    NicepaySettings,
    base_url,
    end_of,
    order_facts,
    plain,
)
from qrisd.providers.nicepay.v2_wire import (
    ACCOUNT_CODES,
    ADVICE,
    BUSY,
    DUPLICATE_CANCEL,
    DUPLICATE_REFERENCE,
    FINAL,
    NOT_CANCELLABLE,
    SUCCESS,
    Transaction,
    compact_wib,
    merchant_token,
    utc,
)
from qrisd.providers.personal import without_personal

_QRIS: Final = "08"
_REFUND_WINDOW_DAYS: Final = 90
_MAX_NOTIFICATION_BYTES: Final = 65_536
_MAX_NOTIFICATION_MEMBERS: Final = 100
# A further call within one verb must not double the caller's wait.
_FOLLOW_UP_S: Final = 2.5
# A registration whose answer was lost cannot be asked for by its reference: it is over once its QR surely is.
_OVER_AFTER: Final = timedelta(seconds=60)
_MONEY_BACK: Final = (Status.REFUNDED, Status.PARTIALLY_REFUNDED)


class NicepayV2:
    """One NICEPAY account, by iMid and merchant key. `notify_url` is where it shall send notifications; None when
    nobody outside reaches us."""

    capabilities: Final = Capabilities(
        min_expires_in=MIN_EXPIRES_IN,
        max_expires_in=MAX_EXPIRES_IN,
        cancel=True,
        refund=True,
        partial_refund=True,
        refund_window_days=_REFUND_WINDOW_DAYS,
    )

    def __init__(
        self,
        name: str,
        settings: NicepaySettings,
        http: ProviderHttp,
        clock: Callable[[], datetime],
        notify_url: str | None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._http = http
        self._clock = clock
        self._notify_url = notify_url
        self._base_url = base_url(settings)
        self._imid = settings.imid or ""
        self._key = plain(settings.merchant_key)

    async def create_qr(self, charge: Charge) -> Observation:
        """Register `charge.reference`. A reference NICEPAY has already (9009) is uncertain: an earlier call arrived.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        facts = self._registration(charge)
        seen, _ = await self._post("registration", facts, charge.reference, self._settings.timeout)
        if seen.resultCd == DUPLICATE_REFERENCE:
            raise ProviderUncertain(self.name, f"NICEPAY has this reference already ({self._said(seen)}).", "9009")
        self._expect_success(seen)
        if not seen.tXid:
            raise ProviderUncertain(self.name, "NICEPAY registered the QR without saying its id (tXid).")
        return replace(self._observe(Source.PROVIDER, seen, charge.reference), status=Status.PENDING)

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Inquire. Without NICEPAY's id it is asked by reference alone, which it may refuse: that is uncertain until
        the QR's time is over, and `absent` from then on, for nobody has seen that QR.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        seen = await self._inquire(attempt, self._settings.timeout)
        if attempt.provider_trx_id is None and seen.resultCd not in {SUCCESS, *ACCOUNT_CODES, *BUSY}:
            return self._never_named(attempt, seen)
        self._expect_success(seen)
        now = self._observe(Source.LOOKUP, seen, attempt.reference)
        if now.status is Status.REFUNDED and now.amount_refunded is None and attempt.amount_refunded:
            # It does not say how much went back: what is known to have gone back stands.
            return replace(now, status=None)
        return now

    async def cancel_qr(self, attempt: Attempt) -> Observation:
        """End an unpaid QR. The same call would give paid money back, so it is sent only right after NICEPAY said that
        nobody has paid or is about to; whatever it says afterwards is the answer.

        Raises as `fetch_status` does."""
        before = await self._known(attempt)
        if not before.is_untouched:
            return self._observe(Source.LOOKUP, before, attempt.reference)
        facts = self._cancellation(before.tXid or "", attempt, "1", attempt.amount, "closed")
        seen, _ = await self._post("cancel", facts, before.tXid or "", self._settings.timeout)
        if seen.resultCd not in (NOT_CANCELLABLE, DUPLICATE_CANCEL):
            self._expect_success(seen)
        now = self._observe(Source.PROVIDER, await self._known(attempt, before.tXid), attempt.reference)
        return replace(now, status=Status.CANCELLED) if now.status is Status.EXPIRED else now

    async def refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Give back, unless the sum given back shows that this refund has happened: asking twice pays twice.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        known = await self._known(attempt)
        before = self._refund_seen(known, attempt, order)
        if not before.absent:
            return before
        trx_id = known.tXid or ""
        whole = order.amount == (attempt.amount_paid or attempt.amount)
        facts = self._cancellation(trx_id, attempt, "1" if whole else "2", order.amount, order.reason)
        seen, _ = await self._post("cancel", facts, trx_id, self._settings.timeout)
        if seen.resultCd == DUPLICATE_CANCEL:
            raise ProviderUncertain(self.name, f"NICEPAY has seen this refund already ({self._said(seen)}).", "9315")
        if seen.resultCd in FINAL - ACCOUNT_CODES:
            return RefundObservation(status=RefundStatus.REFUSED, detail=str(self._rejected(seen)))
        self._expect_success(seen)
        return RefundObservation(
            status=RefundStatus.DONE,
            amount=order.amount,
            provider_refund_id=seen.canceltXid,
            detail=self._said(seen),
        )

    async def fetch_refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Inquire, and compare the sum given back with what it was before this refund.

        Raises as `fetch_status` does, and ProviderUncertain when that sum does not tell."""
        return self._refund_seen(await self._known(attempt), attempt, order)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify a notification (a form). Its status is a hint: the token does not cover it, and is always the same.

        Raises WebhookUnreadable when it is no form, else WebhookUnsigned."""
        payload = _form(body)
        if not self._signed(payload):
            raise WebhookUnsigned("The notification's token is missing or wrong.")
        seen = Transaction.model_validate(payload)
        return WebhookEvent(
            event_id=_event_id(payload),
            reference=seen.referenceNo or None,
            provider_trx_id=seen.tXid,
            observation=self._notified(seen),
            proven=False,
            payload=without_personal(payload),
        )

    async def diagnose(self) -> list[tuple[bool, str]]:
        """Whether iMid and key are accepted, the clocks agree, and where notifications go. Charges nobody."""
        if not self._settings.configured:
            names = f"providers.{self.name}.imid and merchant_key"
            return [(False, f"{names} must be set: NICEPAY sends both when the account is opened.")]
        return [*await self._account_lines(), webhook_line("NICEPAY", self._notify_url, NOTIFY_WHERE)]

    async def _account_lines(self) -> list[Line]:
        """Inquires about an order that does not exist."""
        where = f"{self._settings.environment}, {self._base_url}"
        reference = uuid4().hex[:20].upper()
        facts = {"tXid": self._imid + reference, "referenceNo": reference, "amt": "1"}
        try:
            seen, answer = await self._post("inquiry", facts, reference, self._settings.timeout)
        except ProviderError as error:
            return [(False, f"{where}: {error}")]
        clock = clock_line("NICEPAY", answer, datetime.now(UTC))
        if seen.resultCd in ACCOUNT_CODES:
            return [(False, f"{where}: {self._rejected(seen)}"), clock]
        keys = (True, f"NICEPAY ({where}) answers and does not refuse the iMid or the merchant key.")
        return [keys, activation_line("NICEPAY", "9012"), clock]

    # What is sent

    def _registration(self, charge: Charge) -> dict[str, Any]:
        end = compact_wib(end_of(charge, self._clock()))
        return {
            "payMethod": _QRIS,
            "currency": "IDR",
            "amt": str(charge.amount),
            "referenceNo": charge.reference,
            **order_facts(self._settings, charge, self._notify_url),
            "shopId": self._settings.store_id,
            "paymentExpDt": end[:8],
            "paymentExpTm": end[8:],
        }

    def _cancellation(self, trx_id: str, attempt: Attempt, kind: str, amount: int, why: str) -> dict[str, Any]:
        """`kind` is "1" for all of it and "2" for a part."""
        return {
            "tXid": trx_id,
            "payMethod": _QRIS,
            "referenceNo": attempt.reference,
            "cancelType": kind,
            "cancelMsg": why[:100],
            "amt": str(amount),
            "cancelUserId": "qrisd",
        }

    async def _inquire(self, attempt: Attempt, timeout_s: float, trx_id: str | None = None) -> Transaction:
        known = trx_id or attempt.provider_trx_id
        facts = {"referenceNo": attempt.reference, "amt": str(attempt.amount)}
        if known:
            facts = {"tXid": known, **facts}
        seen, _ = await self._post("inquiry", facts, attempt.reference, timeout_s)
        return seen

    async def _known(self, attempt: Attempt, trx_id: str | None = None) -> Transaction:
        """The transaction as it is now, surely ours and with NICEPAY's id."""
        seen = await self._inquire(attempt, _FOLLOW_UP_S, trx_id)
        self._expect_success(seen)
        if not seen.tXid or seen.referenceNo != attempt.reference:
            raise ProviderUncertain(self.name, f"NICEPAY's answer is not about this payment ({self._said(seen)}).")
        return seen

    async def _post(
        self, verb: str, facts: Mapping[str, Any], signed: str, timeout_s: float
    ) -> tuple[Transaction, Answer]:
        """One call; `signed` is the reference or id its token covers besides time, iMid and amount."""
        stamp = compact_wib(self._clock())
        token = merchant_token(stamp, self._imid, signed, facts["amt"], self._key)
        body = {"timeStamp": stamp, "iMid": self._imid, **facts, "merchantToken": token}
        answer = await self._http.request(
            self.name,
            "POST",
            f"{self._base_url}/direct/v2/{verb}",
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            content=json.dumps(body, separators=(",", ":")).encode(),
            timeout_s=min(timeout_s, self._settings.timeout),
        )
        return self._reply(answer), answer

    # What comes back

    def _reply(self, answer: Answer) -> Transaction:
        """Raises for what says nothing about the transaction: a limit, a fault of theirs, an answer without a code."""
        if answer.status == 429:
            raise self._limited(answer)
        if answer.status >= 500 or 300 <= answer.status < 400:
            raise ProviderUncertain(self.name, f"NICEPAY answered HTTP {answer.status}.", str(answer.status))
        try:
            seen = Transaction.model_validate(json_object(self.name, answer))
        except ValidationError as error:
            raise ProviderUncertain(self.name, "NICEPAY's answer is not of the documented shape.") from error
        if not seen.resultCd or (answer.status >= 400 and seen.resultCd == SUCCESS):
            raise ProviderUncertain(self.name, f"NICEPAY answered HTTP {answer.status} without a usable result code.")
        return seen

    def _limited(self, answer: Answer) -> ProviderUnreachable:
        """The limit stands before the work, so nothing exists and the same call may be repeated."""
        wait_s = retry_after_s(answer)
        when = "in a while" if wait_s is None else f"in {wait_s:.0f} seconds"
        text = f"NICEPAY limits how often it is called: try again {when}."
        return ProviderUnreachable(self.name, text, "429", retry_after_s=wait_s)

    def _expect_success(self, seen: Transaction) -> None:
        if seen.resultCd in FINAL:
            raise self._rejected(seen)
        if seen.resultCd != SUCCESS:
            raise ProviderUncertain(self.name, f"NICEPAY answered {self._said(seen)}.", seen.resultCd)

    def _rejected(self, seen: Transaction) -> ProviderRejected:
        advice = ADVICE.get(seen.resultCd or "")
        said = self._said(seen)
        kind = ProviderKeysRefused if seen.resultCd in ACCOUNT_CODES else ProviderRejected
        return kind(self.name, f"{advice} ({said})" if advice else f"NICEPAY refused: {said}.", seen.resultCd)

    def _said(self, seen: Transaction) -> str:
        """Their words, without our key should they repeat it."""
        return (seen.said.replace(self._key, "***") if self._key else seen.said)[:300]

    def _observe(self, source: Source, seen: Transaction, reference: str) -> Observation:
        if not seen.referenceNo:
            raise ProviderUncertain(self.name, f"NICEPAY's answer does not name its order ({self._said(seen)}).")
        try:
            status, amount, refunded = seen.canonical, seen.amount, seen.refunded
        except ValueError:
            return Observation(source=source, contradiction="amount_format", detail=self._said(seen))
        paid = status is Status.PAID
        return Observation(
            source=source,
            status=status,
            amount=amount,
            amount_refunded=refunded if status in _MONEY_BACK else None,
            currency=seen.currency or "IDR",
            provider_trx_id=seen.tXid or None,
            provider_ref_no=(seen.paymentTrxSn or seen.tXid or None) if paid else None,
            qris_payload=seen.qrContent or None,
            expires_at=utc(seen.paymentExpDt, seen.paymentExpTm),
            paid_at=utc(seen.transDt, seen.transTm) if paid else None,
            contradiction=self._foreign(seen, reference),
            detail=self._said(seen),
        )

    def _foreign(self, seen: Transaction, reference: str) -> str | None:
        if seen.referenceNo != reference:
            return "reference_mismatch"
        if seen.iMid not in (None, "", self._imid):
            return "merchant_mismatch"
        return "amount_mismatch" if seen.matchCl not in (None, "", "1") else None

    def _never_named(self, attempt: Attempt, seen: Transaction) -> Observation:
        if self._clock() < attempt.expires_at + _OVER_AFTER:
            text = "The answer to the registration was lost, and NICEPAY does not tell how it stands by reference alone"
            raise ProviderUncertain(self.name, f"{text} ({self._said(seen)}).", seen.resultCd)
        return Observation(source=Source.LOOKUP, absent=True, detail=self._said(seen))

    def _refund_seen(self, seen: Transaction, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        now = self._observe(Source.LOOKUP, seen, attempt.reference)
        if now.contradiction or now.status is None:
            why = now.contradiction or "a status qrisd does not know"
            raise ProviderUncertain(self.name, f"NICEPAY's answer tells nothing of this refund: {why} ({now.detail}).")
        if now.status not in MONEY:
            text = f"NICEPAY has no money for this payment ({now.detail})."
            return RefundObservation(status=RefundStatus.REFUSED, detail=text)
        given_back = _given_back(now, order)
        if given_back == order.refunded_before:
            return RefundObservation(absent=True, detail=now.detail)
        if given_back is None or given_back < order.refunded_before + order.amount:
            text = f"NICEPAY shows a sum given back which does not tell whether this refund happened ({now.detail})."
            raise ProviderUncertain(self.name, text)
        return RefundObservation(status=RefundStatus.DONE, amount=order.amount, detail=now.detail)

    def _notified(self, seen: Transaction) -> Observation:
        """A notification's digits are others than an inquiry's: 0 is paid, and a reversal tells nothing by itself."""
        if not seen.referenceNo:
            return Observation(source=Source.WEBHOOK, provider_trx_id=seen.tXid)
        hint = self._observe(Source.WEBHOOK, seen, seen.referenceNo)
        return hint if seen.status == "0" else replace(hint, status=None)

    def _signed(self, payload: Mapping[str, str]) -> bool:
        """SHA-256 over our iMid, their id and the amount exactly as received, and our key."""
        trx_id, amount, given = (payload.get(name, "") for name in ("tXid", "amt", "merchantToken"))
        if not (trx_id and amount and given and self._imid and self._key):
            return False
        expected = merchant_token(self._imid, trx_id, amount, self._key)
        return hmac.compare_digest(expected.encode(), given.lower().encode())


def _given_back(now: Observation, order: RefundOrder) -> int | None:
    """The sum given back so far. Where a refund is told without it, only the first one can be told apart."""
    if now.status is Status.PAID:
        return 0
    if now.amount_refunded is None and order.refunded_before == 0:
        return order.amount
    return now.amount_refunded


def _form(body: bytes) -> dict[str, str]:
    """The form's members. Raises WebhookUnreadable for what is no form, names a member twice, or is far too large."""
    if len(body) > _MAX_NOTIFICATION_BYTES:
        raise WebhookUnreadable("The notification is larger than any NICEPAY sends.")
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_NOTIFICATION_MEMBERS,
        )
    except ValueError as error:
        raise WebhookUnreadable("The notification is not a form.") from error
    if len(dict(pairs)) != len(pairs):
        raise WebhookUnreadable("The notification names a member twice.")
    return dict(pairs)


def _event_id(payload: Mapping[str, str]) -> str:
    """A hash of all members, whatever their order: the token is the same in every notification of a transaction."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
