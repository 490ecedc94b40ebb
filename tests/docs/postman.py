"""Makes `docs/api-collection.json`, a Postman collection that works as a run, of the OpenAPI document.

python -m tests.docs.postman
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qrisd.api.openapi import openapi

JsonObject = dict[str, Any]

COLLECTION: Final = Path(__file__).parents[2] / "docs" / "api-collection.json"
SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
ABOUT: Final = """\
Run it from top to bottom: each request uses what the ones before it made. Every run makes orders of its own.

Variables: `baseUrl`; `apiKey`, shown by the first start of `qrisd serve` or made with `qrisd keys create`;
`webhookSecret`, the setting `providers.simulator.webhook_secret`, or the file `simulator.secret` in the data directory
where it is unset. Without the secret the signed webhook is left out, and what depends on it is not asserted.

Not in here: `GET /payments/{id}/events`, a stream that does not end.
"""

NEW_ORDER: Final = ('pm.collectionVariables.set("orderId", "PM-" + pm.variables.replaceIn("{{$guid}}"));',)
SIGN: Final = (
    'const { HmacSHA256 } = require("crypto-js");',
    'if (!pm.variables.get("webhookSecret")) { pm.execution.skipRequest(); }',
    "const timestamp = String(Math.floor(Date.now() / 1000));",
    "const body = pm.variables.replaceIn(pm.request.body.raw);",
    "pm.request.body.update(body);",
    'const secret = pm.variables.get("webhookSecret");',
    'pm.request.headers.upsert({ key: "X-Timestamp", value: timestamp });',
    'const signature = HmacSHA256(timestamp + "." + body, secret).toString();',
    'pm.request.headers.upsert({ key: "X-Signature", value: signature });',
)
REMEMBER: Final = (
    'pm.collectionVariables.set("paymentId", pm.response.json().id);',
    'pm.collectionVariables.set("trxId", pm.response.json().provider_trx_id);',
)


# Only what was paid can be given back.
IF_PAID: Final = ('if (!pm.variables.get("webhookSecret")) { pm.execution.skipRequest(); }',)
NEW_KEY: Final = (
    *IF_PAID,
    'pm.request.headers.upsert({ key: "Idempotency-Key", value: pm.variables.replaceIn("{{$guid}}") });',
)
REMEMBER_REFUND: Final = ('pm.collectionVariables.set("refundId", pm.response.json().id);',)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of the run: an operation, the status it must be answered with, and what else must be so."""

    operation: str
    status: int = 200
    name: str | None = None
    asserts: tuple[tuple[str, str], ...] = ()  # (sentence, JavaScript that throws when it is not so)
    then: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()


def _is(member: str, value: str) -> tuple[str, str]:
    return f"{member} is {value}", f"pm.expect(pm.response.json().{member}).to.eql({value});"


PENDING: Final = _is("status", '"PENDING"')
IS_PAID: Final = (
    "the money has come",
    'if (pm.variables.get("webhookSecret")) { pm.expect(pm.response.json().status).to.eql("PAID"); }',
)
REPLAYED: Final = (
    "it is the same payment, said again",
    'pm.response.to.have.header("Idempotent-Replayed", "true");',
)
IS_ASKED: Final = _is("status", '"REQUESTED"')
LISTED: Final = (
    "the payment is listed",
    'pm.expect(pm.response.json().data.map((one) => one.id)).to.eql([pm.variables.get("paymentId")]);',
)
FED: Final = (
    "an event is fed, and where to go on",
    "pm.expect(pm.response.json().next_after).to.eql(pm.response.json().data[0].id);",
)
NO_CALLBACKS: Final = ("there is a list", 'pm.expect(pm.response.json().data).to.be.an("array");')
IS_SIGNED: Final = (
    "the command has the signature",
    'pm.expect(pm.response.json().curl).to.include("webhook-signature: v1,");',
)
IS_SVG: Final = ("it is a picture", 'pm.response.to.have.header("Content-Type", "image/svg+xml");')
IS_PNG: Final = ("it is a picture", 'pm.response.to.have.header("Content-Type", "image/png");')

