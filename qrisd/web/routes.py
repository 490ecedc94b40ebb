"""The table of the pages' addresses, like the API's."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.routing import Route

from qrisd.domain.permissions import PUBLIC, ROUTES
from qrisd.web import pages
from qrisd.web.account import AccountPages
from qrisd.web.checkout import Checkout
from qrisd.web.guard import Guard, Shown, ShownToAnybody
from qrisd.web.pages import Pages
from qrisd.web.people import PeoplePages
from qrisd.web.pos import Till
from qrisd.web.pos_connection import ConnectionPage
from qrisd.web.pos_payment import PosPayment
from qrisd.web.pos_shifts import ShiftPages
from qrisd.web.proof import ProofPages
from qrisd.web.receipts import ReceiptPages
from qrisd.web.sign_in import SetupPages, SignInPages


@dataclass(frozen=True, slots=True, kw_only=True)
class Pos:
    """The handlers of the till."""

    till: Till
    payment: PosPayment
    connection: ConnectionPage
    shifts: ShiftPages


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The handlers the routes lead to."""

    pages: Pages
    checkout: Checkout
    guard: Guard
    sign_in: SignInPages
    setup: SetupPages
    account: AccountPages
    people: PeoplePages
    pos: Pos
    receipts: ReceiptPages
    proof: ProofPages


def routes(web: Web) -> list[Route]:
    """Every page and what it loads; none of them is part of the API's description."""
    page, checkout = web.pages.page, web.checkout
    return [
        Route("/pay/{id}", page(checkout.show), include_in_schema=False),
        Route("/pay/{id}/status", checkout.status, include_in_schema=False),
        Route("/pay/{id}/events", checkout.follow, include_in_schema=False),
        Route("/pay/{id}/qr.svg", checkout.qr_svg, include_in_schema=False),
        Route("/pay/{id}/qr.png", checkout.qr_png, include_in_schema=False),
        Route("/pay/{id}/renew", page(checkout.renew), methods=["POST"], include_in_schema=False),
        Route("/static/{file}", pages.file, include_in_schema=False),
        Route("/favicon.ico", pages.favicon, include_in_schema=False),
        *_sign_in_routes(web),
        *_people_routes(web),
        *_pos_routes(web),
        *_shift_routes(web),
        *_receipt_routes(web),
    ]


def _sign_in_routes(web: Web) -> list[Route]:
    sign_in, setup, guard = web.sign_in, web.setup, web.guard
    return [
        person_route(guard, "GET", "/", sign_in.home),
        _visitor_route(guard, "GET", "/setup/{token}", setup.ask),
        _visitor_route(guard, "POST", "/setup/{token}", setup.save),
        _visitor_route(guard, "GET", "/sign-in", sign_in.ask),
        _visitor_route(guard, "POST", "/sign-in", sign_in.sign_in),
        _visitor_route(guard, "GET", "/sign-in/code", sign_in.ask_code),
        _visitor_route(guard, "POST", "/sign-in/code", sign_in.give_code),
        person_route(guard, "POST", "/sign-out", sign_in.sign_out),
        person_route(guard, "GET", "/step-up", sign_in.ask_again),
        person_route(guard, "POST", "/step-up", sign_in.prove),
    ]


def _people_routes(web: Web) -> list[Route]:
    account, people, guard = web.account, web.people, web.guard
    return [
        person_route(guard, "GET", "/me", account.show),
        person_route(guard, "POST", "/me/secret", account.change_secret),
        person_route(guard, "POST", "/me/sessions/{id}/end", account.end_session),
        person_route(guard, "GET", "/me/second-factor", account.show_second_factor),
        person_route(guard, "GET", "/me/second-factor.svg", account.second_factor_svg),
        person_route(guard, "POST", "/me/second-factor/begin", account.begin_second_factor),
        person_route(guard, "POST", "/me/second-factor", account.switch_on),
        person_route(guard, "POST", "/me/second-factor/off", account.switch_off),
        person_route(guard, "POST", "/me/recovery-codes", account.new_codes),
        person_route(guard, "GET", "/people", people.show),
        person_route(guard, "POST", "/people", people.create),
        person_route(guard, "POST", "/people/{id}", people.change),
        person_route(guard, "POST", "/people/{id}/link", people.link),
        person_route(guard, "POST", "/people/{id}/disable", people.disable),
        person_route(guard, "POST", "/people/{id}/enable", people.enable),
    ]


def _pos_routes(web: Web) -> list[Route]:
    till, payment, connection, guard = web.pos.till, web.pos.payment, web.pos.connection, web.guard
    return [
        person_route(guard, "GET", "/pos", till.show),
        _watching_route(guard, "/pos/state", till.state),
        Route("/pos/worker.js", web.pages.page(till.worker), include_in_schema=False),
        Route("/pos/offline", web.pages.page(till.offline), include_in_schema=False),
        person_route(guard, "POST", "/pos/payments", till.sell),
        person_route(guard, "GET", "/pos/payments/{id}", payment.show),
        _watching_route(guard, "/pos/payments/{id}/status", payment.status),
        _watching_route(guard, "/pos/payments/{id}/events", payment.follow),
        _watching_route(guard, "/pos/payments/{id}/qr.svg", payment.qr_svg),
        person_route(guard, "POST", "/pos/payments/{id}/check", payment.check),
        person_route(guard, "POST", "/pos/payments/{id}/cancel", payment.cancel),
        person_route(guard, "POST", "/pos/payments/{id}/renew", payment.renew),
        person_route(guard, "GET", "/pos/connection", connection.show),
        person_route(guard, "POST", "/pos/connection", connection.test),
    ]


def _shift_routes(web: Web) -> list[Route]:
    till, shifts, guard = web.pos.till, web.pos.shifts, web.guard
    return [
        person_route(guard, "POST", "/pos/shifts", till.open_shift),
        person_route(guard, "GET", "/pos/shifts/{id}", shifts.show),
        person_route(guard, "POST", "/pos/shifts/{id}/close", shifts.close),
        person_route(guard, "GET", "/shifts", shifts.every),
        person_route(guard, "GET", "/shifts/{id}", shifts.show),
    ]


def _receipt_routes(web: Web) -> list[Route]:
    receipts, proof, guard = web.receipts, web.proof, web.guard
    return [
        person_route(guard, "GET", "/pos/payments/{id}/receipt", receipts.show),
        person_route(guard, "POST", "/pos/payments/{id}/print", receipts.print),
        person_route(guard, "GET", "/pos/proof", proof.ask),
        person_route(guard, "POST", "/pos/proof", proof.check),
    ]


def person_route(guard: Guard, method: str, path: str, handler: Shown) -> Route:
    """A page for people who are signed in, with the permission that the table asks for. A route without a row in the
    table cannot be made: KeyError."""
    return Route(path, guard.needs(ROUTES[method, path], handler), methods=[method], include_in_schema=False)


def _watching_route(guard: Guard, path: str, handler: Shown) -> Route:
    """What a page asks for by itself while it is open."""
    guarded = guard.needs(ROUTES["GET", path], handler, is_used=False)
    return Route(path, guarded, methods=["GET"], include_in_schema=False)


def _visitor_route(guard: Guard, method: str, path: str, handler: ShownToAnybody) -> Route:
    assert ROUTES[method, path] == PUBLIC, "the table knows this page as one for everybody"
    return Route(path, guard.visitor(handler), methods=[method], include_in_schema=False)
