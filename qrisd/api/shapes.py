"""What answers look like, for the OpenAPI document and the tests: nothing is built from these while serving."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qrisd.domain.callback import CallbackStatus
from qrisd.domain.ledger import Kind
from qrisd.domain.payment import Oddity, Status
from qrisd.providers.simulator import SimulatorBody
from qrisd.schemas import Customer

Moment = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"),
    Field(json_schema_extra={"format": "date-time"}),
]
Rupiah = Annotated[int, Field(ge=0)]
Address = Annotated[str, Field(json_schema_extra={"format": "uri"})]


class Shape(BaseModel):
    """A JSON object with exactly these members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Payment(Shape):
    """What you want paid, and how it stands."""

    id: str = Field(description="Ours, a UUID; use it in every further call.")
    order_id: str = Field(description="Yours.")
    amount: Rupiah = Field(description="Whole rupiah asked for.")
    amount_due: Rupiah = Field(
        description="What the present QR asks for: `amount`, or a few rupiah more where the amount tells the payment."
    )
    currency: Literal["IDR"]
    status: Status = Field(description="Where it stands; see the table of statuses above.")
    exception: Oddity | None = Field(description="What is odd about it, so that a person has to look; usually null.")
    amount_paid: Rupiah = Field(description="Whole rupiah received.")
    amount_refunded: Rupiah = Field(description="Whole rupiah given back.")
    provider: str = Field(description="The provider of the present QR.")
    provider_trx_id: str | None = Field(description="The provider's id for the present QR.")
    provider_ref_no: str | None = Field(description="The reference (RRN) on the payer's receipt, once paid.")
    qris_payload: str | None = Field(description="The text in the QR; null while there is none.")
    qr_svg_url: Address | None
    qr_png_url: Address | None
    checkout_url: Address = Field(description="A page for the payer.")
    expires_at: Moment
    paid_at: Moment | None
    attempt: int = Field(ge=1, description="How many QRs it has had.")
    outlet: str
    description: str | None
    customer: Customer | None
    callback_url: str | None
    metadata: dict[str, Any] = Field(description="Yours, as you sent it.")
    signature_version: Literal[1, 2]
    created_at: Moment
    updated_at: Moment


class PaymentPage(Shape):
    """One page of a list, newest first."""

    data: list[Payment]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class TimelineRow(Shape):
    """One thing that happened to a payment."""

    id: int
    event: str = Field(description="`CREATED`, `QR_READY`, `WEBHOOK_SUCCESS`, `RETRY`, `EXPIRE`, `ERROR` and others.")
    payload: dict[str, Any]
    created_at: Moment


class Timeline(Shape):
    """What happened to a payment, oldest first, at most 1000 rows."""

    data: list[TimelineRow]


class Event(Shape):
    """Something that happened to a payment, as it was then."""

    id: int = Field(ge=1, description="Rises with every event of every payment.")
    type: str = Field(
        description="`payment.pending`, `payment.paid`, `payment.expired`, `payment.failed`, `payment.cancelled`, "
        "`payment.refunded`, `payment.partially_refunded` or `payment.exception`."
    )
    timestamp: Moment
    sequence: int = Field(ge=1, description="Counts the events of this payment.")
    data: Payment


class EventPage(Shape):
    """Events of all payments, oldest first."""

    data: list[Event]
    next_after: int = Field(ge=0, description="Send it as `after` the next time.")


class Callback(Shape):
    """An event on its way to your server."""

    id: str = Field(description="The `webhook-id` of every try.")
    event_id: int = Field(ge=1, description="The event, as `GET /events` names it.")
    payment_id: str
    type: str = Field(description="The event's type, such as `payment.paid`.")
    sequence: int = Field(ge=1, description="Counts the events of this payment.")
    url: Address
    status: CallbackStatus = Field(description="`DEAD` is given up: it is sent again only when you replay it.")
    tries: int = Field(ge=0, description="Since it was made or last replayed.")
    next_try_at: Moment | None = Field(description="Null when it is not tried any more.")
    reason: str | None = Field(description="Why the last try failed, or why it was given up.")
    created_at: Moment
    delivered_at: Moment | None


class Account(Shape):
    """One account of the ledger."""

    account: str = Field(description="Its name, such as `sales` or `receivable:midtrans`.")
    balance: int = Field(description="Whole rupiah, on the side on which the account grows.")


class Accounts(Shape):
    """Every account that was ever used."""

    data: list[Account]


