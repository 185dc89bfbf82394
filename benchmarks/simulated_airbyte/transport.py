"""The simulated Airbyte in memory, under an `httpx.Client`: no sockets, no waiting; and what goes wrong on the way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx

from benchmarks.simulated_airbyte.calls import Answer
from benchmarks.simulated_airbyte.core import SimulatedAirbyte
from benchmarks.simulated_airbyte.faults import STATUS, Fault, Faults

#: Base of the public API, as the transport knows it; it may have any host.
SERVER_URL = "http://airbyte.test/api/public/v1"
_GATEWAYS = frozenset({"bad_gateway", "unavailable", "gateway_timeout"})


class SimulatedTransport(httpx.BaseTransport):
    """Takes requests to a `SimulatedAirbyte`; safe to use from several threads, if what it is given is.

    Args:
        airbyte: Answers.
        faults: Decides what goes wrong with a call; nothing by default.
        latency: Seconds that each request takes.
        sleep: Makes them pass.

    Attributes:
        sent: How many requests came here, those that went wrong included.
    """

    def __init__(
        self,
        airbyte: SimulatedAirbyte,
        faults: Faults = lambda _method, _path: None,
        *,
        latency: float = 0.0,
        sleep: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.sent = 0
        self._airbyte = airbyte
        self._faults = faults
        self._latency = latency
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, or raise what httpx raises when a connection is lost."""
        self.sent += 1
        if self._latency:
            self._sleep(self._latency)
        fault = self._faults(request.method, request.url.path)
        if fault is not None and fault.kind == "expired":
            self._airbyte.expire_tokens()
            fault = None
        if fault is not None and fault.kind == "shifted":
            self._airbyte.shift(random.Random(self.sent))  # noqa: S311
            fault = None
        if fault is None:
            return respond(self._act(request))
        return self._go_wrong(request, fault)

    def _go_wrong(self, request: httpx.Request, fault: Fault) -> httpx.Response:
        if fault.kind == "refused":
            raise httpx.ConnectError("Connection refused", request=request)
        if fault.kind == "answer_lost" or (fault.kind in _GATEWAYS and fault.has_acted):
            self._act(request)
        elif fault.kind == "late" and self._is_signed(request):
            self._airbyte.answer_later(fault.seconds, *call_of(request))
        if fault.kind == "rate_limited":
            headers = {"Retry-After": f"{fault.seconds:.0f}"}
            return httpx.Response(429, headers=headers, json={"message": "You are being rate limited."})
        if fault.kind in _GATEWAYS:
            return httpx.Response(STATUS[fault.kind], text="The gateway says no.")
        if fault.kind == "late":
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)

    def _act(self, request: httpx.Request) -> Answer:
        if not self._is_signed(request):
            return Answer(401, {"message": "Unauthorized"})
        return self._airbyte.answer(*call_of(request))

    def _is_signed(self, request: httpx.Request) -> bool:
        return self._airbyte.accepts(request.url.path, request.headers.get("authorization"))


def call_of(request: httpx.Request) -> tuple[str, str, dict[str, str], Any]:
    """Return what `SimulatedAirbyte.answer` takes."""
    query = {key: ",".join(values) for key, values in parse_qs(request.url.query.decode()).items()}
    return request.method, request.url.path, query, body_of(request.read(), request.headers.get("content-type", ""))


def body_of(content: bytes, content_type: str) -> Any:
    """Read a body: JSON, or a form's fields."""
    if not content:
        return None
    if content_type.startswith("application/x-www-form-urlencoded"):
        return {key: values[-1] for key, values in parse_qs(content.decode()).items()}
    return json.loads(content)


def respond(answer: Answer) -> httpx.Response:
    """Make httpx's response of an answer."""
    if answer.json is None:
        return httpx.Response(answer.status)
    if isinstance(answer.json, str):
        return httpx.Response(answer.status, text=answer.json)
    return httpx.Response(answer.status, json=answer.json)