RUN: Final[dict[str, tuple[Step, ...]]] = {
    "1. From the order to the money": (
        Step(operation="createPayment", status=201, asserts=(PENDING,), then=REMEMBER, before=NEW_ORDER),
        Step(operation="createPayment", name="Create it again: the same payment", asserts=(REPLAYED,)),
        Step(operation="getPayment", asserts=(PENDING,)),
        Step(operation="listPayments", asserts=(LISTED,), query=(("order_id", "{{orderId}}"), ("limit", "20"))),
        Step(operation="getQrSvg", asserts=(IS_SVG,)),
        Step(operation="getQrPng", asserts=(IS_PNG,)),
        Step(operation="checkPayment", asserts=(PENDING,)),
        Step(operation="renewPayment", asserts=(PENDING, _is("attempt", "2")), then=REMEMBER),
        Step(operation="issueToken", status=404, name="A token for a SNAP bank: none is configured"),
        Step(operation="receiveWebhook", asserts=(_is("outcome", '"applied"'),), before=SIGN),
        Step(operation="getPayment", name="Read the paid payment", asserts=(IS_PAID,)),
        Step(operation="listEvents", asserts=(FED,), query=(("after", "0"), ("limit", "1"))),
        Step(operation="getRefundable"),
        Step(operation="requestRefund", status=201, asserts=(IS_ASKED,), then=REMEMBER_REFUND, before=NEW_KEY),
        Step(operation="listRefundsOfPayment", asserts=(_is("data.length", "1"),), before=IF_PAID),
        Step(operation="listRefunds", query=(("status", "REQUESTED"), ("limit", "20"))),
        Step(operation="getRefund", asserts=(IS_ASKED,), before=IF_PAID),
        Step(operation="approveRefund", status=403, name="Approve it with a machine's key: refused", before=IF_PAID),
        Step(operation="rejectRefund", status=403, name="Reject it with a machine's key: refused", before=IF_PAID),
        Step(operation="cancelRefund", asserts=(_is("status", '"CANCELLED"'),), before=IF_PAID),
        Step(operation="listEntries", name="What it posted"),
        Step(operation="listAccounts", name="Where every rupiah is"),
        Step(operation="getTimeline", asserts=(_is("data[0].event", '"CREATED"'),)),
    ),
    "2. An order that is given up": (
        Step(operation="createPayment", status=201, asserts=(PENDING,), then=REMEMBER, before=NEW_ORDER),
        Step(operation="confirmPayment", status=409, name="A word for a provider that knows is refused"),
        Step(operation="cancelPayment", asserts=(_is("status", '"CANCELLED"'),)),
        Step(
            operation="renewPayment",
            status=409,
            name="Renew it: refused",
            asserts=(_is("code", '"wrong_state"'), _is("payment_status", '"CANCELLED"')),
        ),
    ),
    "3. Callbacks": (
        Step(operation="listCallbacks", asserts=(NO_CALLBACKS,), query=(("status", "DEAD"), ("limit", "20"))),
        Step(operation="listEndpoints", asserts=(NO_CALLBACKS,)),
        Step(operation="testCallback", name="Send a ping to nobody", asserts=(_is("delivered", "false"), IS_SIGNED)),
        Step(operation="getCallback", status=404, name="Read a callback that is not there"),
        Step(operation="replayCallback", status=404, name="Send a callback again that is not there"),
        Step(
            operation="replayCallbacks", name="Send again what was given up to nobody", asserts=(_is("replayed", "0"),)
        ),
        Step(operation="resumeEndpoint", status=404, name="Switch on what is not off"),
    ),
    "4. The service": (
        Step(operation="listProviders"),
        Step(
            operation="getExport",
            name="Export a day's payments",
            query=(("from", "2026-01-15"), ("to", "2026-01-15"), ("totals", "true")),
        ),
        Step(
            operation="importSettlements",
            name="Check a report, storing nothing",
            asserts=(_is("lines", "1"), _is("dry_run", "true")),
            query=(("provider", "simulator"), ("dry_run", "true")),
        ),
        Step(operation="listSettlements", query=(("date", "2026-01-17"), ("limit", "20"))),
        Step(operation="listSettlementFiles"),
        Step(operation="listOvercharges"),
        Step(operation="startReconciliation", asserts=(_is("unasked", "0"),)),
        Step(operation="getReconciliation"),
        Step(operation="listReconciliations", query=(("limit", "20"),)),
        Step(operation="listExceptions", query=(("limit", "20"),)),
        Step(operation="actOnException", status=404, name="Resolve an exception that is not there"),
        Step(operation="enterPayout", name="Enter what arrived at the bank"),
        Step(operation="listAudit", name="Who did what", query=(("limit", "20"),)),
        Step(operation="getHealth", asserts=(_is("status", '"ok"'),)),
        Step(operation="getReadiness", asserts=(_is("status", '"ready"'),)),
        Step(operation="getMetrics"),
        Step(operation="getOpenapi", asserts=(_is("openapi", '"3.1.0"'),)),
        Step(operation="getDocs"),
        Step(operation="getDocsFile"),
    ),
}

