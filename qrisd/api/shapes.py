"""What answers look like, for the OpenAPI document and the tests: nothing is built from these while serving."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qrisd.domain.callback import CallbackStatus
from qrisd.domain.ledger import Kind
from qrisd.domain.mdr import Criteria
from qrisd.domain.payment import Oddity, Status
from qrisd.domain.reconciliation import Class, Reason
from qrisd.domain.refund import Method as RefundMethod
from qrisd.domain.refund import Status as RefundStatus
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


class Settlement(Shape):
    """A line of a provider's settlement report."""

    id: int = Field(ge=1)
    provider: str
    kind: Literal["payment", "refund", "fee", "adjustment"]
    line_id: str = Field(description="The provider's own id of the line.")
    provider_trx_id: str | None
    payment_id: str | None = Field(description="Null when it is about no payment here.")
    amount: int = Field(description="Whole rupiah: above zero for a payment, below for a refund.")
    fee: int = Field(description="Whole rupiah the provider kept, VAT included; below zero when it gave some back.")
    vat: int = Field(description="How much of the fee is VAT, as far as the report says it.")
    net_amount: int = Field(description="`amount` less `fee`.")
    currency: str
    settlement_date: date = Field(description="The business day it is paid out on, or expected to be.")
    is_settled: bool = Field(description="False while it is expected only.")
    status: str | None = Field(description="The report's own word.")
    reference: str | None = Field(description="Our own reference, as the report has it.")
    order_id: str | None
    provider_ref_no: str | None
    transacted_at: Moment | None
    batch: str | None = Field(description="The payout it is part of.")
    file_id: str = Field(description="The report, as `GET /settlements/files` names it.")
    row_number: int = Field(ge=1, description="The row in that file, as a spreadsheet counts.")
    raw: dict[str, str] = Field(description="The cells it was read from.")
    reconciled: bool


class SettlementPage(Shape):
    """One page of a list, newest first."""

    data: list[Settlement]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class SettlementFile(Shape):
    """An imported settlement report. Counts and sums are of the lines it brought or changed."""

    id: str
    provider: str
    name: str
    sha256: str
    layout: str = Field(description="How it was read.")
    lines: int = Field(ge=0)
    repeated: int = Field(ge=0, description="Lines that said what was known already.")
    skipped: int = Field(ge=0, description="Rows about no money of a QRIS.")
    amount: int
    fee: int
    net_amount: int
    imported_at: Moment
    imported_by: str = Field(description="Who, as in the audit log.")


class SettlementFilePage(Shape):
    """One page of a list, newest first."""

    data: list[SettlementFile]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class Import(Shape):
    """What the import of a settlement report came to. Sums are of all its lines."""

    file_id: str | None = Field(description="Null after a dry run.")
    dry_run: bool
    provider: str
    name: str
    layout: str = Field(description="How it was read.")
    lines: int = Field(ge=0)
    amount: int
    fee: int
    net_amount: int
    new: int = Field(ge=0)
    changed: int = Field(ge=0, description="Lines that were known, and stand otherwise now.")
    repeated: int = Field(ge=0, description="Lines that said what was known already.")
    unmatched: int = Field(ge=0, description="Payments and refunds that are none of ours.")
    skipped: dict[str, int] = Field(description="Rows about no money of a QRIS: how many, by what says so.")
    has_fees: bool = Field(description="False when no column says what was kept: the lines count as paid out in full.")


class Overcharge(Shape):
    """A payment of which the provider kept more than the MDR allows."""

    settlement_id: int = Field(ge=1)
    provider: str
    provider_trx_id: str | None
    payment_id: str | None
    amount: int
    criteria: Criteria = Field(description="What the merchant is.")
    fee: int = Field(description="Whole rupiah the provider kept, VAT included.")
    expected_fee: int = Field(ge=0)
    over: int = Field(ge=1, description="`fee` less `expected_fee`.")
    settlement_date: date
    file_id: str
    row_number: int = Field(ge=1)


