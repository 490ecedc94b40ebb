import sys

import pytest

from qrisd.cli import main


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nosuch", "No such command 'nosuch'. See: qrisd --help"),
        ("reconcile --nosuch", "No such option: --nosuch. See: qrisd reconcile --help"),
        ("settlements import report.csv", "Missing option '--provider'. See: qrisd settlements import --help"),
        ("keys create", "Missing option '--name'. See: qrisd keys create --help"),
        ("qr make", "Missing argument 'STATIC'. See: qrisd qr make --help"),
        ("reconcile --date", "Option '--date' requires an argument. See: qrisd --help"),
    ],
)
def test_what_cannot_be_understood_is_one_line_and_exit_1(
    arguments: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qrisd", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out) == (f"qrisd: {line}", "")


@pytest.mark.parametrize("arguments", ["", "keys", "users"])
def test_without_a_command_the_help_is_shown_and_nothing_is_fine(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qrisd", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "Usage: qrisd" in capsys.readouterr().out
