"""A report file as rows of cells: CSV in any usual encoding, XLSX and XLS, read as a stream.

Rows are numbered as a spreadsheet shows them, from 1. Cells of CSV are text; a spreadsheet's may be numbers and dates.
"""

from __future__ import annotations

import codecs
import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from qrisd.domain.errors import FieldError, Invalid

Cells = list[object]
Rows = Iterator[tuple[int, Cells]]

DELIMITERS: Final = (",", ";", "\t", "|")
# What a packed spreadsheet may unpack to, and the rows of any report.
_UNPACKED_BYTES_MAX: Final = 1 << 30
_ROWS_MAX: Final = 1_000_000
_CHUNK_BYTES: Final = 1 << 20
_SPREADSHEETS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def refusal(message: str) -> Invalid:
    """The refusal of a whole file."""
    return Invalid(FieldError("file", message))


class Table:
    """One way to read a file: as CSV with this delimiter, or as this sheet of a spreadsheet. `rows()` begins anew each
    time and raises Invalid where the file cannot be read. `sheet` is "" for CSV."""

    def __init__(self, path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = "") -> None:
        self._path = path
        self._encoding = encoding
        self._delimiter = delimiter
        self.sheet = sheet

    def rows(self) -> Rows:
        rows = _sheet_rows(self._path, self.sheet) if self.sheet else self._csv_rows()
        for number, cells in rows:
            if number > _ROWS_MAX:
                raise refusal(f"has more than {_ROWS_MAX:,} rows; ask the provider for a shorter time")
            yield number, cells

    def _csv_rows(self) -> Rows:
        number = 0
        with self._path.open(encoding=self._encoding, newline="") as file:
            try:
                for number, cells in enumerate(csv.reader(file, delimiter=self._delimiter, strict=True), 1):
                    yield number, list(cells)
            except (csv.Error, UnicodeDecodeError) as error:
                raise Invalid(FieldError(f"row {number + 1}", f"cannot be read as CSV: {error}.")) from None


def tables(path: Path) -> list[Table]:
    """Every way to read the file, one of which is the right one. Raises Invalid when it cannot be read at all."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head.strip():
        raise refusal("is empty")
    if head.startswith(_SPREADSHEETS):
        return [Table(path, sheet=name) for name in _sheet_names(path)]
    encoding = _encoding(path, head)
    return [Table(path, encoding=encoding, delimiter=delimiter) for delimiter in DELIMITERS]


def _encoding(path: Path, head: bytes) -> str:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    if b"\0" in head:
        # Text of our letters: in UTF-16 every second byte of it is 0.
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    return "utf-8" if _is_utf8(path) else "cp1252"


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _sheet_names(path: Path) -> list[str]:
    calamine = _calamine()
    _refuse_bomb(path)
    try:
        with calamine.CalamineWorkbook.from_path(str(path)) as book:
            return list(book.sheet_names)
    except calamine.CalamineError as error:
        raise refusal(f"cannot be read as a spreadsheet: {error}") from None


def _sheet_rows(path: Path, name: str) -> Rows:
    calamine = _calamine()
    try:
        with calamine.CalamineWorkbook.from_path(str(path)) as book:
            for number, cells in enumerate(book.get_sheet_by_name(name).iter_rows(), 1):
                yield number, list(cells)
    except calamine.CalamineError as error:
        raise refusal(f"cannot be read as a spreadsheet: {error}") from None


def _refuse_bomb(path: Path) -> None:
    """A packed file may be small and what is in it larger than any memory."""
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(item.file_size for item in packed.infolist())
    except zipfile.BadZipFile:
        return  # an old XLS, or damage that the reader will name
    if size > _UNPACKED_BYTES_MAX:
        raise refusal("unpacks to more than any report needs")


def _calamine() -> Any:
    try:
        import python_calamine
    except ImportError:
        raise refusal(
            "is a spreadsheet, and the extra for these is not installed: `pip install 'qrisd[xlsx]'`, or save it as CSV"
        ) from None
    return python_calamine
