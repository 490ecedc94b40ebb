import json
from typing import Any

import pytest

from qrisd.providers.personal import without_personal


@pytest.mark.parametrize(
    "said",
    [
        {"customerName": "BUDI", "customerPan": "9360000000000000001"},
        {"payment_details": {"payer_name": "BUDI", "payer_account_number": "081200000000"}},
        {"payment_detail": {"receipt_id": "000111666", "name": "BUDI"}},
        {"customer_details": {"full_name": "Budi", "phone": "081200000000"}},
        {"billingNm": "Budi", "billingPhone": "081200000000", "billingEmail": "budi@example.com"},
        {"data": [{"account_number": "081200000000", "account_holder_name": "BUDI"}]},
    ],
)
def test_what_is_said_about_the_payer_is_left_out_and_all_else_is_kept(said: dict[str, Any]) -> None:
    kept = without_personal({"reference": "INV-1", "amount": 15_000, "issuer_name": "DANA", **said})
    assert {name: kept[name] for name in ("reference", "amount", "issuer_name")} == {
        "reference": "INV-1",
        "amount": 15_000,
        "issuer_name": "DANA",
    }
    assert not any(word in str(kept).lower() for word in ("budi", "0812", "9360"))


@pytest.mark.parametrize("depth", [100, 900])
def test_however_deep_it_is_nothing_breaks(depth: int) -> None:
    said: dict[str, Any] = {"payer_name": "BUDI"}
    for _ in range(depth):
        said = {"data": said, "payer_name": "BUDI"}
    assert "BUDI" not in json.dumps(without_personal(said))
