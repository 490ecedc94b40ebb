"""The receipt of a paid payment at the till: looked at, printed by the browser, or sent to the shop's printer."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import WrongState
from qrisd.domain.receipt import COLUMNS, COPY_MARK
from qrisd.net.printer import PrinterSilent, PrinterStopped
from qrisd.services.receipts import Printing, Receipts, Sheet
from qrisd.web.forms import read_form
from qrisd.web.guard import Person
from qrisd.web.pages import Pages

IN_BROWSER = "browser"


class ReceiptPages:
    """The handlers of /pos/payments/{id}/receipt and /print."""

    def __init__(self, *, pages: Pages, receipts: Receipts) -> None:
        self._pages = pages
        self._receipts = receipts

    async def show(self, request: Request, person: Person) -> Response:
        try:
            sheet = await self._receipts.look(request.path_params["id"], _printing(person))
        except WrongState as error:
            return self._unpaid(request, person, error)
        return self._drawn(request, person, sheet)

    async def print(self, request: Request, person: Person) -> Response:
        """Print once more: by the shop's printer, unless `how` says that the browser prints what this answers."""
        form = await read_form(request, "how")
        payment_id, who = request.path_params["id"], _printing(person)
        try:
            if form["how"] == IN_BROWSER:
                sheet = await self._receipts.print_in_browser(payment_id, who)
                return self._drawn(request, person, sheet, outcome="print_now")
            sheet = await self._receipts.print_on_paper(payment_id, who)
        except WrongState as error:
            return self._unpaid(request, person, error)
        except (PrinterSilent, PrinterStopped) as error:
            outcome = "silent" if isinstance(error, PrinterSilent) else "stopped"
            return self._drawn(request, person, await self._receipts.look(payment_id, who), 503, outcome)
        return self._drawn(request, person, sheet, outcome="printed")

    def _drawn(
        self, request: Request, person: Person, sheet: Sheet, status: int = 200, outcome: str | None = None
    ) -> Response:
        facts: dict[str, Any] = {"sheet": sheet, "outcome": outcome, "printer": self._receipts.printer_address}
        facts["copy_mark"] = COPY_MARK.center(COLUMNS[sheet.paper_mm]).rstrip()
        return self._pages.draw(request, "till/receipt.html", status, person=person, path=_here(request), **facts)

    def _unpaid(self, request: Request, person: Person, error: WrongState) -> Response:
        facts = {"person": person, "path": _here(request), "payment_status": error.status}
        return self._pages.draw(request, "till/no_receipt.html", 409, **facts)


def _here(request: Request) -> str:
    """The page's own address, also for what a form was answered with."""
    return f"/pos/payments/{request.path_params['id']}/receipt"


def _printing(person: Person) -> Printing:
    return Printing(person.id, person.name, person.outlets)
