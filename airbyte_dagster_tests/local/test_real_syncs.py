"""Real syncs end to end: Faker, source-file and the tiny connector, into real DuckDB files."""

# ruff: noqa: S608 - the names in the SQL are the tests' own

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest

from airbyte_dagster_tests.command_line import wait_for
from airbyte_dagster_tests.held_file import held_elsewhere
from airbyte_dagster_tests.local.fakes import PATIENCE, Api, RunningAirbyte
from airbyte_dagster_tests.local.processes import real_server

pytestmark = pytest.mark.real


def query(home: Path, sql: str, file: str = "lms.duckdb") -> list[Any]:
    with contextlib.closing(duckdb.connect(str(home / file), read_only=True)) as connection:
        return connection.sql(sql).fetchall()


def change(home: Path, sql: str) -> None:
    """Change the warehouse by hand."""
    with contextlib.closing(duckdb.connect(str(home / "lms.duckdb"))) as connection:
        connection.execute(sql)


#: What an earlier sync may have left.
EARLIER = "CREATE TABLE items AS SELECT 1 AS id, 'x' AS text"


def succeed(api: Api, connection: str) -> dict[str, Any]:
    job = api.finish(api.sync(connection))
    assert job["status"] == "succeeded", api.debug(job["jobId"])
    return job


def workers() -> list[psutil.Process]:
    """The worker processes, and what they started; this process has other children, those of other tests too."""
    found = [process for process in psutil.Process().children() if "airbyte_dagster.local.work" in process.cmdline()]
    return [*found, *(child for process in found for child in process.children(recursive=True))]


