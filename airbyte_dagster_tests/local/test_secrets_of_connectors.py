"""Secrets that connectors repeat: in errors, checks, logs and reasons, and what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from airbyte_dagster.local import joblogs
from airbyte_dagster.local.database import Database
from airbyte_dagster.local.engine import ConnectorFailed
from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.redaction import MASK
from airbyte_dagster.local.workers import ConnectorEngine
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte, ScriptedEngine, running_local_airbyte

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
PASSWORD = 'quo"ted\\pass wörd'
PIN = 48151623
CONFIG = {"key": KEY, "password": PASSWORD, "pin": PIN}
PARTS = ("MIIEv", "AQEFA", "quo", "wörd", "w\\u00f6rd", "48151623")
SPEC = {
    "type": "object",
    "properties": {
        "key": {"type": "string", "airbyte_secret": True},
        "password": {"type": "string", "airbyte_secret": True},
        "pin": {"type": "integer", "airbyte_secret": True},
        "how": {"type": "string"},
    },
}
LEAKY = """#!/usr/bin/env python3
import json, sys
spec = {"type": "SPEC", "spec": {"connectionSpecification": %s}}
if sys.argv[1] == "spec":
    print(json.dumps(spec))
    sys.exit()
config = json.load(open(sys.argv[3]))
how = config.pop("how", "error")
said = f"can't sign in with {config['key']} {config['password']} {config['pin']}; {json.dumps(config)}"
if how == "status":
    print(json.dumps({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "FAILED", "message": said}}))
elif how == "exit":
    print(json.dumps(config), file=sys.stderr)
    sys.exit(3)
else:
    print(json.dumps({"type": "TRACE", "trace": {"type": "ERROR", "error": {"message": said}}}))
    sys.exit(1)
