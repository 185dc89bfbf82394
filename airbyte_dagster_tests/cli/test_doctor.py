"""``airbyte-dagster doctor``: each thing that may be wrong, in its own words, with what to do, and with no secret."""

from __future__ import annotations

import base64
import datetime as dt
import importlib.resources
import io
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from rich.console import Console

from airbyte_dagster import AirbyteResource, MotherDuckResource, PostgresWarehouseResource
from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Permission
from airbyte_dagster.cli.diagnosis.airbyte import TRIAL, examine_airbyte
from airbyte_dagster.cli.diagnosis.findings import Finding, Findings, Status
from airbyte_dagster.cli.diagnosis.places import judge_places
from airbyte_dagster.cli.diagnosis.roles import judge_roles
from airbyte_dagster.cli.diagnosis.tokens import judge_token
from airbyte_dagster.cli.diagnosis.variables import examine_variables, odd_about
from airbyte_dagster.cli.diagnosis.warehouses import examine_warehouse
from airbyte_dagster.cli.doctor import doctor
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster.warehouse import DuckDBWarehouse, PostgresWarehouse, Warehouse
from airbyte_dagster_tests.airbyte.conftest import BASE, job, page, problem, token_reply
from airbyte_dagster_tests.command_line import MARK, Commands
from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.warehouse.test_duckdb import duckdb_checksum

