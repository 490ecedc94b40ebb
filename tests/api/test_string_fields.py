"""A text that is too long or too short is told so in characters, whatever else is asked of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from qrisd.schemas import Body


def bodies(model: type[Body] = Body) -> Iterator[type[Body]]:
    for one in model.__subclasses__():
        yield one
        yield from bodies(one)


def limited(bound: str) -> list[tuple[type[Body], str, int]]:
    """Every text of every request body that has this bound."""
    return [
        (model, name, schema[bound])
        for model in bodies()
        for name, field in model.model_json_schema()["properties"].items()
        for schema in (field, *field.get("anyOf", ()))
        if bound in schema and schema["type"] == "string"
    ]


def said(model: type[Body], name: str, value: str) -> str:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({name: value})
    return " ".join(one["msg"] for one in refused.value.errors() if one["loc"] == (name,))


@pytest.mark.parametrize(("model", "name", "most"), limited("maxLength"))
def test_a_text_that_is_too_long_is_told_so_in_characters(model: type[Body], name: str, most: int) -> None:
    assert f"at most {most} characters" in said(model, name, "x" * (most + 1))


@pytest.mark.parametrize(("model", "name", "least"), limited("minLength"))
def test_a_text_that_is_too_short_is_told_so_in_characters(model: type[Body], name: str, least: int) -> None:
    assert f"at least {least} character" in said(model, name, "x" * (least - 1))
