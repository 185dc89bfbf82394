"""What clients sent and were answered, recorded once from the real ones, sent again.

These clients can't be had wherever the tests run. Each file in ``recorded`` says which client it was, the headers of
all its requests, and its calls in order. ``{name}`` stands for an id, ``<type>`` for any value of that type.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.local.settings import PUBLIC_API
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

RECORDED = Path(__file__).parent / "recorded"


class Replay:
    """Sends recorded calls, with the ids and the token that this server gave.

    Args:
        airbyte: The server.
        headers: What the client sends with each request.
    """

    def __init__(self, airbyte: RunningAirbyte, headers: dict[str, str]) -> None:
        self._address = urllib.parse.urlsplit(airbyte.url).netloc
        self._headers = headers
        self.names: dict[str, Any] = {
            "workspace": airbyte.workspace_id,
            "client_id": airbyte.client_id,
            "client_secret": airbyte.client_secret,
        }

    def filled(self, recorded: Any) -> Any:
        """The recorded value with this server's ids."""
        text = json.dumps(recorded)
        return json.loads(re.sub(r"\{(\w+)\}", lambda found: str(self.names[found[1]]), text))

    def send(self, call: dict[str, Any]) -> tuple[int, Any]:
        """Send a call, headers and body apart as these clients do; the answer's status and JSON."""
        headers = dict(self._headers)
        body: bytes | None = None
        chunked = "form" in call
        if chunked:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Transfer-Encoding": "chunked"}
            body = urllib.parse.urlencode(self.filled(call["form"])).encode()
        else:
            headers["Authorization"] = f"Bearer {self.names.get('access_token')}"
            if "json" in call:
                headers["Content-Type"] = "application/json"
                body = json.dumps(self.filled(call["json"])).encode()
        connection = http.client.HTTPConnection(self._address)
        try:
            path = PUBLIC_API + self.filled(call["path"])
            connection.request(
                call["method"], path, [body or b""] if chunked else body, headers, encode_chunked=chunked
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if text and is_json else None

    def same(self, recorded: Any, actual: Any) -> bool:
        """Whether an answer has all that the recorded one had; takes the ids that are in it."""
        if isinstance(recorded, dict):
            return all(key in actual and self.same(value, actual[key]) for key, value in recorded.items())
        if isinstance(recorded, list):
            return len(recorded) == len(actual) and all(map(self.same, recorded, actual))
        if isinstance(recorded, str) and re.fullmatch(r"<\w+>", recorded):
            return type(actual).__name__ == recorded[1:-1]
        if isinstance(recorded, str) and re.fullmatch(r"\{\w+\}", recorded):
            return bool(self.names.setdefault(recorded[1:-1], actual) == actual)
        return bool(recorded == actual)


@pytest.mark.parametrize("file", sorted(RECORDED.glob("*.json")), ids=lambda file: file.stem)
def test_each_answer_is_what_the_client_went_on_with(file: Path, airbyte: RunningAirbyte, api: Api) -> None:
    """Status and all fields; a job is looked at once it has ended."""
    recording = json.loads(file.read_text(encoding="utf-8"))
    replay = Replay(airbyte, recording["headers"])

    for call in recording["calls"]:
        if call["path"].startswith("/jobs/"):
            api.finish(replay.filled(call["path"]).removeprefix("/jobs/"))
        status, answer = replay.send(call)
        assert status == call["status"], (call, answer)
        assert replay.same(call.get("answer"), answer), (call, answer)
        if call["path"] == "/applications/token":
            replay.names["access_token"] = answer["access_token"]

    assert [api.ok("GET", f"/{kind}")["data"] for kind in ("sources", "destinations", "connections")] == [[], [], []]
