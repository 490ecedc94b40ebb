"""`qrisd simulate-pay`: the simulator pays a payment, by the webhooks a real provider would send."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qrisd.cli.common import AsJson, Config, clear_errors, fail, found_payment, open_database, print_json, read_settings

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.domain.payment import Attempt, Payment
    from qrisd.providers.http import Answer, ProviderHttp

STATUSES = ("PAID", "PENDING", "FAILED", "EXPIRED", "CANCELLED", "REFUNDED")
ANSWER_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is sent: `status` with `amount` (the attempt's own when None), `repeat` times."""

    status: str
    amount: int | None
    repeat: int
    late: bool
    shuffle: bool
    forge: bool

    @property
    def is_plain_payment(self) -> bool:
        """True when the payment must read PAID afterwards."""
        return self.status == "PAID" and self.amount is None and not self.forge


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that was sent, and what the server answered: its outcome, or why it refused."""

    event: Mapping[str, Any]
    http_status: int
    outcome: str


def simulate_pay(
    payment_name: Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id or its order_id.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Where the server is; found by the data directory if left out.")
    ] = (None),
    amount: Annotated[int | None, typer.Option("--amount", min=1, help="Rupiah; what was asked if left out.")] = None,
    status: Annotated[str, typer.Option("--status", help="One of " + ", ".join(STATUSES) + ".")] = "PAID",
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=1000, help="Send the same event N times.")] = 1,
    late: Annotated[bool, typer.Option("--late", help="The QR is reported expired before the money arrives.")] = False,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="All at once and in no order, with a PENDING.")] = False,
    forge: Annotated[bool, typer.Option("--forge", help="Sign wrongly; the server must refuse it.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Pay a payment through the simulator. Exit 2 when it needs a person afterwards."""
    plan = Plan(status=status.upper(), amount=amount, repeat=repeat, late=late, shuffle=shuffle, forge=forge)
    if plan.status not in STATUSES:
        fail(f"there is no status {status!r}; choose one of {', '.join(STATUSES)}")
    settings = read_settings(config)
    if settings.environment == "live":
        fail("simulate-pay is off where environment is live: real money is moved by real providers only.")
    payment, attempt = _find(settings, payment_name)
    _refuse_unpayable(settings, attempt)
    secret = _secret(settings, attempt.provider, forge)
    signer = Signer(secret, with_time=settings.signature_version == 2)
    with clear_errors():
        deliveries = asyncio.run(_send(plan, attempt, signer, _address(url or _running_at(settings), attempt.provider)))
    _report(plan, deliveries, _find(settings, payment.id)[0], as_json)


def _running_at(settings: Settings) -> str:
    """Where the server says it is, else where the settings say it would be."""
    from qrisd.data_dir import DataDir

    return DataDir(settings.data_dir).server_url() or settings.address


def _find(settings: Settings, name: str) -> tuple[Payment, Attempt]:
    """The payment with this id or order id, and its present attempt."""
    from qrisd.store import attempts

    with open_database(settings, read_only=True) as conn, clear_errors():
        payment = found_payment(conn, name)
        attempt = attempts.by_number(conn, payment.id, payment.attempt)
    assert attempt is not None, "a payment's present attempt exists"
    return payment, attempt


def _refuse_unpayable(settings: Settings, attempt: Attempt) -> None:
    from qrisd.domain.payment import Status
    from qrisd.providers.simulator import SimulatorSettings

    if not isinstance(settings.provider_settings().get(attempt.provider), SimulatorSettings):
        fail(f"this payment is at {attempt.provider}; only payments at the simulator can be paid this way")
    if attempt.status is Status.CREATED:
        fail("the simulator has not confirmed this payment's QR yet; wait a moment and try again")
    if attempt.qris_payload is None:
        fail("the simulator never made a QR for this payment, so nobody can pay it")


def _secret(settings: Settings, provider: str, forge: bool) -> bytes:
    from qrisd.data_dir import DataDir
    from qrisd.providers.simulator import SimulatorSettings

    if forge:
        return secrets.token_bytes(32)
    own = settings.provider_settings()[provider]
    if isinstance(own, SimulatorSettings) and own.webhook_secret is not None:
        return own.webhook_secret.get_secret_value().encode()
    try:
        return DataDir(settings.data_dir).simulator_secret.read_text("ascii").strip().encode()
    except FileNotFoundError:
        fail("the simulator has no webhook secret yet. Start the server once: qrisd serve")


def _address(base_url: str, provider: str) -> str:
    return f"{base_url.rstrip('/')}/webhooks/{'qris' if provider == 'simulator' else provider}"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs the generic webhook; `with_time` is version 2."""

    secret: bytes
    with_time: bool

    def headers(self, body: bytes) -> dict[str, str]:
        from qrisd.providers.simulator import sign

        timestamp = str(int(time.time())) if self.with_time else None
        stamped = {"X-Timestamp": timestamp} if timestamp else {}
        return {"Content-Type": "application/json", "X-Signature": sign(self.secret, body, timestamp), **stamped}


def events(plan: Plan, attempt: Attempt, now: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the simulator sends: one after the other first, and then the rest, which `shuffle` puts in any order."""
    from qrisd.domain.payment import OPEN

    main = _event(attempt, plan.status, plan.amount or attempt.amount, now)
    before = [_event(attempt, "EXPIRED", attempt.amount, now)] if plan.late and attempt.status in OPEN else []
    rest = [main] * plan.repeat
    if plan.shuffle:
        rest = [_event(attempt, "PENDING", attempt.amount, now), *rest]
        random.shuffle(rest)
    return before, rest


