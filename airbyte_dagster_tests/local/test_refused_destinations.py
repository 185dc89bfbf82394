"""Destinations that are refused: what is no file, what is somebody else's, and what is of another kind."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from airbyte_dagster.local import destinations
from airbyte_dagster.local.engine import Warehouse
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte


def create(api: Api, **config: Any) -> httpx.Response:
    body = {"name": "d", "workspaceId": api.workspace_id, "configuration": {"destinationType": "duckdb", **config}}
    return api.post("/destinations", json=body)


def refusal(api: Api, field: str, **config: Any) -> str:
    """The reason that a new destination is refused for; it names the field, and the old one isn't changed to it."""
    answer = create(api, **config)
    assert answer.status_code == 422, answer.text
    message = str(answer.json()["data"]["message"])
    assert message.startswith(f"$.{field}: ")
    kind = config.pop("destinationType", "duckdb")
    if kind == "duckdb":
        path = f"/destinations/{api.destination()}"
        assert api.patch(path, json={"configuration": config}).json()["data"]["message"] == message
    return message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("~nosuchuser/x.duckdb", "can't be used"),
        ("x" * 300, "can't be used: File name too long"),
        ("x" * 253, "can't be used: File name too long"),  # with what DuckDB puts beside it
        ("x/" * 3000, "can't be used: File name too long"),
        ("loop/x.duckdb", "can't be used: "),
        (" ", "not a path"),
        ("a\0b", "not a path"),
        (":memory:", "is a database in memory"),
        ("./:memory:", "is a database in memory"),
        (":MEMORY:named", "is a database in memory"),
        ("x.duckdb?access_mode=read_only", "has a ?"),
        ("?x.duckdb", "has a ?"),
        ("s3://bucket/x.duckdb", "is an address"),
        ("file:x.duckdb", "is an address"),
        ("postgres:host=h", "is an address"),
        (".", "is a directory"),
        ("pipe", "is not a file"),
    ],
)
def test_what_is_no_path_of_a_file(path: str, reason: str, airbyte: RunningAirbyte, api: Api) -> None:
    """A 422 that names the field, never a 500, and never a file that is called so."""
    (airbyte.home.root / "loop").symlink_to("loop")
    os.mkfifo(airbyte.home.root / "pipe")
    assert reason in refusal(api, "destination_path", destination_path=path)


@pytest.mark.parametrize(
    "path",
    [
        "local/state.sqlite",
        "local/credentials.json",
        "local/new.duckdb",
        "local/state.sqlite/below",
        "./sub/../local//state.sqlite",
        "{home}/local/state.sqlite",
        "link/state.sqlite",
        "file.duckdb",
        "environments/x.duckdb",
        "shared/x.duckdb",
        "local",
    ],
)
def test_what_is_the_servers_own(path: str, airbyte: RunningAirbyte, api: Api, tmp_path: Path) -> None:
    """Nothing of the server's own is a destination, by any spelling or link, nor where a link leads to."""
    home = airbyte.home
    (tmp_path / "shared").mkdir()
    (home.root / "environments").symlink_to(tmp_path / "shared")
    (home.root / "shared").symlink_to(tmp_path / "shared")
    (home.root / "link").symlink_to("local")
    (home.root / "file.duckdb").symlink_to("local/state.sqlite")
    refusal(api, "destination_path", destination_path=path.replace("{home}", str(home.root)))


def test_the_servers_own_is_refused_in_an_allowed_directory(tmp_path: Path) -> None:
    """--allow-path of a directory that the home is in doesn't open the server's own."""
    with running_local_airbyte(tmp_path / "home", allow_paths=[tmp_path]) as airbyte, airbyte.api() as api:
        path = str(tmp_path / "home" / "local" / "x.duckdb")
        assert "its own files" in refusal(api, "destination_path", destination_path=path)
        assert create(api, destination_path=str(tmp_path / "x.duckdb")).status_code == 200


