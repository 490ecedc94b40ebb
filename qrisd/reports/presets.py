"""The layouts that are documented by the providers, as data. What is not documented is not guessed at: it is described
in the settings. docs/settlements.md has them as a table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from qrisd.domain.settlement import Kind
from qrisd.reports.layout import Layout, Standing

_SETTLED, _WAITING, _SKIPPED, _VOID = Standing.SETTLED, Standing.WAITING, Standing.SKIPPED, Standing.VOID
_PLAIN_KINDS: Final = {
    "payment": Kind.PAYMENT,
    "refund": Kind.REFUND,
    "fee": Kind.FEE,
    "adjustment": Kind.ADJUSTMENT,
}
# Money that moves within the account at the provider, or out of it, is no line of a settlement.
_XENDIT_KINDS: Final = {
    "PAYMENT": Kind.PAYMENT,
    "REFUND": Kind.REFUND,
    "FEE": Kind.FEE,
    "ADJUSTMENT": Kind.ADJUSTMENT,
    **dict.fromkeys(
        (
            "DISBURSEMENT",
            "BATCH_DISBURSEMENT",
            "PAYOUT",
            "REMITTANCE_PAYOUT",
            "REMITTANCE",
            "TRANSFER",
            "TRANSFER_IN",
            "TRANSFER_OUT",
            "WITHDRAWAL",
            "TOPUP",
            "CONVERSION",
            "OTHER",
        )
    ),
}
_XENDIT_STATUSES: Final = {
    "SUCCESS": _WAITING,
    "PENDING": _SKIPPED,
    "FAILED": _SKIPPED,
    "VOIDED": _VOID,
    "REVERSED": _VOID,
}
_XENDIT_COLUMNS: Final = {
    "line_id": ("Transaction ID",),
    "reference": ("Reference",),
    "provider_trx_id": ("Payment Request ID", "Product ID", "Payment ID"),
    "provider_ref_no": ("Channel Reference",),
    "amount": ("Amount",),
    "net_amount": ("Net Amount",),
    "transacted_at": ("Timestamp - Created",),
    "kind": ("Type",),
    "status": ("Status",),
    "channel": ("Channel",),
    "batch": ("Batch ID",),
    "currency": ("Currency",),
    "timezone": ("Timezone", "Time Zone"),
}

PRESETS: Final = (
    Layout(
        name="xendit_transactions_v2",
        provider="xendit",
        columns={
            **_XENDIT_COLUMNS,
            "fee": ("Total Fee",),
            "vat": ("Total VAT",),
            "settlement_date": ("Actual Settlement Time",),
            "expected_date": ("Estimated Settlement Time",),
            "settlement_status": ("Settlement Status",),
        },
        needs=(
            ("line_id",),
            ("reference",),
            ("amount",),
            ("status",),
            ("settlement_status",),
            ("transacted_at",),
            ("net_amount", "fee"),
        ),
        timezone="UTC",
        statuses=_XENDIT_STATUSES,
        settlement_statuses={
            "SETTLED": _SETTLED,
            "EARLY_SETTLED": _SETTLED,
            "PENDING": _WAITING,
        },
        kinds=_XENDIT_KINDS,
        channels=("qr",),
    ),
    Layout(
        name="xendit_transactions_v1",
        provider="xendit",
        columns={
            **_XENDIT_COLUMNS,
            "fee": ("Fee",),
            "vat": ("VAT",),
            "more_fees": ("3rd Party WHT", "Xendit WHT"),
            "settlement_date": ("Timestamp - Settled",),
        },
        needs=(
            ("line_id",),
            ("reference",),
            ("amount",),
            ("status",),
            ("settlement_date",),
            ("transacted_at",),
            ("net_amount", "fee"),
        ),
        timezone="UTC",
        statuses=_XENDIT_STATUSES,
        kinds=_XENDIT_KINDS,
        channels=("qr",),
        is_settled_by_date=True,
    ),
    # Up to three rows a payment: what came, the fee, the tax on it. They are put together by Product ID.
    Layout(
        name="xendit_balance",
        provider="xendit",
        columns={
            "line_id": ("Transaction ID",),
            "group": ("Product ID",),
            "reference": ("Reference",),
            "provider_trx_id": ("Product ID",),
            "provider_ref_no": ("Channel Reference",),
            "amount": ("Amount",),
            "settlement_date": ("Settlement Date", "Completed Date", "Created Date ISO"),
            "transacted_at": ("Created Date ISO",),
            "kind": ("Transaction Type",),
            "channel": ("Payment Channel",),
            "currency": ("Currency",),
            "timezone": ("Time Zone", "Timezone"),
            "part": ("Line Type",),
            "direction": ("Debit or Credit",),
        },
        needs=(
            ("line_id",),
            ("group",),
            ("reference",),
            ("amount",),
            ("part",),
            ("direction",),
            ("settlement_date",),
            ("transacted_at",),
        ),
        timezone="UTC",
        kinds=_XENDIT_KINDS,
        channels=("qr",),
    ),
    # Whoever exports it ticks the columns. A fee that is not ticked comes with a later export.
    Layout(
        name="midtrans_transactions",
        provider="midtrans",
        columns={
            "line_id": ("Order ID",),
            "reference": ("Order ID",),
            "provider_trx_id": ("Transaction ID",),
            "provider_ref_no": ("Approval code",),
            "amount": ("Amount", "Gross amount", "Amount (gross)"),
            "fee": ("Mdr amount", "Fee", "MDR"),
            "settlement_date": ("Settlement time", "Settlement date"),
            "transacted_at": ("Transaction time", "Date & time", "Transaction date"),
            "kind": ("Transaction type",),
            "status": ("Transaction status", "Status"),
            "channel": ("Payment type", "Channel", "Payment method"),
            "currency": ("Currency",),
        },
        needs=(
            ("line_id",),
            ("amount",),
            ("status", "settlement_date"),
            ("settlement_date", "transacted_at"),
        ),
        timezone="Asia/Jakarta",
        statuses={
            "settlement": _SETTLED,
            "capture": _SETTLED,
            "refund": _SETTLED,
            "partial_refund": _SETTLED,
            "chargeback": _SETTLED,
            "partial_chargeback": _SETTLED,
            "pending": _SKIPPED,
            "authorize": _SKIPPED,
            "deny": _VOID,
            "cancel": _VOID,
            "expire": _SKIPPED,
            "expired": _SKIPPED,
            "failure": _SKIPPED,
        },
        kinds={"payment": Kind.PAYMENT, "sale": Kind.PAYMENT, "refund": Kind.REFUND, "withdrawal": None},
        channels=("qr", "gopay"),
        is_settled_by_date=True,
    ),
    Layout(
        name="dana_settlement",
        provider="dana",
        columns={
            "line_id": ("SETTLEMENT_TXN_ID",),
            "provider_trx_id": ("ACQUIREMENT_ID",),
            "provider_ref_no": ("TXN_ID",),
            "amount": ("TXN_AMOUNT",),
            "settlement_date": ("SETTLE_DATE",),
            "kind": ("TXN_TYPE",),
            "currency": ("TXN_CURRENCY",),
        },
        needs=(("line_id",), ("provider_trx_id", "provider_ref_no"), ("amount",), ("settlement_date",), ("kind",)),
        unit="cents",
        timezone="Asia/Jakarta",
        kinds={
            "ACQUIRING_ORDER": Kind.PAYMENT,
            "CAPTURE": Kind.PAYMENT,
            "REFUND": Kind.REFUND,
            "CANCEL": Kind.REFUND,
            "VOUCHER_DEDUCTION": Kind.ADJUSTMENT,
        },
    ),
    # In which unit its values are is not documented: a layout in the settings says so.
    Layout(
        name="antom_settlement",
        provider="antom",
        columns={
            "line_id": ("transactionId",),
            "reference": ("transactionRequestId",),
            "provider_trx_id": ("transactionId",),
            "amount": ("transactionAmountValue",),
            "settlement_date": ("settlementTime",),
            "transacted_at": ("paymentTime",),
            "kind": ("transactionType",),
            "channel": ("paymentMethodType",),
            "batch": ("settlementBatchId",),
        },
        needs=(("line_id",), ("amount",), ("settlement_date",), ("kind",), ("batch",)),
        unit=None,
        kinds={"PAYMENT": Kind.PAYMENT, "CAPTURE": Kind.PAYMENT, "REFUND": Kind.REFUND},
    ),
    # Our own: what the simulator's merchant would get, and what the owner of a static QRIS makes of the bank's list.
    Layout(
        name="plain",
        provider="simulator",
        columns={
            "line_id": ("line_id",),
            "reference": ("reference",),
            "provider_trx_id": ("provider_trx_id", "transaction_id"),
            "provider_ref_no": ("provider_ref_no",),
            "order_id": ("order_id",),
            "amount": ("amount", "gross_amount"),
            "fee": ("fee",),
            "vat": ("vat",),
            "net_amount": ("net_amount", "net"),
            "settlement_date": ("settlement_date", "settled_at"),
            "transacted_at": ("transacted_at",),
            "kind": ("kind", "type"),
            "status": ("status",),
            "batch": ("batch",),
            "currency": ("currency",),
        },
        needs=(
            ("line_id", "reference", "provider_trx_id", "provider_ref_no", "order_id"),
            ("amount",),
            ("settlement_date",),
        ),
        statuses={"settled": _SETTLED, "paid": _SETTLED, "pending": _WAITING, "failed": _SKIPPED, "void": _VOID},
        kinds=_PLAIN_KINDS,
    ),
)
# The types of providers that also have the layout `plain`.
PLAIN_TOO: Final = frozenset({"static"})
DOCUMENTED: Final = tuple(sorted({layout.provider for layout in PRESETS} - {"simulator"}))


def presets_of(kinds: Collection[str]) -> list[Layout]:
    """The layouts of providers of these types."""
    wanted = {*kinds, "simulator"} if PLAIN_TOO.intersection(kinds) else {*kinds}
    return [layout for layout in PRESETS if layout.provider in wanted]


def preset(name: str) -> Layout:
    """The layout with this name. Raises KeyError."""
    return {layout.name: layout for layout in PRESETS}[name]