SECRET = "PLANTED-secret"
NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.timezone.utc)
WORKSPACE = {"workspaceId": "w-1", "name": "One"}
ORGANIZATION_INFO = "/api/v1/workspaces/get_organization_info"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's, and nothing that `doctor` sets stays."""
    names = ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET", "WORKSPACE_ID", "DAGSTER_HOME")
    for name in (*(f"AIRBYTE_{name}" for name in names), "MOTHERDUCK_APIKEY", "motherduck_token", "MOTHERDUCK_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """An Airbyte that has one empty workspace, and says yes to everything."""
    with HttpServer() as running:
        running.on("GET", f"{BASE}/health", Reply(200, "Successful operation"))
        running.on("POST", f"{BASE}/applications/token", token_reply("PLANTED-token"))
        running.on("GET", f"{BASE}/workspaces", page(WORKSPACE))
        for name in ("sources", "destinations", "connections", "jobs"):
            running.on("GET", f"{BASE}/{name}", page())
        running.on("GET", f"{BASE}/permissions", roles(("workspace_editor", "workspace", "w-1")))
        running.on("POST", ORGANIZATION_INFO, Reply(200, {"organizationId": "o-1"}))
        yield running


def roles(*given: tuple[str, str, str]) -> Reply:
    data = [{"permissionId": "p", "permissionType": role, "scope": scope, "scopeId": of} for role, scope, of in given]
    return Reply(200, {"data": data})


def airbyte_at(server: HttpServer, **settings: Any) -> AirbyteResource:
    """A resource whose credentials no other test has: tokens are shared by the whole process."""
    settings = {"client_id": f"id-{server.port}", "client_secret": f"{SECRET}-{server.port}", **settings}
    return AirbyteResource(**{"server_url": server.url, "max_attempts": 1, "request_timeout": 5, **settings})


def examined(airbyte: AirbyteResource, *, write: bool = False) -> dict[str, Finding]:
    """The findings by step, none of which shows a secret."""
    findings = Findings()
    with findings.about("Airbyte"):
        examine_airbyte(airbyte, findings, write=write)
    return by_step(findings)


def by_step(findings: Findings) -> dict[str, Finding]:
    for finding in findings.all:
        assert "PLANTED" not in f"{finding.found} {finding.advice}", finding
        if finding.status is Status.FAILED:
            assert finding.advice, finding
    return {finding.step: finding for finding in findings.all}


def statuses(found: Mapping[str, Finding]) -> str:
    """The first letters: o, w, f or s for ok, warning, failed and skipped."""
    return "".join(finding.status.value[0] for finding in found.values())


def run_doctor(home: Path, **options: Any) -> tuple[bool, str]:
    """What it returns and what it prints."""
    output = io.StringIO()
    given = {"module": None, "file": None, "write": False, "as_json": False, **options}
    passed = doctor(home, console=Console(file=output, width=100), **given)
    assert "PLANTED" not in output.getvalue()
    return passed, output.getvalue()


# The environment


def environment_findings(**variables: str) -> tuple[bool | None, list[Finding]]:
    findings = Findings()
    meant = examine_variables(variables, findings)
    by_step(findings)
    return meant, findings.all


@pytest.mark.parametrize(
    ("variables", "meant", "words"),
    [
        ({}, False, "local Airbyte, and a DuckDB file"),
        ({"MOTHERDUCK_APIKEY": SECRET}, False, "local Airbyte, and MotherDuck"),
        (
            {"AIRBYTE_CLIENT_ID": "a", "AIRBYTE_CLIENT_SECRET": SECRET, "MOTHERDUCK_APIKEY": SECRET},
            True,
            "Airbyte Cloud (https://api.airbyte.com/v1), and MotherDuck",
        ),
        (
            {"AIRBYTE_SERVER_URL": "https://airbyte.example", "MOTHERDUCK_APIKEY": SECRET},
            True,
            "a self-managed Airbyte (https://airbyte.example/api/public/v1), and MotherDuck",
        ),
        (
            {"AIRBYTE_SERVER_URL": "http://localhost:8000"},
            True,
            "an Airbyte on this machine (http://localhost:8000/api/public/v1), and a DuckDB file",
        ),
    ],
)
def test_what_the_environment_means(variables: dict[str, str], meant: bool, words: str) -> None:
    """Which Airbyte and which warehouse; the variables are named, their values are not shown."""
    result, findings = environment_findings(**variables)

    assert result is meant
    assert findings[-1].found == words
    assert [finding.status for finding in findings] == [Status.OK, Status.OK]
    for name in variables:
        assert re.search(rf"^set: [^;]*{name}", findings[0].found)


@pytest.mark.parametrize(
    ("variables", "words", "advice"),
    [
        ({"AIRBYTE_CLIENT_ID": "a"}, "AIRBYTE_CLIENT_ID is set, but AIRBYTE_CLIENT_SECRET is not", "Set both"),
        ({"AIRBYTE_CLIENT_SECRET": SECRET}, "AIRBYTE_CLIENT_SECRET is set, but AIRBYTE_CLIENT_ID is not", "Set both"),
        (
            {"AIRBYTE_SERVER_URL": "https://airbyte.example"},
            "MOTHERDUCK_APIKEY is not set, and an Airbyte that runs elsewhere can't write into a file here",
            "MotherDuck access token",
        ),
        (
            {"AIRBYTE_SERVER_URL": f"https://me:{SECRET}@airbyte.example", "MOTHERDUCK_APIKEY": "x"},
            "server_url holds a user name or password",
            "`username` and `password`",
        ),
        (
            {"AIRBYTE_SERVER_URL": "airbyte.example", "MOTHERDUCK_APIKEY": "x"},
            "server_url 'airbyte.example' is not an http(s) address",
            "https://api.airbyte.com/v1",
        ),
    ],
)
def test_environment_that_means_nothing(variables: dict[str, str], words: str, advice: str) -> None:
    """Half of the credentials, no warehouse, an address that is none: nobody can tell which Airbyte is meant."""
    result, findings = environment_findings(**variables)

    assert result is None
    assert findings[-1].status is Status.FAILED
    assert words in findings[-1].found
    assert advice in findings[-1].advice


@pytest.mark.parametrize(
    ("name", "value", "words", "advice"),
    [
        ("AIRBYTE_CLIENT_SECRET", f"{SECRET}\n", "has white space around its value", "a line break counts, too"),
        ("MOTHERDUCK_APIKEY", f"{SECRET} {SECRET}", "has white space within its value", "Set MOTHERDUCK_APIKEY anew"),
        ("AIRBYTE_CLIENT_SECRET", f'"{SECRET}"', "has quotes around its value", "env files"),
        ("AIRBYTE_WORKSPACE_ID", "my workspace", "has white space within", "anew"),
        ("AIRBYTE_WORKSPACE_ID", "default", "is not an id such as", "…/workspaces/ID"),
        (
            "AIRBYTE_SERVER_URL",
            "http://localhost:8000/workspaces/5a24",
            "is the address of a page for people",
            "/api/public/v1",
        ),
        (
            "AIRBYTE_SERVER_URL",
            "https://cloud.airbyte.com/workspaces",
            "is the address of a page for people",
            "for Airbyte Cloud, unset it",
        ),
    ],
)
def test_odd_values(name: str, value: str, words: str, advice: str) -> None:
    """What a value looks like when it was copied wrongly; it is named, never shown."""
    (found, said), *_ = odd_about(name, value)

    assert found.startswith(f"{name} {words}")
    assert advice in said
    assert "PLANTED" not in found + said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRBYTE_SERVER_URL", "https://airbyte.example/api/public/v1"),
        ("AIRBYTE_SERVER_URL", "http://localhost:8000"),
        ("AIRBYTE_WORKSPACE_ID", "7C9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("MOTHERDUCK_APIKEY", "eyJ.eyJ.x'y"),
    ],
)
def test_values_that_are_not_odd(name: str, value: str) -> None:
    """Nothing is said of what is as it should be."""
    assert list(odd_about(name, value)) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"AIRBYTE_CLIENT_SECRT": SECRET},
            "AIRBYTE_CLIENT_SECRT is set, but AIRBYTE_CLIENT_SECRET is what is read here",
        ),
        ({"MOTHERDUCK_API_KEY": SECRET}, "MOTHERDUCK_API_KEY is set, but MOTHERDUCK_APIKEY is what is read here"),
        ({"motherduck_token": SECRET}, "motherduck_token is set, but MOTHERDUCK_APIKEY is what is read here"),
        ({"MOTHERDUCK_TOKEN": SECRET}, "MOTHERDUCK_TOKEN is set, but MOTHERDUCK_APIKEY is what is read here"),
    ],
)
def test_misspelt_variables(variables: dict[str, str], words: str) -> None:
    """A variable that is nearly one of ours is likely meant to be it, if ours is not set."""
    _, findings = environment_findings(**variables)
    assert [words in finding.found for finding in findings if finding.status is Status.WARNING] == [True]

    ours = {"AIRBYTE_CLIENT_SECRET": "a", "MOTHERDUCK_APIKEY": "b", "AIRBYTE_CLIENT_KEY": "c", "AIRBYTE_DAGSTER_X": "d"}
    _, findings = environment_findings(**variables, **ours)
    assert [finding for finding in findings if finding.status is Status.WARNING] == []


# Airbyte


def test_airbyte_that_is_as_it_should_be(server: HttpServer) -> None:
    """Every step is ok; nothing is written, whatever is asked."""
    server.on("GET", f"{BASE}/jobs", page(job(7, "succeeded")))
    server.on(
        "POST", "/api/v1/jobs/get_without_logs", Reply(200, {"job": {"streamAggregatedStats": [{"streamName": "a"}]}})
    )

    found = examined(airbyte_at(server))

    assert statuses(found) == "o" * 9
    assert f"answers at {server.url}{BASE}" in found["server"].found
    assert found["credentials"].found == "client_id and client_secret accepted; they see One (w-1)"
    assert found["workspace"].found == "'One' (w-1)"
    assert found["jobs"].found == "can be read: the last is job 7, a sync that is succeeded"
    assert found["rows of each stream"].found == "the configuration API has them: 1 streams in job 7"
    assert "workspace_editor: may create and change things" in found["roles"].found
    reads = {"/applications/token", "/api/v1/jobs/get_without_logs"}
    written = {request.path.removeprefix(BASE) for request in server.requests if request.method != "GET"}
    assert written == reads


def test_health_is_asked_without_credentials(server: HttpServer) -> None:
    """The server's address may be a wrong one: nothing secret goes there before it has answered as Airbyte does."""
    server.on("GET", f"{BASE}/health", Reply(200, "<html>Welcome</html>"))

    examined(airbyte_at(server, client_id=None, client_secret=None, bearer_token="PLANTED-bearer"))

    assert [request.path for request in server.requests] == [f"{BASE}/health"]
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "status", "words", "advice"),
    [
        (Reply(200, "<html>Welcome</html>"), "f", "it answered 200 with a web page", "self-managed"),
        (Reply(404, "Object not found."), "f", "it answered 404: Object not found", "/api/public/v1"),
        (Reply(302, None, {"Location": "https://sso.example/login"}), "f", "redirects (302) to https:", "server_url"),
        (Reply(503, None), "f", "Airbyte answered 503", "See that Airbyte is up and well"),
        (Reply(401, "who are you"), "w", "answers 401 to the one request that", "extra_headers"),
        (Reply(403, "<html>no</html>"), "w", "answers 403", "A proxy before it"),
        (Reply(drop="before"), "f", "lost its connection", "See that Airbyte is up"),
    ],
)  # fmt: skip
def test_server_that_is_not_well(server: HttpServer, answer: Reply, status: str, words: str, advice: str) -> None:
    """What answers in Airbyte's place is told by what it answers; where a proxy asks for more, the rest goes on."""
    server.on("GET", f"{BASE}/health", answer)

    found = examined(airbyte_at(server))

    assert statuses(found)[0] == status
    assert words in found["server"].found
    assert advice in found["server"].advice
    assert statuses(found)[1:] == ("o" * 8 if status == "w" else "s" * 8)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:1 can't be reached"),
        ("http://airbyte.invalid", "airbyte.invalid can't be reached"),
    ],
)
def test_server_that_is_not_there(url: str, words: str) -> None:
    """Refused connections and names that nobody knows."""
    found = examined(AirbyteResource(server_url=url, bearer_token="PLANTED-bearer", max_attempts=1))

    assert words in found["server"].found
    assert "Check server_url" in found["server"].advice
    assert statuses(found) == "f" + "s" * 8


