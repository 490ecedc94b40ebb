"""Forms, read strictly: a field that the page does not have was put there by somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from qrisd.domain.errors import Forbidden

TOKEN_FIELD: Final = "csrf"
TOKEN_HEADER: Final = "x-csrf-token"
FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
MAX_FIELDS: Final = 30


async def given_token(request: Request) -> str:
    """The form's token: in a header where a script sends the request, in a field otherwise; "" when there is none."""
    header = request.headers.get(TOKEN_HEADER)
    if header is not None:
        return header
    return (await _fields(request)).get(TOKEN_FIELD, "")


async def read_form(request: Request, *names: str) -> Mapping[str, str]:
    """The fields with these names, "" for those left out. Raises Forbidden for any other field, and for files."""
    fields = await _fields(request)
    if set(fields) - {TOKEN_FIELD, *names}:
        raise Forbidden("The form has fields that the page does not have.")
    return {name: fields.get(name, "") for name in names}


async def _fields(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in FORM_TYPES:
        return {}
    form = await request.form(max_files=0, max_fields=MAX_FIELDS)
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    if len(fields) != len(form.multi_items()):
        raise Forbidden("The form has a field twice, or a file.")
    return fields


def own_path(text: str | None) -> str | None:
    """A path of ours to go on to, None for anything that could lead elsewhere."""
    if not text or not text.startswith("/") or len(text) > 500 or not text.isascii() or not text.isprintable():
        return None
    parts = urlsplit(text)
    leads_away = parts.scheme or parts.netloc or text.startswith("//") or "\\" in text
    return None if leads_away else text
