"""NICEPAY's own Python client, one call in a process of its own: it keeps everything in globals, takes local time for
Jakarta's, and imports Tk without need. The call is JSON on stdin, the answer JSON on the last line of stdout."""

from __future__ import annotations

import json
import sys
import time
import types
from typing import Any

_box = types.ModuleType("tkinter.messagebox")
_box.RETRY = "retry"  # type: ignore[attr-defined]
_tk = types.ModuleType("tkinter")
_tk.messagebox = _box  # type: ignore[attr-defined]
sys.modules.update({"tkinter": _tk, "tkinter.messagebox": _box})

from python_nicepay.config.apiClient import apiClient  # noqa: E402
from python_nicepay.constants.constantsEndpoint import ConstantsEndpoints  # noqa: E402
from python_nicepay.constants.constantsGeneral import ConstantsGeneral  # noqa: E402
from python_nicepay.data.builder.builderEnvironment import BuildEnvironment  # noqa: E402
from python_nicepay.data.builder.v2.enterprise.dataGenerator import DataGenerator  # noqa: E402
from python_nicepay.service.snapService import SnapService  # noqa: E402
from python_nicepay.service.v2EnterpriseService import ServiceNicepay  # noqa: E402


def main() -> None:
    """Do what stdin says."""
    asked = json.load(sys.stdin)
    ConstantsGeneral.setSandboxBaseUrl(asked["url"])
    environment = BuildEnvironment().isCloud(False).isProduction(False).build()
    answer = (_snap if asked["verb"].startswith("snap") else _v2)(asked, environment)
    print("\n" + json.dumps(answer))


def _v2(asked: dict[str, Any], environment: Any) -> Any:
    ConstantsGeneral.setNonSnapConfiguration(asked["imid"], asked["key"], asked["notify_url"], "")
    body = asked["body"]
    match asked["verb"]:
        case "registration":
            cart = {"count": "1", "item": [{"goods_name": "Kopi", "goods_amt": body["amt"], "goods_quantity": "1"}]}
            sent = DataGenerator.getTransactionBody(body, cart)
            return json.loads(ServiceNicepay.serviceRequest(sent, environment))
        case "inquiry":
            # Its own serviceInquiry sends this and drops the answer.
            sent, headers = DataGenerator.getInquiryBody(body), DataGenerator.getTransactionHeader()
            return apiClient.send(environment.getHost(), headers, sent, ConstantsEndpoints.inquiry())
    return ServiceNicepay.serviceCancel(DataGenerator.getCancelBody(body), environment)


def _snap(asked: dict[str, Any], environment: Any) -> Any:
    """Its X-EXTERNAL-ID is the second, so a new one is waited for. It answers nothing."""
    time.sleep(1.02 - time.time() % 1)
    ConstantsGeneral.setSnapConfiguration(asked["imid"], asked["key"], asked["private_key"])
    endpoint = {
        "snap-generate": ConstantsEndpoints.qris(),
        "snap-query": ConstantsEndpoints.inquiryQris(),
        "snap-refund": ConstantsEndpoints.refundQris(),
    }[asked["verb"]]
    token = {"grantType": "client_credentials", "additionalInfo": ""}
    return SnapService.serviceTransaction(token, asked["body"], endpoint, environment)


if __name__ == "__main__":
    main()
