from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qrisd import qr_image
from qrisd.cli.qr import app
from qrisd.domain.qris import build, crc16, make_dynamic, read

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
DYNAMIC = make_dynamic(STATIC, 25000)[0]
DAMAGED = STATIC.replace("COBA", "COBI")
KEYS = ["valid", "errors", "warnings", "kind", "amount", "merchant_name", "merchant_city", "nmid", "fields"]


def sealed(body: str) -> str:
    return f"{body}6304{crc16(body + '6304')}"


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def qr(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def decoded(*arguments: str, stdin: bytes | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(qr("decode", *arguments, "--json", stdin=stdin).stdout)
    return answer


def test_decode_json_says_everything_about_a_valid_code() -> None:
    answer = decoded(DYNAMIC)
    assert list(answer) == KEYS
    assert (answer["valid"], answer["errors"], answer["warnings"]) == (True, [], [])
    assert (answer["kind"], answer["amount"], answer["nmid"]) == ("dynamic", "25000", "ID0000000000017")
    assert (answer["merchant_name"], answer["merchant_city"]) == ("WARUNG UJI COBA", "JAKARTA PUSAT")
    assert answer["fields"]["51"] == {"00": "ID.CO.QRIS.WWW", "02": "ID0000000000017", "03": "UMI"}


def test_decode_exits_1_for_an_invalid_code_and_names_the_reason() -> None:
    result = qr("decode", DAMAGED)
    assert result.exit_code == 1
    assert "crc_mismatch" in result.stdout
    assert result.stderr == "qrisd: not a valid QRIS: " + (
        "The checksum (63) does not fit the text: it was damaged or edited.\n"
    )


@pytest.mark.parametrize("text", ["", "https://example.com/pay", STATIC[:70], "\x00"])
def test_text_too_damaged_to_parse_gives_the_same_keys(text: str) -> None:
    answer = decoded(text)
    assert list(answer) == KEYS
    assert answer["errors"]
    assert [answer[key] for key in KEYS[3:]] == [None, None, None, None, None, {}]


def test_decode_prints_a_table_with_names_and_a_summary() -> None:
    result = qr("decode", DYNAMIC)
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("Merchant name", "WARUNG UJI COBA", "NMID", "ID0000000000017"))
    assert "for Rp25.000" in result.stdout
    assert result.stderr == ""


def test_warnings_are_explained_though_the_code_is_valid() -> None:
    without_postal_code = sealed(STATIC[:-8].replace("610510110", ""))
    result = qr("decode", without_postal_code)
    assert result.exit_code == 0
    assert "warning: The postal code (61) is missing. [postal_missing]" in result.stdout


def test_lenient_forgives_and_says_so() -> None:
    padded = f" {STATIC} "
    assert decoded(padded)["errors"] == ["surrounding_whitespace"]
    assert decoded(padded, "--lenient")["warnings"] == ["surrounding_whitespace"]


@pytest.mark.parametrize("image", [qr_image.png(STATIC), STATIC.encode(), STATIC.encode() + b"\r\n"])
def test_code_may_come_from_a_file_or_standard_input(image: bytes, tmp_path: Path) -> None:
    (tmp_path / "sticker").write_bytes(image)
    assert decoded("sticker")["valid"]
    assert decoded("-", stdin=image)["valid"]


def test_only_the_line_end_of_a_file_is_forgiven(tmp_path: Path) -> None:
    (tmp_path / "sticker").write_text(f"{STATIC} \n\n")
    assert decoded("sticker")["errors"] == ["surrounding_whitespace"]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("photo.png", None, "photo.png: there is no such file"),
        ("photo.png", qr_image.png(STATIC)[:200], "photo.png: the picture is damaged"),
        ("notes", b"\xff\xfe\x00\x01", "notes: neither a PNG or JPEG picture nor text"),
        (".", None, ".: Is a directory"),
        ("big", b"0" * (32 * 1024 * 1024 + 1), "big: larger than 32 MB"),
    ],
)
def test_what_cannot_be_read_is_one_line_on_stderr(name: str, content: bytes | None, line: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for command in (["decode", name], ["make", name, "--amount", "1"]):
        result = qr(*command)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"qrisd: {line}\n")


def test_a_disguised_name_cannot_command_the_terminal() -> None:
    body = STATIC[:-8].replace("WARUNG UJI COBA", "\x1b[31m\u202e[red]AB")
    result = qr("decode", sealed(body.replace("5915\x1b", "5913\x1b")))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert r"\x1b[31m\u202e[red]AB" in result.stdout


def test_make_prints_the_payload_alone() -> None:
    result = qr("make", STATIC, "--amount", "25000")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{DYNAMIC}\n", "")


def test_make_tells_what_it_removed() -> None:
    prompting = sealed(STATIC[:-8].replace("5303360", "5303360550201"))
    assert json.loads(qr("make", prompting, "--amount", "25000", "--json").stdout) == {
        "payload": DYNAMIC,
        "warnings": ["tip_prompt_removed"],
    }
    result = qr("make", prompting, "--amount", "25000")
    assert result.stdout == f"{DYNAMIC}\n"
    assert result.stderr.startswith("warning: The source asked the payer for a tip")


def test_make_reads_a_picture_and_writes_pictures(tmp_path: Path) -> None:
    (tmp_path / "sticker.png").write_bytes(qr_image.png(STATIC))
    result = qr("make", "sticker.png", "--amount", "25000", "--png", "out.png", "--svg", "out.svg")
    assert result.exit_code == 0
    assert qr_image.decode((tmp_path / "out.png").read_bytes()) == DYNAMIC
    assert (tmp_path / "out.svg").read_bytes() == qr_image.svg(DYNAMIC)


@pytest.mark.parametrize(
    ("static", "amount", "line"),
    [
        (STATIC, "0", "The amount is zero."),
        (STATIC, "-1", "The amount is not written in plain digits"),
        (STATIC, "15.000", "The amount is not written in plain digits"),
        (STATIC, "10000001", "The amount is above the limit for one QRIS payment (10000000)."),
        (DAMAGED, "15000", "The checksum (63) does not fit the text"),
    ],
)
def test_make_refuses_with_one_clear_line(static: str, amount: str, line: str) -> None:
    result = qr("make", static, "--amount", amount)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"qrisd: {line}")
    assert result.stderr.count("\n") == 1


def test_picture_that_cannot_be_written_is_refused() -> None:
    result = qr("make", STATIC, "--amount", "1", "--png", "missing/out.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "qrisd: missing/out.png: No such file or directory\n"


def test_largest_amount_is_the_one_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text("[payment]\nmax_amount = 20000\n")
    assert qr("make", STATIC, "--amount", "20001", "--config", "shop.toml").exit_code == 1
    assert read(qr("make", STATIC, "--amount", "20000", "--config", "shop.toml").stdout.strip()).valid


@pytest.mark.parametrize("command", [["decode", STATIC], ["make", STATIC, "--amount", "1"]])
def test_settings_file_that_is_not_there_is_refused(command: list[str]) -> None:
    result = qr(*command, "--config", "missing.toml")
    assert result.exit_code == 1
    assert "missing.toml: there is no such file" in result.stderr
