"""`qrisd refunds`: money to give back, asked for, decided and followed at the machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from qrisd.cli.common import (
    AsJson,
    Config,
    clear_errors,
    fail,
    found_payment,
    local_time,
    open_database,
    print_json,
    read_settings,
    transaction,
)
from qrisd.cli.person import Username, proven

if TYPE_CHECKING:
    from pathlib import Path

    from qrisd.config import Settings
    from qrisd.domain.refund import Refund
    from qrisd.services.refunds import Party, Terms
    from qrisd.store.db import Connection

app = typer.Typer(no_args_is_help=True, help="Refunds: list, show, request, approve, reject, cancel, resolve.")
RefundId = Annotated[str, typer.Argument(metavar="ID", help="The refund's id, from `qrisd refunds list`.")]


@app.command(name="list")
def list_refunds(
    status: Annotated[str | None, typer.Option("--status", help="Only those that stand so, such as REQUESTED.")] = None,
    payment: Annotated[
        str | None, typer.Option("--payment", help="Only those of this payment: id or order_id.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 100,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Refunds, newest first. Exit 2 when one waits for approval."""
    from qrisd.domain.refund import Status
    from qrisd.store import refunds
    from qrisd.store.refunds import Filter

    if status is not None and status.upper() not in Status.__members__:
        fail(f"there is no status {status!r}; use {', '.join(Status)}")
    with open_database(read_settings(config), read_only=True) as conn:
        wanted = Filter(
            status=Status(status.upper()) if status else None,
            payment_id=found_payment(conn, payment).id if payment else None,
        )
        found, _ = refunds.find(conn, wanted, limit)
        shown = [_shown(conn, refund) for refund in found]
    if as_json:
        print_json({"data": shown})
    else:
        _print_list(shown)
    if any(refund.status is Status.REQUESTED for refund in found):
        raise typer.Exit(2)


@app.command()
def show(refund_id: RefundId, as_json: AsJson = False, config: Config = None) -> None:
    """One refund with every decision about it."""
    from qrisd.services.refunds import get

    settings = read_settings(config)
    with open_database(settings, read_only=True) as conn, clear_errors():
        shown = _shown(conn, get(conn, refund_id, None)[0])
    _print(shown, as_json, settings.zones.merchant)