class ReconciliationException(Shape):
    """A difference that reconciling a day found."""

    id: str
    date: date
    class_: Class = Field(alias="class", description="What kind of difference it is.")
    reason: Reason = Field(description="Which of the ways the class can come about.")
    status: Literal["open", "resolved", "healed", "gone"] = Field(
        description="`healed`: the payment was advanced; `gone`: it no longer holds."
    )
    provider: str
    payment_id: str | None
    order_id: str | None
    provider_trx_id: str | None
    amount_here: int | None = Field(description="Whole rupiah by what is stored here.")
    amount_there: int | None = Field(description="Whole rupiah by what the provider, its report or the bank says.")
    difference: int | None = Field(description="`amount_there` less `amount_here`.")
    detail: str | None
    note: str | None
    owner: str | None = Field(description="Who looks after it.")


class ReconciliationExceptionPage(Shape):
    """One page of a list, by class."""

    data: list[ReconciliationException]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class DayTotals(Shape):
    """One provider's day. Amounts are whole rupiah."""

    provider: str
    payments: int = Field(description="Made on that day.")
    open: int = Field(description="Of them, neither paid nor closed.")
    paid: int = Field(description="QRs that were paid.")
    paid_amount: int
    confirmed: int = Field(description="Of the paid ones, those the provider itself calls paid.")
    refunded_amount: int
    settled: int = Field(description="Paid out, by the reports.")
    settled_amount: int
    fees: int
    waiting: int = Field(description="Paid, and not paid out yet.")
    waiting_amount: int
    has_reports: bool = Field(description="Whether a settlement report of this provider was ever imported.")


class DayPayout(Shape):
    """What a provider paid out on that day, taken apart. `parts` add up to `net_amount` but for `residual`."""

    provider: str
    date: date
    lines: int
    net_amount: int
    parts: dict[str, int]
    residual: int
    bank_amount: int | None = Field(description="What somebody saw arrive at the bank.")
    bank_difference: int | None
    is_explained: bool = Field(description="True when there is nothing in it but payments, refunds and fees.")


class ReconciliationProgress(Shape):
    """How far a run is."""

    stage: Literal["waiting", "asking", "comparing"]
    done: int
    total: int


class Reconciliation(Shape):
    """A reconciled business day, or one that is being reconciled."""

    date: date
    provider: str | None = Field(description="The only provider it was asked for; null for all.")
    timezone: str
    status: Literal["running", "done"]
    progress: ReconciliationProgress | None = Field(description="While it is running.")
    is_clean: bool | None = Field(description="True when nothing waits for a person; null while it is running.")
    unasked: int = Field(description="QRs the provider gave no answer about.")
    open: int = Field(description="Exceptions that wait for a person.")
    totals: list[DayTotals]
    classes: dict[str, dict[str, int]] = Field(description="How many of each class stand how.")
    payouts: list[DayPayout]
    exceptions: list[ReconciliationException]


class ReconciledDay(Shape):
    """A reconciled day in a list."""

    date: date
    status: Literal["running", "done"]
    origin: Literal["nightly", "person"]
    asked: int
    unasked: int
    open: int = Field(description="Exceptions that wait for a person.")
    began_at: Moment
    finished_at: Moment | None


class ReconciledDayPage(Shape):
    """One page of a list, newest day first."""

    data: list[ReconciledDay]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class EnteredPayout(Shape):
    """What somebody saw arrive at the bank."""

    provider: str
    date: date
    amount: int


class OverchargePage(Shape):
    """One page of a list, newest first. It may be short, or empty, before the last one."""

    data: list[Overcharge]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class Audited(Shape):
    """One thing that somebody did."""

    id: int
    at: Moment
    who: str = Field(description="A person's id, `api_key:` and the id of a machine's key, `command line` or `nobody`.")
    name: str | None = Field(description="The person's username, or the key's name.")
    action: str = Field(description="What was done, such as `payment.cancelled`.")
    what: str | None = Field(description="The id of what it was done to.")
    before: dict[str, Any] | None = Field(description="What it was, as far as it changed.")
    after: dict[str, Any] | None = Field(description="What it became.")
    why: str | None
    source: str | None = Field(description="The address it came from, and the key when a person used one.")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 over the row and the hash of the row before it.")


