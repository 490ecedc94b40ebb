"""The page at /docs: ours, whole, and asking nobody else."""

from __future__ import annotations

import hashlib
import re

import pytest

from qrisd.api.docs import FILES, PAGE, VENDORED
from tests.support.installation import Installation

MANIFEST = {
    name: digest
    for digest, name in (line.split("  ") for line in (VENDORED / "MANIFEST.sha256").read_text().splitlines())
}
VERSION = "5.35.0"


def test_the_manifest_names_every_vendored_file() -> None:
    assert {path.name for path in VENDORED.iterdir()} == {*MANIFEST, "MANIFEST.sha256"}
    assert "LICENSE" in MANIFEST


@pytest.mark.parametrize("name", MANIFEST)
def test_a_vendored_file_is_as_published(name: str) -> None:
    assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == MANIFEST[name]


def test_the_page_has_nothing_inline_and_no_other_host() -> None:
    html = PAGE.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", html)
    assert "//" not in html


async def test_everything_the_page_asks_for_is_served(shop: Installation) -> None:
    asked = re.findall(r'(?:src|href)="(docs/[^"]+)"', PAGE.read_text())
    assert len(asked) == 4
    for url in asked:
        answer = await shop.client.get(f"/{url}", headers={"Authorization": ""})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].split(";")[0] in ("text/javascript", "text/css")
        vendored = FILES[url.split("/")[1].split("?")[0]][0] == VENDORED
        assert ("immutable" in answer.headers["Cache-Control"]) == vendored == (f"?v={VERSION}" in url)


async def test_the_page_may_load_from_us_alone(shop: Installation) -> None:
    answer = await shop.client.get("/docs", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@pytest.mark.parametrize("name", ["LICENSE", "index.html", "..%2Findex.html", "%2Fetc%2Fpasswd", "nothing.js"])
async def test_other_files_are_not_served(shop: Installation, name: str) -> None:
    assert (await shop.client.get(f"/docs/{name}")).status_code == 404