def test_faker_thirty_five_rows_arrive_as_reported(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """The main job: 35 rows of each of Faker's streams are in the file, and Airbyte reports just these."""
    with real_airbyte.api() as api:
        connection = api.connection(
            api.source(count=35), api.destination(), ["users", "products", {"name": "purchases"}], prefix="raw_"
        )
        job = succeed(api, connection)
        assert job["rowsSynced"] == 105
        assert job["bytesSynced"] > 1000
        per_stream = api.debug(job["jobId"])["job"]["streamAggregatedStats"]
    assert {entry["streamName"]: entry["recordsCommitted"] for entry in per_stream} == {
        "users": 35,
        "products": 35,
        "purchases": 35,
    }
    for stream in ("users", "products", "purchases"):
        assert query(real_home, f"SELECT count(*), count(DISTINCT id) FROM raw_{stream}") == [(35, 35)]
    assert list((real_home / "local" / "tmp").iterdir()) == []


def test_file_source_brings_a_csv(real_airbyte: RunningAirbyte, real_home: Path, tmp_path: Path) -> None:
    """source-file, of the course, works: the rows of a CSV are in the table."""
    csv = tmp_path / "people.csv"
    csv.write_text("id,name\n1,Ada\n2,Grace\n", encoding="utf-8")
    with real_airbyte.api() as api:
        source = api.source("file", dataset_name="people", format="csv", url=str(csv), provider={"storage": "local"})
        succeed(api, api.connection(source, api.destination(), ["people"]))
    assert query(real_home, "SELECT id, name FROM people ORDER BY id") == [(1, "Ada"), (2, "Grace")]


CHANGES = [
    [{"id": 1, "at": 1, "v": "a"}, {"id": 2, "at": 2, "v": "b"}],
    [  # a row updated, two new ones of one key, of which the later by the cursor comes first; none deleted
        {"id": 1, "at": 3, "v": "A"},
        {"id": 2, "at": 2, "v": "b"},
        {"id": 3, "at": 4, "v": "C"},
        {"id": 3, "at": 3, "v": "c"},
    ],
    [  # 2 deleted, 3 updated, 4 new
        {"id": 1, "at": 3, "v": "A"},
        {"id": 3, "at": 5, "v": "X"},
        {"id": 4, "at": 6, "v": "d"},
    ],
    [],
]
AFTER = {
    # sync mode: rows after each of four syncs of changing data, the last of which finds the source empty
    "full_refresh_overwrite": ["1a 2b", "1A 2b 3C 3c", "1A 3X 4d", ""],
    "full_refresh_append": [
        "1a 2b",
        "1A 1a 2b 2b 3C 3c",
        "1A 1A 1a 2b 2b 3C 3X 3c 4d",
        "1A 1A 1a 2b 2b 3C 3X 3c 4d",
    ],
    "full_refresh_overwrite_deduped": ["1a 2b", "1A 2b 3C", "1A 3X 4d", ""],
    "incremental_append": ["1a 2b", "1A 1a 2b 3C 3c", "1A 1a 2b 3C 3X 3c 4d", "1A 1a 2b 3C 3X 3c 4d"],
    "incremental_deduped_history": ["1a 2b", "1A 2b 3C", "1A 2b 3X 4d", "1A 2b 3X 4d"],
}


def test_sync_modes_over_syncs_of_changing_data(real_home: Path, tmp_path: Path) -> None:
    """What each sync mode leaves in its table; the states of the incremental ones survive restarts of the server."""
    rows = tmp_path / "rows.json"
    found: dict[str, list[str]] = {mode: [] for mode in AFTER}
    connection = ""
    for change in CHANGES:
        rows.write_text(json.dumps(dict.fromkeys(AFTER, change)), encoding="utf-8")
        with real_server(real_home) as running, running.api() as api:
            if not connection:
                source = api.source("tiny", streams=str(rows), primary_key="id", cursor="at")
                streams = [{"name": mode, "syncMode": mode, "cursorField": ["at"]} for mode in AFTER]
                connection = api.connection(source, api.destination(), streams)
            succeed(api, connection)
        for mode in AFTER:
            table = query(real_home, f"SELECT id, v FROM {mode} ORDER BY id, v")
            found[mode].append(" ".join(f"{i}{v}" for i, v in table))
    assert found == AFTER


@pytest.mark.parametrize("kind", ["GLOBAL", "LEGACY"])
def test_one_state_for_all_streams_is_kept(
    kind: str, real_airbyte: RunningAirbyte, real_home: Path, tmp_path: Path
) -> None:
    """A state of all streams makes the next sync go on as well; without its table a stream
    starts anew and the other does not."""
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"one": [{"at": 1}], "two": [{"at": 1}, {"at": 2}]}), encoding="utf-8")
    with real_airbyte.api() as api:
        source = api.source("tiny", streams=str(file), cursor="at", state=kind)
        streams = [{"name": name, "syncMode": "incremental_append"} for name in ("one", "two")]
        connection = api.connection(source, api.destination(), streams)
        assert succeed(api, connection)["rowsSynced"] == 3
        file.write_text(json.dumps({"one": [{"at": 1}, {"at": 5}], "two": [{"at": 2}]}), encoding="utf-8")
        assert succeed(api, connection)["rowsSynced"] == 1
        assert [state["type"] for state in real_airbyte.context.states.of_connection(connection)] == [kind]
        change(real_home, "DROP TABLE one")
        assert succeed(api, connection)["rowsSynced"] == 2
    assert query(real_home, "SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two)") == [(2, 2)]


def test_what_makes_a_stream_start_from_the_beginning(
    real_airbyte: RunningAirbyte, real_home: Path, tmp_path: Path
) -> None:
    """A change of its sync mode, there and back; the loss of its table; a reset, which leaves the table, empty.

    Each stream of the connection by itself: the others go on from where they were.
    """
    with real_airbyte.api() as api:
        source = api.source(
            "tiny", streams=dict.fromkeys(("kept", "changed", "dropped"), CHANGES[0]), primary_key="id", cursor="at"
        )

        def streams(changed: str) -> list[dict[str, str]]:
            modes = {"kept": "incremental_append", "changed": changed, "dropped": "incremental_append"}
            return [{"name": name, "syncMode": mode} for name, mode in modes.items()]

        def read() -> dict[str, int]:
            stats = api.debug(succeed(api, connection)["jobId"])["job"]["streamAggregatedStats"]
            return {entry["streamName"]: entry["recordsCommitted"] for entry in stats}

        connection = api.connection(source, api.destination(), streams("incremental_append"))
        assert read() == {"kept": 2, "changed": 2, "dropped": 2}

        change(real_home, "DROP TABLE dropped")
        modes = ("full_refresh_overwrite", "incremental_append", "incremental_deduped_history", "incremental_append")
        for mode, again in zip(modes, (2, 0, 0, 0), strict=True):
            body = {"configurations": {"streams": streams(mode)}}
            api.ok("PATCH", f"/connections/{connection}", json=body)
            assert read() == {"kept": 0, "changed": 2, "dropped": again}
        assert read() == {"kept": 0, "changed": 0, "dropped": 0}

        reset = api.finish(api.sync(connection, "clear"))
        assert (reset["status"], reset["jobType"]) == ("succeeded", "reset")
        assert query(real_home, "SELECT count(*) FROM kept") == [(0,)]
        assert read() == {"kept": 2, "changed": 2, "dropped": 2}


