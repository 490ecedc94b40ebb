"""The QR images the API draws."""

from __future__ import annotations

import pytest

from qrisd import qr_image
from tests.support.installation import Installation


@pytest.mark.parametrize("scale", [1, 4, 8])
async def test_the_qr_shown_for_15000_rupiah_is_read_back_to_the_same_payload(shop: Installation, scale: int) -> None:
    payment = await shop.create(amount=15_000)
    answer = await shop.client.get(f"/payments/{payment['id']}/qr.png?scale={scale}")
    assert answer.headers["Content-Type"] == "image/png"
    assert qr_image.decode(answer.content) == payment["qris_payload"]


async def test_the_svg_is_an_image_of_its_own(shop: Installation) -> None:
    payment = await shop.create()
    answer = await shop.client.get(f"/payments/{payment['id']}/qr.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.content.lstrip().startswith(b"<?xml") or answer.content.lstrip().startswith(b"<svg")


async def test_a_payment_without_a_qr_has_no_image(shop: Installation) -> None:
    payment = await shop.create(metadata={"simulator": "lose_answer"})
    answer = await shop.client.get(f"/payments/{payment['id']}/qr.png")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("scale", ["0", "21", "-1", "1.5", "x", "1e9", ""])
async def test_a_scale_beyond_the_bounds_is_refused(shop: Installation, scale: str) -> None:
    payment = await shop.create()
    assert (await shop.client.get(f"/payments/{payment['id']}/qr.png?scale={scale}")).status_code == 400
