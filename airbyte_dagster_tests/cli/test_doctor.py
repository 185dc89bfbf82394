"""``airbyte-dagster doctor``: each step, what it finds, what it says to do, and that it shows no secret."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from airbyte_dagster import MotherDuckResource, PostgresWarehouseResource
from airbyte_dagster.cli import diagnosis
from airbyte_dagster.cli.doctor import doctor
from airbyte_dagster.cli.findings import Finding, Status
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster_tests.cli.reports import a_report, by_step, sources_of
from airbyte_dagster_tests.command_line import Commands
from airbyte_dagster_tests.conftest import client_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte

SECRET = "PLANTED-secret"
OK, WARNING, FAILED = Status.OK, Status.WARNING, Status.FAILED


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's, and nothing that `doctor` sets stays."""
    names = ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET", "WORKSPACE_ID", "DAGSTER_HOME")
    for name in (*(f"AIRBYTE_{name}" for name in names), "MOTHERDUCK_APIKEY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def run_doctor(home: Path, **options: Any) -> tuple[bool, str]:
    """What it returns and what it prints."""
    for name in ("location", "broken"):
        sys.modules.pop(name, None)  # Dagster takes a file that this process has loaded from there
    output = io.StringIO()
    given = {"module": None, "file": None, "write": False, **options}
    facts = doctor(home, console=Console(file=output, width=100), **given)
    facts.show()
    assert "PLANTED" not in output.getvalue()
    return facts.status == 0, output.getvalue()


# The warehouse


def opened(resource: WarehouseResource) -> Finding:
    report = a_report()
    report.step("connection", lambda: diagnosis.open_warehouse(resource), "{} can be read".format)
    return by_step(report)["connection"]


def test_warehouse_file(tmp_path: Path) -> None:
    """Not there: a warning, as the first sync makes it; there: read; held by another process: said at once."""
    path = tmp_path / "lms.duckdb"
    resource = MotherDuckResource(database=str(path), lock_timeout=3600)
    missing = opened(resource)
    assert (missing.status, "made by the first sync" in missing.advice) == (WARNING, True)
    assert not path.exists()

    duckdb.connect(str(path)).close()
    assert opened(resource).found == f"{path} can be read"

    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        held = opened(resource)
        process.communicate()
    assert (held.status, f"(PID {process.pid})" in held.found) == (FAILED, True)


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        (MotherDuckResource(database="md:lms"), "md:lms is at MotherDuck, but there is no token"),
        (PostgresWarehouseResource(host="127.0.0.1", port=1, database="d", username="u", password=SECRET), ""),
    ],
)
def test_warehouse_that_can_not_be_read(resource: WarehouseResource, words: str) -> None:
    """The warehouse's own error, with what to do."""
    found = opened(resource)

    assert found.status is FAILED
    assert words in found.found
    assert found.advice


MD = MotherDuckResource(database="md:lms", motherduck_token="PLANTED")


@pytest.mark.parametrize(
    ("installed", "status"), [("1.5.5", OK), ("1.5.6", OK), ("1.3.2", WARNING), ("2.0.0", WARNING)]
)
def test_motherduck_takes_some_versions_of_duckdb(
    monkeypatch: pytest.MonkeyPatch, installed: str, status: Status
) -> None:
    """One that its documentation does not list is a warning, with where that is, even if it worked just now."""
    real = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *_, **__: real())
    monkeypatch.setattr(diagnosis, "version", lambda _name: installed)
    found = opened(MD)

    assert found.status is status
    assert ("version-lifecycle-schedules" in found.advice) == (status is WARNING)


FILE = MotherDuckResource(database="/data/lms.duckdb")
PG = PostgresWarehouseResource(database="raw", host="db", username="reader")


