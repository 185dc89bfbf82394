"""A secret stays in its field: planted everywhere, and looked for in everything that is written."""

from __future__ import annotations

import base64
import datetime as dt
import os
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import JobDataSnap, RepositorySnap
from dagster._serdes import serialize_value
from pydantic import ValidationError

from airbyte_dagster import AirbyteResource, MotherDuckResource, SqlWarehouseResource, build_pipeline_defs
from airbyte_dagster_tests.conftest import pipeline_of, resource_of
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.security.looking import assert_nowhere, found_in, texts_of

PLANTED = "PLANTED-in-this-field"
BASIC = base64.b64encode(f"someone:{PLANTED}".encode()).decode()


def test_the_search_would_find_a_secret(tmp_path: Path) -> None:
    """Plain, in base64 after whatever else, and compressed in a database as Dagster and this package store things."""
    (tmp_path / "plain").write_text(f"x{PLANTED}x")
    for name in ("", "a", "ab"):
        (tmp_path / f"sent{name}").write_bytes(base64.b64encode(f"{name}:{PLANTED}:x".encode()))
    packed = zlib.compress(PLANTED.encode())
    with sqlite3.connect(tmp_path / "some.db") as connection:
        connection.execute("CREATE TABLE t (v, w)")
        connection.execute("INSERT INTO t VALUES (?, ?)", [packed, f"1\n{base64.b85encode(packed).decode()}"])

    found = {"plain", "sent", "senta", "sentab", "some.db: t.v", "some.db: t.w"}
    assert {where for where, _ in found_in(texts_of(tmp_path), [PLANTED])} == found


@pytest.mark.parametrize("reference", [False, True], ids=["plain text", "EnvVar"])
def test_secrets_are_in_nothing_that_a_run_writes(
    airbyte: RunningAirbyte,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    reference: bool,
) -> None:
    """Logs, events, run config, metadata, snapshots, digests: through provision, sync, checks, reset, and a failure."""

    def secret(name: str) -> Any:
        monkeypatch.setenv(name, f"{PLANTED}-{name}")
        return dg.EnvVar(name) if reference else f"{PLANTED}-{name}"

    resource = resource_of(airbyte, extra_headers={"X-Gateway-Key": secret("HEADER")})
    warehouse = MotherDuckResource(database=str(airbyte.home.warehouse), motherduck_token=secret("TOKEN"))
    pipeline = pipeline_of(airbyte, source={"api_key": secret("API_KEY")})
    definitions = build_pipeline_defs(pipeline, airbyte=resource, warehouse=warehouse)

    config = {"ops": {"reset": {"config": {"confirm": True}}}}
    for job, run_config in (("provision_example", None), ("sync_example", None), ("reset_example", config)):
        result = definitions.resolve_job_def(job).execute_in_process(instance=instance, run_config=run_config)
        assert result.success
    airbyte.engine.fail_next(f"refused {PLANTED[:7]}")
    definitions.resolve_job_def("sync_example").execute_in_process(instance=instance, raise_on_error=False)

    assert airbyte.engine.requests[0].source_config["api_key"] == f"{PLANTED}-API_KEY"
    captured = capfd.readouterr()
    assert "Job 1 succeeded" in captured.err
    assert_nowhere(
        [PLANTED, airbyte.client_secret],
        tmp_path / "dagster",
        captured.out,
        captured.err,
        repr(resource),
        repr(warehouse),
        repr(pipeline),
        repr(resource.client()),
        repr(resource.get_client()),
        repr(warehouse.warehouse()),
    )


@pytest.mark.parametrize(
    "credentials",
    [
        {"client_id": "id", "client_secret": PLANTED},
        {"bearer_token": PLANTED},
        {"username": "someone", "password": PLANTED},
    ],
    ids="/".join,
)
def test_refused_credentials_are_not_repeated(
    credentials: dict[str, Any], instance: dg.DagsterInstance, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that echoes what it was sent, in an answer that a user is shown."""
    with HttpServer() as server:
        echo = f"unknown: {PLANTED}, Basic {BASIC if 'password' in credentials else ''}"
        for path in ("/api/public/v1/applications/token", "/api/v1/applications/token"):
            server.on("POST", path, Reply(400, {"message": echo}))
        server.on("GET", "/api/public/v1/workspaces", Reply(401, {"data": {"message": echo}}))
        airbyte = AirbyteResource(server_url=f"{server.url}/api/public/v1", **credentials)
        definitions = build_pipeline_defs(
            _some_pipeline(), airbyte=airbyte, warehouse=MotherDuckResource(database=str(tmp_path / "x.duckdb"))
        )
        result = definitions.resolve_job_def("sync_example").execute_in_process(instance=instance, raise_on_error=False)

    assert not result.success
    captured = capfd.readouterr()
    assert_nowhere([PLANTED, BASIC], tmp_path / "dagster", captured.out, captured.err)


def _some_pipeline() -> Any:
    from airbyte_dagster import AirbytePipeline  # noqa: PLC0415

    return AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "faker"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users"]},
    )


class Outer(dg.ConfigurableResource[Any]):
    """Somebody's resource that has ours in it."""

    inner: MotherDuckResource


class Seen:
    """Definitions whose op, schedule and sensor keep the resource that Dagster gives them."""

    def __init__(self, **resources: Any) -> None:
        self.found: list[Any] = []

        @dg.op(required_resource_keys={"r"})
        def take(context) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - Dagster reads the annotation
            self.found.append(context.resources.r)

        @dg.job(resource_defs=resources)
        def look() -> None:
            take()

        @dg.schedule(cron_schedule="@daily", job=look, required_resource_keys={"r"})
        def tick(context: dg.ScheduleEvaluationContext) -> dg.SkipReason:
            self.found.append(context.resources.r)
            return dg.SkipReason("looked")

        self.job, self.schedule = look, tick
        self.definitions = dg.Definitions(jobs=[look], schedules=[tick], resources=resources)

    def in_run(self, instance: dg.DagsterInstance, **config: Any) -> Any:
        run_config = {"resources": {"r": {"config": config}}} if config else None
        assert self.job.execute_in_process(instance=instance, run_config=run_config).success
        return self.found.pop()

    def in_tick(self, instance: dg.DagsterInstance) -> Any:
        repository = self.definitions.get_repository_def()
        with dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
            resources=dict(repository.get_top_level_resources()),
        ) as context:
            self.schedule.evaluate_tick(context)
        return self.found.pop()

    def snapshots(self) -> str:
        """All that Dagster stores of the definitions."""
        repository = self.definitions.get_repository_def()
        jobs = [JobDataSnap.from_job_def(job, include_parent_snapshot=True) for job in repository.get_all_jobs()]
        return serialize_value([RepositorySnap.from_def(repository), *jobs])


