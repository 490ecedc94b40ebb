"""What a provider's notification says about the payer is not kept: a payment needs none of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Members, in small letters and without underscores: of SNAP banks and DOKU, of Xendit, Midtrans and NICEPAY.
_ABOUT_THE_PAYER: Final = frozenset(
    {"customername", "custname", "customernumber", "customerpan", "cpan", "customerdata", "consumername", "accountid"}
    | {"destinationnumber", "destinationaccountname", "accountname", "payername"}
    | {"payeraccountnumber", "accountnumber", "accountholdername", "accountdetails", "customer"}
    | {"customerdetails", "email", "phone", "billingnm", "billingphone", "billingemail", "billingaddr"}
)


def without_personal(value: Any) -> Any:
    """`value`, which came as JSON, without what it says about the payer, however deep."""
    if isinstance(value, list):
        return [without_personal(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {name: without_personal(each) for name, each in value.items() if not _is_about_the_payer(name)}


def _is_about_the_payer(name: str) -> bool:
    return name.lower().replace("_", "") in _ABOUT_THE_PAYER
