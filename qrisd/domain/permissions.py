"""Who may do what: the one table of roles, permissions and routes. Pages and API alike are guarded by it.

A route without a row cannot be made. One rule is not in the table: nobody approves their own request, the owner
included.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a person is in the shop."""

    OWNER = "owner"  # set-up and emergencies: everything
    FINANCE = "finance"  # looks after the money that came
    SUPERVISOR = "supervisor"  # answers for the tills
    CASHIER = "cashier"  # takes payments
    MARKETING = "marketing"  # reads sales
    TECHNICIAN = "technician"  # keeps it running; moves no money
    AUDITOR = "auditor"  # reads everything, changes nothing


_EVERYBODY: Final = frozenset(Role)


def _roles(*roles: Role) -> frozenset[Role]:
    return frozenset({Role.OWNER, *roles})


# The names are also the scopes of API keys, as far as calls of the API need them.
PERMISSIONS: Final[Mapping[str, frozenset[Role]]] = {
    "payments:read": _EVERYBODY - {Role.TECHNICIAN},
    "payments:write": _roles(Role.SUPERVISOR, Role.CASHIER),
    "payments:confirm": _roles(Role.FINANCE, Role.SUPERVISOR),
    "events:read": _roles(Role.FINANCE, Role.SUPERVISOR, Role.CASHIER, Role.AUDITOR),
    "callbacks:read": _roles(Role.TECHNICIAN, Role.AUDITOR),
    "callbacks:write": _roles(Role.TECHNICIAN),
    "providers:read": _roles(Role.FINANCE, Role.SUPERVISOR, Role.TECHNICIAN, Role.AUDITOR),
    "ledger:read": _roles(Role.FINANCE, Role.AUDITOR),
    "ledger:adjust": _roles(Role.FINANCE),
    "settlements:read": _roles(Role.FINANCE, Role.SUPERVISOR, Role.AUDITOR),
    "settlements:write": _roles(Role.FINANCE),
    "reconciliations:read": _roles(Role.FINANCE, Role.SUPERVISOR, Role.AUDITOR),
    "reconciliations:write": _roles(Role.FINANCE),
    "exports:read": _roles(Role.FINANCE, Role.AUDITOR),
    "audit:read": _roles(Role.AUDITOR),
    "refunds:read": _EVERYBODY - {Role.TECHNICIAN, Role.MARKETING},
    "refunds:request": _roles(Role.FINANCE, Role.SUPERVISOR),
    "refunds:approve": _roles(Role.FINANCE, Role.SUPERVISOR),
    "pos:use": _roles(Role.SUPERVISOR, Role.CASHIER),
    "shifts:read": _roles(Role.FINANCE, Role.SUPERVISOR, Role.AUDITOR),
    "people:read": _roles(Role.AUDITOR),
    "people:write": _roles(),
    "account:own": _EVERYBODY,
    "account:secure": _EVERYBODY,
}
# What moves money, keys or people, and what takes records away, needs the password again when it was last typed more
# than ten minutes ago.
RECENT: Final = frozenset(
    {
        "people:write",
        "account:secure",
        "payments:confirm",
        "refunds:request",
        "refunds:approve",
        "ledger:adjust",
        "exports:read",
    }
)

PUBLIC: Final = "public"  # anybody
SIGNATURE: Final = "signature"  # a provider, by the proof its notification carries
PAYER: Final = "payer"  # whoever knows the payment's id, which cannot be guessed
OPEN: Final = frozenset({PUBLIC, SIGNATURE, PAYER})

