"""What a merchant sees: the request bodies, the payment resource, and the body of an event."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError, to_json

from qrisd.domain import audit_chain
from qrisd.domain.callback import Callback, CallbackStatus, Endpoint, Try, endpoint_of
from qrisd.domain.ledger import Entry
from qrisd.domain.payment import Payment
from qrisd.domain.refund import Decision, Refund, Way
from qrisd.domain.settlement import File, Imported, Line
from qrisd.domain.times import from_rfc3339, to_text, to_text_or_none

METADATA_MAX_BYTES: Final = 4096
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def _whole_rupiah(value: Any) -> int:
    if type(value) is not int:
        raise PydanticCustomError("whole_rupiah", "Send whole rupiah as a JSON integer without quotes, like 15000.")
    return value


def _whole_seconds(value: Any) -> int:
    if type(value) is not int:
        raise PydanticCustomError("whole_seconds", "Send whole seconds as a JSON integer without quotes, like 900.")
    return value


def _plain_text(value: str) -> str:
    if _CONTROL.search(value):
        raise PydanticCustomError("plain_text", "Send plain text without control or invisible characters.")
    return value


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if not _is_finite(value):
        raise PydanticCustomError("metadata_number", "Numbers in metadata must be finite and at most 15 digits.")
    if len(json.dumps(value, ensure_ascii=False).encode()) > METADATA_MAX_BYTES:
        raise PydanticCustomError("metadata_size", "metadata may be at most 4096 bytes of JSON.")
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True


def _moment(value: Any) -> datetime:
    try:
        return from_rfc3339(value if isinstance(value, str) else "")
    except ValueError as error:
        raise PydanticCustomError("moment", f"It {error}.") from None


def _endpoint(value: str) -> str:
    try:
        return endpoint_of(value)
    except ValueError:
        raise PydanticCustomError("endpoint", "Send the web address that callbacks go to.") from None


Rupiah = Annotated[int, BeforeValidator(_whole_rupiah, json_schema_input_type=int)]
Seconds = Annotated[int, BeforeValidator(_whole_seconds, json_schema_input_type=int)]
# Behind the bounds: what comes after a function is told of in items, not in characters.
_PLAIN: Final = AfterValidator(_plain_text)
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), _PLAIN]
Evidence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), _PLAIN]
OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~:/#@+-]{1,64}$")]
Outlet = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[!-~]+$")]
Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
EndpointUrl = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_endpoint)]


class Body(BaseModel):
    """A request body: exact types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Customer(Body):
    """Who pays, as far as the merchant wants to say."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100), _PLAIN] | None = None
    email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"), _PLAIN] | None = (
        None
    )
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{6,15}$")] | None = None


class CreatePayment(Body):
    """`POST /payments`."""

    order_id: OrderId = Field(description="Yours, unique for ever: 1-64 of letters, digits and . _ ~ : / # @ + -")
    amount: Rupiah = Field(ge=1, description="Whole rupiah.")
    expires_in: Annotated[Seconds, Field(ge=60, le=604_800)] | None = Field(
        None, description="Seconds the QR lives; 900 when left out."
    )
    callback_url: Url | None = Field(None, description="Where we tell your server what happens.")
    description: Annotated[str, StringConstraints(max_length=255), _PLAIN] | None = None
    customer: Customer | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(_metadata)] = Field(
        default_factory=dict, description="Anything of yours, at most 4 KB of JSON; returned as you sent it."
    )
    outlet: Outlet = Field("main", description="Which of your outlets sells.")
    provider: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="A provider by name; the configured order when left out."
    )

    def fingerprint(self) -> str:
        """Equal for two requests that ask for the same payment, however their JSON is written."""
        said = self.model_dump(exclude_unset=True, mode="json")
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ConfirmPayment(Body):
    """`POST /payments/{id}/confirm`: a named person says that the money came."""

    amount: Rupiah = Field(ge=1, description="The rupiah that came, as the merchant's own app or bank shows it.")
    confirmed_by: Annotated[str, StringConstraints(min_length=1, max_length=100), _PLAIN] = Field(
        description="Who says so."
    )
    provider_ref_no: Annotated[str, StringConstraints(min_length=1, max_length=64), _PLAIN] | None = Field(
        None, description="The reference number on the payer's receipt."
    )


class StartReconciliation(Body):
    """`POST /reconciliations`"""

    date: str = Field(description="The business day, like 2026-01-15; or `today`, `yesterday`.")
    provider: str | None = Field(None, description="Only this provider; all of them when left out.")


class ActOnException(Body):
    """`POST /reconciliations/exceptions/{id}`"""

    note: Annotated[str, StringConstraints(max_length=500), _PLAIN] | None = Field(
        None, description="What is known of it."
    )
    owner: Annotated[str, StringConstraints(max_length=100), _PLAIN] | None = Field(
        None, description="Who looks after it."
    )
    action: Literal["resolve", "reopen"] | None = Field(None, description="What to do with it; needs a reason.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), _PLAIN] | None = Field(
        None, description="Why; it stays in the audit log, and is the note where none is given."
    )


class EnterPayout(Body):
    """`POST /payouts`: what somebody saw arrive at the bank."""

    provider: str = Field(description="Who paid out.")
    date: str = Field(description="The business day of the payout, like 2026-01-16.")
    amount: Rupiah = Field(ge=0, description="Whole rupiah, as the bank statement says.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=255), _PLAIN] | None = Field(
        None, description="Why; needed when another amount was entered before."
    )


class AskRefund(Body):
    """`POST /payments/{id}/refunds`"""

    amount: Annotated[Rupiah, Field(ge=1)] | None = Field(
        None, description="Whole rupiah; all that is left when left out."
    )
    reason: Reason = Field(description="Why, for whoever approves it and whoever reads the books.")
    method: Literal["provider", "cash", "transfer"] = Field(
        "provider", description="`provider` gives it back to where it came from; `cash` and `transfer` are yours to do."
    )
    evidence: Evidence | None = Field(
        None, description="What proves a refund by hand: the number of the signed receipt, or of the bank transfer."
    )

    def fingerprint(self, payment_id: str) -> str:
        """Equal for two requests that ask for the same refund of this payment, however their JSON is written."""
        said = {"refund_of": payment_id, **self.model_dump(exclude_unset=True, mode="json")}
        return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class CancelRefund(Body):
    """`POST /refunds/{id}/cancel`; the body may be left out."""

    reason: Reason | None = Field(None, description="Why; it stays in the audit log.")


class ApproveRefund(CancelRefund):
    """`POST /refunds/{id}/approve`; the body may be left out."""

    content_hash: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="Of what you have seen: nothing is decided when it has changed since."
    )


class RejectRefund(Body):
    """`POST /refunds/{id}/reject`"""

    reason: Reason = Field(description="Why not, for whoever asked for it.")


class ReplayCallbacks(Body):
    """`POST /callbacks/replay`: which callbacks to send again; all that is given must hold."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    status: Annotated[CallbackStatus, Field(strict=False)] | None = Field(None, description="Those that stand so.")
    endpoint: EndpointUrl | None = Field(None, description="Those to this URL; its query does not matter.")
    since: Moment | None = Field(None, description="Those of events since then.")
    payment_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="Those about this payment."
    )

    @model_validator(mode="after")
    def _some_condition(self) -> Self:
        if not self.model_dump(exclude_none=True):
            message = "Say which callbacks: send at least one of status, endpoint, since and payment_id."
            raise PydanticCustomError("no_condition", message)
        return self