# What stands in the requests instead of the document's examples.
VALUES: Final = {"id": "{{paymentId}}", "order_id": "{{orderId}}", "provider_trx_id": "{{trxId}}"}
EVENT_ID: Final = "evt_{{$guid}}"


def collection() -> JsonObject:
    """The whole collection."""
    calls = {call["operationId"]: (method, path, call) for method, path, call in _calls(openapi()["paths"])}
    folders = [
        {"name": name, "item": [_item(step, *calls[step.operation]) for step in steps]} for name, steps in RUN.items()
    ]
    return {
        "info": {"name": "qrisd", "description": ABOUT, "schema": SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{apiKey}}", "type": "string"}]},
        "variable": [
            {"key": "baseUrl", "value": "http://127.0.0.1:8000"},
            *(
                {"key": name, "value": ""}
                for name in ("apiKey", "webhookSecret", "orderId", "paymentId", "trxId", "refundId")
            ),
        ],
        "item": folders,
    }


def _calls(paths: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    for path, methods in paths.items():
        for method, call in methods.items():
            yield method.upper(), path, call


def _item(step: Step, method: str, path: str, call: JsonObject) -> JsonObject:
    request: JsonObject = {
        "method": method,
        "header": [],
        "url": _url(path, call, step.query),
        "description": call["description"],
    }
    if not call["security"]:
        request["auth"] = {"type": "noauth"}
    if "requestBody" in call:
        request |= _body(call["requestBody"]["content"])
    return {"name": step.name or call["summary"], "event": list(_events(step)), "request": request}


def _body(content: JsonObject) -> JsonObject:
    """The first media type's example, and its header."""
    media_type, shown = next(iter(content.items()))
    is_json = media_type == "application/json"
    raw = _filled(shown["example"]) if is_json else shown["example"]
    options = {"raw": {"language": "json" if is_json else "text"}}
    header = [{"key": "Content-Type", "value": media_type}]
    return {"header": header, "body": {"mode": "raw", "raw": raw, "options": options}}


def _url(path: str, call: JsonObject, query: Iterable[tuple[str, str]]) -> JsonObject:
    parts = [f":{part[1:-1]}" if part.startswith("{") else part for part in path.strip("/").split("/")]
    asked = [{"key": name, "value": value} for name, value in query]
    raw = "/".join(["{{baseUrl}}", *parts])
    if asked:
        raw += "?" + "&".join(f"{one['key']}={one['value']}" for one in asked)
    url: JsonObject = {"raw": raw, "host": ["{{baseUrl}}"], "path": parts}
    if asked:
        url["query"] = asked
    examples = {one["name"]: one["example"] for one in call["parameters"] if one.get("in") == "path"}
    if examples:
        values = {**VALUES, "id": "{{refundId}}"} if parts[0] == "refunds" else VALUES
        url["variable"] = [{"key": name, "value": values.get(name, value)} for name, value in examples.items()]
    return url


def _filled(example: JsonObject) -> str:
    """The example as this run sends it: its own order, no callback to an address that is not there."""
    body = {name: VALUES.get(name, value) for name, value in example.items() if name != "callback_url"}
    if "event_id" in body:
        body |= {"event_id": EVENT_ID, "paid_at": "{{$isoTimestamp}}"}
    return json.dumps(body, indent=2)


def _events(step: Step) -> Iterator[JsonObject]:
    if step.before:
        yield _script("prerequest", step.before)
    sentences = ((f"answered {step.status}", f"pm.response.to.have.status({step.status});"), *step.asserts)
    tests = [f"pm.test({json.dumps(sentence)}, () => {{ {check} }});" for sentence, check in sentences]
    yield _script("test", (*tests, *step.then))


def _script(listen: str, lines: Iterable[str]) -> JsonObject:
    return {"listen": listen, "script": {"type": "text/javascript", "exec": list(lines)}}


def collection_text() -> str:
    """The file's content."""
    return json.dumps(collection(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    COLLECTION.write_text(collection_text())
