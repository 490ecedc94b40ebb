"""What the API says about itself: one entry per call. `openapi.py` makes the document of it.

A new route needs an entry in the file of its noun and a section in `docs/api.md`; the tests name what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qrisd.api.operations import books, callbacks, events, payments, reconciliations, refunds, service, settlements
from qrisd.api.operations.base import Operation

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    **payments.OPERATIONS,
    **refunds.OPERATIONS,
    **events.OPERATIONS,
    **callbacks.OPERATIONS,
    **books.OPERATIONS,
    **settlements.OPERATIONS,
    **reconciliations.OPERATIONS,
    **service.OPERATIONS,
}
