"""`qrisd qr`: read and explain a QRIS, and put an amount into one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from qrisd.domain.qris import Qris, Reading

MAX_INPUT_BYTES = 32 * 1024 * 1024
_PICTURE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_FILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".txt", ".svg", ".gif", ".webp", ".pdf")

app = typer.Typer(no_args_is_help=True, help="Read a QRIS, or make a dynamic one from a static one.")

SOURCE_HELP = "The QRIS text, a PNG or JPEG of the code, a file that holds the text, or - for standard input."
Config = Annotated[Path | None, typer.Option("--config", help="Another settings file than qrisd.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def decode(
    source: Annotated[str, typer.Argument(metavar="TEXT-or-IMAGE", help=SOURCE_HELP)],
    lenient: Annotated[bool, typer.Option("--lenient", help="Forgive flaws that working stickers have.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Read a QRIS and explain what it says. Exit 0 when it is valid, 1 when not."""
    from qrisd.domain.qris import explain, read

    with _one_line_errors():
        if config is not None:
            _max_amount(config)  # nothing here is configurable, but a wrong file is refused as everywhere
        reading = read(_text_in(source), lenient=lenient)
    if as_json:
        _print_json(_as_json(reading))
    else:
        _print_reading(reading)
    if not reading.valid:
        _fail("not a valid QRIS: " + " ".join(explain(code) for code in reading.errors))


@app.command()
def make(
    static: Annotated[str, typer.Argument(metavar="STATIC", help=SOURCE_HELP)],
    amount: Annotated[str, typer.Option("--amount", metavar="N", help="Whole rupiah, such as 15000.")],
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Also write the code as a PNG.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Also write the code as an SVG.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Put an amount into a merchant's own static QRIS and print the dynamic payload.

    The acquirer does not learn of it: the money arrives as an ordinary static payment, and the code never expires."""
    from qrisd.domain.qris import explain, make_dynamic

    with _one_line_errors():
        payload, warnings = make_dynamic(_text_in(static), amount, max_amount=_max_amount(config))
        _write_images(payload, png, svg)
    if as_json:
        _print_json({"payload": payload, "warnings": list(warnings)})
        return
    typer.echo(payload)
    for code in warnings:
        typer.echo(f"warning: {explain(code)}", err=True)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    from qrisd.domain.errors import QrisdError

    try:
        yield
    except (QrisdError, ValueError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(line: str) -> None:
    typer.echo(f"qrisd: {line}", err=True)
    raise typer.Exit(1)


def _max_amount(config: Path | None) -> int:
    from qrisd.config import load

    return load(config).payment.max_amount


def _text_in(source: str) -> str:
    """The QRIS text that `source` is or names. Raises ValueError or OSError."""
    if source == "-":
        return _text_of(typer.get_binary_stream("stdin").read(MAX_INPUT_BYTES + 1), "standard input")
    if os.path.exists(source):
        with open(source, "rb") as file:
            return _text_of(file.read(MAX_INPUT_BYTES + 1), source)
    if source.lower().endswith(_FILE_SUFFIXES):
        raise ValueError(f"{_visible(source)}: there is no such file")
    return source


def _text_of(content: bytes, name: str) -> str:
    if len(content) > MAX_INPUT_BYTES:
        raise ValueError(f"{name}: larger than {MAX_INPUT_BYTES // 1024**2} MB")
    if content.startswith(_PICTURE_MAGIC):
        return _text_pictured(content, name)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{name}: neither a PNG or JPEG picture nor text") from None
    # The line end belongs to the file or to `echo`; any other space is part of what is judged.
    return text.removesuffix("\n").removesuffix("\r")


def _text_pictured(content: bytes, name: str) -> str:
    from qrisd import qr_image

    try:
        return qr_image.decode(content)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _write_images(payload: str, png: Path | None, svg: Path | None) -> None:
    from qrisd import qr_image

    if png is not None:
        png.write_bytes(qr_image.png(payload))
    if svg is not None:
        svg.write_bytes(qr_image.svg(payload))


def _print_json(answer: dict[str, Any]) -> None:
    import json

    # ASCII: the text is somebody else's, and a terminal would obey its control and direction characters.
    typer.echo(json.dumps(answer, indent=2))


def _as_json(reading: Reading) -> dict[str, Any]:
    qris = reading.qris
    names = ("kind", "amount", "merchant_name", "merchant_city", "nmid")
    return {
        "valid": reading.valid,
        "errors": list(reading.errors),
        "warnings": list(reading.warnings),
        **{name: getattr(qris, name, None) for name in names},
        "fields": qris.fields if qris else {},
    }


def _print_reading(reading: Reading) -> None:
    from rich.console import Console

    from qrisd.domain.qris import explain

    console = Console(markup=False, highlight=False, emoji=False)
    if reading.qris is not None:
        console.print(_table(reading.qris))
    for label, codes in (("error", reading.errors), ("warning", reading.warnings)):
        for code in codes:
            console.print(f"{label}: {explain(code)} [{code}]", soft_wrap=True)
    if reading.valid and reading.qris is not None:
        console.print(_summary(reading.qris), soft_wrap=True)


def _table(qris: Qris) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("Id", "Field", "Value")
    for row in _rows(qris):
        table.add_row(*(Text(_visible(cell), overflow="fold") for cell in row))
    return table


def _rows(qris: Qris) -> Iterator[tuple[str, str, str]]:
    from qrisd.domain.qris import name_of

    for tag, field in qris.fields.items():
        if isinstance(field, str):
            yield tag, name_of(tag), field
            continue
        yield tag, name_of(tag), ""
        for sub, value in field.items():
            yield f"  {sub}", f"  {name_of(tag, sub)}", value


def _summary(qris: Qris) -> str:
    from qrisd.domain.money import rupiah

    price = rupiah(qris.amount_idr) if qris.amount_idr is not None else f"Rp {qris.amount}"
    asks = price if qris.amount is not None else "an amount the payer types"
    return _visible(f"valid: a {qris.kind} QRIS of {qris.merchant_name}, {qris.merchant_city}, for {asks}")


def _visible(text: str) -> str:
    """`text` with control, direction and other unprintable characters spelled out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
