"""Xendit, by its two APIs for QRIS: payment requests (v3) and QR codes."""