@pytest.mark.parametrize(
    ("kind", "configuration", "warehouse", "status"),
    [
        ("duckdb", {"destination_path": "md:lms"}, MD, OK),
        ("", {"destination_path": "md:LMS?motherduck_token=PLANTED"}, MD, OK),
        ("motherduck", {"destination_path": "md:other?motherduck_token=PLANTED"}, MD, FAILED),
        ("duckdb", {"destination_path": "/data/lms.duckdb"}, MD, FAILED),
        ("duckdb", {"destination_path": "md:lms"}, FILE, FAILED),
        ("duckdb", {"destination_path": "/data/x/../lms.duckdb"}, FILE, OK),
        ("duckdb", {"destination_path": "/elsewhere/lms.duckdb"}, FILE, WARNING),
        ("postgres", {"host": "db.example", "database": "raw"}, PG, OK),
        ("postgres", {"host": "db", "database": "app"}, PG, FAILED),
        ("postgres", {"host": "db", "database": "raw"}, MD, FAILED),
        ("snowflake", {"host": "x", "database": "raw"}, PG, FAILED),
        ("", {}, MD, WARNING),
    ],
)
def test_same_database(kind: str, configuration: dict[str, Any], warehouse: WarehouseResource, status: Status) -> None:
    """One database in several spellings is the same; another one is a failure; what is not known is a warning."""
    report = a_report()
    report.step("it", lambda: diagnosis.same_database(kind, configuration, warehouse, is_local=True), str)

    assert by_step(report)["it"].status is status


def test_one_path_in_a_container_and_here_is_two_files() -> None:
    """Unless they share the disk, which is not known here."""
    with pytest.raises(AirbyteDagsterError, match="may be another one"):
        diagnosis.same_database("duckdb", {"destination_path": "/data/lms.duckdb"}, FILE, is_local=False)


# A code location and its pipelines

LOCATION = """
import dagster as dg
from airbyte_dagster import *

pipeline = AirbytePipeline(
    name="mine",
    source=Source(name="my faker", configuration={{"sourceType": "faker", "count": 5, **{source}}}),
    destination=Destination(
        name="my file", configuration={{"destinationType": "duckdb", "destination_path": {path!r}}}
    ),
    connection=Connection(name="mine", streams=["users"]),
)
defs = build_pipeline_defs(
    pipeline,
    airbyte=AirbyteResource(server_url={url!r}, client_id={client_id!r}, client_secret={client_secret!r}),
    warehouse=MotherDuckResource(database={database!r}),
    airbyte_key="lake",
    warehouse_key="files",
)
"""


def location_of(
    airbyte: RunningAirbyte, directory: Path, *, source: str = "{}", database: str = "", more: str = ""
) -> Path:
    path = str(airbyte.home.warehouse)
    text = LOCATION.format(
        source=source,
        path=path,
        url=airbyte.server_url,
        client_id=airbyte.client_id,
        client_secret=airbyte.client_secret,
        database=database or path,
    )
    (directory / "location.py").write_text(text + more)
    return directory / "location.py"


def create_source(airbyte: RunningAirbyte, **configuration: Any) -> str:
    with client_of(airbyte) as client:
        configuration = {"sourceType": "faker", "count": 5, **configuration}
        return client.create_actor(
            "source", workspace_id=airbyte.workspace_id, name="my faker", configuration=configuration
        ).id


def test_pipeline_before_its_first_run(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """It would be created; nothing is."""
    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path))

    assert passed, output
    assert "✓ definitions: resources: lake, files; pipelines: mine; assets: 1\n" in output
    assert "Pipeline mine\n✓ plan: the next run creates: source, destination, connection\n" in output
    assert "✓ same database: Airbyte writes to " in output
    with client_of(airbyte) as client:
        assert sources_of(client, airbyte) == []


def test_pipeline_that_exists(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """As declared, where a secret, which Airbyte masks, counts as unchanged; then what differs, by its path."""
    source = create_source(airbyte, api_key=SECRET)
    with client_of(airbyte) as client:
        configuration = {"destinationType": "duckdb", "destination_path": str(airbyte.home.warehouse)}
        destination = client.create_actor(
            "destination", workspace_id=airbyte.workspace_id, name="my file", configuration=configuration
        )
        streams = [{"name": "users", "syncMode": "full_refresh_overwrite"}]
        ids = {"sourceId": source, "destinationId": destination.id}
        client.create_connection({"name": "mine", **ids, "configurations": {"streams": streams}})
    file = location_of(airbyte, tmp_path, source=repr({"api_key": SECRET}))
    assert "✓ plan: all exists as declared\n" in run_doctor(tmp_path, file=file)[1]

    file.write_text(file.read_text().replace('"count": 5', '"count": 7').replace('"users"', '"users", "products"'))
    passed, output = run_doctor(tmp_path, file=file)

    assert passed
    assert "! plan: Differs from what is declared: source (count), connection (" in output
    assert "  → The next run sets it to what is declared" in output


@pytest.mark.parametrize(
    ("source", "count", "words"),
    [
        ("{}", 2, "✗ plan: The workspace has 2 sources named 'my faker'"),
        ('{"api_key": dg.EnvVar("NOT_SET")}', 0, "source.api_key is read from the environment variable NOT_SET"),
    ],
)
def test_pipeline_that_can_not_be_planned(
    airbyte: RunningAirbyte, tmp_path: Path, source: str, count: int, words: str
) -> None:
    """An ambiguous name, a variable that is not set: what a run would raise."""
    for _ in range(count):
        create_source(airbyte)

    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path, source=source))

    assert not passed
    assert words in output
    assert "same database" not in output


