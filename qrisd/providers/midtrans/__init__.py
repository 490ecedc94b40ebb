"""Midtrans Core API: dynamic QRIS and GoPay QRs, refunds, and notifications that are only a hint."""
