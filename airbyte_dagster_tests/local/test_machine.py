"""Any sequence of calls, with restarts in between, against a small model of what should be there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from airbyte_dagster.local.app import create_app
from airbyte_dagster.local.server import Options, make_context
from airbyte_dagster.local.settings import PUBLIC_API, ensure_credentials, resolve_home
from airbyte_dagster_tests.local.fakes import PATIENCE, ScriptedEngine

NAMES = st.text(min_size=1, max_size=12).filter(str.strip)
COLOURS = st.from_regex(r"[0-9A-Fa-f]{6}", fullmatch=True)
STREAMS = st.lists(st.sampled_from(["users", "products", "purchases"]), min_size=1, unique=True)
LIMITS = st.integers(1, 100)
KINDS = st.sampled_from(["source", "destination", "connection"])
_ENDED = {"succeeded", "failed", "cancelled"}


class Calls(RuleBasedStateMachine):
    """The model: by id, what each live thing's name is, and the jobs in order."""

    sources: Bundle[str] = Bundle("sources")
    destinations: Bundle[str] = Bundle("destinations")
    connections: Bundle[str] = Bundle("connections")
    tags: Bundle[str] = Bundle("tags")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.home = resolve_home(Path(self._directory.name))
        self.engine = ScriptedEngine()
        self.names: dict[str, dict[str, str]] = {"source": {}, "destination": {}, "connection": {}, "tag": {}}
        self.ends: dict[str, tuple[str, str]] = {}
        self.tagged: dict[str, list[str]] = {}
        self.jobs: list[int] = []
        self.ended: dict[int, Any] = {}
        self._open()

    def _open(self) -> None:
        self.context = make_context(self.home, Options(port=0), self.engine)
        app = create_app(self.context)
        self.client = TestClient(app, base_url="http://127.0.0.1:8006", raise_server_exceptions=False)
        self.client.__enter__()
        credentials = ensure_credentials(self.home)
        token = self.context.tokens.issue(credentials.client_id, credentials.client_secret)
        self.client.headers["authorization"] = f"Bearer {token}"
        self.workspace = credentials.workspace_id

    def _close(self) -> None:
        self.client.__exit__(None, None, None)
        self.context.store.database.close()

    def teardown(self) -> None:
        self._close()
        self._directory.cleanup()

    def call(self, method: str, path: str, expected: int, body: Any = None) -> Any:
        """Send a request that must have this status. A refusal is a problem, never a bare errorId."""
        answer = self.client.request(method, PUBLIC_API + path, json=body)
        assert answer.status_code == expected, (method, path, body, answer.text)
        found = answer.json() if answer.content else None
        if found is not None and expected >= 400:
            assert list(found) == ["status", "type", "title", "detail", "documentationUrl", "data"], found
        return found

    def status(self, kind: str, thing: str) -> int:
        """What a write to a thing gets: deleted things are gone."""
        return 200 if thing in self.names[kind] else 404

    # Sources and destinations

    @initialize(target=sources, name=NAMES)
    def first_source(self, name: str) -> Any:
        return self.add_source(name)

    @initialize(target=destinations, name=NAMES)
    def first_destination(self, name: str) -> Any:
        return self.add_destination(name)

    @rule(target=sources, name=NAMES)
    def make_source(self, name: str) -> Any:
        return self.add_source(name)

    @rule(target=destinations, name=NAMES)
    def make_destination(self, name: str) -> Any:
        return self.add_destination(name)

    def add_source(self, name: str) -> Any:
        return self._add_actor("source", name, {"sourceType": "faker", "count": 2, "api_key": "planted-secret"})

    def add_destination(self, name: str) -> Any:
        return self._add_actor("destination", name, {"destinationType": "duckdb", "destination_path": "w.duckdb"})

    def _add_actor(self, kind: str, name: str, config: dict[str, Any]) -> Any:
        body = {"name": name, "workspaceId": self.workspace, "configuration": config}
        made = self.call("POST", f"/{kind}s", 200, body)[f"{kind}Id"]
        assert made not in self.names[kind]
        self.names[kind][made] = name
        return made

    @rule(source=sources, name=NAMES, count=st.integers(1, 3), whole=st.booleans())
    def change_source(self, source: str, name: str, count: int, whole: bool) -> None:
        body = {"name": name, "configuration": {"count": count}}
        shown = self.call("PUT" if whole else "PATCH", f"/sources/{source}", self.status("source", source), body)
        if source in self.names["source"]:
            self.names["source"][source] = name
            assert shown["configuration"]["count"] == count

    @rule(destination=destinations, name=NAMES)
    def rename_destination(self, destination: str, name: str) -> None:
        self.call("PATCH", f"/destinations/{destination}", self.status("destination", destination), {"name": name})
        if destination in self.names["destination"]:
            self.names["destination"][destination] = name

    @rule(source=sources)
    def delete_source(self, source: str) -> None:
        self._delete_actor("source", source)

    @rule(destination=destinations)
    def delete_destination(self, destination: str) -> None:
        self._delete_actor("destination", destination)

    def _delete_actor(self, kind: str, actor: str) -> None:
        self.call("DELETE", f"/{kind}s/{actor}", 204 if actor in self.names[kind] else 404)
        self.names[kind].pop(actor, None)
        for connection, ends in self.ends.items():
            if actor in ends:
                self.names["connection"].pop(connection, None)

    # Connections

    @rule(target=connections, source=sources, destination=destinations, name=NAMES, streams=STREAMS)
    def connect(self, source: str, destination: str, name: str, streams: list[str]) -> Any:
        there = source in self.names["source"] and destination in self.names["destination"]
        chosen = [{"name": stream, "syncMode": "full_refresh_overwrite"} for stream in streams]
        body = {"sourceId": source, "destinationId": destination, "name": name, "configurations": {"streams": chosen}}
        made = self.call("POST", "/connections", 200 if there else 404, body)
        if not there:
            return multiple()
        connection = made["connectionId"]
        self.names["connection"][connection] = name
        self.ends[connection], self.tagged[connection] = (source, destination), []
        return connection

    @rule(connection=connections, name=NAMES, streams=STREAMS)
    def change_connection(self, connection: str, name: str, streams: list[str]) -> None:
        body = {"name": name, "configurations": {"streams": [{"name": stream} for stream in streams]}}
        shown = self.call("PATCH", f"/connections/{connection}", self.status("connection", connection), body)
        if connection in self.names["connection"]:
            self.names["connection"][connection] = name
            assert [one["name"] for one in shown["configurations"]["streams"]] == streams

    @rule(connection=connections)
    def delete_connection(self, connection: str) -> None:
        self.call("DELETE", f"/connections/{connection}", 204 if connection in self.names["connection"] else 404)
        self.names["connection"].pop(connection, None)
        assert self.call("GET", f"/connections/{connection}", 200)["status"] == "deprecated"

    # Tags

    @rule(target=tags, name=NAMES, color=COLOURS)
    def make_tag(self, name: str, color: str) -> Any:
        taken = name in self.names["tag"].values()
        made = self.call(
            "POST", "/tags", 409 if taken else 200, {"name": name, "color": color, "workspaceId": self.workspace}
        )
        if taken:
            return multiple()
        self.names["tag"][made["tagId"]] = name
        return made["tagId"]

    @rule(tag=tags, name=NAMES, color=COLOURS)
    def rename_tag(self, tag: str, name: str, color: str) -> None:
        taken = any(name == other and key != tag for key, other in self.names["tag"].items())
        status = 404 if tag not in self.names["tag"] else 409 if taken else 200
        self.call("PATCH", f"/tags/{tag}", status, {"name": name, "color": color})
        if status == 200:
            self.names["tag"][tag] = name

    @rule(tag=consumes(tags))
    def delete_tag(self, tag: str) -> None:
        self.call("DELETE", f"/tags/{tag}", 204)
        del self.names["tag"][tag]
        for tagged in self.tagged.values():
            if tag in tagged:
                tagged.remove(tag)

    @rule(connection=connections, tag=tags)
    def put_tag(self, connection: str, tag: str) -> None:
        body = {"tags": [{"tagId": tag, "name": "", "color": "", "workspaceId": self.workspace}]}
        self.call("PATCH", f"/connections/{connection}", self.status("connection", connection), body)
        if connection in self.names["connection"]:
            self.tagged[connection] = [tag]

    # Jobs

    @rule(connection=connections, kind=st.sampled_from(["sync", "reset", "clear"]), wait=st.booleans())
    def start(self, connection: str, kind: str, wait: bool) -> None:
        self._settle(connection)
        alive = connection in self.names["connection"]
        job = self.call("POST", "/jobs", 200 if alive else 409, {"connectionId": connection, "jobType": kind})
        if alive:
            assert not self.jobs or job["jobId"] > self.jobs[-1]
            self.jobs.append(job["jobId"])
            if wait:
                self._settle(connection)

    @rule(connection=connections, fail=st.booleans())
    def start_twice(self, connection: str, fail: bool) -> None:
        """While a held sync runs, a second is a conflict; cancelling ends it."""
        self._settle(connection)
        if connection not in self.names["connection"]:
            return
        if fail:
            self.engine.fail_next()
        self.engine.hold()
        body = {"connectionId": connection, "jobType": "sync"}
        before = len(self.engine.requests)
        job = self.call("POST", "/jobs", 200, body)["jobId"]
        self.jobs.append(job)
        self.engine.wait_for_start(before + 1)
        self.call("POST", "/jobs", 409, body)
        self.call("DELETE", f"/jobs/{job}", 200)
        assert self.call("GET", f"/jobs/{job}", 200)["status"] == "cancelled"
        self.engine.release()

    @rule(index=st.integers(0, 50))
    def cancel(self, index: int) -> None:
        if self.jobs:
            job = self.call("GET", f"/jobs/{self.jobs[index % len(self.jobs)]}", 200)
            alive = job["connectionId"] in self.names["connection"]
            self.call("DELETE", f"/jobs/{job['jobId']}", 200 if alive else 409)

    def _settle(self, connection: str) -> None:
        """Wait until no job of the connection is active, and until the runner has forgotten it."""
        for entry in list(self.context.runner._entries.values()):
            if entry.job.connection_id == connection:
                assert entry.done.wait(PATIENCE)

    @rule()
    def restart(self) -> None:
        self._close()
        self._open()
        for job in self.jobs:
            assert self.call("GET", f"/jobs/{job}", 200)["status"] in _ENDED

    # What holds at any time

    @rule(kind=KINDS, limit=LIMITS, offset=st.integers(0, 12))
    def page(self, kind: str, limit: int, offset: int) -> None:
        """A page is the part of the whole that it says, and its links are there when they should be."""
        whole = self._whole(kind)
        page = self.call("GET", f"/{kind}s?limit={limit}&offset={offset}", 200)
        assert page["data"] == whole[offset : offset + limit]
        assert (page["next"] != "") == bool(page["data"])
        assert (page["previous"] != "") == (offset > 0)

    def _whole(self, kind: str) -> list[Any]:
        found: list[Any] = []
        while data := self.call("GET", f"/{kind}s?limit=7&offset={len(found)}", 200)["data"]:
            found += data
        return found

    @invariant()
    def lists_add_up(self) -> None:
        for kind in ("source", "destination", "connection"):
            assert {one[f"{kind}Id"]: one["name"] for one in self._whole(kind)} == self.names[kind]
        tags = self.call("GET", "/tags", 200)["data"]
        assert {tag["tagId"]: tag["name"] for tag in tags} == self.names["tag"]
        for shown in self._whole("connection"):
            connection = shown["connectionId"]
            assert (shown["sourceId"], shown["destinationId"]) == self.ends[connection]
            assert [tag["tagId"] for tag in shown["tags"]] == self.tagged[connection]
            assert shown["tags"] == [tag for tag in tags if tag["tagId"] in self.tagged[connection]]

    @invariant()
    def jobs_are_in_order_and_stay_ended(self) -> None:
        jobs = self._whole("job")
        assert [job["jobId"] for job in jobs] == self.jobs
        for job in jobs:
            if job["status"] in _ENDED:
                assert self.ended.setdefault(job["jobId"], job["status"]) == job["status"]


Calls.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestCalls = Calls.TestCase
