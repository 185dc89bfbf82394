"""A declared pipeline in Dagster: real instance, real HTTP, real DuckDB file; only the connectors are scripted."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading
from collections import Counter
from pathlib import Path

import dagster as dg
import duckdb
import httpx
import pytest

from airbyte_dagster import (
    AirbytePipeline,
    AirbyteResource,
    Destination,
    MotherDuckResource,
    Stream,
    build_pipeline_defs,
)
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.runs.checkpoints import RunCheckpoints
from airbyte_dagster.runs.events import synced_metadata
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.conftest import client_of, pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.dagster_runs import (
    ROWS,
    LosingEngine,
    a_job,
    checks_of,
    definitions_of,
    failures_of,
    log_of,
    metadata_of,
    outputs_of,
    run_sync,
    with_job,
)
from airbyte_dagster_tests.local.fakes import RunningAirbyte, running_local_airbyte


def test_empty_workspace_becomes_verified_assets(both_shapes: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Materialising creates source, destination and connection, syncs, and each check passes; again changes nothing."""
    definitions = definitions_of(both_shapes, pipeline_of(both_shapes))

    for job_id in (1, 2):
        result = run_sync(definitions, instance)
        assert result.success
        assert {name: check.passed for name, check in checks_of(result).items()} == {"users": True, "products": True}
        assert {values["airbyte/job_id"] for values in metadata_of(result).values()} == {job_id}

    with client_of(both_shapes) as client:
        assert len(client.connections(both_shapes.workspace_id)) == 1
        assert len(client.actors("source", both_shapes.workspace_id)) == 1


def test_materialization_carries_what_people_look_for(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Table, rows, columns from the warehouse; job, rows, bytes, duration and links from Airbyte."""
    result = run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance)

    users = metadata_of(result)["users"]
    assert users["dagster/table_name"] == "lms.main.users"
    assert users["dagster/row_count"] == users["airbyte/rows_reported"] == 35
    assert users["airbyte/job_rows"] == 70
    assert users["airbyte/job_bytes"] > 0
    assert users["airbyte/duration_seconds"] >= 0
    columns = {column.name: column.type for column in users["dagster/column_schema"].columns}
    assert columns["id"] == "BIGINT"
    connection_id = users["airbyte/connection_id"]
    assert users["airbyte/connection"] == (
        f"{airbyte.url}/workspaces/{airbyte.workspace_id}/connections/{connection_id}/status"
    )
    assert users["airbyte/jobs"].endswith(f"/connections/{connection_id}/timeline")
    check = checks_of(result)["users"]
    assert check.blocking
    assert check.description == "users has 35 rows, Airbyte reports 35."
    assert {"rows_in_warehouse", "rows_reported", "sync_mode"} <= set(check.metadata)


def test_run_log_tells_each_step(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Workspace, what was created, the job, its progress: what a person wants to see while it runs."""
    result = run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance)

    lines = "\n".join(log_of(instance, result))
    for words in (
        "Workspace 'Default Workspace'",
        "Source 'faker source' created",
        "Destination 'duck' created",
        "Connection 'faker to duck' created",
        "Sync started: job 1",
        "Job 1 succeeded · 70 rows",
    ):
        assert words in lines


