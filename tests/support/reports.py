"""Settlement reports of made-up merchants, in the providers' layouts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# As the documentation names them; several a line.
XENDIT_V2 = """\
Status,Type,Channel,Channel Name,Account Number,Currency,Amount,Net Amount,Reference,Transaction ID,Invoice ID,\
Batch ID,Payment Date,Timestamp - Created,Timestamp - Updated,Timezone,Description,Channel Reference,\
Settlement Status,Actual Settlement Time,Estimated Settlement Time,Product ID,Total Fee,Total VAT"""
XENDIT_V1 = """\
Status,Type,Channel,Channel Name,Account Number,Currency,Amount,Net Amount,Reference,Transaction ID,Invoice ID,\
Timestamp - Created,Timestamp - Settled,Timezone,Payment ID,Fee,VAT,3rd Party WHT,Xendit WHT"""
XENDIT_BALANCE = """\
Product ID,Transaction ID,Transaction Type,Line Type,Payment Channel,Reference,Currency,Amount,Balance,\
Debit or Credit,Created Date ISO,Time Zone,Created Date,Payment Date,Settlement Date,Completed Date,Bank Code,\
Account Number,Channel Reference,Name,Description,Invoice ID"""
DANA = "SETTLEMENT_TXN_ID,TXN_ID,TXN_TYPE,ACQUIREMENT_ID,MID,SETTLE_DATE,MERCHANT_NAME,TXN_AMOUNT,TXN_CURRENCY"

Row = Mapping[str, Any]


def xendit(reference: str, amount: int = 15_000, number: int = 1, **cells: object) -> dict[str, Any]:
    """A settled payment of the transactions report v2, with other `cells`."""
    row = {
        "Status": "SUCCESS",
        "Type": "PAYMENT",
        "Channel": "QR_CODE",
        "Currency": "IDR",
        "Amount": amount,
        "Net Amount": amount - amount * 7 // 1000,
        "Reference": reference,
        "Transaction ID": f"txn_{number:08d}",
        "Timestamp - Created": "2026-01-15T03:03:21.749Z",
        "Timezone": "+0000",
        "Settlement Status": "SETTLED",
        "Actual Settlement Time": "2026-01-16T17:00:00.000Z",
        "Estimated Settlement Time": "2026-01-16T17:00:00.000Z",
        "Product ID": f"py-{number:08d}",
        "Total Fee": amount * 7 // 1000 - amount * 7 // 10_000,
        "Total VAT": amount * 7 // 10_000,
    }
    return {**row, **cells}


def names_of(headers: str | Sequence[str]) -> list[str]:
    return headers.split(",") if isinstance(headers, str) else list(headers)


def as_csv(
    headers: str | Sequence[str], rows: Iterable[Row], *, delimiter: str = ",", encoding: str = "utf-8", title: str = ""
) -> bytes:
    """The file; headers a row does not have are empty in it."""
    text = io.StringIO()
    text.write(title)
    writer = csv.DictWriter(text, names_of(headers), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def write_xlsx(path: Path, headers: str | Sequence[str], rows: Iterable[Row], *, first_row: int = 0) -> None:
    """The file as a spreadsheet: numbers as numbers, dates as dates."""
    import xlsxwriter

    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd hh:mm:ss"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(first_row, 0, names_of(headers))
        for number, row in enumerate(rows, first_row + 1):
            for place, header in enumerate(names_of(headers)):
                sheet.write(number, place, row.get(header, ""))
