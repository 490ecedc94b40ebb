"""The QR as a picture: drawn for payers' phones, and read back from a picture of one."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import segno
    from PIL.Image import Image

# EMVCo asks for a quiet zone of four modules; level M survives a scratched counter-top print without growing the code.
QUIET_ZONE_MODULES = 4
ERROR_LEVEL = "m"
# A QRIS has up to 81 modules a side with its quiet zone; this keeps the largest PNG near 4000 pixels a side.
MAX_SCALE = 50
MAX_PIXELS = 20_000_000


def svg(payload: str, scale: int = 8) -> bytes:
    """The QR of `payload` as an SVG, `scale` pixels per module (1 to 50). Raises ValueError on another scale."""
    return _saved(payload, "svg", scale)


def png(payload: str, scale: int = 8) -> bytes:
    """The QR of `payload` as a PNG, `scale` pixels per module (1 to 50). Raises ValueError on another scale."""
    return _saved(payload, "png", scale)


def side_modules(payload: str) -> int:
    """How many modules a side the QR of `payload` has, its quiet zone included."""
    return int(_symbol(payload).symbol_size(scale=1, border=QUIET_ZONE_MODULES)[0])


def terminal(payload: str) -> str:
    """The QR of `payload` as lines of half blocks for a terminal."""
    out = io.StringIO()
    _symbol(payload).terminal(out, border=QUIET_ZONE_MODULES, compact=True)
    return out.getvalue()


def _saved(payload: str, kind: str, scale: int) -> bytes:
    if not 1 <= scale <= MAX_SCALE:
        raise ValueError(f"the scale must be between 1 and {MAX_SCALE} pixels per module")
    out = io.BytesIO()
    # White is drawn, not left transparent: on a dark page the code would be unreadable.
    _symbol(payload).save(out, kind=kind, scale=scale, border=QUIET_ZONE_MODULES, dark="black", light="white")
    return out.getvalue()


def _symbol(payload: str) -> segno.QRCode:
    import segno

    # EMVCo allows byte mode only, and wants the UTF-8 marker (ECI) only where ASCII does not do.
    return segno.make(
        payload,
        error=ERROR_LEVEL,
        mode="byte",
        encoding="utf-8",
        eci=not payload.isascii(),
        boost_error=False,
        micro=False,
    )


def decode(image: bytes) -> str:
    """The text of the one QR in a PNG or JPEG.

    Raises ValueError, with a line fit for the user, when the picture is damaged, of another kind, larger than
    20 megapixels, or holds no readable QR or several different ones.
    """
    import zxingcpp

    found = zxingcpp.read_barcodes(
        _grey(image), formats=zxingcpp.barcode_formats_from_str("QRCode"), text_mode=zxingcpp.TextMode.Plain
    )
    texts = {barcode.text for barcode in found}
    if not texts:
        raise ValueError("no readable QR code in the picture")
    if len(texts) > 1:
        raise ValueError(f"the picture holds {len(texts)} different QR codes; cut it down to one")
    return str(texts.pop())


def _grey(image: bytes) -> Image:
    """The picture in grey on white. Raises ValueError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(image), formats=("PNG", "JPEG"))
        if opened.width * opened.height <= MAX_PIXELS:
            return _on_white(opened)
    except UnidentifiedImageError:
        raise ValueError("not a PNG or JPEG picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    except Exception as error:  # pillow raises many kinds on damaged pictures: OSError, SyntaxError, struct.error, …
        raise ValueError("the picture is damaged") from error
    raise ValueError(f"the picture is larger than {MAX_PIXELS // 1_000_000} megapixels")


def _on_white(opened: Image) -> Image:
    from PIL import Image

    if not opened.has_transparency_data:
        return opened.convert("L")
    layer = opened.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("L")
