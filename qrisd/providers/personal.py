"""What a provider's notification says about the payer is not kept: a payment needs none of it."""

from __future__ import annotations

import json
from typing import Any, Final

# Members, in small letters and without underscores: of SNAP banks and DOKU, of Xendit, Midtrans and NICEPAY.
_ABOUT_THE_PAYER: Final = frozenset(
    {"customername", "custname", "customernumber", "customerpan", "cpan", "customerdata", "consumername", "accountid"}
    | {"destinationnumber", "destinationaccountname", "accountname", "payername"}
    | {"payeraccountnumber", "accountnumber", "accountholdername", "accountdetails", "customer", "name"}
    | {"customerdetails", "email", "phone", "billingnm", "billingphone", "billingemail", "billingaddr"}
)


def without_personal(value: Any) -> Any:
    """`value`, which came as JSON, without what it says about the payer, however deep."""
    return json.loads(json.dumps(value), object_hook=_kept)


def _kept(members: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in members.items() if name.lower().replace("_", "") not in _ABOUT_THE_PAYER}