def _event(attempt: Attempt, status: str, amount: int, now: datetime) -> dict[str, Any]:
    from qrisd.domain.times import to_text

    event = {
        "event_id": f"evt_{secrets.token_hex(16)}",
        "provider_trx_id": attempt.provider_trx_id,
        "order_id": attempt.reference,
        "status": status,
        "amount": amount,
        "currency": "IDR",
    }
    if status == "PAID":
        event |= {"paid_at": to_text(now), "provider_ref_no": f"{secrets.randbelow(10**12):012}"}
    return event


async def _send(plan: Plan, attempt: Attempt, signer: Signer, url: str) -> list[Delivery]:
    from qrisd.providers.http import ProviderHttp

    before, rest = events(plan, attempt, datetime.now(UTC))
    http = ProviderHttp()
    try:
        done = [await _deliver(http, url, signer, event) for event in before]
        if plan.shuffle:
            return done + await asyncio.gather(*(_deliver(http, url, signer, event) for event in rest))
        return done + [await _deliver(http, url, signer, event) for event in rest]
    finally:
        await http.aclose()


async def _deliver(http: ProviderHttp, url: str, signer: Signer, event: Mapping[str, Any]) -> Delivery:
    from qrisd.domain.errors import NotFound, ProviderUnreachable
    from qrisd.providers.simulator import webhook_body

    body = webhook_body(**event)
    try:
        answer = await http.request(
            "The server", "POST", url, headers=signer.headers(body), content=body, timeout_s=ANSWER_WITHIN_S
        )
    except ProviderUnreachable as error:
        raise NotFound(f"{error} Start it with qrisd serve, or say where it is with --url ({url}).") from None
    return Delivery(event, answer.status, _outcome(answer))


def _outcome(answer: Answer) -> str:
    from qrisd.providers.http import parse_object

    with suppress(ValueError):  # some other program's page
        body = parse_object(answer.body)
        return str(body.get("outcome") or body.get("detail") or body.get("title") or "")
    return "not an answer of qrisd"


def _report(plan: Plan, deliveries: list[Delivery], payment: Payment, as_json: bool) -> None:
    if as_json:
        print_json({"deliveries": [_described(one) for one in deliveries], "payment": _standing(payment)})
    else:
        _print(deliveries, payment)
    problem = _problem(plan, deliveries, payment)
    if problem is not None:
        fail(problem)
    if payment.exception is not None and not plan.forge:
        raise typer.Exit(2)


def _problem(plan: Plan, deliveries: Iterable[Delivery], payment: Payment) -> str | None:
    """What did not go as it must."""
    from qrisd.domain.payment import MONEY

    wanted = 401 if plan.forge else 200
    wrong = next((one for one in deliveries if one.http_status != wanted), None)
    if wrong is not None and plan.forge:
        return f"the forged webhook must be refused with 401, but the server answered {wrong.http_status}"
    if wrong is not None:
        return f"the server did not take the webhook: HTTP {wrong.http_status}, {wrong.outcome}{_advice(wrong)}"
    if plan.is_plain_payment and payment.status not in MONEY:
        return f"the webhook was taken, but the payment is {payment.status}. Does the server use this data_dir?"
    return None


def _advice(wrong: Delivery) -> str:
    advice = {
        401: " Does the server use this data_dir and webhook_secret?",
        404: " Is it qrisd, and not live?",
        503: " Try again in a moment.",
    }
    return advice.get(wrong.http_status, "")


def _described(one: Delivery) -> dict[str, Any]:
    return {**one.event, "http_status": one.http_status, "outcome": one.outcome}


def _standing(payment: Payment) -> dict[str, Any]:
    from qrisd.domain.times import to_text_or_none

    names = ("id", "order_id", "status", "exception", "amount", "amount_paid", "amount_refunded", "provider_ref_no")
    return {**{name: getattr(payment, name) for name in names}, "paid_at": to_text_or_none(payment.paid_at)}


def _print(deliveries: Iterable[Delivery], payment: Payment) -> None:
    from qrisd.domain.money import rupiah

    for one in deliveries:
        typer.echo(f"{one.event['status']} {rupiah(one.event['amount'])}: HTTP {one.http_status}, {one.outcome}")
    odd = f", {payment.exception}: a person must look at it" if payment.exception else ""
    paid = f"{rupiah(payment.amount_paid)} of {rupiah(payment.amount)} paid"
    typer.echo(f"{payment.order_id} is {payment.status}, {paid}{odd}")