def test_plain_http_where_tls_is_spoken(server: HttpServer) -> None:
    """The other way round has its own words."""
    found = examined(airbyte_at(server, server_url=f"https://127.0.0.1:{server.port}"))

    assert "The TLS connection" in found["server"].found
    assert "http://" in found["server"].advice


def test_settings_that_are_not_valid() -> None:
    """Nothing is asked."""
    found = examined(AirbyteResource(server_url="http://127.0.0.1:1", client_id="a"))

    assert found["server"].found == "client_id is given without client_secret."
    assert found["server"].advice == "Give both or neither."
    assert statuses(found) == "f" + "s" * 8


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(401, {"errorId": "1"}),
        Reply(400, {"message": "Bad Request", "_embedded": {"errors": [{"message": "Invalid client id or token"}]}}),
    ],
)
def test_refused_credentials(server: HttpServer, refusal: Reply) -> None:
    """In both shapes of Airbyte's refusal."""
    server.on("POST", f"{BASE}/applications/token", refusal)

    found = examined(airbyte_at(server))

    assert "Airbyte refused to sign in" in found["credentials"].found
    assert "they belong to an application of this very server" in found["credentials"].advice
    assert statuses(found) == "of" + "s" * 7


def test_no_credentials(server: HttpServer) -> None:
    """Where the server asks for none, that is all right; where it does, it is said what to give."""
    nothing = {"client_id": None, "client_secret": None}
    found = examined(airbyte_at(server, **nothing))
    assert found["credentials"].found == "none are given, or needed; they see One (w-1)"

    server.on("GET", f"{BASE}/workspaces", Reply(401))
    found = examined(airbyte_at(server, **nothing))
    assert "No credentials are set" in found["credentials"].advice
    assert statuses(found) == "of" + "s" * 7


def test_workspaces_may_not_be_listed(server: HttpServer) -> None:
    """Then the credentials are good all the same, and a workspace that is named can be found."""
    server.on("GET", f"{BASE}/workspaces", problem(403, "forbidden", "no"))
    server.on("GET", f"{BASE}/workspaces/w-1", Reply(200, WORKSPACE))

    found = examined(airbyte_at(server, workspace_id="w-1"))

    assert found["credentials"].found == "client_id and client_secret accepted"
    assert statuses(found) == "o" * 9


def test_no_single_workspace(server: HttpServer) -> None:
    """Those that are visible are listed."""
    server.on("GET", f"{BASE}/workspaces", page(WORKSPACE, {"workspaceId": "w-2", "name": "Two"}))

    found = examined(airbyte_at(server))

    assert "There are 2 workspaces to choose from: One (w-1), Two (w-2)" in found["workspace"].found
    assert found["workspace"].advice == "Set the workspace id or name."
    assert statuses(found) == "oof" + "s" * 6


@pytest.mark.parametrize("name", ["sources", "destinations", "connections", "jobs"])
def test_list_that_may_not_be_read(server: HttpServer, name: str) -> None:
    """It fails by itself; the other steps go on."""
    server.on("GET", f"{BASE}/{name}", problem(403, "forbidden", "the role is missing"))

    found = examined(airbyte_at(server))

    assert "403" in found[name].found
    assert "the role is missing" in found[name].found
    assert "credentials may use it" in found[name].advice
    assert statuses(found).count("f") == 1
    assert statuses(found).count("o") == 8


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Reply(404, "Object not found."), "it answered 404"),
        (Reply(403, {"message": "Forbidden"}), "Forbidden"),
        (Reply(200, "<html>"), "a web page"),
    ],
)
def test_configuration_api_out_of_reach(server: HttpServer, answer: Reply, words: str) -> None:
    """A warning that says what it means for the checks; with a job or without one."""
    server.on("POST", ORGANIZATION_INFO, answer)
    server.on("POST", "/api/v1/jobs/get_without_logs", answer)
    for jobs in (page(), page(job(7))):
        server.on("GET", f"{BASE}/jobs", jobs)

        found = examined(airbyte_at(server))["rows of each stream"]

        assert found.status is Status.WARNING
        assert words in found.found
        assert "Checks then compare the total of a job" in found.advice


def test_configuration_api_whose_place_is_not_known(server: HttpServer) -> None:
    """A base path of a proxy's says nothing of where the other API is."""
    with HttpServer() as proxy:
        for method, path in list(server._routes):
            proxy.on(method, path.replace(BASE, "/airbyte"), *server._routes[method, path])

        found = examined(airbyte_at(proxy, server_url=f"{proxy.url}/airbyte"))["rows of each stream"]

    assert found.status is Status.WARNING
    assert "is not known" in found.found