class ResumeEndpoint(Body):
    """`POST /callbacks/endpoints/resume`"""

    url: EndpointUrl = Field(description="The endpoint, as GET /callbacks/endpoints names it.")


class PingUrl(Body):
    """`POST /callbacks/test`"""

    url: Url = Field(description="What you would send as callback_url.")


def callback_resource(callback: Callback) -> dict[str, Any]:
    """A callback as the API shows it, without its body."""
    return {
        "id": callback.id,
        "event_id": callback.event_id,
        "payment_id": callback.payment_id,
        "type": callback.type,
        "sequence": callback.sequence,
        "url": callback.url,
        "status": callback.status.value,
        "tries": callback.tries,
        "next_try_at": to_text_or_none(callback.next_try_at),
        "reason": callback.reason,
        "created_at": to_text(callback.created_at),
        "delivered_at": to_text_or_none(callback.delivered_at),
    }


def callback_details(callback: Callback, history: Sequence[Try]) -> dict[str, Any]:
    """A callback with what is sent and every try so far."""
    tries = [try_resource(tried) for tried in history]
    return {**callback_resource(callback), "body": json.loads(callback.body), "history": tries}


def try_resource(tried: Try) -> dict[str, Any]:
    return {
        "at": to_text(tried.at),
        "status_code": tried.status_code,
        "latency_ms": tried.latency_ms,
        "address": tried.address,
        "answer": tried.answer,
        "error": tried.error,
    }


