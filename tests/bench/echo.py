"""The baseline: a bare Starlette + pydantic route on the same server settings. `python -m tests.bench.echo PORT`."""

from __future__ import annotations

import asyncio
import sys

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qrisd.server import run as server_run
from qrisd.server import serve


class Order(BaseModel):
    order_id: str
    amount: int
    description: str | None = None


async def echo(request: Request) -> Response:
    order = Order.model_validate_json(await request.body())
    return Response(order.model_dump_json(), 201, media_type="application/json")


async def main(port: int) -> None:
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"])])
    await serve(app, host="127.0.0.1", port=port, on_started=lambda url: print(url, flush=True), stop=asyncio.Event())


if __name__ == "__main__":
    server_run(main(int(sys.argv[1])))