def test_answers_that_are_no_answers(server: HttpServer) -> None:
    """Half an Airbyte: what it promises does not come; each has its words, and nothing ends in a traceback."""
    server.on("GET", f"{BASE}/sources", Reply(200, "[]", {"Content-Type": "application/json"}))
    server.on("GET", f"{BASE}/destinations", Reply(200, "surprise"))
    server.on("GET", f"{BASE}/connections", page({"name": "no id"}))
    server.on("GET", f"{BASE}/jobs", page({"jobId": "x"}))
    server.on("GET", f"{BASE}/permissions", Reply(200, []))

    found = examined(airbyte_at(server))

    assert "answered without a list" in found["sources"].found
    assert "something that is not JSON" in found["destinations"].found
    assert "no connectionId" in found["connections"].found
    assert "no jobId" in found["jobs"].found
    assert "not known: GET /permissions" in found["roles"].found
    assert statuses(found) == "ooo" + "ffff" + "ow"


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ([("instance_admin", "none", "0")], Status.OK, "instance_admin: may create and change"),
        ([("workspace_editor", "workspace", "w-1")], Status.OK, "workspace_editor: may create and change"),
        ([("organization_editor", "organization", "o-1")], Status.OK, "organization_editor: may create and change"),
        ([("workspace_runner", "workspace", "w-1")], Status.WARNING, "may start syncs, but by its name not create"),
        ([("workspace_reader", "workspace", "w-1")], Status.WARNING, "by its name it may not create or change"),
        ([("workspace_editor", "workspace", "w-2")], Status.WARNING, "none are listed"),
        ([], Status.WARNING, "none are listed"),
    ],
)
def test_roles(given: list[tuple[str, str, str]], status: Status, words: str) -> None:
    """What a role is called says what it allows; of other workspaces it says nothing."""
    judged, found, advice = judge_roles([Permission(*item) for item in given], "w-1")

    assert judged is status
    assert words in found
    assert ("--write" in advice) is (status is Status.WARNING)


def test_roles_that_can_not_be_read(server: HttpServer) -> None:
    """Older servers have no such list; it is said that the question is open, and how to close it."""
    server.on("GET", f"{BASE}/permissions", Reply(404, "Object not found."))

    found = examined(airbyte_at(server))["roles"]

    assert found.status is Status.WARNING
    assert "whether runs may create and change things is not known" in found.found
    assert "--write" in found.advice


def sources_of(client: AirbyteClient, server: RunningAirbyte) -> list[str]:
    return [source.name for source in client.actors("source", server.workspace_id)]


def test_writing_is_tried_if_asked_for(airbyte: RunningAirbyte) -> None:
    """A source is created and deleted again; without being asked for, nothing is."""
    found = examined(resource_of(airbyte), write=True)
    assert found["writing"].found == f"a source {TRIAL!r} was created and deleted"

    with client_of(airbyte) as client:
        assert sources_of(client, airbyte) == []
    assert "writing" not in examined(resource_of(airbyte))


def test_writing_that_is_refused(server: HttpServer) -> None:
    """What a reader's credentials meet."""
    server.on("POST", f"{BASE}/sources", Reply(403, {"message": "Forbidden"}))

    found = examined(airbyte_at(server), write=True)["writing"]

    assert found.status is Status.FAILED
    assert "403 to POST /sources: Forbidden" in found.found
    assert "give that user the role of an editor" in found.advice


def test_source_that_can_not_be_deleted_is_named(server: HttpServer) -> None:
    """Nothing is left behind without a word."""
    server.on("POST", f"{BASE}/sources", Reply(200, {"sourceId": "s-1", "name": TRIAL}))
    server.on("DELETE", f"{BASE}/sources/s-1", Reply(500, {"errorId": "e"}))

    found = examined(airbyte_at(server), write=True)["writing"]

    assert "the source s-1 was created, but not deleted" in found.found
    assert f"Delete the source {TRIAL!r} in Airbyte" in found.advice


def test_source_whose_creation_got_no_answer_is_deleted(server: HttpServer) -> None:
    """It is looked for by its name, and others are left alone."""
    server.on("POST", f"{BASE}/sources", Reply(drop="before"))
    server.on(
        "GET", f"{BASE}/sources", page(), page({"sourceId": "s-1", "name": TRIAL}, {"sourceId": "s-2", "name": "x"})
    )
    server.on("DELETE", f"{BASE}/sources/{{id}}", Reply(204))

    found = examined(airbyte_at(server), write=True)["writing"]

    assert found.status is Status.FAILED
    assert [request.path for request in server.sent("DELETE", f"{BASE}/sources/{{id}}")] == [f"{BASE}/sources/s-1"]


# The warehouse


def warehouse_findings(resource: WarehouseResource) -> dict[str, Finding]:
    findings = Findings()
    with findings.about("Warehouse"):
        examine_warehouse(resource, findings, now=lambda: NOW)
    return by_step(findings)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "lms.duckdb"
    duckdb.connect(str(path)).close()
    return path


def test_file_that_can_be_read(database: Path) -> None:
    """Opened and asked."""
    found = warehouse_findings(MotherDuckResource(database=str(database)))

    assert found["DuckDB"].found == f"version {duckdb.__version__}"
    assert found["file"].found == f"{database} can be opened and asked"
    assert statuses(found) == "oo"


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """The first sync makes it, so it is no failure; it is not made here."""
    found = warehouse_findings(MotherDuckResource(database=str(tmp_path / "none.duckdb")))

    assert found["file"].status is Status.WARNING
    assert "There is no database file at" in found["file"].found
    assert "made by the first sync" in found["file"].advice
    assert list(tmp_path.iterdir()) == []


def test_file_that_another_process_holds(database: Path) -> None:
    """Who holds it is told at once, whatever the resource waits."""
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        found = warehouse_findings(MotherDuckResource(database=str(database), lock_timeout=3))
        process.communicate()

    assert found["file"].status is Status.FAILED
    assert re.search(rf"lms\.duckdb is held in .* \(PID {process.pid}\)\.$", found["file"].found)
    assert "Close the other program" in found["file"].advice


def test_file_of_a_newer_duckdb(database: Path) -> None:
    """The header says so; its checksum is made to fit."""
    content = bytearray(database.read_bytes())
    content[12:20] = struct.pack("<Q", 9999)
    content[0:8] = struct.pack("<Q", duckdb_checksum(bytes(content[8:4096])))
    database.write_bytes(content)

    found = warehouse_findings(MotherDuckResource(database=str(database)))

    assert "was written by a newer DuckDB than the installed one" in found["file"].found
    assert found["file"].advice == "Upgrade the duckdb package."


