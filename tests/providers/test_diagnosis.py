"""What every provider's diagnosis says, whichever provider it is; through `qrisd doctor` as well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from qrisd.cli import app
from qrisd.providers.base import Diagnoses
from qrisd.providers.diagnosis import clock_line
from qrisd.providers.http import Answer, ProviderHttp
from qrisd.providers.registry import SETTINGS, Toolbox, make
from tests.providers.kinds import KINDS, Kind

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
PUBLIC = "https://shop.example"
# Where the address goes at each, in a few words of their line.
PLACES = {
    "midtrans": "Midtrans: dashboard, Settings, Payment, Notification URL",
    "xendit-v3": "Xendit: dashboard, Settings, Webhooks, for payment succeeded",
    "xendit-qr": "Xendit: dashboard, Settings, Webhooks, for QR code paid",
    "snap-bank": "bri: developer portal or onboarding form",
    "doku": "DOKU: dashboard, Settings, Payment Settings, QRIS",
    "nicepay-snap": "NICEPAY: the form",
    "nicepay-v2": "NICEPAY: the form",
}


class OtherTime(httpx.AsyncBaseTransport):
    """Answers as they come, but with this Date header, or with none."""

    def __init__(self, date: str | None) -> None:
        self._date = date
        self._inner = httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        response.headers.pop("date", None)
        if self._date is not None:
            response.headers["date"] = self._date
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(slots=True)
class Bench:
    """A provider on loopback and its table."""

    name: str
    kind: Kind
    fake: Any
    table: dict[str, Any]

    async def lines(self, *, date: str | None = None, real_date: bool = True, public: bool = True) -> list[Any]:
        http = ProviderHttp() if real_date else ProviderHttp(lambda: OtherTime(date))
        tools = Toolbox(
            http=http,
            clock=lambda: datetime.now(UTC),
            simulator_secret="",
            notify_url=lambda name: f"{PUBLIC}/webhooks/{name}" if public else None,
            base_path="",
        )
        settings = SETTINGS[self.table.get("type", self.kind.name)].model_validate(self.table)
        provider = make(self.kind.name, settings, tools)
        assert isinstance(provider, Diagnoses)
        try:
            return await provider.diagnose()
        finally:
            await http.aclose()


@pytest.fixture(params=list(KINDS))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    kind = KINDS[request.param]
    fake = kind.fake()
    await fake.start()
    yield Bench(request.param, kind, fake, {"base_url": fake.url, "timeout": 15, **kind.table(fake, tmp_path)})
    await fake.stop()


def about(lines: list[Any], word: str) -> list[Any]:
    return [line for line in lines if word in line[1]]


async def test_a_good_account_is_fine_in_all_points_and_charges_nobody(bench: Bench) -> None:
    lines = await bench.lines()
    assert all(fine for fine, _ in lines), lines
    assert bench.fake.url in lines[0][1]
    assert len(about(lines, "clock agrees")) == 1
    assert len(about(lines, "QRIS")) >= 1
    assert bench.fake.book == {}


async def test_the_address_to_paste_comes_with_the_place(bench: Bench) -> None:
    ((fine, line),) = about(await bench.lines(), "Paste the webhook address")
    assert fine
    assert f"{PUBLIC}/webhooks/{bench.kind.name} at {PLACES[bench.name]}" in line


async def test_without_a_public_address_nothing_is_to_paste_and_polling_is_said_to_work(bench: Bench) -> None:
    lines = await bench.lines(public=False)
    assert not about(lines, "webhooks/")
    ((fine, line),) = about(lines, "No public base_url")
    assert fine
    assert "found by asking" in line
    assert "set base_url" in line


@pytest.mark.parametrize(("days", "way"), [(-400, "ahead of"), (400, "behind")])
async def test_a_wrong_clock_is_told_by_every_provider(bench: Bench, days: int, way: str) -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True)
    lines = await bench.lines(date=there, real_date=False)
    ((fine, line),) = about(lines, "clock")
    assert not fine
    assert way in line


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Foo 2026 03:00:00 GMT"])
async def test_a_provider_without_a_usable_date_breaks_nothing(bench: Bench, date: str | None) -> None:
    lines = await bench.lines(date=date, real_date=False)
    assert all(fine for fine, _ in lines), lines
    assert len(about(lines, "was not compared")) == 1


@pytest.mark.parametrize(
    ("date", "fine", "words"),
    [
        ("Thu, 15 Jan 2026 03:00:00 GMT", True, "agrees"),
        ("Thu, 15 Jan 2026 10:00:59 +0700", True, "agrees"),
        ("Thu, 15 Jan 2026 03:00:00 -0000", True, "agrees"),
        ("Thursday, 15-Jan-26 03:00:00 GMT", True, "agrees"),
        ("Thu, 15 Jan 2026 02:58:00 GMT", False, "120 s ahead of Bank's"),
        ("Thu, 15 Jan 2026 03:02:00 GMT", False, "120 s behind Bank's"),
        ("Thu, 01 Jan 0001 00:00:00 +2359", False, "ahead of"),
        ("Thu, 31 Dec 9999 23:59:59 -2359", False, "behind"),
        ("Thu, 15 Jan 2026 03:00:00 +9999", True, "not compared"),
        ("2026-01-15T03:00:00Z", True, "not compared"),
        ("Thu, 15 Jan 99999 03:00:00 GMT", True, "not compared"),
        (",", True, "not compared"),
        ("\x00" * 50, True, "not compared"),
        ("1" * 5_000, True, "not compared"),
    ],
)
def test_the_clock_is_compared_with_the_providers_date(date: str, fine: bool, words: str) -> None:
    line = clock_line("Bank", Answer(200, {"date": date}, b""), NOW)
    assert line[0] is fine
    assert words in line[1]


def test_an_answer_without_a_date_says_so() -> None:
    assert clock_line("Bank", Answer(200, {}, b""), NOW)[1].startswith("Bank names no time")


# Through the command


async def test_the_doctor_says_it_all_of_the_provider_named(bench: Bench, tmp_path: Path) -> None:
    name = bench.kind.name
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in bench.table.items())
    config = tmp_path / "shop.toml"
    config.write_text(f'base_url = "{PUBLIC}"\n[providers.{name}]\n{table}\n')
    config.chmod(0o600)
    env = {"QRISD_DATA_DIR": str(tmp_path / "data"), "QRISD_PORT": "0"}
    asked = ["doctor", name, "--json", "--config", str(config)]
    result = await asyncio.to_thread(CliRunner().invoke, app, asked, env=env)
    lines = [line for line in json.loads(result.stdout) if line["check"] == name]
    assert {line["state"] for line in lines} == {"ok"}, result.stdout
    assert lines[0]["text"] == f"sandbox, {bench.fake.url}"
    text = "\n".join(line["text"] for line in lines)
    for words in ("accept" if name != "nicepay" else "NICEPAY (", "QRIS", "clock agrees", f"{PUBLIC}/webhooks/{name}"):
        assert words in text


@pytest.mark.parametrize("name", ["midtrans", "xendit", "snap", "doku", "nicepay"])
def test_a_provider_that_is_not_set_up_is_told_what_is_missing(name: str, tmp_path: Path) -> None:
    env = {"QRISD_DATA_DIR": str(tmp_path / "data"), "QRISD_PORT": "0"}
    result = CliRunner().invoke(app, ["doctor", name, "--json"], env=env)
    lines = [line for line in json.loads(result.stdout) if line["check"] == name]
    assert result.exit_code == 2
    assert any("set" in line["text"] for line in lines if line["state"] == "fail"), lines
