from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ET
import zlib

import pytest
import segno
from PIL import Image

from qrisd import qr_image
from qrisd.domain.qris import build, crc16, make_dynamic

STATIC = build(
    guid="ID.CO.EXAMPLE.WWW",
    pan="936009990000000017",
    merchant_id="UJI000000000001",
    nmid="ID0000000000017",
    criteria="UMI",
    mcc="5812",
    merchant_name="WARUNG UJI COBA",
    merchant_city="JAKARTA PUSAT",
    postal_code="10110",
)
JAPANESE = STATIC[:-8] + "64150002JA0105ワルン試験"
PAYLOADS = [
    STATIC,
    make_dynamic(STATIC, 15000)[0],
    "000201ALL CAPITALS 0123456789",
    f"{JAPANESE}6304{crc16(JAPANESE + '6304')}",
]


def png_of(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def jpeg_of(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=40)
    return out.getvalue()


@pytest.mark.parametrize("scale", [1, 3, 8])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_png_is_read_back_to_the_same_payload(payload: str, scale: int) -> None:
    assert qr_image.decode(qr_image.png(payload, scale)) == payload


def test_jpeg_photo_is_read_back_to_the_same_payload() -> None:
    photo = Image.open(io.BytesIO(qr_image.png(STATIC, 4))).convert("L").rotate(7, expand=True, fillcolor=200)
    assert qr_image.decode(jpeg_of(photo)) == STATIC


def test_black_on_transparent_is_read() -> None:
    out = io.BytesIO()
    segno.make(STATIC, micro=False).save(out, kind="png", scale=4, light=None)
    assert qr_image.decode(out.getvalue()) == STATIC


@pytest.mark.parametrize("payload", PAYLOADS)
def test_symbol_is_byte_mode_at_level_m(payload: str) -> None:
    symbol = qr_image._symbol(payload)
    assert (symbol.mode, symbol.error, symbol.is_micro) == ("byte", "M", False)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_svg_has_every_module_and_the_quiet_zone(payload: str) -> None:
    root = ET.fromstring(qr_image.svg(payload, scale=3))
    modules = len(list(qr_image._symbol(payload).matrix)) + 2 * qr_image.QUIET_ZONE_MODULES
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == (str(3 * modules), str(3 * modules))


def test_terminal_drawing_is_two_modules_high_per_line() -> None:
    modules = len(list(qr_image._symbol(STATIC).matrix)) + 2 * qr_image.QUIET_ZONE_MODULES
    assert len(qr_image.terminal(STATIC).splitlines()) == (modules + 1) // 2


@pytest.mark.parametrize("scale", [0, -1, 51])
def test_scale_that_would_draw_nothing_or_fill_memory_is_refused(scale: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 50"):
        qr_image.png(STATIC, scale)


@pytest.mark.parametrize(("width", "height"), [(5000, 4001), (10_000, 10_000), (60_000, 60_000)])
def test_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="larger than 20 megapixels"):
        qr_image.decode(png_of(width, height))


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (b"", "not a PNG or JPEG"),
        (b"GIF89a" + bytes(50), "not a PNG or JPEG"),
        (STATIC.encode(), "not a PNG or JPEG"),
        (png_of(100, 100), "damaged"),
        (qr_image.png(STATIC)[:300], "damaged"),
        (jpeg_of(Image.new("L", (100, 100), 255))[:200], "not a PNG or JPEG|damaged"),
        (jpeg_of(Image.new("L", (100, 100), 255)), "no readable QR"),
    ],
)
def test_picture_without_a_readable_qr_is_refused_with_a_clear_line(image: bytes, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        qr_image.decode(image)


def test_picture_of_two_different_codes_is_refused() -> None:
    left, right = (Image.open(io.BytesIO(qr_image.png(payload, 4))).convert("L") for payload in PAYLOADS[:2])
    both = Image.new("L", (left.width + right.width, max(left.height, right.height)), 255)
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    with pytest.raises(ValueError, match="2 different QR codes"):
        qr_image.decode(jpeg_of(both))
