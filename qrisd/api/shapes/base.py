"""What every answer is made of: moments, rupiah, and the problem document; and the body of the generic webhook."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qrisd.domain.payment import Status
from qrisd.domain.refund import Status as RefundStatus
from qrisd.providers.simulator import SimulatorBody

Moment = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"),
    Field(json_schema_extra={"format": "date-time"}),
]
Rupiah = Annotated[int, Field(ge=0)]
Address = Annotated[str, Field(json_schema_extra={"format": "uri"})]


class Shape(BaseModel):
    """A JSON object with exactly these members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WrongField(Shape):
    """A field that is wrong, and what to send instead."""

    field: str
    message: str


def _absent(schema: dict[str, Any]) -> None:
    """The member may be left out; what stands here for it then is nobody's business."""
    schema.pop("default", None)


class Problem(Shape):
    """An RFC 9457 problem document. Decide by `code`; the texts are for people and may change."""

    type: str = Field(pattern=r"^urn:qrisd:problem:[a-z_]+$", description="`urn:qrisd:problem:` and the code.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    request_id: str = Field(description="Also in X-Request-Id; name it when you ask for help.")
    errors: list[WrongField] = Field([], description="With `validation_failed`.", json_schema_extra=_absent)
    payment_status: Status = Field(
        Status.PAID, description="With `wrong_state`: how the payment stands.", json_schema_extra=_absent
    )
    refund_status: RefundStatus = Field(
        RefundStatus.DONE,
        description="With `wrong_state` of a refund: how the refund stands.",
        json_schema_extra=_absent,
    )
    existing: str = Field(
        "", description="With `order_id_taken`: the id of the payment that has it.", json_schema_extra=_absent
    )
    provider: str = Field(
        "", description="With `provider_error` and `provider_unavailable`.", json_schema_extra=_absent
    )
    provider_code: str | None = Field(None, description="The provider's own code.", json_schema_extra=_absent)


class GenericWebhook(SimulatorBody):
    """The body of the generic webhook. Members not named here are ignored; a status not known decides nothing."""
