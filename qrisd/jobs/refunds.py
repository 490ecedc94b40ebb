"""How often refunds are looked at: what was approved is sent, what was sent is asked about, what is too late ends."""

from __future__ import annotations

from typing import Final

EVERY_S: Final = 0.25