def test_file_that_is_something_else(tmp_path: Path) -> None:
    """DuckDB's own words."""
    path = tmp_path / "text.duckdb"
    path.write_text("hello" * 2000)

    found = warehouse_findings(MotherDuckResource(database=str(path)))

    assert found["file"].status is Status.FAILED
    assert "not a valid DuckDB database file" in found["file"].found
    assert found["file"].advice


def a_token(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'text': '>>>???', **claims})}.PLANTED"


@pytest.mark.parametrize(
    ("token", "status", "words"),
    [
        (a_token(), Status.OK, "there is one, with no date of expiry in it"),
        (a_token(exp=(NOW + dt.timedelta(days=30)).timestamp()), Status.OK, "expires on 2026-07-01 12:00 UTC"),
        (a_token(exp=(NOW + dt.timedelta(days=2)).timestamp()), Status.WARNING, "expires soon, on 2026-06-03"),
        (a_token(exp=(NOW - dt.timedelta(days=1)).timestamp()), Status.FAILED, "it expired on 2026-05-31 12:00 UTC"),
        (a_token(exp="tomorrow"), Status.OK, "no date of expiry"),
        (a_token(exp=1e30), Status.OK, "no date of expiry"),
        ("PLANTED", Status.WARNING, "not shaped as MotherDuck's are"),
        ("PLANTED.PLANTED.PLANTED", Status.WARNING, "not shaped as MotherDuck's are"),
        ("e30.bnVsbA.", Status.WARNING, "not shaped as MotherDuck's are"),
        ("W10.W10.x", Status.WARNING, "not shaped as MotherDuck's are"),
        (f"{a_token()}.more", Status.WARNING, "not shaped as MotherDuck's are"),
    ],
)
def test_tokens(token: str, status: Status, words: str) -> None:
    """Read without checking the signature, which is said; what is no token is told apart from one that expired."""
    judged, found, advice = judge_token(token, NOW)

    assert judged is status
    assert words in found
    assert ("without checking its signature" in found) is ("not shaped" not in words)
    assert bool(advice) is (status is not Status.OK)


class MotherDuck:
    """DuckDB's `connect` for a machine that MotherDuck can be reached from, as far as it goes here.

    Attributes:
        refuses: What opening ``md:`` ends with.
        no_extension: What installing the extension ends with.
        calls: What was opened.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = ""
        self.no_extension = ""
        self.calls: list[tuple[str, Any]] = []
        self._connect = duckdb.connect
        monkeypatch.setattr(duckdb, "connect", self)

    def __call__(self, database: str, **options: Any) -> Any:
        self.calls.append((database, options.get("config")))
        if database.startswith("md:") and self.refuses:
            raise duckdb.InvalidInputException(self.refuses)
        return _Connection(self._connect(":memory:"), self.no_extension)


class _Connection:
    def __init__(self, connection: Any, no_extension: str) -> None:
        self._connection, self._no_extension = connection, no_extension

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def execute(self, query: str, *arguments: Any) -> Any:
        if query == "INSTALL motherduck":
            if self._no_extension:
                raise duckdb.IOException(self._no_extension)
            query = "SELECT 1"
        return self._connection.execute(query, *arguments)


@pytest.fixture
def motherduck(monkeypatch: pytest.MonkeyPatch) -> MotherDuck:
    return MotherDuck(monkeypatch)


def test_motherduck_that_lets_us_in(motherduck: MotherDuck) -> None:
    """Token, extension, connection; the token goes into the configuration, never into the address."""
    token = a_token()

    found = warehouse_findings(MotherDuckResource(database="md:lms", motherduck_token=token))

    assert list(found) == ["DuckDB", "token", "extension", "connection"]
    assert statuses(found) == "oooo"
    assert found["connection"].found == "md:lms can be opened and asked"
    assert motherduck.calls == [(":memory:", {}), ("md:lms", {"motherduck_token": token})]


def test_motherduck_without_a_token(motherduck: MotherDuck) -> None:
    """Nothing is opened: DuckDB would wait for somebody to sign in in a browser."""
    found = warehouse_findings(MotherDuckResource(database="md:lms"))

    assert found["token"].found == "there is none, but md:lms is at MotherDuck"
    assert "set MOTHERDUCK_APIKEY" in found["token"].advice
    assert statuses(found) == "ofss"
    assert motherduck.calls == []


def test_motherduck_with_an_expired_token(motherduck: MotherDuck) -> None:
    """Nobody is asked what the token itself says."""
    token = a_token(exp=(NOW - dt.timedelta(days=1)).timestamp())

    found = warehouse_findings(MotherDuckResource(database="md:lms", motherduck_token=token))

    assert statuses(found) == "ofss"
    assert "Make a new one" in found["token"].advice
    assert motherduck.calls == []


def test_motherduck_without_its_extension(motherduck: MotherDuck) -> None:
    """It is told apart from a service that can't be reached."""
    motherduck.no_extension = 'Failed to download extension "motherduck" at URL "http://extensions.duckdb.org/…"'

    found = warehouse_findings(MotherDuckResource(database="md:lms", motherduck_token=a_token()))

    assert "DuckDB can't download its extension for MotherDuck" in found["extension"].found
    assert "HTTP_PROXY" in found["extension"].advice
    assert statuses(found) == "oofs"


@pytest.mark.parametrize(
    ("said", "words", "advice"),
    [
        ("Your request is not authenticated. Please check your MotherDuck token.", "refused the token", "a new access"),
        ("no database/share named 'lms' found", "There is no database lms at MotherDuck", "CREATE DATABASE lms"),
        (
            'Failed to download "http://api.motherduck.com/…": Could not establish connection',
            "can't be reached",
            "ext.",
        ),
        (
            "Something new: {token}",
            "DuckDB could not read md:lms: Something new: ***",
            "whether DuckDB alone can open it",
        ),
    ],
)
def test_motherduck_that_refuses(motherduck: MotherDuck, said: str, words: str, advice: str) -> None:
    """The kinds of failures are told apart; all are in the tests of the warehouse."""
    token = a_token()
    motherduck.refuses = said.format(token=token)

    found = warehouse_findings(MotherDuckResource(database="md:lms", motherduck_token=token))

    assert statuses(found) == "ooof"
    assert words in found["connection"].found
    assert advice in found["connection"].advice


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