def test_airbyte_out_of_reach_leaves_the_rest(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """The warehouse is checked all the same."""
    file = location_of(airbyte, tmp_path)
    file.write_text(file.read_text().replace(airbyte.server_url, "http://127.0.0.1:1"))

    passed, output = run_doctor(tmp_path, file=file)

    assert not passed
    assert "✗ server: 127.0.0.1:1 can't be reached" in output
    assert "! connection: There is no database file" in output
    assert output.endswith("1 failed, 1 to look at.\n")


def test_settings_that_are_read_from_variables(
    airbyte: RunningAirbyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not set fails, by its field and name; an odd value is a warning, and is not shown."""
    more = """
other = AirbyteResource(server_url="http://127.0.0.1:1", bearer_token=dg.EnvVar("MY_TOKEN"))
duck = MotherDuckResource(database="md:lms", motherduck_token=dg.EnvVar("MY_DUCK"))
defs = dg.Definitions.merge(defs, dg.Definitions(resources={"other": other, "duck": duck}))
"""
    monkeypatch.delenv("MY_DUCK", raising=False)
    monkeypatch.setenv("MY_TOKEN", f"'{SECRET}'")

    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path, more=more))

    assert not passed
    assert "Airbyte 'other'\n! settings: White space or quotes belong to the value of MY_TOKEN.\n" in output
    assert "✗ settings: Read from environment variables that are not set: motherduck_token (MY_DUCK).\n" in output
    assert "Pipeline mine\n✓ plan" in output


NO_JOB = """
import dagster as dg
defs = dg.Definitions(schedules=[dg.ScheduleDefinition(job_name="nowhere", cron_schedule="@daily")])
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1 / 0", "can't be loaded: ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name", "can't be loaded: DagsterImportError"),
        ("x = 1", "No Definitions"),
        ("import dagster as dg\na = dg.Definitions()\nb = dg.Definitions()", "more than one Definitions"),
        ("import dagster as dg\n@dg.job\ndef it(): ...", "has no Definitions."),
        (
            NO_JOB,
            "broken.py: DagsterInvalidDefinitionError: ScheduleDefinition",
        ),
        ("import dagster as dg\ndefs = dg.Definitions()", "There is no AirbyteResource and no warehouse"),
        ("from airbyte_dagster import Source\nSource(name='x', configuration={'count': 1})", "names no connector"),
        (f"raise ValueError('{SECRET}')", "can't be loaded: ValueError: [hidden]"),
    ],
)
def test_code_location_that_can_not_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """Its own error, in one line; a known secret in it is hidden."""
    monkeypatch.setenv("MOTHERDUCK_APIKEY", SECRET)
    (tmp_path / "broken.py").write_text(text)

    passed, output = run_doctor(tmp_path, file=tmp_path / "broken.py")

    assert not passed
    assert words in output


def test_a_storage_that_can_not_be_used_is_no_fault_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Definitions that read their state from it can't be loaded: the advice is about the storage."""
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: {env: NOT_SET_ANYWHERE}}}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "reads.py").write_text("import dagster as dg\nwith dg.DagsterInstance.get(): ...")

    passed, output = run_doctor(tmp_path, file=tmp_path / "reads.py")

    assert not passed
    assert f"Dagster's instance of {tmp_path} can't be used: " in output
    assert "NOT_SET_ANYWHERE" in output
    assert "Look at the database that dagster.yaml names" in output
    assert "Stack Trace" not in output