class AuditPage(Shape):
    """One page of the audit log, newest first."""

    data: list[Audited]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class Refund(Shape):
    """Money to give back, or given back, of one payment."""

    id: str
    payment_id: str
    order_id: str
    amount: int = Field(ge=1, description="Whole rupiah.")
    currency: Literal["IDR"]
    method: RefundMethod = Field(description="`elsewhere`: the provider gave it back without being asked by us.")
    status: RefundStatus = Field(description="Where it stands; see the page about refunds.")
    reason: str
    evidence: str | None = Field(description="What proves a refund by hand.")
    requested_by: str = Field(description="A person's id, `api_key:` and the key's, or `provider:` and its name.")
    requester: str | None = Field(description="Their username, or the key's name.")
    content_hash: str | None = Field(description="SHA-256 of what an approval is for.")
    provider: str | None
    reference: str | None = Field(description="Our name for it at the provider, the same on every try.")
    provider_refund_id: str | None
    provider_ref_no: str | None
    detail: str | None = Field(description="What the provider said last, or why it ended.")
    expires_at: Moment | None = Field(description="When it ends unless somebody approves it.")
    next_try_at: Moment | None = Field(description="When it is sent, or asked about, next.")
    sent_at: Moment | None
    done_at: Moment | None
    created_at: Moment
    updated_at: Moment


class RefundDecision(Shape):
    """What somebody decided about a refund."""

    decision: Literal["approved", "rejected", "cancelled", "expired", "voided", "proposed", "resolved"]
    outcome: Literal["DONE", "FAILED"] | None = Field(description="With `proposed` and `resolved`: how it ended.")
    by: str = Field(description="A person's id, `api_key:` and the key's, `policy` or `clock`.")
    name: str | None
    why: str | None
    at: Moment


class RefundDetails(Refund):
    """Money to give back, with what was decided about it."""

    decisions: list[RefundDecision] = Field(description="Oldest first.")


class Refunds(Shape):
    """The refunds of a payment, oldest first."""

    data: list[Refund]


class RefundPage(Shape):
    """One page of a list, newest first."""

    data: list[Refund]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class RefundWay(Shape):
    """One way to give money back."""

    method: Literal["provider", "cash", "transfer"]
    possible: bool
    why_not: list[str] = Field(description="Why it is not possible, for people.")
    provider: str | None
    attempt: int | None = Field(description="Which QR brought the money.")
    amount_max: Rupiah
    partial: bool = Field(description="False: exactly `amount_max` or nothing.")
    until: Moment | None = Field(description="When the provider stops giving it back.")
    blackout: str | None = Field(description="When the provider refuses refunds, such as `23:55-06:00 WIB`.")
    sent_from: Moment | None = Field(description="While it refuses: when what is approved now will be sent.")


class Refundable(Shape):
    """What may be given back of a payment, by whom, until when."""

    payment_id: str
    payment_status: Status
    currency: Literal["IDR"]
    amount_paid: Rupiah
    amount_refunded: Rupiah
    amount_reserved: Rupiah = Field(description="Promised by refunds that have not ended.")
    amount_left: Rupiah
    ways: list[RefundWay]
    approval_above: Rupiah = Field(description="What goes back of this payment up to this needs no approval.")
    may_request: list[str] = Field(description="Roles.")
    may_approve: list[str] = Field(description="Roles; never who asked for it.")
    you_may_request: bool
    you_may_approve: bool
    at: Moment


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
    refund_status: RefundStatus = Field(
        RefundStatus.DONE,
        description="With `wrong_state` of a refund: how the refund stands.",
        json_schema_extra=_absent,
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
