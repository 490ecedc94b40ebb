"""The report as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qrisd.day_report.drawing import Words, signed
from qrisd.domain.money import rupiah
from qrisd.domain.payout import EXPECTED, Payout
from qrisd.domain.reconciliation import Finding, FindingStatus
from qrisd.domain.reconciliation_report import Report

ROWS_MAX = 200
Row = Sequence[str]


def lines(report: Report) -> Iterator[str]:
    """The report, a line at a time."""
    words = Words("en")
    of_whom = f" at {report.provider}" if report.provider else ""
    yield f"Reconciliation of {report.day:%A, %-d %B %Y}{of_whom} ({report.timezone})"
    yield ""
    yield from _totals(report)
    for payout in report.summary.payouts:
        yield ""
        yield from _payout(payout, words)
    if report.findings:
        yield ""
        yield from _kinds(report, words)
        yield ""
        yield from _findings(report, words)
    yield ""
    yield _verdict(report)


def _totals(report: Report) -> Iterator[str]:
    rows = [
        (
            one.provider or "all",
            f"{one.payments:,}",
            f"{one.paid:,}",
            f"{one.confirmed:,}",
            rupiah(one.paid_amount),
            rupiah(one.refunded_amount),
            rupiah(one.fees),
            rupiah(one.settled_net_amount),
            rupiah(one.waiting_amount),
        )
        for one in (*report.summary.totals, *([report.whole] if len(report.summary.totals) > 1 else []))
    ]
    if not rows:
        yield "No payments were made on this day."
        return
    head = ("provider", "made", "paid", "confirmed", "received", "given back", "fees", "paid out", "on its way")
    yield from _table([head, *rows], left=1)


def _payout(payout: Payout, words: Words) -> Iterator[str]:
    yield f"Payout by {payout.provider}, {payout.lines:,} lines"
    rows = [(f"  {words.of('part', part)}", rupiah(amount)) for part, amount in payout.parts.items()]
    rows.append(("  Paid out, by the report", rupiah(payout.net)))
    if payout.bank is not None:
        rows.append(("  Arrived at the bank", rupiah(payout.bank)))
        rows.append(("  Difference: at the bank", signed(payout.bank_difference or 0)))
    rows.append(("  Left unexplained", rupiah(payout.residual)))
    yield from _table(rows, left=1)
    odd = [words.of("part", part) for part in payout.parts if part not in EXPECTED]
    if odd:
        yield f"  Not as it should be: {'; '.join(odd)}."


def _kinds(report: Report, words: Words) -> Iterator[str]:
    head = ("difference", "found", "put right", "resolved", "open")
    rows = [
        (
            words.of("kind", kind),
            str(count.total()),
            *(str(count[one]) for one in (FindingStatus.HEALED, FindingStatus.RESOLVED, FindingStatus.OPEN)),
        )
        for kind, count in report.by_class.items()
    ]
    yield from _table([head, *rows], left=1)


def _findings(report: Report, words: Words) -> Iterator[str]:
    waiting = report.of(FindingStatus.OPEN, FindingStatus.RESOLVED)
    head = ("id", "class", "order", "provider", "transaction", "here", "there", "stands")
    yield from _table([head, *(_row(one, words) for one in waiting[:ROWS_MAX])], left=5)
    if len(waiting) > ROWS_MAX:
        yield f"... and {len(waiting) - ROWS_MAX:,} more: see --csv or --json."


def _row(finding: Finding, words: Words) -> Row:
    told = finding.difference
    return (
        told.id,
        told.kind,
        told.name,
        told.provider,
        told.provider_trx_id or "-",
        "-" if told.amount_here is None else rupiah(told.amount_here),
        "-" if told.amount_there is None else rupiah(told.amount_there),
        words.of("status", finding.status),
    )


def _verdict(report: Report) -> str:
    said = []
    if report.open:
        count = "1 exception waits" if len(report.open) == 1 else f"{len(report.open):,} exceptions wait"
        said.append(f"{count} for you; --html FILE says of each what to do next.")
    if report.summary.unasked:
        said.append(f"{report.summary.unasked:,} QRs could not be asked about; run it again, it goes on with those.")
    return " ".join(said) or "Clean: everything agrees."


def _table(rows: Sequence[Row], left: int) -> Iterator[str]:
    """Columns as wide as they need to be; the first `left` are aligned to the left, the others to the right."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