def test_module_of_the_working_directory(
    airbyte: RunningAirbyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dagster takes it; definitions may be under its decorator, and merged with others."""
    more = "\nmade = defs\n@dg.definitions\ndef defs():\n    return dg.Definitions.merge(made, dg.Definitions())\n"
    location_of(airbyte, tmp_path, more=more).rename(tmp_path / "doctors_own.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "doctors_own", raising=False)

    passed, output = run_doctor(tmp_path, module="doctors_own")

    assert passed, output
    assert "pipelines: mine" in output


# The environment and the command


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "✓ variables: local Airbyte and a DuckDB file; not set: AIRBYTE_SERVER_URL, AIRBYTE_CLIENT_ID, "),
        ({}, "! local Airbyte: None runs, and this command starts none.\n  → `airbyte-dagster run`"),
        ({"AIRBYTE_CLIENT_ID": "a"}, "✗ variables: AIRBYTE_CLIENT_ID is set, but AIRBYTE_CLIENT_SECRET is not"),
        ({"AIRBYTE_SERVER_URL": "https://airbyte.example"}, "✗ variables: MOTHERDUCK_APIKEY is not set, and an"),
        ({"AIRBYTE_SERVER_URL": "http://127.0.0.1:1"}, "✗ server: 127.0.0.1:1 can't be reached"),
        (
            {"AIRBYTE_SERVER_URL": f"https://me:{SECRET}@127.0.0.1:1", "MOTHERDUCK_APIKEY": "x"},
            "✗ address: server_url holds a user name or password",
        ),
    ],
)
def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], words: str) -> None:
    """Which Airbyte and warehouse the variables mean; where nobody knows, Airbyte is not requested."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "airbyte_dagster.definitions", raising=False)

    passed, output = run_doctor(tmp_path / "home")

    assert words in output
    assert passed is not ("✗" in words)
    assert ("Airbyte 'airbyte'" in output) is ("127.0.0.1" in str(variables))
    assert "✓ versions: airbyte-dagster " in output
    assert not (tmp_path / "home").exists()


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path / "home")


def test_local_airbyte_that_runs_is_checked(airbyte: RunningAirbyte, commands: Commands) -> None:
    """That of the home; the pipeline is the one that `run` runs."""
    airbyte.home.server_file.write_text(json.dumps({"url": airbyte.url, "pid": os.getpid()}))

    code, output = commands.run("doctor", "--home", str(airbyte.home.root))

    assert code == 0, output
    assert f"✓ local Airbyte: runs at {airbyte.server_url}" in output
    assert "✓ server: local Airbyte answers" in output
    assert "✓ roles: instance_admin" in output
    assert "Pipeline faker_to_duckdb\n✓ plan: the next run creates" in output
    assert airbyte.client_secret not in output


def test_findings_as_json(airbyte: RunningAirbyte, commands: Commands, tmp_path: Path) -> None:
    """All of them, and nothing else on the standard output; the exit status is 1 if one failed."""
    file = location_of(airbyte, tmp_path, database=str(tmp_path / "other.duckdb"), more="\nprint('noise')\n")

    command = [sys.executable, "-m", "airbyte_dagster", "doctor", "-f", str(file), "--json"]
    ended = subprocess.run(command, env=commands.environment, capture_output=True, text=True, check=False)

    report = json.loads(ended.stdout)
    assert (ended.returncode, report["passed"], "noise" in ended.stderr) == (1, False, True)
    assert {key for finding in report["findings"] for key in finding} == {"about", "step", "status", "found", "advice"}
    failed = [(item["about"], item["step"]) for item in report["findings"] if item["status"] == "failed"]
    assert failed == [("Pipeline mine", "same database")]


def test_module_and_file_are_two_code_locations(commands: Commands) -> None:
    """Which of the two is meant can't be known."""
    code, output = commands.run("doctor", "-m", "x", "-f", __file__)

    assert (code, "Give a module or a file, not both." in output) == (2, True)


def test_a_workspace_of_which_nothing_is_selected(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """It loads, and it is seen that it has no assets."""
    (tmp_path / "location.py").write_text(
        "from airbyte_dagster import AirbyteResource, build_workspace_defs\n"
        f"airbyte = AirbyteResource(server_url={airbyte.server_url!r}, client_id={airbyte.credentials.client_id!r},"
        f" client_secret={airbyte.credentials.client_secret!r}, workspace_id={airbyte.workspace_id!r})\n"
        f"defs = build_workspace_defs(airbyte, name='shop', state_path={str(tmp_path / 'state.json')!r})\n"
    )

    passed, output = run_doctor(tmp_path, file=tmp_path / "location.py")

    assert passed, output
    assert "✓ definitions: resources: airbyte; workspaces: shop; assets: 0\n" in output
