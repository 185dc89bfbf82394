"""The file of the server's state: of this version, of an older one, of a newer one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, String

from airbyte_dagster.local import database as database_module
from airbyte_dagster.local import settings
from airbyte_dagster.local.database import VERSION, Database, NewerDatabase
from airbyte_dagster.local.records import Base
from airbyte_dagster.local.server import CannotServe, Options, make_context
from airbyte_dagster_tests.local.fakes import ScriptedEngine, running_local_airbyte
from airbyte_dagster_tests.local.test_server_process import run

FIRST = Path(__file__).with_name("first_schema.sql")
CONNECTION = "44444444-4444-4444-8444-444444444444"


def query(path: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as opened, opened:
        return [row for statement in statements for row in opened.execute(statement)]


def home_of_the_first_version(directory: Path) -> settings.Home:
    home = settings.resolve_home(directory)
    home.make()
    with closing(sqlite3.connect(home.database)) as opened:
        opened.executescript(FIRST.read_text(encoding="utf-8"))
    return home


def test_a_new_one_has_the_present_version(tmp_path: Path) -> None:
    """It is in the file, where any later version finds it."""
    Database(tmp_path / "state.sqlite").close()
    assert query(tmp_path / "state.sqlite", "PRAGMA user_version") == [(VERSION,)]


def test_one_from_before_there_were_versions_is_taken(tmp_path: Path) -> None:
    """Connections and jobs of an old home are there, and go on."""
    home = home_of_the_first_version(tmp_path)
    with running_local_airbyte(tmp_path) as airbyte, airbyte.api() as api:
        assert api.ok("GET", f"/connections/{CONNECTION}")["name"] == "old connection"
        assert api.ok("GET", "/jobs/7")["rowsSynced"] == 3
        job = api.finish(api.sync(CONNECTION))
        assert (job["jobId"], job["status"], job["rowsSynced"]) == (8, "succeeded", 3)
    assert query(home.database, "PRAGMA user_version") == [(VERSION,)]


def test_missing_columns_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later version added to a table that is there comes with its default; the rows stay."""
    home = home_of_the_first_version(tmp_path)
    monkeypatch.setattr(database_module, "VERSION", VERSION + 1)
    table, count = Base.metadata.tables["jobs"], len(Base.metadata.tables["jobs"].columns)
    for column in (Column("note", String), Column("tries", Integer, nullable=False, server_default="1")):
        table.append_column(column)
    try:
        Database(home.database).close()
    finally:
        for name in ("note", "tries"):
            table._columns.remove(table.columns[name])
    assert len(table.columns) == count
    assert query(home.database, "SELECT id, note, tries FROM jobs") == [(7, None, 1)]
    assert query(home.database, "PRAGMA user_version") == [(VERSION + 1,)]


def test_a_newer_one_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Its version is not known here, so nothing in it is touched; the message says what to do."""
    home = home_of_the_first_version(tmp_path)
    query(home.database, f"PRAGMA user_version = {VERSION + 1}", "DROP INDEX connections_by_schedule")
    before = query(home.database, "SELECT * FROM sqlite_master")
    with pytest.raises(NewerDatabase, match="upgrade airbyte-dagster, or choose another home"):
        Database(home.database)
    with pytest.raises(CannotServe, match="newer version of airbyte-dagster"):
        make_context(home, Options(port=0), ScriptedEngine())
    assert query(home.database, "SELECT * FROM sqlite_master") == before


def test_serving_a_newer_home_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """`local serve` says why it can't, without a stack trace."""
    home = home_of_the_first_version(tmp_path)
    query(home.database, f"PRAGMA user_version = {VERSION + 1}")
    refused = run("serve", "--home", str(tmp_path), "--port", "0")
    assert refused.returncode != 0
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"Error: {home.database} was written by a newer version of airbyte-dagster")
