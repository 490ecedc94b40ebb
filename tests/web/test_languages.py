"""Every word of the pages exists in both languages, and no page speaks two."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from starlette.requests import Request

from qrisd.web.languages import CATALOGUE, TEMPLATES, language_of, translations

PLACEHOLDER = re.compile(r"%\(\w+\)s")


def words_of_the_templates() -> set[str]:
    found = extract_from_dir(str(TEMPLATES), [("**.html", "jinja2")], {"**.html": {"silent": "false"}})
    return {word for _, _, words, _, _ in found for word in ([words] if isinstance(words, str) else words)}


def catalogue() -> Iterator[tuple[str, str]]:
    with CATALOGUE.open("rb") as file:
        for message in read_po(file, locale="id"):
            if message.id:
                assert isinstance(message.id, str)
                assert isinstance(message.string, str)
                assert not message.fuzzy, message.id
                yield message.id, message.string


def test_every_word_of_the_templates_has_a_translation_and_every_translation_a_use() -> None:
    assert {word for word, said in catalogue() if said} == words_of_the_templates()


@pytest.mark.parametrize(("word", "said"), list(catalogue()), ids=lambda one: one[:30])
def test_a_translation_fills_in_the_same_things(word: str, said: str) -> None:
    assert sorted(PLACEHOLDER.findall(word)) == sorted(PLACEHOLDER.findall(said))


def test_the_words_are_looked_up() -> None:
    assert translations("id").gettext("Payment received") == "Pembayaran diterima"
    assert translations("en").gettext("Payment received") == "Payment received"


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "language"),
    [
        ("", "", "", "id"),
        ("", "", "en-US,en;q=0.9", "en"),
        ("", "", "id-ID,id;q=0.9,en;q=0.8", "id"),
        ("", "", "ms-MY,en;q=0.8", "id"),
        ("", "", "fr-FR,fr;q=0.9", "id"),
        ("", "language=en", "id-ID", "en"),
        ("lang=id", "language=en", "en-US", "id"),
        ("lang=xx", "language=en", "id-ID", "en"),
        ("lang=xx", "", "en-US", "en"),
        ("lang=", "language=id", "en-US", "id"),
        ("", "language=<script>", "en", "en"),
    ],
)
def test_the_address_rules_over_the_cookie_and_the_cookie_over_the_browser(
    query: str, cookie: str, accepted: str, language: str
) -> None:
    headers = [(b"cookie", cookie.encode()), (b"accept-language", accepted.encode())]
    request = Request({"type": "http", "query_string": query.encode(), "headers": headers})
    assert language_of(request) == language
