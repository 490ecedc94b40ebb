"""SNAP BI, Bank Indonesia's standard for payments: one adapter that a profile makes into a bank's or a provider's."""
