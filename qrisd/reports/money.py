"""What a row of a report comes to: the amount, what was kept of it, and what is left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from qrisd.domain.settlement import Kind
from qrisd.reports.cells import Row


@dataclass(frozen=True, slots=True)
class Money:
    """Whole rupiah, signed as for the merchant; what was kept is above zero and has its `vat` in it."""

    amount: int = 0
    fee: int = 0
    vat: int = 0

    @property
    def net_amount(self) -> int:
        return self.amount - self.fee


@dataclass(frozen=True, slots=True)
class _Said:
    """What the cells say, None where one is empty. `fee` may be written with either sign."""

    amount: int | None
    fee: int | None
    vat: int
    more_fees: int
    net_amount: int | None

    @property
    def is_nothing(self) -> bool:
        """Whether there are numbers, and all of them are 0."""
        return self.amount == 0 and not any((self.fee, self.vat, self.more_fees, self.net_amount))

    def with_taxes(self, fee: int) -> tuple[int, int, int]:
        """What a fee may come to: alone, with its VAT, with all that is beside it."""
        return fee, fee + self.vat, fee + self.vat + self.more_fees


def read_money(row: Row, kind: Kind) -> Money | None:
    """What the row comes to; None where all of it is 0. Raises WrongCell where it contradicts itself."""
    said = _said(row)
    if said.is_nothing:
        return None
    if kind is Kind.FEE:
        return _own_fee(row, said)
    if said.amount is None:
        raise row.wrong("amount", "is empty")
    if kind is Kind.PAYMENT and said.amount <= 0:
        raise row.wrong("amount", "is no payment; money that goes back is a refund")
    return _with_fee(row, said, -abs(said.amount) if kind is Kind.REFUND else said.amount)


def _said(row: Row) -> _Said:
    return _Said(
        amount=row.amount("amount"),
        fee=row.amount("fee"),
        vat=abs(row.amount("vat") or 0),
        more_fees=sum(abs(part) for part in row.amounts("more_fees")),
        net_amount=row.amount("net_amount"),
    )


def _with_fee(row: Row, said: _Said, amount: int) -> Money:
    """The net amount, where the report gives one, is what counts; the fees must explain it."""
    fees = said.with_taxes(abs(said.fee or 0))
    if said.net_amount is None:
        return Money(amount, fees[-1], said.vat)
    kept = amount - (-abs(said.net_amount) if amount < 0 else said.net_amount)
    explained = not row.has("fee") or kept in (0, *fees)
    # A fee that is given back with a refund is written without a sign.
    if not explained and not (amount < 0 and -kept in fees):
        raise row.wrong("net_amount", f"is not {amount} less the fee of {fees[-1]}")
    return Money(amount, kept, said.vat if kept > 0 else 0)


def _own_fee(row: Row, said: _Said) -> Money:
    """A fee of no single payment, which reports put into the amount or into the fee. Whether it was kept or given back
    only a net amount tells; without one it was kept."""
    amount, fees = said.amount or 0, said.with_taxes(abs(said.fee or 0))
    if amount and said.fee and abs(amount) not in fees:
        raise row.wrong("fee", f"is another fee than the amount of {amount}")
    if said.net_amount is None:
        if said.amount is None and said.fee is None:
            raise row.wrong("amount", "is empty")
        kept = abs(amount) or fees[-1]
    else:
        kept = -said.net_amount
        likely = _nets(said)
        if likely is not None and said.net_amount not in likely:
            raise row.wrong("net_amount", f"is not what the fee of {amount or said.fee or 0} comes to")
    return Money(0, kept, said.vat if kept > 0 else 0)


def _nets(said: _Said) -> Collection[int] | None:
    """The net amounts that the other cells of a fee's row allow; None where they say nothing."""
    amount, fee = said.amount or 0, said.fee or 0
    if not amount and said.fee is None:
        return None
    sizes = said.with_taxes(abs(amount or fee))
    taken = [-size for size in sizes]
    # An amount without a sign says how much; a fee without one says that it was kept.
    may_be_back = (amount > 0 and fee <= 0) or (not amount and fee < 0)
    return [*taken, *sizes] if may_be_back else taken