"""


@pytest.fixture
def leaky(tmp_path: Path) -> Iterator[RunningAirbyte]:
    """A server with a connector that repeats its configuration in whatever it says."""
    connector = tmp_path / "leaky"
    connector.write_text(LEAKY % repr(SPEC))
    connector.chmod(0o700)
    engine = ConnectorEngine(Environments(tmp_path / "environments"), tmp_path / "asking", {"leaky": connector})
    with running_local_airbyte(tmp_path / "home", engine) as running:
        yield running


def assert_hidden(shown: str, *, words: str = "can't sign in with") -> None:
    assert words in shown
    assert MASK in shown
    assert [part for part in PARTS if part in shown] == []


@pytest.mark.parametrize("how", ["error", "exit"])
def test_errors_of_discovery(how: str, leaky: RunningAirbyte) -> None:
    """A failed discovery says why without the secrets: in /streams, at a connection, in the configuration API."""
    words = {"error": "can't sign in with", "exit": "ended with exit code 3"}[how]
    with leaky.api() as api:
        source = api.source("leaky", **CONFIG, how=how)
        answers = [
            api.get("/streams", params={"sourceId": source}),
            api.post("/connections", json={"sourceId": source, "destinationId": api.destination()}),
            api.post(f"{leaky.url}/api/v1/sources/discover_schema", json={"sourceId": source}),
        ]
    for answer in answers:
        assert_hidden(answer.text, words=words)


@pytest.mark.parametrize("how", ["status", "error"])
def test_reasons_of_a_check(how: str, leaky: RunningAirbyte) -> None:
    """check_connection answers without the secrets, whether the connector refused or failed."""
    with leaky.api() as api:
        source = api.source("leaky", **CONFIG, how=how)
        answer = api.post(f"{leaky.url}/api/v1/sources/check_connection", json={"sourceId": source})
    assert answer.json()["status"] == "failed"
    assert_hidden(answer.json()["message"])


class Leaking(ScriptedEngine):
    """Its discovery repeats the configuration in its error once `leaks` is set."""

    leaks = False

    def discover(self, source_type: str, config: Any, **options: Any) -> list[dict[str, Any]]:
        if self.leaks:
            raise ConnectorFailed(f"can't sign in with {config['password']} {config['pin']} {json.dumps(config)}")
        return super().discover(source_type, config, **options)


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[RunningAirbyte]:
    engine = Leaking()
    engine.add("shop", {"users": [{"id": 1}]}, spec=SPEC)
    with running_local_airbyte(tmp_path / "home", engine) as running:
        yield running


def everything_about(airbyte: RunningAirbyte, api: Api, job: int) -> list[str]:
    """What is shown and stored of why a job failed: configuration API, pages (without a token), the jobs table."""
    connection = api.ok("GET", f"/jobs/{job}")["connectionId"]
    stored = airbyte.jobs.get(job).failure
    page = f"{airbyte.url}/workspaces/{api.workspace_id}/connections/{connection}"
    return [json.dumps(stored, ensure_ascii=False), json.dumps(api.debug(job), ensure_ascii=False), api.get(page).text]


def test_reasons_of_a_failed_job(scripted: RunningAirbyte) -> None:
    """Whatever an engine says about a failure, in a sentence or in details, is hidden before it is stored."""
    said = f"can't sign in with {KEY} {PASSWORD} {PIN}"
    with scripted.api() as api:
        connection = api.connection(api.source("shop", **CONFIG), api.destination(), ["users"])
        scripted.engine.fail_next(said, f"more: {json.dumps(CONFIG)}")
        job = api.sync(connection)
        assert api.finish(job)["status"] == "failed"
        shown = everything_about(scripted, api, job)
    for text_of in shown:
        assert [part for part in PARTS if part in text_of] == []
    assert all("sign in with" in text_of and MASK in text_of for text_of in shown)


def test_reasons_of_a_discovery_at_the_start_of_a_job(scripted: RunningAirbyte) -> None:
    """A job that asks for the streams first, and fails of it, keeps no secret."""
    with scripted.api() as api:
        source = api.source("shop", **CONFIG)
        behaviour = {"nonBreakingSchemaUpdatesBehavior": "propagate_columns"}
        connection = api.connection(source, api.destination(), ["users"], **behaviour)
        scripted.engine.leaks = True
        job = api.sync(connection)
        assert api.finish(job)["status"] == "failed"
        for text_of in everything_about(scripted, api, job):
            assert [part for part in PARTS if part in text_of] == []


def test_what_a_log_says_of_a_source_that_could_not_be_asked(scripted: RunningAirbyte) -> None:
    """A job goes on without what it would only look at, and its log says why without a secret."""
    with scripted.api() as api:
        users = {"name": "users", "syncMode": "full_refresh_overwrite_deduped"}
        connection = api.connection(api.source("shop", **CONFIG), api.destination(), [users])
        scripted.engine.leaks = True
        job = api.sync(connection)
        assert api.finish(job)["status"] == "succeeded"
    log = scripted.home.job_log(job).read_text()
    assert "could not be asked whether its schema has changed: can't sign in with **********" in log
    assert [part for part in PARTS if part in log] == []


def test_unexpected_errors_of_a_job(scripted: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody foresaw, with the configuration in it, is hidden as well."""

    def broken(request: Any) -> Any:
        raise RuntimeError(f"no idea what to do with {request.source_config}")

    monkeypatch.setattr(scripted.engine, "start", broken)
    with scripted.api() as api:
        job = api.sync(api.connection(api.source("shop", **CONFIG), api.destination(), ["users"]))
        assert api.finish(job)["status"] == "failed"
        assert "no idea what to do" in api.failure(job)["internalMessage"]
        for text_of in everything_about(scripted, api, job):
            assert [part for part in PARTS if part in text_of] == []


def test_unexpected_errors_before_a_job_has_begun(scripted: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the job was still being put together."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"no idea what to do with {CONFIG}")

    monkeypatch.setattr(scripted.context.states, "of_connection", broken)
    with scripted.api() as api:
        job = api.sync(api.connection(api.source("shop", **CONFIG), api.destination(), ["users"]))
        assert api.finish(job)["status"] == "failed"
        assert "no idea what to do" in api.failure(job)["internalMessage"]
        for text_of in everything_about(scripted, api, job):
            assert [part for part in PARTS if part in text_of] == []


def test_errors_of_the_database(tmp_path: Path) -> None:
    """An error of a statement doesn't repeat its parameters, which may be configurations."""
    database = Database(tmp_path / "state.sqlite")
    with pytest.raises(DBAPIError) as caught, database.write() as session:
        session.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "planted-secret"})
    assert "planted-secret" not in f"{caught.value} {caught.value!r}"
    database.close()


@pytest.mark.real
def test_logs_of_jobs(real_airbyte: RunningAirbyte) -> None:
    """A key of several lines, which the connector prints to stderr, is in no line of the job's log."""
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}]}, api_key=KEY)
        job = api.sync(api.connection(source, api.destination(), ["items"]))
        assert api.finish(job, PATIENCE)["status"] == "succeeded"
    log = joblogs.read(real_airbyte.home.job_log(job))
    assert "signing in with" in log
    assert [part for part in PARTS if part in log] == []