class LedgerEntry(Shape):
    """One transfer between two accounts."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [kind.value for kind in Kind]})]
    debit: str
    credit: str
    amount: int = Field(ge=1, description="Whole rupiah.")
    payment_id: str | None
    refund_id: str | None
    settlement_id: int | None
    reason: str | None
    happened_at: Moment


class LedgerEntries(Shape):
    """Entries of the ledger, oldest first."""

    data: list[LedgerEntry]


class CallbackPage(Shape):
    """One page of a list, newest first."""

    data: list[Callback]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class CallbackTry(Shape):
    """One request to your server."""

    at: Moment
    status_code: int | None = Field(description="Null when no answer came.")
    latency_ms: int = Field(ge=0)
    address: str | None = Field(description="The IP address it went to; null when there was no connection.")
    answer: str | None = Field(description="The beginning of what your server answered.")
    error: str | None = Field(description="Why no answer came.")


class CallbackDetails(Callback):
    """An event on its way to your server, with its tries."""

    body: dict[str, Any] = Field(description="What is sent.")
    history: list[CallbackTry] = Field(description="The newest 100 tries, oldest first; those before a replay too.")


class Replayed(Shape):
    """How many callbacks are sent again."""

    replayed: int = Field(ge=0)
    switched_off: int = Field(ge=0, description="How many are not, because their endpoint is switched off.")


class Endpoint(Shape):
    """A receiver in trouble: the URL without its query."""

    url: Address
    failing_since: Moment | None = Field(description="Every try since then has failed.")
    off_since: Moment | None = Field(description="Nothing is sent since then, until you resume it.")
    reason: str | None = Field(description="Why it is switched off.")
    waiting: int = Field(ge=0, description="Callbacks that wait for it.")
    dead: int = Field(ge=0, description="Callbacks that were given up for it.")


class Endpoints(Shape):
    """Receivers in trouble, those that are switched off first, at most 100."""

    data: list[Endpoint]


class Resumed(Shape):
    """An endpoint that is on again."""

    url: Address
    replayed: int = Field(ge=0, description="How many callbacks that were given up for it are sent again.")


class Pinged(CallbackTry):
    """What came of a ping."""

    delivered: bool
    curl: str = Field(description="A command for the shell that sends the very same request, signature included.")


class Capabilities(Shape):
    """What a provider can do. Seconds and whole rupiah."""

    settable_expiry: bool = Field(description="Its QRs live as long as you ask, not as long as it likes.")
    min_expires_in: int
    max_expires_in: int
    min_amount: int
    max_amount: int
    cancel: bool = Field(description="It can close a QR before its time.")
    refund: bool
    partial_refund: bool
    refund_window_days: int | None = Field(description="Days after the payment; null where there is no limit.")
    refund_blackout: str | None = Field(description="When refunds are refused, such as `23:55-06:00 WIB`.")
    lookup: bool = Field(description="It can be asked how a payment stands.")
    retry_codes: list[str] = Field(description="Its own codes after which the same call is simply repeated.")
    confirmed_by_person: bool = Field(description="Only a person's word, or a report line, says that it was paid.")
    unique_amount: bool = Field(description="1 to 999 rupiah are added, so that the amount tells the payment.")
    polled: bool = Field(description="Open QRs are asked about now and then.")
    webhook_proves_status: bool = Field(description="Its webhook is believed; otherwise it is asked first.")


class Provider(Shape):
    """A provider that is configured here."""

    name: str
    type: str
    healthy: bool
    circuit: Literal["closed", "open", "half_open"] = Field(
        description="`closed`: calls go through. `open`: none is sent for a while. `half_open`: one is, to see."
    )
    trouble: str | None = Field(description="Why it is left alone, and what to do; null while `closed`.")
    capabilities: Capabilities


class Providers(Shape):
    """Every provider that is on."""

    data: list[Provider]


class Received(Shape):
    """A webhook that is stored durably."""

    received: Literal[True]
    outcome: str = Field(description="`applied`, `duplicate`, `unknown_order`, `refused` or `checking`.")


class Live(Shape):
    """The process lives."""

    status: Literal["ok"]


class JobHealth(Shape):
    """How often a background job ran and failed."""

    runs: int
    failures: int
    failing: bool


class Readiness(Shape):
    """Whether requests can be served, and if not, why."""

    status: Literal["ready", "not ready"]
    problems: dict[str, str] = Field(description="By part: `database`, `scheduler`, `disk`, `clock`.")
    jobs: dict[str, JobHealth]
    providers: dict[str, Literal["closed", "open", "half_open"]] = Field(description="The circuit of each provider.")


class WrongField(Shape):
    """A field that is wrong, and what to send instead."""

    field: str
    message: str


def _absent(schema: dict[str, Any]) -> None:
    """The member may be left out; what stands here for it then is nobody's business."""
    schema.pop("default", None)


class Problem(Shape):
    """An RFC 9457 problem document. Decide by `code`; the texts are for people and may change."""

    type: str = Field(pattern=r"^urn:qrisd:problem:[a-z_]+$", description="`urn:qrisd:problem:` and the code.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    request_id: str = Field(description="Also in X-Request-Id; name it when you ask for help.")
    errors: list[WrongField] = Field([], description="With `validation_failed`.", json_schema_extra=_absent)
    payment_status: Status = Field(
        Status.PAID, description="With `wrong_state`: how the payment stands.", json_schema_extra=_absent
    )
    existing: str = Field(
        "", description="With `order_id_taken`: the id of the payment that has it.", json_schema_extra=_absent
    )
    provider: str = Field(
        "", description="With `provider_error` and `provider_unavailable`.", json_schema_extra=_absent
    )
    provider_code: str | None = Field(None, description="The provider's own code.", json_schema_extra=_absent)


class GenericWebhook(SimulatorBody):
    """The body of the generic webhook. Members not named here are ignored; a status not known decides nothing."""