def postgres_resource(port: int, extensions: Path, **changes: Any) -> PostgresWarehouseResource:
    settings = {"host": "127.0.0.1", "port": port, "database": "postgres", "username": "airbyte", "password": PASSWORD}
    return PostgresWarehouseResource(**{**settings, "extension_directory": str(extensions), **changes})


def test_postgresql_that_lets_us_in(postgres: Postgres, duckdb_extensions: Path) -> None:
    """The extension, then the connection."""
    found = warehouse_findings(postgres_resource(postgres.port, duckdb_extensions))

    assert found["extension"].found.endswith("is installed")
    assert found["connection"].found == "postgres can be opened and asked"
    assert statuses(found) == "ooo"


@pytest.mark.parametrize(
    ("changes", "words", "advice"),
    [
        ({"password": "PLANTED"}, "password authentication failed", "Check username and password"),
        ({"username": "stranger"}, "authentication failed", "Check username and password"),
        ({"database": "elsewhere"}, 'database "elsewhere" does not exist', "Check database"),
        ({"port": 1}, "Connection refused", "Check host and port"),
    ],
)
def test_postgresql_that_refuses(
    postgres: Postgres, duckdb_extensions: Path, changes: dict[str, Any], words: str, advice: str
) -> None:
    """PostgreSQL's own words, and which setting to look at."""
    found = warehouse_findings(postgres_resource(**{"port": postgres.port, "extensions": duckdb_extensions, **changes}))

    assert statuses(found) == "oof"
    assert words in found["connection"].found
    assert advice in found["connection"].advice
    assert PASSWORD not in found["connection"].found


def test_postgresql_without_its_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can't be downloaded, the server is not asked."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    found = warehouse_findings(postgres_resource(1, tmp_path))

    assert "DuckDB could not load its extension postgres" in found["extension"].found
    assert "extension_directory" in found["extension"].advice
    assert statuses(found) == "ofs"


# The destination and the warehouse

MD = DuckDBWarehouse("md:lms", "PLANTED")
FILE = DuckDBWarehouse("/data/lms.duckdb")
PG = PostgresWarehouse(database="raw", host="db.example", username="reader")


@pytest.mark.parametrize(
    ("kind", "configuration", "warehouse", "status", "words"),
    [
        ("duckdb", {"destination_path": "md:lms"}, MD, Status.OK, "md:lms, where the checks look"),
        ("duckdb", {"destination_path": "motherduck:LMS"}, MD, Status.OK, "where the checks look"),
        ("", {"destination_path": "md:lms?motherduck_token=PLANTED"}, MD, Status.OK, "where the checks look"),
        (
            "motherduck",
            {"destination_path": "md:other?motherduck_token=PLANTED"},
            MD,
            Status.FAILED,
            "Airbyte writes to md:other, but the checks look into md:lms",
        ),
        ("duckdb", {"destination_path": "md:"}, DuckDBWarehouse("md:my_db"), Status.OK, "where the checks look"),
        ("duckdb", {"destination_path": "/data/lms.duckdb"}, MD, Status.FAILED, "but the checks look into md:lms"),
        ("duckdb", {"destination_path": "md:lms"}, FILE, Status.FAILED, "but the checks look into /data/lms.duckdb"),
        ("duckdb", {"destination_path": "/data/x/../lms.duckdb"}, FILE, Status.OK, "where the checks look"),
        ("duckdb", {"destination_path": "/data/other.duckdb"}, FILE, Status.FAILED, "Airbyte writes to /data/other"),
        ("postgres", {"host": "DB.example", "database": "raw"}, PG, Status.OK, "raw at db.example:5432, where the"),
        ("postgres", {"host": "db.example", "port": 5433, "database": "raw"}, PG, Status.WARNING, "db.example:5433"),
        ("postgres", {"host": "db.example", "database": "app"}, PG, Status.FAILED, "writes to app at db.example:5432"),
        ("postgres", {"host": "db.example", "database": "raw"}, MD, Status.FAILED, "a postgres database, but"),
        ("duckdb", {"destination_path": "md:lms"}, PG, Status.FAILED, "md:lms, but the checks look into PostgreSQL's"),
        ("snowflake", {"host": "x", "database": "raw"}, PG, Status.WARNING, "(snowflake)"),
        ("", {}, MD, Status.WARNING, "(a custom connector) and the warehouse (md:lms) can't be compared"),
    ],
)
def test_same_database(
    kind: str, configuration: dict[str, Any], warehouse: Warehouse, status: Status, words: str
) -> None:
    """One database in several spellings is the same; another one is a failure; what can't be told is a warning."""
    judged, found, advice = judge_places(kind, configuration, warehouse, is_local=True)

    assert (judged, words in found) == (status, True), found
    assert "PLANTED" not in found
    assert bool(advice) is (status is not Status.OK)


def test_paths_of_an_airbyte_elsewhere() -> None:
    """One path in a container and here is two files, unless they share the disk."""
    judged, found, advice = judge_places("duckdb", {"destination_path": "/data/lms.duckdb"}, FILE, is_local=False)

    assert judged is Status.WARNING
    assert "in the connector's container" in found
    assert "use MotherDuck" in advice


