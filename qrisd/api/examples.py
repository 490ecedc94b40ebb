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
            "payload": {"attempt": 1, "provider": "simulator", "reference": "019BC9A17C40ABCD1234", "amount": 15000},
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
                "refund": False,
                "partial_refund": False,
                "refund_window_days": None,
                "refund_blackout": None,
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
