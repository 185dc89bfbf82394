"""The simulated Airbyte as an HTTP server on 127.0.0.1, in real time, with a set latency for each request.

It is one process without threads, so that hundreds of requests can wait in it at once. ``main`` is that process;
`process.running_simulation` starts and ends it. Below ``/simulation``, which has no latency and is not counted, is
what lies behind the API.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from aiohttp import web

from benchmarks.simulated_airbyte.calls import Answer
from benchmarks.simulated_airbyte.core import SimulatedAirbyte
from benchmarks.simulated_airbyte.transport import body_of


class Server:
    """Answers HTTP requests from a `SimulatedAirbyte`.

    Args:
        airbyte: Answers.
        latency: Seconds for each request: half of them on its way there, half on the way back.
    """

    def __init__(self, airbyte: SimulatedAirbyte, latency: float) -> None:
        self._airbyte = airbyte
        self._half = latency / 2

    def application(self) -> web.Application:
        """Return what aiohttp serves."""
        application = web.Application()
        application.router.add_get("/simulation/truth", self._truth)
        application.router.add_get("/simulation/records", self._records)
        application.router.add_delete("/simulation/records", self._forget_records)
        application.router.add_patch("/simulation/connections/{id}", self._alter)
        application.router.add_delete("/simulation/connections/{id}", self._delete)
        application.router.add_route("*", "/api/{rest:.*}", self._call)
        return application

    async def _call(self, request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.sleep(self._half)
        answer = self._answer(request, body)
        await asyncio.sleep(self._half)
        if answer.json is None:
            return web.Response(status=answer.status)
        if isinstance(answer.json, str):
            return web.Response(status=answer.status, text=answer.json)
        return web.json_response(answer.json, status=answer.status)

    def _answer(self, request: web.Request, body: bytes) -> Answer:
        if not self._airbyte.accepts(request.path, request.headers.get("Authorization")):
            return Answer(401, {"message": "Unauthorized"})
        query = {key: ",".join(request.query.getall(key)) for key in request.query}
        return self._airbyte.answer(request.method, request.path, query, body_of(body, request.content_type))

    async def _truth(self, _request: web.Request) -> web.Response:
        return web.json_response(self._airbyte.truth())

    async def _records(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(record) for record in self._airbyte.records])

    async def _forget_records(self, _request: web.Request) -> web.Response:
        self._airbyte.records.clear()
        return web.Response(status=204)

    async def _alter(self, request: web.Request) -> web.Response:
        self._airbyte.alter(request.match_info["id"], **await request.json())
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        self._airbyte.delete(request.match_info["id"])
        return web.Response(status=204)


async def _serve(options: dict[str, Any]) -> None:
    latency = options.pop("latency")
    airbyte = SimulatedAirbyte(clock=time.monotonic, start=time.time(), **options)
    # Nobody waits for connections that a client has left open.
    runner = web.AppRunner(Server(airbyte, latency).application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    # Whoever started it holds the other end, and lets it go at its end, whichever that is.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Serve until the standard input ends; the argument is JSON: the options of `SimulatedAirbyte`, and `latency`."""
    asyncio.run(_serve(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
