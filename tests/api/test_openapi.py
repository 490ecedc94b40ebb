"""The description says what the API does, no more and no less."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route

import qrisd
from qrisd.api import examples
from qrisd.api.openapi import openapi, openapi_json
from qrisd.api.operations import OPERATIONS
from qrisd.api.operations.base import Answer
from qrisd.api.problems import BY_CODE, PROBLEMS
from qrisd.api.shapes.base import GenericWebhook, Problem
from qrisd.api.shapes.events import EventPage
from qrisd.api.shapes.payments import Payment, PaymentPage, Timeline
from qrisd.api.shapes.service import Live, Providers, Readiness
from qrisd.schemas import CreatePayment
from qrisd.services.api_keys import SCOPES
from tests.support.installation import Installation

QRISD = Path(qrisd.__file__).parent
REFUSING = ("api/json_body.py", "api/headers.py", "api/requests.py", "api/middleware.py", "connection.py")
ANSWERS = [answer for operation in OPERATIONS.values() for answer in operation.answers.values() if answer.shape]


def routes_of(app: Starlette) -> set[tuple[str, str]]:
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route) and route.include_in_schema
        for method in (route.methods or set()) - {"HEAD"}
    }


async def test_every_route_has_an_operation_and_every_operation_a_route(shop: Installation) -> None:
    assert routes_of(shop.app) == set(OPERATIONS)


def test_the_document_is_valid_openapi_3_1() -> None:
    document = json.loads(openapi_json())
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_operation_ids_are_unique() -> None:
    ids = [operation.id for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_path_parameter_is_described(method: str, path: str) -> None:
    described = {one.name for one in OPERATIONS[method, path].parameters if one.where == "path"}
    assert described == set(re.findall(r"{(\w+)}", path))


async def test_the_document_is_served_without_a_key(shop: Installation) -> None:
    answer = await shop.client.get("/openapi.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(openapi()))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_the_documented_scope_is_the_one_needed(shop: Installation, method: str, path: str) -> None:
    operation = OPERATIONS[method, path]
    url = re.sub(r"{\w+}", "x", path)
    keyless = await shop.client.request(method, url, headers={"Authorization": ""})
    needs_key = keyless.status_code == 401 and "API key" in keyless.text
    assert needs_key == (operation.scope is not None)
    if operation.scope is not None:
        other = shop.new_key(*(scope for scope in SCOPES if scope != operation.scope))
        refused = await shop.client.request(method, url, headers={"Authorization": f"Bearer {other}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.json()["detail"].endswith(f" {operation.scope}.")


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.description)
def test_examples_of_answers_have_their_shape(answer: Answer) -> None:
    assert answer.shape is not None
    answer.shape.model_validate(answer.example, strict=False)


@pytest.mark.parametrize(("shape", "example"), [(CreatePayment, examples.ORDER), (GenericWebhook, examples.WEBHOOK)])
def test_examples_of_bodies_have_their_shape(shape: type[BaseModel], example: Mapping[str, Any]) -> None:
    shape.model_validate(example)


def test_examples_of_problems_have_their_shape() -> None:
    for response in openapi()["components"]["responses"].values():
        for example in response["content"]["application/problem+json"]["examples"].values():
            Problem.model_validate(example["value"])


def codes_raised_in(path: str) -> set[str]:
    """The problem codes that one module refuses with, as they stand in its text."""
    said: list[ast.expr] = []
    for node in ast.walk(ast.parse((QRISD / path).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("BadBody", "_Refused", "refuse"):
            said += node.args
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "self.code":
            said.append(node.value)
    texts = [text.value for text in said if isinstance(text, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch("[a-z_]+", text)}


def test_every_problem_code_is_documented_for_some_call() -> None:
    documented = {
        code
        for response in openapi()["components"]["responses"].values()
        for code in response["content"]["application/problem+json"]["examples"]
    }
    used = {row.code for row in PROBLEMS.values()} | {code for path in REFUSING for code in codes_raised_in(path)}
    assert used <= documented
    assert documented == set(BY_CODE)


async def test_what_is_answered_has_the_documented_shape(shop: Installation) -> None:
    made = await shop.create(customer={"name": "Budi"}, metadata={"table": "7"})
    assert_exactly(Payment, made)
    assert_exactly(Payment, await shop.create("INV-2", metadata={"simulator": "lose_answer"}))
    await shop.webhook(made)
    answers: dict[str, type[BaseModel]] = {
        f"/payments/{made['id']}": Payment,
        "/payments": PaymentPage,
        f"/payments/{made['id']}/timeline": Timeline,
        "/events": EventPage,
        "/providers": Providers,
        "/healthz": Live,
        "/readyz": Readiness,
    }
    for path, shape in answers.items():
        assert_exactly(shape, (await shop.client.get(path)).json())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/payments", {"order_id": "INV-1", "amount": "15000", "fee": 1}),
        ("POST", "/payments", {"order_id": "INV-1", "amount": 1, "metadata": {"simulator": "refuse"}}),
        ("POST", "/payments", {"order_id": "INV-1", "amount": 1, "metadata": {"simulator": "unreachable"}}),
        ("GET", "/payments/x", None),
        ("GET", "/payments?limit=x", None),
        ("GET", "/events?after=x", None),
        ("GET", "/events?after=1", None),
        ("PUT", "/payments", None),
        ("GET", "/nowhere", None),
        ("POST", "/payments/x/cancel", None),
        ("POST", "/webhooks/qris", {}),
    ],
)
async def test_problems_have_the_documented_shape(
    shop: Installation, method: str, path: str, body: Mapping[str, Any] | None
) -> None:
    answer = await shop.client.request(method, path, json=body)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert problem.status == answer.status_code
    assert problem.status == BY_CODE[problem.code].status


async def test_a_state_that_forbids_is_named_in_the_problem(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    answer = await shop.client.post(f"/payments/{payment['id']}/cancel")
    assert Problem.model_validate(answer.json()).payment_status == "PAID"


async def test_a_taken_order_id_names_the_payment_that_has_it(shop: Installation) -> None:
    payment = await shop.create()
    answer = await shop.client.post("/payments", json={"order_id": "INV-1", "amount": 1})
    assert Problem.model_validate(answer.json()).existing == payment["id"]


def assert_exactly(shape: type[BaseModel], value: Any) -> None:
    """`value` has the members of `shape`, all of them and no others, and means the same when read and written."""
    assert shape.model_validate(value).model_dump(mode="json", exclude_unset=True) == value