def test_full_disk_fails_the_job_and_not_the_server(
    real_airbyte: RunningAirbyte, real_home: Path, tmp_path: Path
) -> None:
    """A warehouse file that can't grow fails the job with that reason; what was there stays, and syncs go on."""
    go = tmp_path / "go"
    rows = [{"id": i, "text": f"{i * 7919:x}" * 200} for i in range(3000)]
    with real_airbyte.api() as api:
        more = tmp_path / "more.json"
        more.write_text(json.dumps({"items": rows}), encoding="utf-8")
        source = api.source("tiny", streams=str(more), wait_for=str(go))
        connection = api.connection(source, api.destination(), ["items"])
        change(real_home, EARLIER)
        job = api.sync(connection)
        api.until(job, lambda job: job.get("rowsSynced", 0) > 0)
        size = (real_home / "lms.duckdb").stat().st_size
        for process in workers():
            process.rlimit(psutil.RLIMIT_FSIZE, (size, size))
        go.touch()
        assert api.finish(job)["status"] == "failed"
        assert "can't grow any more" in api.failure(job)["externalMessage"]
        assert query(real_home, "SELECT count(*) FROM items") == [(1,)]
        succeed(api, connection)
    assert query(real_home, "SELECT count(*) FROM items") == [(3000,)]


def test_composite_key_selected_fields_and_namespace(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """A primary key of two fields dedupes by both; only the selected fields become columns; the namespace's format
    names the schema, of streams of every mode.
    """
    rows = [{"a": 1, "b": 1, "c": "x", "d": 1}, {"a": 1, "b": 2, "c": "y", "d": 1}, {"a": 1, "b": 1, "c": "z", "d": 1}]
    keyed = {
        "name": "keyed",
        "syncMode": "full_refresh_overwrite_deduped",
        "primaryKey": [["a"], ["b"]],
        "selectedFields": [{"fieldPath": [name]} for name in "abc"],
    }
    with real_airbyte.api() as api:
        connection = api.connection(
            api.source("tiny", streams={"keyed": rows, "two": [{"id": 1}, {"id": 2}]}),
            api.destination(),
            [keyed, {"name": "two", "syncMode": "full_refresh_append"}],
            namespaceDefinition="custom_format",
            namespaceFormat="bronze",
        )
        assert succeed(api, connection)["rowsSynced"] == 5
    assert query(real_home, "SELECT a, b, c FROM bronze.keyed ORDER BY b") == [(1, 1, "z"), (1, 2, "y")]
    assert query(real_home, "SELECT count(*) FROM bronze.two") == [(2,)]
    columns = {row[0] for row in query(real_home, "DESCRIBE bronze.keyed")}
    assert "d" not in columns
    assert {"a", "b", "c", "_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta"} <= columns


def test_failing_connector_fails_the_job_with_its_reason(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """The connector's own message is the reason, what was there stays, and its secret is nowhere."""
    secret, rows = "planted-secret-1234", [{"id": 1}, {"id": 2}]
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"items": rows}, api_key=secret, fail_after=1)
        connection = api.connection(source, api.destination(), ["items"])
        change(real_home, EARLIER)
        job = api.finish(api.sync(connection))
        failure = api.failure(job["jobId"])
        shown = json.dumps([job, api.debug(job["jobId"])])
    assert job["status"] == "failed"
    assert job["rowsSynced"] == 0
    assert (failure["externalMessage"], failure["failureOrigin"]) == ("The tiny source broke", "source")
    assert failure["failureType"] == "config_error"
    assert query(real_home, "SELECT count(*) FROM items") == [(1,)]
    logs = "".join(file.read_text() for file in (real_home / "local" / "logs").iterdir())
    assert "signing in with **********" in logs
    assert secret not in logs + shown
    assert all(file.stat().st_mode & 0o077 == 0 for file in (real_home / "local" / "logs").iterdir())