def test_calls_of_one_sync_are_few(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Reconciling what is unchanged: at most 5 reads. The sync itself: at most 5 calls and the polls."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    run_sync(definitions, instance)
    calls: list[str] = []

    def note(request: httpx.Request) -> None:
        path = request.url.path
        is_poll = request.method == "GET" and ("updatedAtStart" in request.url.params or path[-1].isdigit())
        calls.append("poll" if is_poll else "sync" if "/jobs" in path else f"reconcile by {request.method}")

    resource_of(airbyte).client().http.event_hooks["request"] = [note]
    result = run_sync(definitions, instance)

    assert result.success
    # Workspace, sources, destinations, connections; then the connection's jobs, the new job, its statistics.
    counts = Counter(calls)
    assert (counts["reconcile by GET"], counts["sync"]) == (4, 3)
    assert set(counts) == {"reconcile by GET", "sync", "poll"}


def test_all_streams_of_a_subset_are_recorded(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Airbyte syncs the whole connection, which the log says; only what is selected is checked at once."""
    result = run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance, selection=["users"])

    assert result.success
    assert set(metadata_of(result)) == {"users", "products"}
    assert set(checks_of(result)) == {"users"}
    assert any(
        "only some streams are selected, but Airbyte syncs whole connections" in line
        for line in log_of(instance, result)
    )


def test_no_streams_named_is_one_asset(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The streams are known only to Airbyte: one asset stands for all, and its check looks at each table."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte, streams=None))

    result = run_sync(definitions, instance)

    assert set(metadata_of(result)) == {"example"}
    assert metadata_of(result)["example"]["dagster/row_count"] == 35 * 3
    assert checks_of(result)["example"].passed
    assert len(metadata_of(result)["example"]["airbyte/streams"].records) == 3


@pytest.mark.parametrize("mode", ["full_refresh_append", "incremental_append", "incremental_deduped_history"])
def test_each_sync_mode_is_checked_by_its_rule(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, mode: str
) -> None:
    """Three syncs of data that grows: the check knows what was there before."""
    rows = list(ROWS[:5])
    airbyte.engine.add("faker", {"users": rows})
    streams = (Stream(name="users", sync_mode=mode, primary_key="id", cursor_field="updated_at"),)
    definitions = definitions_of(airbyte, pipeline_of(airbyte, streams=streams))

    counts = []
    for more in ([], ROWS[5:8], ROWS[8:]):
        rows += more
        result = run_sync(definitions, instance)
        assert checks_of(result)["users"].passed, checks_of(result)["users"].description
        counts.append(metadata_of(result)["users"]["dagster/row_count"])

    assert counts == ([5, 13, 23] if mode == "full_refresh_append" else [5, 8, 10])


def test_streams_of_one_name_in_two_namespaces_are_told_apart(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """Each has its own asset, table, and check."""
    pipeline = pipeline_of(
        airbyte,
        streams=(Stream(name="users", namespace="north"), Stream(name="users", namespace="south")),
        namespace_definition="source",
    )
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = definitions_of(airbyte, pipeline)
    with duckdb.connect(str(airbyte.home.warehouse)) as connection:
        for schema, rows in (("north", 3), ("south", 5)):
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"CREATE TABLE {schema}.users AS SELECT * FROM range({rows})")  # noqa: S608
    for namespace in ("north", "south"):
        reports = [ReportedStats("users", "full_refresh_overwrite", 3, namespace=namespace)]
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                dg.AssetKey(["example", namespace, "users"]),
                metadata=synced_metadata(reports, None, a_job(), Links("http://127.0.0.1/api/public/v1", "workspace")),
            )
        )

    result = run_sync(with_job(definitions, job), instance, job="checks")

    found = [check for check in result.get_asset_check_evaluations() if check.check_name == "row_count"]
    assert {check.asset_key.path[1]: check.passed for check in found} == {"north": True, "south": False}


def test_environment_references_in_the_destination_are_read_late(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Path and schema may be EnvVar: definitions load without them, a run finds the tables by their values."""
    monkeypatch.delenv("EXAMPLE_PATH", raising=False)
    pipeline = pipeline_of(airbyte)
    configuration = {
        "destinationType": "duckdb",
        "destination_path": dg.EnvVar("EXAMPLE_PATH"),
        "schema": dg.EnvVar("EXAMPLE_SCHEMA"),
    }
    destination = Destination(name="duck", configuration=configuration)
    definitions = definitions_of(airbyte, pipeline.model_copy(update={"destination": destination}))
    monkeypatch.setenv("EXAMPLE_PATH", str(airbyte.home.warehouse))
    monkeypatch.setenv("EXAMPLE_SCHEMA", "raw")

    result = run_sync(definitions, instance)

    assert metadata_of(result)["users"]["dagster/table_name"] == "lms.raw.users"
    assert checks_of(result)["users"].passed


def test_lost_rows_fail_the_check_and_block_what_is_downstream(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Airbyte says succeeded; the warehouse says otherwise; nothing is built on it."""

    @dg.asset(deps=[dg.AssetKey(["example", "users"])])
    def report() -> None: ...

    with running_local_airbyte(tmp_path / "home", LosingEngine()) as server:
        definitions = dg.Definitions.merge(
            definitions_of(server, pipeline_of(server)),
            dg.Definitions(assets=[report], jobs=[dg.define_asset_job("all", executor_def=dg.in_process_executor)]),
        )
        result = run_sync(definitions, instance, job="all")

    assert not result.success
    assert checks_of(result)["users"].description == "users has 34 rows, Airbyte reports 35: 1 missing."
    assert checks_of(result)["users"].severity is dg.AssetCheckSeverity.ERROR
    assert set(metadata_of(result)) == {"users", "products"}


def test_dropped_table_fails_the_check_by_itself(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The check can run without a sync: it takes the last job's report from the materialization."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    run_sync(definitions, instance)
    with duckdb.connect(str(airbyte.home.warehouse)) as connection:
        connection.execute("DROP TABLE users")
        connection.execute("DELETE FROM products WHERE id < 3")

    checks = with_job(definitions, dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks()))
    result = run_sync(checks, instance, job="checks")

    assert len(airbyte.engine.requests) == 1
    assert checks_of(result)["users"].description == "The table of users is missing from the warehouse."
    assert checks_of(result)["products"].description == "products has 33 rows, Airbyte reports 35: 2 missing."


def test_unreadable_warehouse_keeps_the_sync_and_verifies_nothing(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """The job's own result is recorded; the check does not pass, but warns, with one plain sentence."""
    elsewhere = tmp_path / "elsewhere.duckdb"
    elsewhere.write_text("This is no database, and long enough to be taken for a file that has something in it. " * 99)
    definitions = build_pipeline_defs(
        pipeline_of(airbyte),
        airbyte=resource_of(airbyte),
        warehouse=MotherDuckResource(database=str(elsewhere)),
    )

    result = run_sync(definitions, instance)

    assert result.success
    assert metadata_of(result)["users"]["airbyte/rows_reported"] == 35
    assert "dagster/row_count" not in metadata_of(result)["users"]
    check = checks_of(result)["users"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description
    assert "DuckDB could not read" in check.description


def test_a_database_that_is_not_there_after_a_sync_fails(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """It is as a missing table: what the job says it wrote is nowhere. The sync is recorded all the same."""
    definitions = build_pipeline_defs(
        pipeline_of(airbyte),
        airbyte=resource_of(airbyte),
        warehouse=MotherDuckResource(database=str(tmp_path / "elsewhere.duckdb")),
    )

    result = run_sync(definitions, instance)

    assert not result.success
    assert metadata_of(result)["users"]["airbyte/rows_reported"] == 35
    check = checks_of(result)["users"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "All tables are missing. There is no database file at" in str(check.description)


def test_check_before_any_sync_is_unverified(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """There is no report to hold against anything."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    duckdb.connect(str(airbyte.home.warehouse)).close()
    checks = with_job(definitions, dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks()))

    check = checks_of(run_sync(checks, instance, job="checks"))["users"]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_failed_sync_tells_job_and_reason(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The connector's own words are in the failure; nothing is materialised."""
    airbyte.engine.fail_next("The API key is expired")

    result = run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance)

    assert not result.success
    assert metadata_of(result) == {}
    assert "Job 1" in failures_of(result)[0]
    assert "The API key is expired" in failures_of(result)[0]


@pytest.mark.parametrize(("kind", "jobs"), [("config_error", 1), ("transient_error", 2)])
def test_a_wrong_configuration_is_not_tried_again(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, kind: str, jobs: int
) -> None:
    """A retry policy repeats what may pass by itself, and no job that has a wrong password."""
    airbyte.engine.fail_next("The source broke", kind=kind)
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    again = dg.define_asset_job("again", op_retry_policy=dg.RetryPolicy(max_retries=1))

    result = run_sync(with_job(definitions, again), instance, job="again")

    assert result.success == (jobs == 2)
    assert len(airbyte.engine.requests) == jobs


def test_terminated_run_cancels_its_job(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """An interrupt in the middle of a sync: the job is cancelled in Airbyte, no orphan is left."""
    airbyte.engine.hold()

    def interrupt() -> None:
        airbyte.engine.wait_for_start()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    result = run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance)
    thread.join()

    assert not result.success
    with client_of(airbyte) as client:
        assert client.job(1).status == "cancelled"


def test_run_that_takes_over_adopts_the_job(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """The worker died while the job ran; the run that retries it watches the same job to its end."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    provisioned = run_sync(definitions, instance, job="provision_example")
    connection_id = provisioned.output_for_node("create_connection")
    with client_of(airbyte) as client:
        job = client.create_job(connection_id, "sync")
    crashed = instance.create_run_for_job(definitions.resolve_job_def("sync_example"))
    RunCheckpoints(instance, crashed).save({connection_id: Checkpoint(0, job_id=job.id)})
    resumed = {"dagster/parent_run_id": crashed.run_id, "dagster/is_resume_retry": "true"}

    result = run_sync(definitions, instance, tags=resumed)

    assert result.success
    assert {values["airbyte/job_id"] for values in metadata_of(result).values()} == {job.id}
    assert len(airbyte.engine.requests) == 1
    # Whoever executes all steps again wants a new one, though Dagster copies the tags of the parent.
    again = {"dagster/parent_run_id": result.run_id, "airbyte/job_id": str(job.id)}
    assert run_sync(definitions, instance, tags=again).success
    assert len(airbyte.engine.requests) == 2


def test_a_run_that_never_reconciles_finds_its_connection(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no secret and changes nothing; where there is no connection, the run says how one is made."""
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    declared = pipeline_of(airbyte, source={"api_key": dg.EnvVar("NOT_SET_HERE")})
    definitions = definitions_of(airbyte, declared.model_copy(update={"reconcile": "never"}))

    missing = run_sync(definitions, instance)
    assert not missing.success
    assert "has no connection 'faker to duck'" in failures_of(missing)[0]
    assert "Run the job provision_example once, or declare reconcile='if_missing'." in failures_of(missing)[0]
    run_sync(definitions_of(airbyte, pipeline_of(airbyte)), instance, job="provision_example")
    assert run_sync(definitions, instance).success


def test_definitions_load_with_airbyte_down() -> None:
    """Nothing is called until a run needs it."""
    pipeline = AirbytePipeline(
        name="example",
        owners=("team:data",),
        tags={"tier": "1"},
        group_name="sales",
        source={"name": "s", "configuration": {"sourceType": "postgres"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb", "destination_path": "md:lms"}},
        connection={"name": "c", "streams": ["my-stream", {"name": "b", "namespace": "public"}]},
    )

    definitions = build_pipeline_defs(
        pipeline,
        airbyte=AirbyteResource(server_url="http://127.0.0.1:1/api/public/v1"),
        warehouse=MotherDuckResource(database="md:lms"),
        schedule="0 6 * * *",
    )

    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert set(specs) == {"example/my_stream", "example/public/b"}
    spec = specs["example/my_stream"]
    assert (spec.group_name, spec.owners, spec.tags["tier"]) == ("sales", ["team:data"], "1")
    assert spec.kinds == {"airbyte", "postgres", "motherduck"}
    assert {job.name for job in definitions.resolve_all_job_defs()} >= {
        "sync_example",
        "provision_example",
        "reset_example",
    }
    dg.Definitions.validate_loadable(definitions)


def test_lineage_runs_from_what_the_source_reads_to_the_streams() -> None:
    """Upstream assets, by key or as assets, lie right before each stream."""

    @dg.asset
    def files() -> None: ...

    pipeline = AirbytePipeline(
        name="example",
        source={"name": "my source", "configuration": {"sourceType": "file"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users"]},
        deps=["raw/orders", dg.AssetKey(["raw", "people"]), files],
        checks={"fresh": {"within": "36h"}},
    )

    definitions = build_pipeline_defs(
        pipeline, airbyte=AirbyteResource(), warehouse=MotherDuckResource(database="md:lms")
    )

    graph = definitions.resolve_asset_graph()
    upstream = {"raw/orders", "raw/people", "files"}
    users = dg.AssetKey(["example", "users"])
    assert {key.to_user_string() for key in graph.get(users).parent_keys} == upstream
    policy = next(spec for spec in definitions.resolve_all_asset_specs() if spec.key == users).freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36))


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
@pytest.mark.parametrize("is_mapped", [False, True], ids=["of the pipeline", "by map_asset_specs"])
def test_a_plain_condition_requests_what_is_new(instance: dg.DagsterInstance, *, is_mapped: bool) -> None:
    """An eager pipeline runs when what it depends on is new; so do assets that got the condition afterwards."""

    @dg.asset
    def files() -> None: ...

    eager = dg.AutomationCondition.eager()
    pipeline = AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "file"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users"]},
        deps=["files"],
        automation_condition=None if is_mapped else eager,
    )
    built = build_pipeline_defs(pipeline, airbyte=AirbyteResource(), warehouse=MotherDuckResource(database="md:lms"))
    if is_mapped:
        built = built.map_asset_specs(func=lambda spec: spec.replace_attributes(automation_condition=eager))
    definitions = dg.Definitions.merge(dg.Definitions(assets=[files]), built)
    before = dg.evaluate_automation_conditions(defs=definitions, instance=instance)
    dg.materialize([files], instance=instance)

    after = dg.evaluate_automation_conditions(defs=definitions, instance=instance, cursor=before.cursor)

    assert (before.total_requested, after.total_requested) == (0, 1)


@pytest.mark.parametrize("executor", [None, dg.multiprocess_executor])
def test_the_executor_is_that_of_our_jobs_alone(executor: dg.ExecutorDefinition | None) -> None:
    """A project's own executor, and its own jobs, stay as they are; ours are in-process unless one is given."""

    @dg.op
    def nothing() -> None: ...

    @dg.job
    def own() -> None:
        nothing()

    pipeline = AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "file"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
        connection={"name": "c", "streams": ["users"]},
    )
    built = build_pipeline_defs(
        pipeline, airbyte=AirbyteResource(), warehouse=MotherDuckResource(database="md:lms"), executor=executor
    )
    merged = dg.Definitions.merge(dg.Definitions(jobs=[own], executor=dg.multi_or_in_process_executor), built)
    alone = dg.Definitions.merge(dg.Definitions(jobs=[own]), built)

    assert merged.resolve_job_def("own").executor_def is dg.multi_or_in_process_executor
    assert alone.resolve_job_def("own").executor_def is dg.multi_or_in_process_executor
    for name in ("sync_example", "check_example", "provision_example", "reset_example"):
        assert merged.resolve_job_def(name).executor_def is (executor or dg.in_process_executor)


def test_pipelines_merge_into_one_code_location(airbyte: RunningAirbyte) -> None:
    """Ops and jobs of two pipelines don't collide; shared resources are shared."""
    resource, warehouse = resource_of(airbyte), warehouse_of(airbyte)
    first = pipeline_of(airbyte)
    merged = dg.Definitions.merge(
        *(
            build_pipeline_defs(pipeline, airbyte=resource, warehouse=warehouse)
            for pipeline in (first, first.model_copy(update={"name": "second"}))
        )
    )

    dg.Definitions.validate_loadable(merged)
    assert len(list(merged.resolve_all_asset_specs())) == 4


@pytest.mark.parametrize(
    ("tags", "config", "jobs"),
    [
        ({}, None, 1),
        ({"airbyte_dagster/on_running": "wait"}, None, 2),
        ({"dagster/from_automation_condition": "true"}, None, 2),
        ({"airbyte_dagster/on_running": "wait"}, {"on_running": "attach"}, 1),
    ],
)
def test_a_run_that_something_new_asked_for_joins_no_older_sync(
    airbyte: RunningAirbyte,
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    config: dict[str, str] | None,
    jobs: int,
) -> None:
    """It would bring what was there before the change; what the launchpad says goes before."""
    definitions = definitions_of(airbyte, pipeline_of(airbyte))
    provision = definitions.resolve_job_def("provision_example").execute_in_process(instance=instance)
    connection_id = outputs_of(provision)["create_connection"]["id"]
    airbyte.engine.hold()
    with airbyte.api() as api:
        api.sync(connection_id)
        airbyte.engine.wait_for_start(1)
        releasing = threading.Thread(target=release_when_watched, args=(airbyte, instance))
        releasing.start()
        run_config = {"ops": {"example_airbyte_sync": {"config": config}}} if config else None
        result = run_sync(definitions, instance, tags=tags, run_config=run_config)
        releasing.join()

    assert result.success
    assert len(airbyte.engine.requests) == jobs


def release_when_watched(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Let the held sync end once a run has said that it found it."""

    def says_so() -> bool:
        records = [record for run in instance.get_runs() for record in instance.get_records_for_run(run.run_id).records]
        texts = [record.event_log_entry.user_message for record in records]
        return any("watching it instead" in text or "waiting for it to end" in text for text in texts)

    wait_for(says_so, lambda: "no run found the sync")
    airbyte.engine.release()
