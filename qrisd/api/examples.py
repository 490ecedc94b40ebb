"""Small real-looking bodies for the OpenAPI document. The tests hold each against its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PAYMENT_ID: Final = "019bc9a1-7c40-7d3e-9d57-2f6a1c0b8e11"
ORDER: Final = {
    "order_id": "INV-2026-0001",
    "amount": 15000,
    "expires_in": 900,
    "callback_url": "https://shop.example/hooks/qrisd",
    "description": "2 kopi susu",
    "customer": {"name": "Budi", "email": "budi@example.com", "phone": "+628123456789"},
    "metadata": {"table": "7"},
}
PAYMENT: Final = {
    "id": PAYMENT_ID,
    "order_id": "INV-2026-0001",
    "amount": 15000,
    "amount_due": 15000,
    "currency": "IDR",
    "status": "PENDING",
    "exception": None,
    "amount_paid": 0,
    "amount_refunded": 0,
    "provider": "simulator",
    "provider_trx_id": "SIM-5E0C1F9A72B4D638",
    "provider_ref_no": None,
    "qris_payload": (
        "00020101021226690017ID.CO.EXAMPLE.WWW01189360099900000000170215UJI0000000000010303UMI"
        "51440014ID.CO.QRIS.WWW0215ID00000000000000303UMI5204581253033605405150005802ID5915WARUNG SIMULASI"
        "6007JAKARTA61051011062240520019BC9A17C40ABCD123463048D63"
    ),
    "qr_svg_url": f"http://127.0.0.1:8000/payments/{PAYMENT_ID}/qr.svg",
    "qr_png_url": f"http://127.0.0.1:8000/payments/{PAYMENT_ID}/qr.png",
    "checkout_url": f"http://127.0.0.1:8000/pay/{PAYMENT_ID}",
    "expires_at": "2026-01-15T03:15:00.000Z",
    "paid_at": None,
    "attempt": 1,
    "outlet": "main",
    "description": "2 kopi susu",
    "customer": {"name": "Budi", "email": "budi@example.com", "phone": "+628123456789"},
    "callback_url": "https://shop.example/hooks/qrisd",
    "metadata": {"table": "7"},
    "signature_version": 2,
    "created_at": "2026-01-15T03:00:00.000Z",
    "updated_at": "2026-01-15T03:00:00.000Z",
}
UNKNOWN: Final = {
    **PAYMENT,
    "status": "CREATED",
    **dict.fromkeys(("provider_trx_id", "qris_payload", "qr_svg_url", "qr_png_url")),
}
PAID: Final = {
    **PAYMENT,
    "status": "PAID",
    "amount_paid": 15000,
    "provider_ref_no": "123456789012",
    "paid_at": "2026-01-15T03:03:21.000Z",
    "updated_at": "2026-01-15T03:03:22.000Z",
}
EVENTS: Final = {
    "data": [
        {"id": 17, "type": "payment.paid", "timestamp": "2026-01-15T03:03:22.000Z", "sequence": 2, "data": PAID},
    ],
    "next_after": 17,
}
ACCOUNTS: Final = {
    "data": [{"account": "receivable:simulator", "balance": 15_000}, {"account": "sales", "balance": 15_000}]
}
LEDGER_ENTRIES: Final = {
    "data": [
        {
            "kind": "paid",
            "debit": "receivable:simulator",
            "credit": "sales",
            "amount": 15_000,
            "payment_id": PAYMENT_ID,
            "refund_id": None,
            "settlement_id": None,
            "reason": None,
            "happened_at": "2026-01-15T03:03:21.000Z",
        }
    ]
}

SETTLEMENT_FILE_ID: Final = "019bc9a4-900a-7f5e-8c6d-4b3a29180717"
SETTLEMENT: Final = {
    "id": 1,
    "provider": "xendit",
    "kind": "payment",
    "line_id": "txn_66666666-2222-4333-8444-555555555555",
    "provider_trx_id": "pr-11111111-2222-4333-8444-555555555555",
    "payment_id": PAYMENT_ID,
    "amount": 15_000,
    "fee": 105,
    "vat": 10,
    "net_amount": 14_895,
    "currency": "IDR",
    "settlement_date": "2026-01-17",
    "is_settled": True,
    "status": "SETTLED",
    "reference": "9K2M4P6R8T0V1X3Z5B7D",
    "order_id": None,
    "provider_ref_no": None,
    "transacted_at": "2026-01-15T03:03:21.749Z",
    "batch": None,
    "file_id": SETTLEMENT_FILE_ID,
    "row_number": 2,
    "raw": {"Transaction ID": "txn_66666666-2222-4333-8444-555555555555", "Amount": "15000", "Net Amount": "14895"},
    "reconciled": False,
}
SETTLEMENT_FILE: Final = {
    "id": SETTLEMENT_FILE_ID,
    "provider": "xendit",
    "name": "transactions-2026-01-15.csv",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "layout": "xendit_transactions_v2",
    "lines": 1,
    "repeated": 0,
    "skipped": 0,
    "amount": 15_000,
    "fee": 105,
    "net_amount": 14_895,
    "imported_at": "2026-01-18T01:00:00.000Z",
    "imported_by": "api_key:019bc9a4-0000-7000-8000-000000000001",
}
REPORT: Final = (
    "order_id,provider_trx_id,amount,fee,settlement_date\nINV-2026-0001,SIM-0123456789ABCDEF,15000,105,2026-01-17\n"
)
IMPORT: Final = {
    "file_id": SETTLEMENT_FILE_ID,
    "dry_run": False,
    "provider": "xendit",
    "name": "transactions-2026-01-15.csv",
    "layout": "xendit_transactions_v2",
    "lines": 1,
    "amount": 15_000,
    "fee": 105,
    "net_amount": 14_895,
    "new": 1,
    "changed": 0,
    "repeated": 0,
    "planned": 0,
    "unmatched": 0,
    "skipped": {"Channel: VIRTUAL_ACCOUNT": 3},
    "has_fees": True,
}
OVERCHARGE: Final = {
    "settlement_id": 1,
    "provider": "xendit",
    "provider_trx_id": "pr-11111111-2222-4333-8444-555555555555",
    "payment_id": PAYMENT_ID,
    "amount": 15_000,
    "criteria": "UMI",
    "fee": 105,
    "expected_fee": 0,
    "over": 105,
    "settlement_date": "2026-01-17",
    "file_id": SETTLEMENT_FILE_ID,
    "row_number": 2,
}
EXCEPTION_ID: Final = "915f89f83df3f54baeb6"
EXCEPTION: Final = {
    "id": EXCEPTION_ID,
    "date": "2026-01-15",
    "class": "fee",
    "reason": "fee_too_high",
    "status": "open",
    "provider": "xendit",
    "payment_id": PAYMENT_ID,
    "order_id": "INV-2026-0001",
    "provider_trx_id": "pr-11111111-2222-4333-8444-555555555555",
    "amount_here": 0,
    "amount_there": 105,
    "difference": 105,
    "detail": "2026-01-17",
    "note": None,
    "owner": None,
}
RECONCILIATION: Final = {
    "date": "2026-01-15",
    "provider": None,
    "timezone": "Asia/Jakarta",
    "status": "done",
    "progress": None,
    "is_clean": False,
    "unasked": 0,
    "open": 1,
    "totals": [
        {
            "provider": "xendit",
            "payments": 1,
            "open": 0,
            "paid": 1,
            "paid_amount": 15_000,
            "confirmed": 1,
            "refunded_amount": 0,
            "settled": 1,
            "settled_amount": 15_000,
            "fees": 105,
            "settled_net_amount": 14_895,
            "waiting": 0,
            "waiting_amount": 0,
            "has_reports": True,
        }
    ],
    "classes": {"fee": {"open": 1, "resolved": 0, "healed": 0}},
    "payouts": [],
    "exceptions": [EXCEPTION],
}
RECONCILIATION_RUNNING: Final = {
    **RECONCILIATION,
    "status": "running",
    "progress": {"stage": "asking", "done": 500, "total": 12_000},
    "is_clean": None,
    "open": 0,
    "totals": [],
    "classes": {},
    "exceptions": [],
}
RECONCILED_DAY: Final = {
    "date": "2026-01-15",
    "status": "done",
    "origin": "nightly",
    "asked": 1,
    "unasked": 0,
    "open": 1,
    "began_at": "2026-01-15T19:00:00.000Z",
    "finished_at": "2026-01-15T19:00:02.000Z",
}
REFUND_ID: Final = "019bc9a6-3f10-7b52-8c44-5e1d2a9f7c03"
REFUND_ASKED: Final = {"amount": 5000, "reason": "one cup was not served"}
REFUND: Final = {
    "id": REFUND_ID,
    "payment_id": PAYMENT_ID,
    "order_id": "INV-2026-0001",
    "amount": 5000,
    "currency": "IDR",
    "method": "provider",
    "status": "REQUESTED",
    "reason": "one cup was not served",
    "evidence": None,
    "requested_by": "api_key:019bc9a0-0a11-7c3d-b1f5-3c9a7e2d4f60",
    "requester": "kasir-1",
    "content_hash": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    "provider": "simulator",
    "reference": "05J6WM8ZQ4T1V9X3Z6B4",
    "provider_refund_id": None,
    "provider_ref_no": None,
    "detail": None,
    "expires_at": "2026-01-16T04:00:00.000Z",
    "next_try_at": None,
    "sent_at": None,
    "done_at": None,
    "created_at": "2026-01-15T04:00:00.000Z",
    "updated_at": "2026-01-15T04:00:00.000Z",
}
_APPROVAL: Final = {
    "decision": "approved",
    "outcome": None,
    "by": "019bc9a0-6b2c-7a90-9f0e-8d1c5b3a7e42",
    "name": "sri",
    "why": "one cup was not served",
    "at": "2026-01-15T04:10:00.000Z",
}
REFUND_REQUESTED: Final = {**REFUND, "decisions": []}
REFUND_APPROVED: Final = {
    **REFUND,
    "status": "APPROVED",
    "expires_at": None,
    "next_try_at": "2026-01-15T04:10:00.000Z",
    "decisions": [_APPROVAL],
}
REFUND_REJECTED: Final = {
    **REFUND,
    "status": "REJECTED",
    "expires_at": None,
    "detail": "it was served",
    "decisions": [{**_APPROVAL, "decision": "rejected", "why": "it was served"}],
}
REFUND_CANCELLED: Final = {
    **REFUND,
    "status": "CANCELLED",
    "expires_at": None,
    "detail": "the customer takes another cup",
    "decisions": [{**_APPROVAL, "decision": "cancelled", "why": "the customer takes another cup"}],
}
REFUNDABLE: Final = {
    "payment_id": PAYMENT_ID,
    "payment_status": "PAID",
    "currency": "IDR",
    "amount_paid": 15000,
    "amount_refunded": 0,
    "amount_reserved": 5000,
    "amount_left": 10000,
    "ways": [
        {
            "method": "provider",
            "possible": True,
            "why_not": [],
            "provider": "simulator",
            "attempt": 1,
            "amount_max": 10000,
            "partial": True,
            "until": None,
            "blackout": None,
            "sent_from": None,
            "issuer": None,
            "remarks": [],
        }
    ],
    "approval_above": 0,
    "may_request": ["finance", "owner", "supervisor"],
    "may_approve": ["finance", "owner", "supervisor"],
    "you_may_request": True,
    "you_may_approve": False,
    "at": "2026-01-15T04:05:00.000Z",
}

CALLBACK_ID: Final = "msg_019bc9a4900a7f5e8c6d4b3a29180716"
CALLBACK: Final = {
    "id": CALLBACK_ID,
    "event_id": 17,
    "payment_id": PAYMENT_ID,
    "type": "payment.paid",
    "sequence": 2,
    "url": "https://shop.example/hooks/qrisd",
    "status": "WAITING",
    "tries": 1,
    "next_try_at": "2026-01-15T03:03:27.213Z",
    "reason": "answered HTTP 500",
    "created_at": "2026-01-15T03:03:22.000Z",
    "delivered_at": None,
}
CALLBACK_TRY: Final = {
    "at": "2026-01-15T03:03:22.089Z",
    "status_code": 500,
    "latency_ms": 87,
    "address": "93.184.215.14",
    "answer": "database is locked",
    "error": None,
}
CALLBACK_DETAILS: Final = {
    **CALLBACK,
    "body": {"type": "payment.paid", "timestamp": "2026-01-15T03:03:22.000Z", "sequence": 2, "data": PAID},
    "history": [CALLBACK_TRY],
}
CALLBACK_REPLAYED: Final = {**CALLBACK, "tries": 0, "next_try_at": "2026-01-15T03:30:00.000Z"}
ENDPOINTS: Final = {
    "data": [
        {
            "url": "https://shop.example/hooks/qrisd",
            "failing_since": "2026-01-10T03:03:22.089Z",
            "off_since": "2026-01-15T03:03:22.089Z",
            "reason": "every try has failed for 5 days; last: answered HTTP 500",
            "waiting": 0,
            "dead": 12,
        }
    ]
}
PING_URL: Final = {"url": "https://shop.example/hooks/qrisd"}
PINGED: Final = {
    **CALLBACK_TRY,
    "delivered": False,
    "curl": "curl --include --globoff https://shop.example/hooks/qrisd --header 'content-type: application/json' …",
}
CONFIRMED: Final = {
    **PAYMENT,
    "status": "PAID",
    "amount_paid": 15000,
    "provider": "static",
    "provider_ref_no": "000123",
    "paid_at": "2026-01-15T03:05:00.000Z",
    "updated_at": "2026-01-15T03:05:00.000Z",
}
CANCELLED: Final = {**PAYMENT, "status": "CANCELLED", "updated_at": "2026-01-15T03:05:00.000Z"}
TIMELINE: Final = {
    "data": [
        {
            "id": 1,
            "event": "CREATED",
            "payload": {
                "attempt": 1,
                "provider": "simulator",
                "reference": "019BC9A17C40ABCD1234",
                "amount": 15000,
                "by": "api_key:019bc9a1-7c40-7d11-9a3e-5b1c0e8f2a77",
            },
            "created_at": "2026-01-15T03:00:00.000Z",
        }
    ]
}
PROVIDERS: Final = {
    "data": [
        {
            "name": "simulator",
            "type": "simulator",
            "healthy": True,
            "circuit": "closed",
            "trouble": None,
            "capabilities": {
                "settable_expiry": True,
                "min_expires_in": 60,
                "max_expires_in": 604800,
                "min_amount": 1,
                "max_amount": 10000000,
                "cancel": True,
                "refund": True,
                "partial_refund": True,
                "refund_window_days": None,
                "refund_blackout": None,
                "refund_issuers": [],
                "whole_refund_after_hours": {},
                "lookup": True,
                "retry_codes": [],
                "confirmed_by_person": False,
                "unique_amount": False,
                "polled": False,
                "webhook_proves_status": True,
            },
        }
    ]
}
AUDITED: Final = {
    "id": 812,
    "at": "2026-01-15T03:10:00.000Z",
    "who": "01900000-0000-7000-8000-00000000000a",
    "name": "siti",
    "action": "payment.cancelled",
    "what": PAYMENT_ID,
    "before": {"status": "PENDING", "attempt": 1, "amount_paid": 0},
    "after": {"status": "CANCELLED", "attempt": 1, "amount_paid": 0},
    "why": None,
    "source": "192.0.2.7 api_key:01900000-0000-7000-8000-00000000000b",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
WORD: Final = {"amount": 15000, "confirmed_by": "Siti", "provider_ref_no": "000123"}
READY: Final = {
    "status": "ready",
    "problems": {},
    "jobs": {"watch": {"runs": 12, "failures": 0, "failing": False}},
    "providers": {"simulator": "closed"},
}
NOT_READY: Final = {
    "status": "not ready",
    "problems": {"disk": "nearly full: no new payments are taken until there is room"},
    "jobs": {"watch": {"runs": 12, "failures": 0, "failing": False}},
    "providers": {"simulator": "closed"},
}
WEBHOOK: Final = {
    "event_id": "evt_7f3c1d",
    "provider_trx_id": "SIM-5E0C1F9A72B4D638",
    "order_id": "INV-2026-0001",
    "status": "PAID",
    "amount": 15000,
    "currency": "IDR",
    "paid_at": "2026-01-15T03:03:21Z",
    "provider_ref_no": "123456789012",
}

# What the problem documents of some codes carry besides.
PROBLEM_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "validation_failed": {
        "errors": [
            {"field": "amount", "message": "Send whole rupiah as a JSON integer without quotes, like 15000."},
        ]
    },
    "wrong_state": {"payment_status": "PAID"},
    "order_id_taken": {"existing": PAYMENT_ID},
    "provider_error": {"provider": "simulator", "provider_code": "SIM-REFUSED"},
    "provider_unavailable": {"provider": "simulator", "provider_code": None},
}
