"""One file per payment provider, behind the protocol of base.py."""
