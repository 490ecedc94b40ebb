"""The report as JSON."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from qrisd.domain.payout import Payout
from qrisd.domain.reconciliation import Finding, FindingStatus
from qrisd.domain.reconciliation_report import Report, Totals
from qrisd.domain.times import to_text, to_text_or_none
from qrisd.services.reconciling import Day, Progress


def resource(report: Report) -> dict[str, Any]:
    """A finished reconciliation as the API and `--json` show it."""
    return {
        "date": report.day.isoformat(),
        "provider": report.provider,
        "timezone": report.timezone,
        "status": "done",
        "progress": None,
        "is_clean": report.is_clean,
        "unasked": report.summary.unasked,
        "open": len(report.open),
        "totals": [totals_resource(one) for one in report.summary.totals],
        "classes": {
            str(kind): {status.lower(): count[status] for status in _SHOWN} for kind, count in report.by_class.items()
        },
        "payouts": [payout_resource(one) for one in report.summary.payouts],
        "exceptions": [finding_resource(one) for one in report.findings],
    }


_SHOWN: Final = (FindingStatus.OPEN, FindingStatus.RESOLVED, FindingStatus.HEALED)


def running(day: date, provider: str | None, timezone: str, progress: Progress | None) -> dict[str, Any]:
    """A reconciliation that is under way: as a finished one, without anything in it yet."""
    now = progress or Progress()
    return {
        "date": day.isoformat(),
        "provider": provider,
        "timezone": timezone,
        "status": "running",
        "progress": {"stage": now.stage, "done": now.done, "total": now.total},
        "is_clean": None,
        "unasked": 0,
        "open": 0,
        "totals": [],
        "classes": {},
        "payouts": [],
        "exceptions": [],
    }


def day_resource(day: Day) -> dict[str, Any]:
    """A reconciled day in a list of them."""
    run = day.run
    return {
        "date": run.day.isoformat(),
        "status": run.status.lower(),
        "origin": run.origin,
        "asked": run.asked,
        "unasked": run.unasked,
        "open": day.open,
        "began_at": to_text(run.began_at),
        "finished_at": to_text_or_none(run.finished_at),
    }


def totals_resource(totals: Totals) -> dict[str, Any]:
    return {
        "provider": totals.provider,
        "payments": totals.payments,
        "open": totals.open,
        "paid": totals.paid,
        "paid_amount": totals.paid_amount,
        "confirmed": totals.confirmed,
        "refunded_amount": totals.refunded_amount,
        "settled": totals.settled,
        "settled_amount": totals.settled_amount,
        "fees": totals.fees,
        "settled_net_amount": totals.settled_net_amount,
        "waiting": totals.waiting,
        "waiting_amount": totals.waiting_amount,
        "has_reports": totals.has_reports,
    }


def payout_resource(payout: Payout) -> dict[str, Any]:
    return {
        "provider": payout.provider,
        "date": payout.day.isoformat(),
        "lines": payout.lines,
        "net_amount": payout.net,
        "parts": {str(part): amount for part, amount in payout.parts.items()},
        "residual": payout.residual,
        "bank_amount": payout.bank,
        "bank_difference": payout.bank_difference,
        "is_explained": payout.is_explained,
    }


def finding_resource(finding: Finding) -> dict[str, Any]:
    """One exception."""
    told = finding.difference
    return {
        "id": told.id,
        "date": finding.day.isoformat(),
        "class": told.kind,
        "reason": told.reason,
        "status": finding.status.lower(),
        "provider": told.provider,
        "payment_id": told.payment_id,
        "order_id": told.order_id,
        "provider_trx_id": told.provider_trx_id,
        "amount_here": told.amount_here,
        "amount_there": told.amount_there,
        "difference": told.gap,
        "detail": told.detail,
        "note": finding.note,
        "owner": finding.owner,
    }