# A code location of one's own, and the pipeline

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
    warehouse_key="files",
)
"""


def location_of(
    airbyte: RunningAirbyte, directory: Path, *, source: str = "{}", database: str | None = None, more: str = ""
) -> Path:
    """A file with a pipeline of its own."""
    file = directory / "location.py"
    path = str(airbyte.home.warehouse)
    text = LOCATION.format(
        source=source,
        path=path,
        url=airbyte.server_url,
        client_id=airbyte.client_id,
        client_secret=airbyte.client_secret,
        database=database or path,
    )
    file.write_text(text + more)
    return file


def lines_of(output: str, about: str) -> dict[str, str]:
    """The lines below a heading, by step."""
    (part,) = re.findall(rf"^{about}\n((?:[✓!✗–] .*\n|  → .*\n)+)", output, re.MULTILINE)
    return {line[2:].partition(":")[0]: line for line in part.splitlines() if not line.startswith("  →")}


def test_pipeline_that_is_not_there_yet(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """It would be created; nothing is, whatever is looked at."""
    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path))

    assert passed, output
    assert "✓ definitions: Airbyte: airbyte; warehouses: files; pipelines: mine\n" in output
    found = lines_of(output, "Pipeline mine")
    assert found["source"] == "✓ source: 'my faker' does not exist yet; the first run creates it"
    assert "does not exist yet" in found["destination"]
    assert "does not exist yet" in found["connection"]
    assert found["same database"].startswith("✓ same database: Airbyte writes to")
    with client_of(airbyte) as client:
        assert client.actors("source", airbyte.workspace_id) == []


def create_all(airbyte: RunningAirbyte, count: int = 5, path: str | None = None) -> None:
    with client_of(airbyte) as client:
        source = client.create_actor(
            "source",
            workspace_id=airbyte.workspace_id,
            name="my faker",
            configuration={"sourceType": "faker", "count": count, "api_key": SECRET},
        )
        destination = client.create_actor(
            "destination",
            workspace_id=airbyte.workspace_id,
            name="my file",
            configuration={"destinationType": "duckdb", "destination_path": path or str(airbyte.home.warehouse)},
        )
        client.create_connection(
            {
                "name": "mine",
                "sourceId": source.id,
                "destinationId": destination.id,
                "configurations": {"streams": [{"name": "users", "syncMode": "full_refresh_overwrite"}]},
            }
        )


def test_pipeline_that_is_there(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """As declared; a secret, which Airbyte masks, counts as unchanged."""
    create_all(airbyte)

    _, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path, source=repr({"api_key": SECRET})))

    found = lines_of(output, "Pipeline mine")
    assert [line[0] for line in found.values()] == ["✓"] * 4
    assert "'my faker' exists as declared (" in found["source"]
    assert "'mine' exists as declared (" in found["connection"]


def test_pipeline_that_differs(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """By the paths that differ; the next run changes them, so it is no failure."""
    create_all(airbyte, count=7)

    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path))

    assert passed
    assert lines_of(output, "Pipeline mine")["source"].endswith("but differs from its declaration: count")
    assert "  → The next run sets it to what is declared" in output


def test_checks_that_look_elsewhere(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """They would count what nobody writes."""
    file = location_of(airbyte, tmp_path, database=str(tmp_path / "other.duckdb"))

    passed, output = run_doctor(tmp_path, file=file)

    assert not passed
    assert re.search(
        r"✗ same database: Airbyte writes to .*lms\.duckdb, but the checks look into .*other\.duckdb", output
    )
    assert "Give the destination and the warehouse the same database" in output
    assert output.endswith("1 failed, 1 to look at.\n")


def test_pipeline_that_can_not_be_planned(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """Two of one name; what builds on it is left out."""
    for _ in range(2):
        with client_of(airbyte) as client:
            client.create_actor(
                "source", workspace_id=airbyte.workspace_id, name="my faker", configuration={"sourceType": "faker"}
            )

    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path))

    assert not passed
    found = lines_of(output, "Pipeline mine")
    assert found["source"].startswith("✗ source: The workspace has 2 sources named 'my faker'")
    assert found["connection"].startswith("– connection: not looked at")
    assert found["same database"].startswith("✓")


def test_pipeline_that_reads_what_is_not_set(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """The variable and the place in the declaration are named."""
    file = location_of(airbyte, tmp_path, source='{"api_key": dg.EnvVar("NOT_SET_AT_ALL")}')

    passed, output = run_doctor(tmp_path, file=file)

    assert not passed
    assert "source.api_key is read from the environment variable NOT_SET_AT_ALL, which is not set." in output


def test_airbyte_out_of_reach_leaves_the_rest(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """The warehouse is looked at all the same; what needs Airbyte is left out, in one line."""
    file = location_of(airbyte, tmp_path)
    file.write_text(file.read_text().replace(airbyte.server_url, "http://127.0.0.1:1"))

    passed, output = run_doctor(tmp_path, file=file)

    assert not passed
    assert (
        "– credentials, workspace, sources, destinations, connections, jobs, rows of each stream, roles: not" in output
    )
    assert "! file: There is no database file" in output
    assert "– source, destination, connection, same database: not looked at: Airbyte's workspace was not" in output


OWN_VARIABLES = """
more = dg.Definitions.merge(
    defs,
    dg.Definitions(
        resources={
            "other": AirbyteResource(server_url="http://127.0.0.1:1", bearer_token=dg.EnvVar("MY_TOKEN")),
            "duck": MotherDuckResource(database="md:lms", motherduck_token=dg.EnvVar("MY_DUCK")),
        }
    ),
)
defs = more
"""


def test_settings_that_are_read_from_variables(
    airbyte: RunningAirbyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not set fails, by its name and its field; an odd value is a warning; each resource has its part."""
    monkeypatch.delenv("MY_DUCK", raising=False)
    monkeypatch.setenv("MY_TOKEN", f"'{SECRET}'")

    passed, output = run_doctor(tmp_path, file=location_of(airbyte, tmp_path, more=OWN_VARIABLES))

    assert not passed
    assert lines_of(output, "Airbyte 'airbyte'")["server"].startswith("✓")
    assert "! settings: MY_TOKEN has quotes around its value" in output
    assert "✗ settings: read from variables that are not set: motherduck_token (MY_DUCK)\n" in output
    assert "– connection: not looked at: settings are missing" in output
    assert lines_of(output, "Warehouse 'files'")["file"].startswith("!")
    assert lines_of(output, "Pipeline mine")["same database"].startswith("✓")


@pytest.mark.parametrize(
    ("text", "words", "advice"),
    [
        ("x = 1 / 0", "can't be loaded: ZeroDivisionError: division by zero", "dagster definitions validate"),
        ("import nothing_of_that_name", "can't be loaded: ModuleNotFoundError", "dagster definitions validate"),
        ("x = 1", "has no Definitions", "as `defs`"),
        ("import dagster as dg\na = dg.Definitions()\nb = dg.Definitions()", "has 2 Definitions", "as `defs`"),
        ("import dagster as dg\ndefs = dg.Definitions()", "has no AirbyteResource and no warehouse", "resources"),
        (
            "from airbyte_dagster import Source\nSource(name='x', configuration={'count': 1})",
            "This Source is not valid: configuration names no connector",
            "Mend them",
        ),
        (f"raise ValueError('{SECRET}')", "can't be loaded: ValueError: [hidden]", "validate"),
    ],
)
def test_code_location_that_can_not_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str, advice: str
) -> None:
    """Its own error, in one line; a known secret in it is hidden."""
    monkeypatch.setenv("MOTHERDUCK_APIKEY", SECRET)
    file = tmp_path / "broken.py"
    file.write_text(text)

    passed, output = run_doctor(tmp_path, file=file)

    assert not passed
    assert words in output
    assert advice in output