def entry_resource(entry: Entry) -> dict[str, Any]:
    """An entry of the ledger as the API shows it."""
    return {
        "kind": entry.kind.value,
        "debit": entry.debit,
        "credit": entry.credit,
        "amount": entry.amount,
        "payment_id": entry.payment_id,
        "refund_id": entry.refund_id,
        "settlement_id": entry.settlement_id,
        "reason": entry.reason,
        "happened_at": to_text(entry.happened_at),
    }


def refund_resource(refund: Refund, payment: Payment, provider: str | None, names: Mapping[str, str]) -> dict[str, Any]:
    """A refund as the API shows it. `names` are those of people and keys, by who they are."""
    return {
        "id": refund.id,
        "payment_id": refund.payment_id,
        "order_id": payment.order_id,
        "amount": refund.amount,
        "currency": payment.currency,
        "method": refund.method.value,
        "status": refund.status.value,
        "reason": refund.reason,
        "evidence": refund.evidence,
        "requested_by": refund.requested_by,
        "requester": names.get(refund.requested_by),
        "content_hash": refund.content_hash or None,
        "provider": provider,
        "reference": refund.reference,
        "provider_refund_id": refund.provider_refund_id,
        "provider_ref_no": refund.provider_ref_no,
        "detail": refund.detail,
        "expires_at": to_text_or_none(refund.expires_at),
        "next_try_at": to_text_or_none(refund.next_try_at),
        "sent_at": to_text_or_none(refund.sent_at),
        "done_at": to_text_or_none(refund.done_at),
        "created_at": to_text(refund.created_at),
        "updated_at": to_text(refund.updated_at),
    }


def decision_resource(decision: Decision, names: Mapping[str, str]) -> dict[str, Any]:
    """What somebody decided about a refund, as the API shows it."""
    return {
        "decision": decision.decision,
        "outcome": None if decision.outcome is None else decision.outcome.value,
        "by": decision.by,
        "name": names.get(decision.by),
        "why": decision.why,
        "at": to_text(decision.at),
    }


def way_resource(way: Way) -> dict[str, Any]:
    """One way to give money back, as the API shows it."""
    return {
        "method": way.method.value,
        "possible": not way.why_not,
        "why_not": list(way.why_not),
        "provider": None if way.attempt is None else way.attempt.provider,
        "attempt": None if way.attempt is None else way.attempt.number,
        "amount_max": way.most,
        "partial": way.partial,
        "until": to_text_or_none(way.until),
        "blackout": way.blackout,
        "sent_from": to_text_or_none(way.sent_from),
        "issuer": None if way.attempt is None else way.attempt.issuer,
        "remarks": list(way.remarks),
    }


def audit_resource(entry: audit_chain.Entry) -> dict[str, Any]:
    """A row of the audit log as the API shows it."""
    return {
        "id": entry.id,
        "at": to_text(entry.at),
        "who": entry.who,
        "name": entry.name,
        "action": entry.action,
        "what": entry.what,
        "before": entry.before,
        "after": entry.after,
        "why": entry.why,
        "source": entry.source,
        "hash": entry.hash,
    }


