"""Forms, read strictly: a field that the page does not have was put there by somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from qrisd.domain.errors import Forbidden

TOKEN_FIELD: Final = "csrf"
TOKEN_HEADER: Final = "x-csrf-token"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 30


async def given_token(request: Request) -> str:
    """The form's token: in a header where a script sends the request, in a field otherwise; "" when there is none.
    Raises HTTPException, 400, for a form that cannot be read."""
    header = request.headers.get(TOKEN_HEADER)
    if header is not None:
        return header
    return (await _fields(request)).get(TOKEN_FIELD, "")


async def read_form(request: Request, *names: str) -> Mapping[str, str]:
    """The fields with these names, "" for those left out. Raises Forbidden for any other field and for one given twice,
    and HTTPException, 400, for a form that cannot be read."""
    fields = await _fields(request)
    if set(fields) - {TOKEN_FIELD, *names}:
        raise Forbidden("The form has fields that the page does not have.")
    return {name: fields.get(name, "") for name in names}


async def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        return {}
    try:
        text = (await request.body()).decode()
        # What is no UTF-8 must not be stored as if it had been typed with replacement characters.
        found = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPException(400, f"Send a form of at most {MAX_FIELDS} fields of UTF-8 text.") from None
    fields = dict(found)
    if len(fields) != len(found):
        raise Forbidden("The form has a field twice.")
    return fields


def own_path(text: str | None) -> str | None:
    """A path of ours to go on to, None for anything that could lead elsewhere."""
    if not text or not text.startswith("/") or len(text) > 500 or not text.isascii() or not text.isprintable():
        return None
    if text.startswith("//") or "\\" in text:  # to browsers they are the same
        return None
    return text
