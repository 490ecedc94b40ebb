"""Writing a table as a file: CSV after RFC 4180, or XLSX. Rows come and go one at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Final

from qrisd.domain.errors import FieldError, Invalid
from qrisd.exports.cells import Cell, inert, printable

BOM: Final = "\ufeff".encode()
CHUNK_CHARACTERS: Final = 64 * 1024
XLSX_MOST_ROWS: Final = 1_048_576
XLSX_MOST_CHARACTERS: Final = 32_767


def csv_chunks(rows: Iterable[Sequence[Cell]], *, bom: bool) -> Iterator[bytes]:
    """The file's bytes: UTF-8, lines that end in CRLF, quotes where they are needed; with `bom` for Excel."""
    if bom:
        yield BOM
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\r\n")
    for row in rows:
        writer.writerow([inert(cell) if isinstance(cell, str) else cell for cell in row])
        if lines.tell() > CHUNK_CHARACTERS:
            yield lines.getvalue().encode()
            lines.seek(0)
            lines.truncate()
    yield lines.getvalue().encode()


def check_xlsx(rows: int) -> None:
    """Raises Invalid when XLSX cannot be written here, or not of so many rows."""
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise Invalid(
            FieldError("format", "XLSX needs the extra xlsx of qrisd; take CSV, or install it: pip install '.[xlsx]'")
        ) from None
    if rows > XLSX_MOST_ROWS:
        raise Invalid(FieldError("format", f"A sheet holds {XLSX_MOST_ROWS} rows, these are {rows}: take CSV."))


def write_xlsx(rows: Iterable[Sequence[Cell]], file: IO[bytes], *, sheet: str, folder: str) -> None:
    """Write the first of `rows` as headings and the rest below them. Text is text, numbers are numbers; nothing is a
    formula or a link. `folder` takes what does not fit into memory meanwhile."""
    from xlsxwriter import Workbook

    with Workbook(file, {"constant_memory": True, "tmpdir": folder}) as book:
        page = book.add_worksheet(sheet)
        page.freeze_panes(1, 0)
        whole = book.add_format({"num_format": "#,##0"})
        for number, row in enumerate(rows):
            for place, cell in enumerate(row):
                _write(page, number, place, cell, whole)


def _write(page: Any, row: int, column: int, cell: Cell, whole: Any) -> None:
    if isinstance(cell, int):
        page.write_number(row, column, cell, whole)
    elif cell is not None:
        page.write_string(row, column, printable(cell)[:XLSX_MOST_CHARACTERS])
