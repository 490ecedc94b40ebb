"""qrisd: the QRIS payment service a small Indonesian merchant can own."""

__version__ = "0.1.0"
