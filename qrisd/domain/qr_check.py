"""Whether a provider's QR may be shown: it must be whole, ask for our amount in rupiah, and pay our merchant."""

from __future__ import annotations

from qrisd.domain import qris


def qr_problem(payload: str, amount: int, nmid: str | None) -> str | None:
    """Why `payload` must not be shown for `amount` rupiah, as a word for the log; None when it may be.

    `nmid` is the merchant it must pay, when that is known."""
    reading = qris.soundness(payload)
    if not reading.valid or reading.qris is None:
        return "qr_unreadable:" + ",".join(reading.errors)
    if reading.qris.amount_idr != amount:
        return "qr_amount_mismatch"
    if nmid is not None and reading.qris.nmid != nmid:
        return "qr_merchant_mismatch"
    return None
