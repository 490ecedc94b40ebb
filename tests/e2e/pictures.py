"""The pictures of docs/id: `python -m tests.e2e.pictures` draws them anew. They are made by walking through what the
guides tell, so that a step that is no longer there is noticed; see test_pictures."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.conftest import CHROMIUM, PHONE, QUIET, Shop
from tests.support.server import LiveServer

GUIDES: Final = Path(__file__).parents[2] / "docs" / "id"
PICTURES: Final = GUIDES / "gambar"
NAMED: Final = re.compile(r"gambar/([\w-]+)\.png")
SHARPNESS: Final = 1.5
TALLEST_PX: Final = round(900 * SHARPNESS)
COLOURS: Final = 96
PASSWORD: Final = "kopi susu gula aren"
PIN: Final = "482915"
# Where the guides' shop is; the one that draws them is elsewhere on every run.
SHOP: Final = "http://192.168.1.10:8000"

Take = Callable[[Page, str], None]


def named() -> set[str]:
    """The pictures that the guides show."""
    return {name for guide in GUIDES.glob("*.md") for name in NAMED.findall(guide.read_text())}


def story(browser: Browser, shop: Shop, take: Take) -> None:
    """A shop's first day; `take` is called with each page that a guide may show, and the picture's name."""
    with _phone(browser) as owner, _phone(browser) as cashier:
        cashier.goto(_first_steps(owner, shop, take))
        _first_sign_in(cashier, take)
        _sale(cashier, shop, take)
        _receipt(cashier, take)
        _proof(cashier, shop, take)
        _trouble(cashier, shop, take)
        _end_of_shift(cashier, shop, take)


@contextmanager
def _phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport=PHONE,
        device_scale_factor=SHARPNESS,
        locale="id-ID",
        timezone_id="Asia/Jakarta",
        color_scheme="light",
        reduced_motion="reduce",
    )
    context.add_init_script("window.print = () => {}")
    yield context.new_page()
    context.close()


def _first_steps(owner: Page, shop: Shop, take: Take) -> str:
    """The owner's account and a cashier; answers the cashier's link."""
    link = re.search(r"http://\S+/setup/\S+", shop.server.greeting)
    assert link is not None
    owner.goto(link[0])
    owner.get_by_label("Nama", exact=True).fill("Ibu Sari")
    owner.get_by_label("Nama pengguna").fill("sari")
    owner.get_by_label("Kata sandi baru").fill(PASSWORD)
    take(owner, "akun-pemilik")
    owner.get_by_role("button", name="Simpan dan masuk").click()
    expect(owner).to_have_url(re.compile("/pos$"))
    owner.goto(f"{shop.url}/people")
    owner.get_by_label("Nama", exact=True).fill("Budi")
    owner.get_by_label("Nama pengguna").fill("budi")
    take(owner, "tambah-kasir")
    owner.get_by_role("button", name="Tambah dan buat tautan").click()
    given = owner.get_by_label("Tautan")
    cashiers_link = given.input_value()
    given.evaluate("(field, shop) => { field.value = field.value.replace(location.origin, shop) }", SHOP)
    take(owner, "tautan-kasir")
    return cashiers_link


def _first_sign_in(cashier: Page, take: Take) -> None:
    cashier.get_by_label("Kata sandi atau PIN baru").fill(PIN)
    take(cashier, "buat-pin")
    cashier.get_by_role("button", name="Simpan dan masuk").click()
    expect(cashier).to_have_url(re.compile("/pos$"))
    cashier.goto(cashier.url.replace("/pos", "/sign-in"))
    cashier.get_by_label("Nama pengguna").fill("budi")
    cashier.get_by_label("Kata sandi atau PIN").fill(PIN)
    take(cashier, "masuk")
    cashier.get_by_role("button", name="Masuk").click()
    take(cashier, "buka-shift")
    cashier.get_by_role("button", name="Buka shift sekarang").click()


def _type(cashier: Page, amount: str, note: str = "") -> None:
    expect(cashier.get_by_role("group", name="Tombol angka")).to_be_visible()
    cashier.get_by_label("Jumlah").fill(amount)
    cashier.get_by_label("Catatan (boleh kosong)").fill(note)


def _sale(cashier: Page, shop: Shop, take: Take) -> None:
    _type(cashier, "15000", "2 kopi susu")
    take(cashier, "nominal")
    cashier.get_by_role("button", name="Buat QRIS").click()
    expect(cashier.get_by_role("timer")).to_be_visible()
    take(cashier, "qr")
    cashier.get_by_role("button", name="Cek sekarang").click()
    expect(cashier.get_by_text(re.compile("belum ada pembayaran masuk"))).to_be_visible()
    take(cashier, "cek-sekarang")
    shop.webhook(shop.get(cashier.url.rsplit("/", 1)[1]))
    expect(cashier.get_by_role("heading", name="Pembayaran diterima")).to_be_visible()
    take(cashier, "lunas")


def _receipt(cashier: Page, take: Take) -> None:
    cashier.get_by_role("link", name="Bukti pembayaran").click()
    take(cashier, "struk")
    cashier.get_by_role("button", name="Cetak lewat browser").click()
    cashier.get_by_role("button", name="Cetak salinan lewat browser").click()
    expect(cashier.locator("pre")).to_contain_text("SALINAN")
    take(cashier, "salinan")


def _proof(cashier: Page, shop: Shop, take: Take) -> None:
    for claim, name in (("15.000", "bukti-lunas"), ("75.000", "bukti-belum-masuk")):
        cashier.goto(f"{shop.url}/pos/proof")
        cashier.get_by_role("textbox").fill(claim)
        cashier.get_by_role("button", name="Cek").click()
        expect(cashier.locator("[data-finding]")).to_be_visible()
        take(cashier, name)


def _trouble(cashier: Page, shop: Shop, take: Take) -> None:
    cashier.goto(f"{shop.url}/pos")
    _type(cashier, "42000")
    cashier.get_by_role("button", name="Buat QRIS").click()
    cashier.once("dialog", lambda dialog: dialog.accept())
    cashier.get_by_role("button", name="Batalkan").click()
    expect(cashier.get_by_role("heading", name="Dibatalkan")).to_be_visible()
    take(cashier, "batal")
    cashier.get_by_role("link", name="Pembayaran berikutnya").click()
    expect(cashier.get_by_role("group", name="Tombol angka")).to_be_visible()
    cashier.context.set_offline(True)
    expect(cashier.get_by_text(re.compile("Tidak ada koneksi ke server")).last).to_be_visible()
    take(cashier, "tanpa-koneksi")
    cashier.context.set_offline(False)


def _end_of_shift(cashier: Page, shop: Shop, take: Take) -> None:
    cashier.goto(f"{shop.url}/pos")
    cashier.get_by_text("Menu").click()
    take(cashier, "menu")
    cashier.get_by_role("link", name="Shift saya").click()
    cashier.get_by_role("button", name="Tutup shift").click()
    expect(cashier.get_by_text("Semuanya cocok.")).to_be_visible()
    take(cashier, "tutup-shift")


def picture(page: Page) -> bytes:
    """The page as a small PNG, cut off below where it is long."""
    page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    shot = Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")
    shot = shot.crop((0, 0, shot.width, min(shot.height, TALLEST_PX)))
    saved = BytesIO()
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(saved, "PNG", optimize=True)
    return saved.getvalue()


def draw_all() -> None:
    """Write every picture that a guide shows, and remove the others."""

    def take(page: Page, name: str) -> None:
        if name in named():
            (PICTURES / f"{name}.png").write_bytes(picture(page))

    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as root, LiveServer(Path(root) / "data") as server, sync_playwright() as player:
        story(player.chromium.launch(executable_path=CHROMIUM, args=QUIET), Shop(server), take)


if __name__ == "__main__":
    draw_all()
