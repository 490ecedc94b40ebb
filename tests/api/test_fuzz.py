"""Requests made from the description, good and bad alike: whatever comes, the answer is one the description names."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode, Response
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from qrisd.api.operations import OPERATIONS
from qrisd.api.problems import BY_CODE
from qrisd.providers import simulator
from tests.support.server import LiveServer

EXAMPLES_PER_MODE = int(os.environ.get("FUZZ_EXAMPLES", "15"))
ENV = {"QRISD_RATE_LIMIT__FAILED_AUTH": "1000000/minute", "QRISD_RATE_LIMIT__PER_KEY": "1000000/minute"}
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("fuzz") / "data", env=ENV) as running:
        yield running


@pytest.fixture(scope="module")
def description(installation: LiveServer) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{installation.url}/openapi.json")


@pytest.fixture(scope="module")
def payment_ids(installation: LiveServer) -> list[str]:
    """Payments to find: open, cancelled, and without a QR yet."""
    with installation.client() as client:
        orders = [{"order_id": f"FUZZ-{n}", "amount": 15_000} for n in range(3)]
        orders.append({"order_id": "FUZZ-3", "amount": 15_000, "metadata": {"simulator": "lose_answer"}})
        ids = [client.post("/payments", json=order).json()["id"] for order in orders]
        client.post(f"/payments/{ids[0]}/cancel")
    return ids


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_the_description_names(
    installation: LiveServer,
    description: BaseSchema,
    payment_ids: list[str],
    method: str,
    path: str,
    mode: GenerationMode,
) -> None:
    operation = description[path][method]
    strategy = operation.as_strategy(generation_mode=mode)
    known = st.sampled_from([None, *payment_ids])

    @seed(20260115)
    @settings(
        max_examples=EXAMPLES_PER_MODE,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, payment_id=known)
    def answers_as_described(case: Case[Any], payment_id: str | None) -> None:
        if payment_id is not None and "{id}" in path and operation.definition.raw["operationId"] != "streamPayment":
            case.path_parameters["id"] = payment_id
        if isinstance((case.query or {}).get("wait"), int):
            case.query["wait"] = 0
        if payment_id is not None and isinstance(case.body, dict):
            make_welcome(installation, case)
        answer = case.call(headers={"Authorization": f"Bearer {installation.key}"}, timeout=15)
        assert answer.status_code < 500 or path == "/readyz", answer.text
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert_is_problem(answer)

    answers_as_described()


def make_welcome(installation: LiveServer, case: Case[Any]) -> None:
    """Put right what the description cannot say: the providers there are, the most an order may be, the signature."""
    body: Any = case.body
    if case.path == "/payments":
        body.pop("provider", None)
        body.pop("callback_url", None)
        if isinstance(body.get("amount"), int):
            body["amount"] %= 10_000_000
    else:
        raw, timestamp = json.dumps(body).encode(), str(int(time.time()))
        secret = (installation.data_dir / "simulator.secret").read_text().strip().encode()
        case.path_parameters["provider"] = "qris"
        case.headers.update({"X-Timestamp": timestamp, "X-Signature": simulator.sign(secret, raw, timestamp)})


def assert_is_problem(answer: Response) -> None:
    assert answer.headers["content-type"] == ["application/problem+json"]
    problem = answer.json()
    assert problem["status"] == answer.status_code == BY_CODE[problem["code"]].status
    assert problem["type"] == f"urn:qrisd:problem:{problem['code']}"
    assert problem["request_id"] == answer.headers["x-request-id"][0]
    assert not re.search(r"Traceback|\.py|sqlite", answer.text)
