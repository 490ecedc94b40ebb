"""Request headers that must not be ambiguous."""

from starlette.datastructures import Headers


class BadHeader(Exception):
    """A request header that cannot be understood in one way only; carries the status, code and detail of the answer."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.status = 400
        self.code = "bad_request"
        self.detail = detail


def single_header(headers: Headers, name: str) -> str | None:
    """The value of a header that may be sent once at most; None when absent. Raises BadHeader when it is repeated."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise BadHeader(f"The header {name} was sent {len(values)} times; send it once.")
    return values[0] if values else None