@app.command()
def request(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="Its id or order_id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever approves it and whoever reads the books.")],
    username: Username,
    amount: Annotated[
        int | None, typer.Option("--amount", help="Whole rupiah; all that is left when left out.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="provider, cash or transfer.")] = "provider",
    evidence: Annotated[
        str | None, typer.Option("--evidence", help="With cash and transfer: the number of the receipt or transfer.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Ask for a refund. Another person has to approve it, unless the settings let so little go without."""
    from qrisd.services import refunds

    settings = read_settings(config)
    given = {"amount": amount, "reason": reason, "method": method, "evidence": evidence}
    ask, terms = _ask({name: value for name, value in given.items() if value is not None}), _terms(settings)
    by, now = _party(settings, username), datetime.now(UTC)
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        asked = refunds.request(conn, found_payment(conn, payment).id, ask, by, terms, now)
        shown = _shown(conn, asked)
    _print(shown, as_json, settings.zones.merchant)


@app.command()
def approve(
    refund_id: RefundId,
    username: Username,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; as it was asked for, when left out.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Approve a refund that somebody else asked for; the server then sends it."""
    from qrisd.services import refunds

    _decide(config, username, as_json, lambda conn, by, now: refunds.approve(conn, refund_id, by, now, why=reason))


@app.command()
def reject(
    refund_id: RefundId,
    reason: Annotated[str, typer.Option("--reason", help="Why not, for whoever asked for it.")],
    username: Username,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Reject a refund; its amount is free again."""
    from qrisd.services import refunds

    _decide(config, username, as_json, lambda conn, by, now: refunds.reject(conn, refund_id, by, now, why=reason))


@app.command()
def cancel(
    refund_id: RefundId,
    username: Username,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it stays in the audit log.")] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Withdraw a refund that was not sent yet."""
    from qrisd.services import refunds

    _decide(config, username, as_json, lambda conn, by, now: refunds.cancel(conn, refund_id, by, now, why=reason))


@app.command()
def resolve(
    refund_id: RefundId,
    outcome: Annotated[str, typer.Option("--outcome", help="done: the money went back. failed: it did not.")],
    evidence: Annotated[str, typer.Option("--evidence", help="What proves it, such as the provider's own words.")],
    username: Username,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Say how a refund ended that the provider does not answer about. It counts when a second person says the same."""
    from qrisd.domain.refund import Status
    from qrisd.services import refunds

    outcomes = {"done": Status.DONE, "failed": Status.FAILED}
    if outcome not in outcomes or not evidence.strip():
        fail("say --outcome done or --outcome failed, and what proves it with --evidence")

    def act(conn: Connection, by: Party, now: datetime) -> Refund:
        refunds.resolve(conn, refund_id, by, now, outcome=outcomes[outcome], why=evidence.strip())
        return refunds.get(conn, refund_id, None)[0]

    _decide(config, username, as_json, act)


def _decide(
    config: Path | None, username: str, as_json: bool, act: Callable[[Connection, Party, datetime], Refund]
) -> None:
    """Do it and show the refund; who tries to decide about their own request is written down."""
    from qrisd.domain.errors import SelfApproval
    from qrisd.services.refunds import note_refused

    settings = read_settings(config)
    by, now = _party(settings, username), datetime.now(UTC)
    with open_database(settings) as conn, clear_errors():
        try:
            with transaction(conn):
                shown = _shown(conn, act(conn, by, now))
        except SelfApproval as refused:
            with transaction(conn):
                note_refused(conn, refused, now)
            raise
    _print(shown, as_json, settings.zones.merchant)


def _ask(given: dict[str, Any]) -> Any:
    """The request, read as strictly as the API reads it."""
    from pydantic import ValidationError

    from qrisd.schemas import AskRefund

    try:
        return AskRefund.model_validate(given)
    except ValidationError as error:
        fail("; ".join(f"--{one['loc'][0]}: {one['msg']}" for one in error.errors(include_url=False)))


def _terms(settings: Settings) -> Terms:
    from qrisd.app import make_providers, refund_terms
    from qrisd.providers.http import ProviderHttp

    with clear_errors():
        providers = make_providers(settings, settings.provider_settings(), ProviderHttp())
    return refund_terms(settings, providers)


def _party(settings: Settings, username: str) -> Party:
    from qrisd.services.refunds import Party
    from qrisd.store.audit_log import COMMAND_LINE, Actor

    user = proven(settings, username)
    return Party(Actor(user.id, COMMAND_LINE), user.id, user.outlets)


def _shown(conn: Connection, refund: Refund) -> dict[str, Any]:
    """The refund as the API shows it, with every decision."""
    from qrisd.schemas import decision_resource, refund_resource
    from qrisd.services.refunds import get
    from qrisd.store import attempts, refunds

    decided = refunds.decisions(conn, refund.id)
    names = refunds.names(conn, {refund.requested_by, *(one.by for one in decided)})
    attempt = attempts.get(conn, refund.attempt_id) if refund.attempt_id is not None else None
    provider = None if attempt is None else attempt.provider
    shown = refund_resource(refund, get(conn, refund.id, None)[1], provider, names)
    return {**shown, "decisions": [decision_resource(one, names) for one in decided]}


def _print_list(found: list[dict[str, Any]]) -> None:
    from qrisd.domain.money import rupiah

    for refund in found:
        typer.echo(
            f"{refund['id']}  {refund['status']:9} {rupiah(refund['amount']):>14} {refund['method']:9} "
            f"{refund['order_id']}  {refund['reason']}"
        )
    waiting = sum(refund["status"] == "REQUESTED" for refund in found)
    if waiting:
        wait = "waits" if waiting == 1 else "wait"
        typer.echo(f"{waiting} {wait} for approval: `qrisd refunds approve ID --as USERNAME`.")
    elif not found:
        typer.echo("No refunds.")


def _print(refund: dict[str, Any], as_json: bool, zone: ZoneInfo) -> None:
    from qrisd.domain.money import rupiah
    from qrisd.domain.times import from_rfc3339

    def at(text: str) -> str:
        return local_time(from_rfc3339(text), zone)

    if as_json:
        print_json(refund)
        return
    typer.echo(f"{refund['id']}  {refund['status']}")
    facts = {
        "payment": f"{refund['payment_id']} ({refund['order_id']})",
        "amount": f"{rupiah(refund['amount'])} by {refund['method']}",
        "reason": refund["reason"],
        "evidence": refund["evidence"],
        "asked by": f"{refund['requester'] or refund['requested_by']}, {at(refund['created_at'])}",
        "expires": refund["expires_at"] and at(refund["expires_at"]),
        "done": refund["done_at"] and at(refund["done_at"]),
        "reference": refund["reference"],
        "detail": refund["detail"],
    }
    for name, value in facts.items():
        if value is not None:
            typer.echo(f"  {name:9} {value}")
    for one in refund["decisions"]:
        outcome = f" {one['outcome']}" if one["outcome"] else ""
        typer.echo(f"  {at(one['at'])}  {one['decision']}{outcome} by {one['name'] or one['by']}: {one['why']}")
