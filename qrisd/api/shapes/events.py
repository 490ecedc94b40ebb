"""Events."""

from __future__ import annotations

from pydantic import Field

from qrisd.api.shapes.base import Moment, Shape
from qrisd.api.shapes.payments import Payment


class Event(Shape):
    """Something that happened to a payment, as it was then."""

    id: int = Field(ge=1, description="Rises with every event of every payment.")
    type: str = Field(
        description="`payment.pending`, `payment.paid`, `payment.expired`, `payment.failed`, `payment.cancelled`, "
        "`payment.refunded`, `payment.partially_refunded` or `payment.exception`."
    )
    timestamp: Moment
    sequence: int = Field(ge=1, description="Counts the events of this payment.")
    data: Payment


class EventPage(Shape):
    """Events of all payments, oldest first."""

    data: list[Event]
    next_after: int = Field(ge=0, description="Send it as `after` the next time.")