def test_module_of_the_working_directory(
    airbyte: RunningAirbyte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dagster takes it; definitions may be under its decorator."""
    more = "\nmade = defs\n@dg.definitions\ndef defs():\n    return made\n"
    location_of(airbyte, tmp_path, more=more).rename(tmp_path / "doctors_own.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "doctors_own", raising=False)

    passed, output = run_doctor(tmp_path, module="doctors_own")

    assert passed, output
    assert "pipelines: mine" in output


# The command


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path / "home")
    yield made
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == made.mark:
                process.kill()
        except psutil.Error:
            continue


def test_nothing_is_set_and_nothing_runs(commands: Commands) -> None:
    """Local Airbyte is meant; who starts it is said, and it is not started."""
    code, output = commands.run("doctor")

    assert code == 0, output
    assert "✓ what they mean: local Airbyte, and a DuckDB file" in output
    assert "! local Airbyte: none runs for" in output
    assert "`airbyte-dagster run` and `airbyte-dagster dev` start it" in output
    assert "– server, credentials," in output
    assert not commands.home.exists()
    assert commands.left_over() == []


def test_local_airbyte_that_runs_is_looked_at(airbyte: RunningAirbyte, commands: Commands) -> None:
    """The one of the home; the default pipeline is the one that `run` runs."""
    airbyte.home.server_file.write_text(json.dumps({"url": airbyte.url, "pid": os.getpid()}))

    code, output = commands.run("doctor", "--home", str(airbyte.home.root))

    assert code == 0, output
    assert f"✓ local Airbyte: runs at {airbyte.server_url}" in output
    assert f"✓ server: local Airbyte answers at {airbyte.server_url}" in output
    assert "✓ credentials: client_id and client_secret accepted; they see Default Workspace" in output
    assert "✓ roles: instance_admin" in output
    assert "✓ source: 'my_source_faker_using_api' does not exist yet" in output
    assert "✓ same database: Airbyte writes to" in output
    assert airbyte.client_secret not in output


def test_what_run_would_meet(airbyte: RunningAirbyte, commands: Commands) -> None:
    """With the variables of another Airbyte; a wrong secret ends with exit status 1, and is not shown."""
    variables = {
        "AIRBYTE_SERVER_URL": airbyte.server_url,
        "AIRBYTE_CLIENT_ID": airbyte.client_id,
        "AIRBYTE_CLIENT_SECRET": "PLANTED-wrong ",
    }
    code, output = commands.run("doctor", **variables)

    assert code == 1
    assert "! variables: AIRBYTE_CLIENT_SECRET has white space around its value" in output
    assert "✗ credentials: Airbyte refused to sign in" in output
    assert re.search(r"^\d failed, \d to look at\.$", output, re.MULTILINE)
    assert "PLANTED" not in output


def test_half_an_environment(commands: Commands) -> None:
    """Airbyte is not asked, since nobody knows which."""
    code, output = commands.run("doctor", AIRBYTE_CLIENT_ID="x")

    assert code == 1
    assert "✗ what they mean: AIRBYTE_CLIENT_ID is set, but AIRBYTE_CLIENT_SECRET is not." in output
    assert "  → Set both to use your Airbyte, or neither to use local Airbyte." in output
    assert "– server, credentials," in output


def test_findings_as_json(airbyte: RunningAirbyte, commands: Commands, tmp_path: Path) -> None:
    """All of them, skipped ones one by one, and nothing else on the standard output."""
    file = location_of(airbyte, tmp_path, database=str(tmp_path / "other.duckdb"), more="\nprint('noise')\n")

    command = [sys.executable, "-m", "airbyte_dagster", "doctor", "-f", str(file), "--json"]
    ended = subprocess.run(command, env=commands.environment, capture_output=True, text=True, check=False)

    assert "noise" in ended.stderr
    report = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert report["passed"] is False
    assert {key for finding in report["findings"] for key in finding} == {"about", "step", "status", "found", "advice"}
    failed = [(item["about"], item["step"]) for item in report["findings"] if item["status"] == "failed"]
    assert failed == [("Pipeline mine", "same database")]


def test_module_and_file_are_two_questions(commands: Commands, tmp_path: Path) -> None:
    """Which of the two is meant can't be known."""
    code, output = commands.run("doctor", "-m", "x", "-f", __file__)

    assert code == 2
    assert "Give a module or a file, not both." in output


def test_help_of_doctor(commands: Commands) -> None:
    """What it looks at, that it changes nothing, and what its exit status says."""
    code, output = commands.run("doctor", "--help")

    assert code == 0
    for words in (
        "--write",
        "--json",
        "-m, --module-name",
        "-f, --python-file",
        "Exit status is 1",
        "nothing is changed",
    ):
        assert words in output


def test_motherducks_own_extension_is_worded(commands: Commands, tmp_path: Path) -> None:
    """The real one, against a server that stands in for MotherDuck's and has nothing for this DuckDB."""
    [extension] = Path(str(importlib.resources.files("duckdb_extension_motherduck"))).rglob("*.duckdb_extension")
    script = "import duckdb, sys; duckdb.connect().execute(f\"INSTALL '{sys.argv[1]}'\")"
    home = {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script, str(extension)], env={**os.environ, **home}, check=True)
    with HttpServer() as server:
        server.on("GET", "/extension_version", Reply(403, "no"))
        code, output = commands.run(
            "doctor",
            MOTHERDUCK_APIKEY=a_token(),
            motherduck_host="127.0.0.1",
            motherduck_ext_version_check_port=str(server.port),
            **home,
        )

    assert code == 1
    assert "✓ token: there is one, with no date of expiry in it" in output
    assert "✓ extension: motherduck" in output
    assert f"✗ connection: MotherDuck offers nothing for the installed DuckDB {duckdb.__version__}: Mother" in output
    assert "A proxy that refuses in MotherDuck's place looks the same." in output
    assert "PLANTED" not in output
    assert [request.path for request in server.requests] == ["/extension_version"]