def settlement_resource(line: Line) -> dict[str, Any]:
    """A line of a settlement report as the API shows it."""
    return {
        "id": line.id,
        "provider": line.provider,
        "kind": line.kind.value,
        "line_id": line.line_id,
        "provider_trx_id": line.provider_trx_id,
        "payment_id": line.payment_id,
        "amount": line.amount,
        "fee": line.fee,
        "vat": line.vat,
        "net_amount": line.net_amount,
        "currency": line.currency,
        "settlement_date": line.settlement_date.isoformat(),
        "is_settled": line.is_settled,
        "status": line.status,
        "reference": line.reference,
        "order_id": line.order_id,
        "provider_ref_no": line.provider_ref_no,
        "transacted_at": to_text_or_none(line.transacted_at),
        "batch": line.batch,
        "file_id": line.file_id,
        "row_number": line.row_number,
        "raw": line.raw,
        "reconciled": line.reconciled,
    }


def settlement_file_resource(file: File) -> dict[str, Any]:
    """An imported report as the API shows it."""
    return {**asdict(file), "imported_at": to_text(file.imported_at)}


def import_resource(done: Imported) -> dict[str, Any]:
    """What the import of a report came to; its file's id is null where nothing was stored."""
    file, total = done.file, done.total
    return {
        "file_id": None if done.is_dry_run else file.id,
        "dry_run": done.is_dry_run,
        "provider": file.provider,
        "name": file.name,
        "layout": file.layout,
        "lines": total.lines,
        "amount": total.amount,
        "fee": total.fee,
        "net_amount": total.net_amount,
        "new": done.new,
        "changed": done.changed,
        "repeated": file.repeated,
        "planned": done.planned,
        "unmatched": done.unmatched,
        "skipped": dict(done.skipped),
        "has_fees": done.has_fees,
    }


def overcharge_resource(line: Line, criteria: str, expected_fee: int) -> dict[str, Any]:
    """A payment of which too much was kept, as the API shows it."""
    return {
        "settlement_id": line.id,
        "provider": line.provider,
        "provider_trx_id": line.provider_trx_id,
        "payment_id": line.payment_id,
        "amount": line.amount,
        "criteria": criteria,
        "fee": line.fee,
        "expected_fee": expected_fee,
        "over": line.fee - expected_fee,
        "settlement_date": line.settlement_date.isoformat(),
        "file_id": line.file_id,
        "row_number": line.row_number,
    }


def endpoint_resource(endpoint: Endpoint, waiting: int, dead: int) -> dict[str, Any]:
    """A receiver in trouble; `waiting` and `dead` count its callbacks."""
    return {
        "url": endpoint.url,
        "failing_since": to_text_or_none(endpoint.failing_since),
        "off_since": to_text_or_none(endpoint.off_since),
        "reason": endpoint.reason,
        "waiting": waiting,
        "dead": dead,
    }


def payment_resource(payment: Payment, base_url: str) -> dict[str, Any]:
    """The payment as the API shows it. `base_url` has no final slash."""
    address = f"{base_url}/payments/{payment.id}"
    shown = payment.qris_payload is not None
    return {
        "id": payment.id,
        "order_id": payment.order_id,
        "amount": payment.amount,
        "amount_due": payment.amount_due,
        "currency": payment.currency,
        "status": payment.status.value,
        "exception": payment.exception,
        "amount_paid": payment.amount_paid,
        "amount_refunded": payment.amount_refunded,
        "provider": payment.provider,
        "provider_trx_id": payment.provider_trx_id,
        "provider_ref_no": payment.provider_ref_no,
        "qris_payload": payment.qris_payload,
        "qr_svg_url": f"{address}/qr.svg" if shown else None,
        "qr_png_url": f"{address}/qr.png" if shown else None,
        "checkout_url": f"{base_url}/pay/{payment.id}",
        "expires_at": to_text(payment.expires_at),
        "paid_at": to_text_or_none(payment.paid_at),
        "attempt": payment.attempt,
        "outlet": payment.outlet,
        "description": payment.description,
        "customer": payment.customer,
        "callback_url": payment.callback_url,
        "metadata": payment.metadata,
        "signature_version": payment.signature_version,
        "created_at": to_text(payment.created_at),
        "updated_at": to_text(payment.updated_at),
    }


def event_body(event_type: str, sequence: int, payment: Payment, base_url: str, now: datetime) -> str:
    """The JSON text the outside is told an event with."""
    body: Mapping[str, Any] = {
        "type": event_type,
        "timestamp": to_text(now),
        "sequence": sequence,
        "data": payment_resource(payment, base_url),
    }
    return to_json(body).decode()
