"""Which language a page speaks, and its words. English is what the templates are written in; Indonesian is a catalogue,
`locales/id.po`, read when the first page is drawn."""

from __future__ import annotations

import gettext
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import jinja2
from starlette.requests import Request

from qrisd.domain.money import rupiah
from qrisd.web.cookies import remembered

Language = Literal["id", "en"]
CATALOGUE: Final = Path(__file__).parent / "locales" / "id.po"
TEMPLATES: Final = Path(__file__).parent / "templates"
COOKIE: Final = "language"
PARAMETER: Final = "lang"


def language_of(request: Request) -> Language:
    """What the address asks for, else what was chosen before, else what the browser prefers; Indonesian otherwise."""
    for chosen in (request.query_params.get(PARAMETER), remembered(request, COOKIE)):
        if chosen in ("id", "en"):
            return "en" if chosen == "en" else "id"
    return "en" if _prefers_english(request.headers.get("accept-language", "")) else "id"


def _prefers_english(accepted: str) -> bool:
    """Of the two languages we speak, the one named first in Accept-Language, which browsers sort by preference."""
    for part in accepted.lower().split(",")[:20]:
        tag = part.partition(";")[0].strip().partition("-")[0]
        if tag in ("id", "in", "ms", "jv", "su"):
            return False
        if tag == "en":
            return True
    return False


@lru_cache(maxsize=2)
def translations(language: Language) -> gettext.NullTranslations:
    """The words of a language."""
    if language == "en":
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with CATALOGUE.open("rb") as file:
        write_mo(compiled, read_po(file, locale="id"))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def templates(language: Language) -> jinja2.Environment:
    """The pages' templates in a language, for the caller to add what else it draws with."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.filters["rupiah"] = rupiah
    return made
