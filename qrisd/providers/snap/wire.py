"""What a SNAP bank says, in answers and notifications alike, and what that means to us.

Banks spell the names of members differently and leave most of them out; so names are read in small letters, and only a
response code or a status is counted on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, field_validator

from qrisd.domain.errors import (
    ProviderError,
    ProviderKeysRefused,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
)
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import OPEN, Attempt, Observation, Source, Status
from qrisd.providers.http import Answer, retry_after_s
from qrisd.providers.snap.profile import NOT_FOUND, Account, Profile
from qrisd.providers.snap.signing import moment

_CODE: Final = re.compile(r"([1-5][0-9]{2})([0-9]{2})([0-9]{2})[0-9]*")
# Banks have no word for an expired QR. Past its validity by this much, "not paid" is taken as the end of it.
_GRACE: Final = timedelta(minutes=10)

_ADVICE: Final = {
    "40000": "the request is not in the form this bank wants; compare its SNAP page with docs/providers/snap.md",
    "40001": "a field is not in the form this bank wants; the message names it",
    "40002": "a field this bank needs is missing; the message names it, and additional_info can hold it",
    "40100": "check the client id, the secret, private_key_file, the paths, that the bank has the public half of the "
    "key, and this computer's clock",
    "40101": "it refuses the token it has just given; another program may use the same credentials",
    "40103": "it does not know the token it has just given; another program may use the same credentials",
    "40301": "this account may not use the service; ask the bank to activate QRIS MPM",
    "40302": "the amount is above what the bank allows",
    "40314": "the balance at the bank is too small: top it up, and the refund goes out by itself",
    "40318": "the account at the bank is not active; ask the bank",
    "40408": "the bank does not know merchant_id or terminal_id; compare them with the bank's papers",
    "40413": "the amount is not one the bank takes",
    "40416": "the bank does not know partner_id; compare it with the bank's papers",
}
# Refused for now: nothing was done, and the same call may be repeated.
RETRY_CASES: Final = frozenset({"40304", "40306"})
TOKEN_CASES: Final = frozenset({"40101", "40103"})
KEYS_REFUSED: Final = "40100"
ABSENT: Final = "40401"
EXPIRED: Final = "40300"
DUPLICATE: Final = "40901"
LOW_BALANCE: Final = "40314"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class _Amount(_Wire):
    value: str
    currency: str | None = None


def _info(*names: str) -> list[AliasPath]:
    return [AliasPath("additionalinfo", name) for name in names]


class Message(_Wire):
    """Every answer and notification, its names folded (see `folded`)."""

    response_code: str | None = Field(None, alias="responsecode")
    response_message: str | None = Field(None, alias="responsemessage")
    reference: str | None = Field(
        None,
        validation_alias=AliasChoices("originalpartnerreferenceno", "originalpartnerreferanceno", "partnerreferenceno"),
    )
    trx_id: str | None = Field(None, validation_alias=AliasChoices("originalreferenceno", "referenceno"))
    status: str | None = Field(None, alias="latesttransactionstatus")
    status_text: str | None = Field(None, alias="transactionstatusdesc")
    amount: _Amount | None = None
    merchant_id: str | None = Field(None, alias="merchantid")
    qr_content: str | None = Field(None, alias="qrcontent")
    qr_image: str | None = Field(None, alias="qrimage")
    validity: str | None = Field(None, validation_alias=AliasChoices("validityperiod", *_info("validityperiod")))
    paid_at: str | None = Field(
        None,
        validation_alias=AliasChoices("paidtime", *_info("paidtime", "transactiondatetime", "transactiondate")),
    )
    ref_no: str | None = Field(
        None, validation_alias=AliasChoices(*_info("rrn", "retrievalreferenceno", "approvalcode", "issuerreff"))
    )
    issuer: str | None = Field(
        None, validation_alias=AliasChoices(*_info("issuername", "issuer", "issuerid", "nns_issuer"))
    )
    refund_id: str | None = Field(None, validation_alias=AliasChoices("refundno", "referenceno"))
    refund_amount: _Amount | None = Field(None, alias="refundamount")
    info: dict[str, Any] = Field({}, alias="additionalinfo")
    access_token: str | None = Field(None, alias="accesstoken")
    expires_in: str | None = Field(None, alias="expiresin")

    @field_validator("issuer", mode="before")
    @classmethod
    def _name_or_nothing(cls, told: Any) -> Any:
        """Nothing of the money hangs on it."""
        return told if isinstance(told, str | int) and not isinstance(told, bool) else None

    @field_validator("amount", "refund_amount", mode="before")
    @classmethod
    def _bare_amount(cls, value: Any) -> Any:
        """Some banks send the number alone."""
        return value if isinstance(value, Mapping) else {"value": value}

    @property
    def said(self) -> str:
        """One line of their words, without anything about the payer."""
        words = [self.response_code, self.response_message, self.status, self.status_text]
        return "; ".join(" ".join(word.split()) for word in words if word)[:300] or "no message"


def folded(value: Any) -> Any:
    """`value` with member names in small letters and without members that are empty; `additionalInfo` counts as empty
    when it is no object."""
    if isinstance(value, list):
        return [folded(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name.lower(): folded(each) for name, each in value.items() if each is not None and each != ""}
    if not isinstance(kept.get("additionalinfo", {}), dict):
        del kept["additionalinfo"]
    return kept


def case_of(message: Message, http_status: int) -> str:
    """`responseCode` without its service, "40401" say; the code counts more than the HTTP status, which some gateways
    leave at 200. Without a code, the HTTP status alone."""
    match = _CODE.match(message.response_code or "")
    return match[1] + match[3] if match else str(http_status)


def error_of(name: str, label: str, message: Message, answer: Answer, said: str) -> ProviderError:
    """What an answer other than success means. Only the bank's own code counts as a refusal: a gateway in front of it
    knows nothing of what was done behind."""
    case, code = case_of(message, answer.status), message.response_code
    if case.startswith("429") or answer.status == 429:
        return limited(name, label, answer)
    if case in RETRY_CASES:
        return ProviderUnreachable(name, f"{label} does not do this just now; try again later ({said}).", code)
    if len(case) == 5 and case[:3] in ("400", "401", "403", "404", "405"):
        advice = _ADVICE.get(case)
        kind = ProviderKeysRefused if case == KEYS_REFUSED else ProviderRejected
        return kind(name, f"{label} refused: {f'{advice} ({said})' if advice else said}.", code)
    return ProviderUncertain(name, f"{label} answered HTTP {answer.status}: {said}.", code)


def limited(name: str, label: str, answer: Answer) -> ProviderUnreachable:
    """The limit stands before the work, so nothing exists and the same call may be repeated."""
    wait_s = retry_after_s(answer)
    when = "in a while" if wait_s is None else f"in {wait_s:.0f} seconds"
    return ProviderUnreachable(
        name, f"{label} limits how often it is called: try again {when}.", "429", retry_after_s=wait_s
    )


def observed(
    message: Message, source: Source, profile: Profile, account: Account, reference: str | None
) -> Observation:
    """What a message says of the payment with our `reference`, as far as it goes by itself. SNAP's QRIS is in rupiah
    whether the currency is named or not."""
    status = profile.statuses.get(message.status or "")
    amount, contradiction = None, _foreign(message, account, reference)
    try:
        amount = None if message.amount is None else whole_rupiah(message.amount.value)
    except ValueError:
        contradiction = contradiction or "amount_format"
    return Observation(
        source=source,
        status=status,
        amount=amount,
        currency=(message.amount and message.amount.currency) or "IDR",
        provider_trx_id=message.trx_id,
        provider_ref_no=message.ref_no,
        issuer=message.issuer,
        paid_at=moment(message.paid_at) if status is Status.PAID else None,
        contradiction=contradiction,
        detail=message.said,
    )


def _foreign(message: Message, account: Account, reference: str | None) -> str | None:
    if message.reference not in (None, reference):
        return "reference_mismatch"
    if message.merchant_id not in (None, account.merchant_id):
        return "merchant_mismatch"
    return None


def unpaid_status(attempt: Attempt, status: Status | None, now: datetime) -> Status | None:
    """What the bank's `status` of an unpaid attempt comes to, given our own times: "cancelled" is what banks also call
    an expired QR, and a QR that nobody ends ends by itself some time after its validity."""
    if status is Status.CANCELLED and attempt.expires_at <= now:
        return Status.EXPIRED
    if status is Status.PENDING and attempt.expires_at + _GRACE <= now:
        return Status.EXPIRED
    return status


def is_absent(message: Message, case: str) -> bool:
    """True when the bank says that it has no such transaction. Some say so of every QR that is not paid yet."""
    return case == ABSENT or message.status == NOT_FOUND


def absence(attempt: Attempt, now: datetime, detail: str) -> Observation:
    """Of a QR that we know the bank made, "not found" means not paid."""
    if attempt.status not in OPEN or attempt.qris_payload is None:
        return Observation(source=Source.LOOKUP, absent=True, detail=detail)
    status = unpaid_status(attempt, Status.PENDING, now)
    return Observation(source=Source.LOOKUP, status=status, detail=detail)


def original(attempt: Attempt) -> dict[str, str]:
    """How the bank is told which QR is meant: by its own number too, once we know it."""
    known = {"originalReferenceNo": attempt.provider_trx_id} if attempt.provider_trx_id else {}
    return {**known, "originalPartnerReferenceNo": attempt.reference}


def money(amount: int, style: str) -> dict[str, Any]:
    """Whole rupiah as the bank wants them: a "string" with two decimals, or a "number"."""
    return {"value": f"{amount}.00" if style == "string" else amount, "currency": "IDR"}