def test_a_secret_is_its_value_where_dagster_gives_the_value(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the object, a run, a tick, a copy, within another resource; snapshots and the environment have none."""
    monkeypatch.setenv("FROM_ENVIRONMENT", "read")
    warehouse = MotherDuckResource(database="md:x", motherduck_token=PLANTED)
    airbyte = AirbyteResource(extra_headers={"A": PLANTED, "B": dg.EnvVar("FROM_ENVIRONMENT")})
    before = dict(os.environ)
    assert warehouse.motherduck_token == PLANTED

    for resource in (warehouse, warehouse.model_copy(update={"database": "md:y"})):
        seen = Seen(r=resource)
        for given in (seen.in_run(instance), seen.in_tick(instance)):
            assert (given.database, given.motherduck_token) == (resource.database, PLANTED)
        assert PLANTED not in seen.snapshots()
    nested = Seen(r=Outer(inner=warehouse))
    assert nested.in_run(instance).inner.motherduck_token == PLANTED
    assert PLANTED not in nested.snapshots()
    headers = Seen(r=airbyte)
    assert headers.in_run(instance).extra_headers == {"A": PLANTED, "B": "read"}
    assert PLANTED not in headers.snapshots()
    assert dict(os.environ) == before


def test_a_variable_stays_a_variable_until_a_run_reads_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Definitions load without it; its name is shown, its value is not."""
    monkeypatch.delenv("TOKEN_OF_TODAY", raising=False)
    seen = Seen(r=MotherDuckResource(database="md:x", motherduck_token=dg.EnvVar("TOKEN_OF_TODAY")))
    monkeypatch.setenv("TOKEN_OF_TODAY", PLANTED)

    assert seen.in_run(instance).motherduck_token == PLANTED
    assert PLANTED not in seen.snapshots()
    assert "TOKEN_OF_TODAY" in seen.snapshots()


def test_an_address_and_what_the_driver_gets_are_secrets(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As plain text or by reference, alone or beside what is no secret."""
    monkeypatch.setenv("KEY_OF_TODAY", "read")
    resource = SqlWarehouseResource(
        url=f"snowflake://me:{PLANTED}@account/RAW",
        connect_args={"password": PLANTED, "token": dg.EnvVar("KEY_OF_TODAY"), "timeout": 3},
    )
    seen = Seen(r=resource)
    inside = seen.in_run(instance)

    assert (inside.url, inside.connect_args) == (resource.url, {"password": PLANTED, "token": "read", "timeout": 3})
    assert PLANTED not in seen.snapshots()
    assert PLANTED not in f"{resource!r}{resource.warehouse()!r}"


def test_run_config_changes_what_is_no_secret(instance: dg.DagsterInstance) -> None:
    """The secret stays, also where the rest is left to the launchpad altogether."""
    given = Seen(r=MotherDuckResource(database="md:x", motherduck_token=PLANTED)).in_run(instance, database="md:y")
    late = MotherDuckResource.configure_at_launch(motherduck_token=PLANTED)
    launched = Seen(r=late).in_run(instance, database="md:z")

    assert (given.database, given.motherduck_token) == ("md:y", PLANTED)
    assert (launched.database, launched.motherduck_token) == ("md:z", PLANTED)
    assert PLANTED not in repr(late)


def test_a_refused_value_is_not_repeated() -> None:
    """pydantic would quote what it was given."""
    wrong: Any = {"database": 3, "motherduck_token": [PLANTED]}
    with pytest.raises(ValidationError) as caught:
        MotherDuckResource(**wrong)

    assert PLANTED not in str(caught.value)


def test_plain_secrets_reach_other_processes_of_the_same_code() -> None:
    """A process of its own loads the same code, and inherits nothing by its environment."""
    code = (
        "import os, subprocess, sys\n"
        "from airbyte_dagster import AirbyteResource\n"
        "print(AirbyteResource(bearer_token='to' + 'ken').client().settings.bearer_token, flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'import os; print(\"to\" + \"ken\" in os.environ.values())'])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output == "token\nFalse\n"