def test_names_that_differ_by_case_may_be_one(
    airbyte: RunningAirbyte, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system says that LOCAL is local, it is refused, too."""
    real = os.path.samefile

    def without_case(one: Any, other: Any) -> bool:
        return str(one).lower() == str(other).lower() or real(one, other)

    monkeypatch.setattr(Path, "samefile", without_case)
    assert "its own files" in refusal(api, "destination_path", destination_path="LOCAL/x.duckdb")


@pytest.mark.parametrize("content", [b"id,name\n1,a\n", b'{"id": 1}', b"PAR1" + b"\0" * 100, b"x"])
def test_another_kind_of_file(content: bytes, airbyte: RunningAirbyte, api: Api) -> None:
    """A file that is there and is no DuckDB file is refused and left alone, also when it came after the destination."""
    path = airbyte.home.root / "some.duckdb"
    path.write_bytes(content)
    assert "is not a DuckDB file" in refusal(api, "destination_path", destination_path="some.duckdb")
    path.unlink()
    connection = api.connection(api.source(count=1), api.destination("some.duckdb"), ["users"])
    path.write_bytes(content)
    job = api.finish(api.sync(connection))
    assert job["status"] == "failed"
    assert "is not a DuckDB file" in api.failure(job["jobId"])["externalMessage"]
    assert path.read_bytes() == content


def test_a_sqlite_file_is_no_duckdb_file(airbyte: RunningAirbyte, api: Api) -> None:
    """DuckDB would open it, and write to it."""
    with sqlite3.connect(airbyte.home.root / "other.db") as database:
        database.execute("CREATE TABLE t (v)")
    assert "is not a DuckDB file" in refusal(api, "destination_path", destination_path="other.db")


def test_a_duckdb_file_and_an_empty_one_are_taken(airbyte: RunningAirbyte, api: Api) -> None:
    """DuckDB makes its own of an empty file."""
    duckdb.connect(airbyte.home.root / "there.duckdb").close()
    (airbyte.home.root / "empty").touch()
    assert create(api, destination_path="there.duckdb").status_code == 200
    assert create(api, destination_path="empty").status_code == 200


def test_a_path_outside_says_what_to_do(tmp_path: Path) -> None:
    """The error has the command that the user ran, with the option that permits the directory."""
    with running_local_airbyte(tmp_path / "home", command="airbyte-dagster dev") as airbyte, airbyte.api() as api:
        reason = refusal(api, "destination_path", destination_path="/data/warehouse/x.duckdb")
    assert "`airbyte-dagster dev --allow-path /data/warehouse`" in reason


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("duckdb", {"destination_path": "x.duckdb", "host": "h"}, "host"),
        ("duckdb", {"destination_path": "x.duckdb", "host": "h", "username": "u", "database": "d"}, "host"),
        ("duckdb", {"destination_path": "x.duckdb", "database": "d"}, "database"),
        ("motherduck", {"motherduck_api_key": "k", "password": "p"}, "password"),
        ("postgres", {"host": "h", "username": "u", "database": "d", "destination_path": "x"}, "destination_path"),
        ("duckdb", {"destination_path": "md:lms"}, "motherduck_api_key"),
        ("duckdb", {"destination_path": "md:lms?motherduck_token=t", "motherduck_api_key": "k"}, "destination_path"),
        ("motherduck", {"destination_path": "x.duckdb", "motherduck_api_key": "k"}, "destination_path"),
        ("motherduck", {"destination_path": "/tmp/lms", "motherduck_api_key": "k"}, "destination_path"),
        ("duckdb", {"destination_path": "x.duckdb", "schema": "a b"}, "schema"),
    ],
)
def test_settings_of_another_kind(kind: str, config: dict[str, Any], field: str, api: Api) -> None:
    """The kind of a destination is its type; what belongs to another kind, or to another field, is refused."""
    refusal(api, field, destinationType=kind, **config)


def test_additional_settings_of_a_kind_are_taken(api: Api) -> None:
    """Airbyte's own destination has more settings than are used here; clients send them."""
    config = {"host": "h", "username": "u", "database": "d", "drop_cascade": False, "raw_data_schema": "raw"}
    made = create(api, destinationType="postgres", **config)
    assert made.status_code == 200, made.text
    assert made.json()["configuration"]["drop_cascade"] is False


@pytest.mark.parametrize("where", [("h" * 300, 5432), ("127.0.0.1", 65536), ("/" + "s" * 200, 5432), ("a\0b", 5432)])
def test_a_server_that_can_not_be(where: tuple[str, int]) -> None:
    """A host or a port that can't be one is a reason of the check, not an error of the server."""
    reason = destinations.reason_against(Warehouse("postgres", host=where[0], port=where[1]))
    assert "can't be reached" in str(reason)


def test_a_directory_that_may_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a reason of the check."""

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)
    assert "Permission denied" in str(destinations.reason_against(Warehouse("duckdb", path=str(tmp_path / "x"))))


def test_unknown_types_say_what_there_is(api: Api) -> None:
    """The package that was looked for, and the destinations that there are."""
    body: dict[str, Any] = {"name": "n", "workspaceId": api.workspace_id}
    source = api.post("/sources", json={**body, "configuration": {"sourceType": "nonesuch"}}).json()["message"]
    assert "the package index has no package airbyte-source-nonesuch" in source
    assert "--connector nonesuch=PATH" in source
    odd = api.post("/sources", json={**body, "configuration": {"sourceType": "No Name"}}).json()["message"]
    assert "lower-case letters, digits and dashes" in odd
    destination = api.post("/destinations", json={**body, "configuration": {"destinationType": "mysql"}}).json()
    assert destination["message"] == "There is no destination 'mysql' here; there are: duckdb, motherduck, postgres."