def test_crashing_connector_keeps_what_was_there(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """A connector that ends silently with another exit code than 0 fails the job and replaces nothing."""
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}, {"id": 2}]}, crash_after=1)
        connection = api.connection(source, api.destination(), ["items"])
        change(real_home, EARLIER)
        job = api.finish(api.sync(connection))
        assert "exit code 7" in api.failure(job["jobId"])["externalMessage"]
    assert query(real_home, "SELECT count(*) FROM items") == [(1,)]


def test_sync_that_hangs_leaves_the_file_free_and_can_be_cancelled(
    real_airbyte: RunningAirbyte, real_home: Path
) -> None:
    """While rows come from the source the warehouse is free, so checks of other tables need not wait. Cancelling the
    sync leaves no process, not even of a connector that ignores SIGTERM.
    """
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}]}, hang=True, ignore_sigterm=True)
        connection = api.connection(source, api.destination(), ["items"])
        change(real_home, EARLIER)
        job = api.sync(connection)
        api.until(job, lambda job: job.get("rowsSynced", 0) > 0)
        assert query(real_home, "SELECT count(*) FROM items") == [(1,)]
        processes = workers()
        assert len(processes) >= 2
        assert api.ok("DELETE", f"/jobs/{job}")["status"] == "cancelled"
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
        assert api.failure(job)["failureType"] == "manual_cancellation"
    assert list((real_home / "local" / "tmp").iterdir()) == []


def test_killed_worker_fails_the_job(real_airbyte: RunningAirbyte) -> None:
    """A worker that is killed takes its connector along, and its job is failed with that reason."""
    with real_airbyte.api() as api:
        source = api.source("tiny", streams={"items": [{"id": 1}]}, hang=True)
        job = api.sync(api.connection(source, api.destination(), ["items"]))
        api.until(job, lambda job: job.get("rowsSynced", 0) > 0)
        processes = workers()
        worker = next(
            process for process in psutil.Process().children() if "airbyte_dagster.local.work" in process.cmdline()
        )
        worker.kill()
        assert api.finish(job)["status"] == "failed"
        assert "killed by signal 9" in api.failure(job)["externalMessage"]
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []


def test_two_syncs_into_one_file_take_turns(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """Two connections that write one file run one after the other; streams may be named like SQL's words."""
    with real_airbyte.api() as api:
        destinations = [api.destination("one.duckdb"), api.destination("./sub/../one.duckdb")]
        connections = [
            api.connection(api.source("tiny", streams={name: [{"id": 1}]}), destination, [name])
            for name, destination in zip(("left", "order"), destinations, strict=True)
        ]
        jobs = [api.sync(connection) for connection in connections]
        api.until(jobs[0], lambda job: job["status"] != "pending")
        assert api.ok("GET", f"/jobs/{jobs[1]}")["status"] == "pending"
        assert [api.finish(job)["status"] for job in jobs] == ["succeeded", "succeeded"]
    both = query(real_home, 'SELECT (SELECT count(*) FROM "left"), (SELECT count(*) FROM "order")', "one.duckdb")
    assert both == [(1, 1)]


def test_sync_waits_for_a_reader_of_the_file(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """A sync waits for another process that has the warehouse open, says so in its log, and then succeeds."""
    with real_airbyte.api() as api:
        connection = api.connection(api.source("tiny", streams={"items": [{"id": 1}]}), api.destination(), ["items"])
        change(real_home, EARLIER)
        with held_elsewhere(real_home / "lms.duckdb", read_only=True):
            job = api.sync(connection)
            log = real_home / "local" / "logs" / f"job-{job}.log"
            wait_for(lambda: log.exists() and "Waiting for another process" in log.read_text(), lambda: log)
            assert api.ok("GET", f"/jobs/{job}")["status"] == "running"
        assert api.finish(job)["status"] == "succeeded"
