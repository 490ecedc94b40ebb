"""Who may do what, as a page of the docs made from the table: `python -m tests.docs.roles`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qrisd.domain.permissions import OPEN, PERMISSIONS, RECENT, ROUTES, Role, may

PAGE: Final = Path(__file__).parents[2] / "docs/roles.md"
HEAD: Final = """# People and roles

Made from the one table that guards pages and API alike, `qrisd/domain/permissions.py` (`python -m tests.docs.roles`).

The first owner comes by the link that `qrisd serve` prints; it works once, and every start prints another one until
it was used. The owner adds everybody else at `/people`, or with [`qrisd users
create`](commands.md#qrisd-users-create): each gets a link where they choose their own password, cashiers a PIN if
they like. Whoever is no owner may be limited to outlets. Nobody approves their own request, the owner included, and
nobody changes their own role.

* **Sessions** end after 30 minutes unused and 12 hours in any case; a cashier's after 12 and 16 hours. A page that is
  only open, and asks the server by itself, is not used. They are listed at `/me` and can be ended there. A new
  password, another role and being disabled end them at once.
* **The second step** (a code of an authenticator app) is switched on at `/me`. It is asked for at every sign-in, also
  after a reset. Ten recovery codes open the account once each when the phone is lost; when they are lost too, [`qrisd
  users reset --remove-second-factor`](commands.md#qrisd-users-reset).
* **Guessing**: after 5 tries in vain for one account it has to wait, 30 seconds at first, an hour at most; an address
  waits after 20. Where somebody has signed in before they are counted apart, so that strangers cannot keep them out.
* **Again, please**: on a page, what is marked * needs the password once more when it was last typed over 10 minutes
  ago. A command with `--as` asks for it every time; an API key is asked for nothing more.
* **Commands** without `--as` ask nobody who they are: `qrisd keys`, `users`, `backup` and the rest are for whoever may
  act as the service's user, who could read and write the database as well. Keep that account, and the right to become
  it, for those who look after the machine. What they change is in the audit log as done by `command line`.
* **API keys** have the same permissions as scopes. A key made with `--user` does no more than that person may, where
  they may, and stops when they are disabled; one made with `--outlet` knows of no other outlet.
* **The audit log** has every sign-in, failed or not, every change of people and keys, and what they do with the money;
  the database refuses to change it. See [the audit log](operations.md#the-audit-log).

"""


def page() -> str:
    """The whole page."""
    return f"{HEAD}## What each role may do\n\n{_permissions()}\n## What each route needs\n\n{_routes()}"


def _permissions() -> str:
    rows = [
        (f"`{name}`{'*' if name in RECENT else ''}", [role in roles for role in Role])
        for name, roles in PERMISSIONS.items()
    ]
    return _table("", [*Role], [[name, *map(_cell, cells)] for name, cells in rows])


def _routes() -> str:
    text = (
        "`public`: anybody. `payer`: whoever knows the payment's id, which cannot be guessed. `signature`: a provider, "
        "by the proof that its notification carries.\n\n"
    )
    rows = []
    for (method, path), need in sorted(ROUTES.items(), key=lambda row: (row[0][1], row[0][0])):
        cells = [_cell(need in OPEN or may(role, need)) for role in Role]
        rows.append([f"`{method} {path}`", f"`{need}`{'*' if need in RECENT else ''}", *cells])
    return text + _table("", ["needs", *Role], rows)


def _table(corner: str, columns: list[str], rows: list[list[str]]) -> str:
    lines = [[corner, *columns], ["---"] * (len(columns) + 1), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(is_allowed: bool) -> str:
    return "yes" if is_allowed else "–"


if __name__ == "__main__":
    PAGE.write_text(page())
