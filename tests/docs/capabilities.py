"""What each provider can do, as a page of the docs made from the adapters: `python -m tests.docs.capabilities`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from qrisd.domain import qris
from qrisd.providers.base import Capabilities
from qrisd.providers.http import ProviderHttp
from qrisd.providers.registry import SETTINGS, Toolbox, make
from tests.providers.kinds import KINDS

PAGE: Final = Path(__file__).parents[2] / "docs/providers/capabilities.md"
HEAD: Final = """# What each provider can do

Made from what the adapters say of themselves (`python -m tests.docs.capabilities`); `GET /providers` shows the same for
the providers of an installation. Durations are seconds, amounts rupiah. A SNAP bank is shown as its table has it when
`cancel` and `refund` are left out.

"""


def page() -> str:
    """The whole page."""
    shown = {name: asdict(one) for name, one in _capabilities().items()}
    lines = [f"| | {' | '.join(shown)} |", f"| --- |{' --- |' * len(shown)}"]
    for field in fields(Capabilities):
        cells = [_cell(one[field.name]) for one in shown.values()]
        lines.append(f"| `{field.name}` | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def _capabilities() -> dict[str, Capabilities]:
    with tempfile.TemporaryDirectory() as folder:
        tables: dict[str, dict[str, Any]] = {"simulator": {"type": "simulator"}}
        for name, kind in KINDS.items():
            tables[name] = {
                "type": kind.name,
                "base_url": "http://127.0.0.1:9",
                **kind.table(kind.fake(), Path(folder)),
            }
        static = qris.build(merchant_name="WARUNG CONTOH", merchant_city="BANDUNG", nmid="ID0000000000001")
        tables["static"] = {"type": "static", "qris": static}
        return {name: _made(table) for name, table in tables.items()}


def _made(table: dict[str, Any]) -> Capabilities:
    tools = Toolbox(
        http=ProviderHttp(),
        clock=lambda: datetime.now(UTC),
        simulator_secret="x",
        notify_url=lambda name: None,
        base_path="",
    )
    return make(table["type"], SETTINGS[table["type"]].model_validate(table), tools).capabilities


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "–"
    if isinstance(value, tuple | list):
        return ", ".join(f"`{one}`" for one in value) or "–"
    return "–" if value is None else str(value)


if __name__ == "__main__":
    PAGE.write_text(page())