ROUTES: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/payments"): "payments:write",
    ("GET", "/payments"): "payments:read",
    ("GET", "/payments/{id}"): "payments:read",
    ("GET", "/payments/{id}/qr.svg"): "payments:read",
    ("GET", "/payments/{id}/qr.png"): "payments:read",
    ("GET", "/payments/{id}/timeline"): "payments:read",
    ("GET", "/payments/{id}/events"): "payments:read",
    ("POST", "/payments/{id}/check"): "payments:write",
    ("POST", "/payments/{id}/cancel"): "payments:write",
    ("POST", "/payments/{id}/renew"): "payments:write",
    ("POST", "/payments/{id}/confirm"): "payments:confirm",
    ("POST", "/payments/{id}/refunds"): "refunds:request",
    ("GET", "/payments/{id}/refunds"): "refunds:read",
    ("GET", "/payments/{id}/refundable"): "refunds:read",
    ("GET", "/refunds"): "refunds:read",
    ("GET", "/refunds/{id}"): "refunds:read",
    ("POST", "/refunds/{id}/approve"): "refunds:approve",
    ("POST", "/refunds/{id}/reject"): "refunds:approve",
    ("POST", "/refunds/{id}/cancel"): "refunds:request",
    ("GET", "/payments/{id}/ledger"): "ledger:read",
    ("GET", "/ledger"): "ledger:read",
    ("GET", "/events"): "events:read",
    ("GET", "/callbacks"): "callbacks:read",
    ("GET", "/callbacks/{id}"): "callbacks:read",
    ("GET", "/callbacks/endpoints"): "callbacks:read",
    ("POST", "/callbacks/{id}/replay"): "callbacks:write",
    ("POST", "/callbacks/replay"): "callbacks:write",
    ("POST", "/callbacks/test"): "callbacks:write",
    ("POST", "/callbacks/endpoints/resume"): "callbacks:write",
    ("GET", "/settlements"): "settlements:read",
    ("GET", "/settlements/files"): "settlements:read",
    ("GET", "/settlements/overcharges"): "settlements:read",
    ("POST", "/settlements/import"): "settlements:write",
    ("POST", "/reconciliations"): "reconciliations:write",
    ("GET", "/reconciliations"): "reconciliations:read",
    ("POST", "/reconciliations/exceptions/{id}"): "reconciliations:write",
    ("GET", "/reconciliations/{date}"): "reconciliations:read",
    ("GET", "/reconciliations/{date}/exceptions"): "reconciliations:read",
    ("POST", "/payouts"): "reconciliations:write",
    ("GET", "/exports/{file}"): "exports:read",
    ("GET", "/audit"): "audit:read",
    ("GET", "/providers"): "providers:read",
    ("POST", "/webhooks/{provider}"): SIGNATURE,
    ("POST", "/webhooks/{provider}/v1.0/access-token/b2b"): SIGNATURE,
    ("POST", "/webhooks/{provider}/{appended:path}"): SIGNATURE,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/openapi.json"): PUBLIC,
    ("GET", "/docs"): PUBLIC,
    ("GET", "/docs/{file}"): PUBLIC,
    # Pages
    ("GET", "/static/{file}"): PUBLIC,
    ("GET", "/favicon.ico"): PUBLIC,
    ("GET", "/pay/{id}"): PAYER,
    ("GET", "/pay/{id}/status"): PAYER,
    ("GET", "/pay/{id}/events"): PAYER,
    ("GET", "/pay/{id}/qr.svg"): PAYER,
    ("GET", "/pay/{id}/qr.png"): PAYER,
    ("POST", "/pay/{id}/renew"): PAYER,
    ("GET", "/"): "account:own",
    ("GET", "/setup/{token}"): PUBLIC,
    ("POST", "/setup/{token}"): PUBLIC,
    ("GET", "/sign-in"): PUBLIC,
    ("POST", "/sign-in"): PUBLIC,
    ("GET", "/sign-in/code"): PUBLIC,
    ("POST", "/sign-in/code"): PUBLIC,
    ("POST", "/sign-out"): "account:own",
    ("GET", "/step-up"): "account:own",
    ("POST", "/step-up"): "account:own",
    ("GET", "/me"): "account:own",
    ("POST", "/me/sessions/{id}/end"): "account:own",
    ("POST", "/me/secret"): "account:secure",
    ("GET", "/me/second-factor"): "account:secure",
    ("GET", "/me/second-factor.svg"): "account:secure",
    ("POST", "/me/second-factor/begin"): "account:secure",
    ("POST", "/me/second-factor"): "account:secure",
    ("POST", "/me/second-factor/off"): "account:secure",
    ("POST", "/me/recovery-codes"): "account:secure",
    ("GET", "/pos"): "pos:use",
    ("GET", "/pos/state"): "pos:use",
    ("GET", "/pos/worker.js"): PUBLIC,
    ("GET", "/pos/offline"): PUBLIC,
    ("POST", "/pos/payments"): "pos:use",
    ("GET", "/pos/payments/{id}"): "pos:use",
    ("GET", "/pos/payments/{id}/status"): "pos:use",
    ("GET", "/pos/payments/{id}/events"): "pos:use",
    ("GET", "/pos/payments/{id}/qr.svg"): "pos:use",
    ("POST", "/pos/payments/{id}/check"): "pos:use",
    ("POST", "/pos/payments/{id}/cancel"): "pos:use",
    ("POST", "/pos/payments/{id}/renew"): "pos:use",
    ("GET", "/pos/connection"): "pos:use",
    ("POST", "/pos/connection"): "pos:use",
    ("POST", "/pos/shifts"): "pos:use",
    ("GET", "/pos/shifts/{id}"): "pos:use",
    ("POST", "/pos/shifts/{id}/close"): "pos:use",
    ("GET", "/shifts"): "shifts:read",
    ("GET", "/shifts/{id}"): "shifts:read",
    ("GET", "/pos/payments/{id}/receipt"): "pos:use",
    ("POST", "/pos/payments/{id}/print"): "pos:use",
    ("GET", "/pos/proof"): "pos:use",
    ("POST", "/pos/proof"): "pos:use",
    ("GET", "/people"): "people:read",
    ("POST", "/people"): "people:write",
    ("POST", "/people/{id}"): "people:write",
    ("POST", "/people/{id}/link"): "people:write",
    ("POST", "/people/{id}/disable"): "people:write",
    ("POST", "/people/{id}/enable"): "people:write",
}

# The outlets somebody is limited to; None is no limit.
Outlets = frozenset[str] | None


def may(role: Role, permission: str) -> bool:
    """Whether people of this role have this permission."""
    return role in PERMISSIONS[permission]


def permissions_of(role: Role) -> frozenset[str]:
    """Everything people of this role may do."""
    return frozenset(permission for permission, roles in PERMISSIONS.items() if role in roles)


def reaches(outlets: Outlets, outlet: str) -> bool:
    """Whether somebody limited to `outlets` may know of this outlet."""
    return outlets is None or outlet in outlets


def common(one: Outlets, other: Outlets) -> Outlets:
    """The limit that remains of two."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def outlets_of(names: Collection[str] | None) -> Outlets:
    """The limit that a list of outlets means; none named, none is set."""
    return frozenset(names) if names else None
