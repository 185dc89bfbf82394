"""The pure parts: configurations, plans, settings, and the worker's reasons."""

from __future__ import annotations

import errno
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.destinations.tables import Place
from airbyte_dagster.local import configuration, destinations, plan, settings
from airbyte_dagster.local.destinations import Places
from airbyte_dagster.local.engine import Warehouse
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Connection
from airbyte_dagster.local.redaction import MASK
from airbyte_dagster.local.work import reporting
from airbyte_dagster_tests.local.client import PATIENCE
from airbyte_dagster_tests.local.processes import environment

SPEC = {
    "type": "object",
    "properties": {
        "plain": {"type": "string"},
        "key": {"type": "string", "airbyte_secret": True},
        "login": {
            "oneOf": [
                {"properties": {"password": {"type": "string", "airbyte_secret": True}}},
                {"properties": {"token": {"type": "object", "airbyte_secret": True}}},
            ]
        },
        "hosts": {"type": "array", "items": {"properties": {"pin": {"type": "string", "airbyte_secret": True}}}},
    },
}
CONFIG: dict[str, Any] = {
    "plain": "p",
    "key": "k1",
    "login": {"password": "k2", "token": {"deep": "k3"}},
    "hosts": [{"pin": "k4", "name": "h"}, {"name": "i"}],
}


def test_secrets_are_found_through_alternatives_and_arrays() -> None:
    """Secret fields are found in oneOf, in arrays, and with all that is below them."""
    paths = configuration.secret_paths(SPEC)
    assert sorted(configuration.secrets_in(CONFIG, paths)) == ["k1", "k2", "k3", "k4"]
    assert configuration.masked(CONFIG, paths) == {
        "plain": "p",
        "key": MASK,
        "login": {"password": MASK, "token": MASK},
        "hosts": [{"pin": MASK, "name": "h"}, {"name": "i"}],
    }
    assert configuration.masked({"key": ""}, paths) == {"key": ""}


def test_secrets_are_found_through_references() -> None:
    """Also through a reference that leads in circles or nowhere, and through what is no schema."""
    spec = {
        "definitions": {
            "login": {"properties": {"key": {"airbyte_secret": True}, "next": {"$ref": "#/definitions/login"}}}
        },
        "properties": {
            "login": {"$ref": "#/definitions/login"},
            "nowhere": {"$ref": "#/definitions/none/at/all"},
            "odd": {"properties": ["x"], "oneOf": {"y": 1}, "items": [1], "$ref": 1},
        },
    }
    assert ["login", "key"] in configuration.secret_paths(spec)
    assert configuration.masked({"login": {"key": "k"}}, configuration.secret_paths(spec)) == {"login": {"key": MASK}}


def test_masks_sent_back_keep_the_secrets() -> None:
    """What was read and sent back unchanged is what is stored, by PUT's rule and by PATCH's."""
    masked = configuration.masked(CONFIG, configuration.secret_paths(SPEC))
    assert configuration.keep_secrets(masked, CONFIG) == CONFIG
    assert configuration.merge(CONFIG, masked) == CONFIG


def test_merge_is_deep() -> None:
    """PATCH keeps the siblings of what it changes."""
    assert configuration.merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


def test_validation_never_repeats_a_value() -> None:
    """The words of a refusal have the path and the rule, not the value."""
    spec = {"properties": {"key": {"type": "string", "pattern": "^x", "maxLength": 3}, "e": {"enum": ["a"]}}}
    with pytest.raises(ApiError) as refused:
        configuration.validate({"key": "hidden", "e": "hidden"}, spec)
    assert "hidden" not in str(refused.value.body)


def test_spec_that_python_cannot_follow_does_not_stop_anyone() -> None:
    """A pattern of another regex language, a dangling reference, an unknown type, or anything else that is no schema
    leaves the judgement to the connector.
    """
    configuration.validate({"a": "x"}, {"properties": {"a": {"pattern": r"^\p{L}(?<n>x)$"}}})
    configuration.validate({"a": "x"}, {"properties": {"a": {"$ref": "#/definitions/nowhere"}}})
    configuration.validate({"a": "x"}, {"properties": {"a": {"type": "text"}}})
    configuration.validate({"a": "x"}, {"properties": ["a"]})


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("duckdb", {"destination_path": "x.duckdb"}, Warehouse("duckdb", path="/h/x.duckdb")),
        (
            "duckdb",
            {"destination_path": "/h/a/../x.duckdb", "schema": "s"},
            Warehouse("duckdb", path="/h/x.duckdb", schema="s"),
        ),
        (
            "duckdb",
            {"destination_path": "md:lms", "motherduck_api_key": "k"},
            Warehouse("motherduck", database="lms", api_key="k"),
        ),
        (
            "duckdb",
            {"destination_path": "md:", "motherduck_api_key": "k"},
            Warehouse("motherduck", database="my_db", api_key="k"),
        ),
        ("motherduck", {"db": "lms", "motherduck_api_key": "k"}, Warehouse("motherduck", database="lms", api_key="k")),
        (
            "motherduck",
            {"destination_path": "lms", "motherduck_api_key": "k"},
            Warehouse("motherduck", database="lms", api_key="k"),
        ),
        (
            "postgres",
            {"host": "h", "username": "u", "database": "d"},
            Warehouse("postgres", database="d", schema="public", host="h", port=5432, username="u"),
        ),
    ],
)
def test_warehouse_of_a_destination(kind: str, config: dict[str, Any], expected: Warehouse) -> None:
    """The type says the kind: a path is a file in the home, with `md:`, or of type motherduck, a MotherDuck database;
    only files have a key that makes jobs wait.
    """
    found = destinations.warehouse(kind, config, Places(settings.Home(Path("/h"))))
    assert found == expected
    assert found.key == (f"file:{found.path}" if found.kind == "duckdb" else "")
    assert "api_key" not in repr(found)


@pytest.mark.parametrize(
    ("definition", "template", "namespace", "expected"),
    [
        ("destination", None, "hr", "main"),
        ("source", None, "hr", "hr"),
        ("source", None, None, "main"),
        ("custom_format", "raw_${SOURCE_NAMESPACE}", "hr", "raw_hr"),
        ("custom_format", "${SOURCE_NAMESPACE}", None, "main"),
        ("custom_format", 'x"; DROP', None, "x___DROP"),
        ("source", None, "2024", "_2024"),
    ],
)
def test_schema_of_a_stream(definition: str, template: str | None, namespace: str | None, expected: str) -> None:
    """The namespace definition decides on the schema, which is always a plain name; the prefix is the table's."""
    connection = Connection(namespace_definition=definition, namespace_format=template, prefix="raw-")
    place = plan.place_of(connection, Warehouse("duckdb", path="/x"), namespace, "Users")
    assert place == Place(expected, "raw_users")


def test_credentials_are_made_once_and_private(tmp_path: Path) -> None:
    """However many processes start at once, there is one set of credentials, in a file only the user can read."""
    home = settings.resolve_home(tmp_path / "home")
    together = threading.Barrier(8)

    def make(_: int) -> settings.Credentials:
        together.wait(PATIENCE)
        return settings.ensure_credentials(home)

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(make, range(8)))
    assert len(made) == 1
    (credentials,) = made
    assert stat.S_IMODE(home.credentials_file.stat().st_mode) == 0o600
    assert credentials.client_secret not in repr(credentials)
    assert [path.name for path in home.state_dir.glob(".*")] == []


def test_home_is_resolved() -> None:
    """The argument comes before the variable, the variable before the default; all are made absolute."""
    env = {"AIRBYTE_DAGSTER_HOME": "/from/env"}
    assert settings.resolve_home("/given", env).root == Path("/given")
    assert settings.resolve_home(None, env).root == Path("/from/env")
    assert settings.resolve_home(None, {}).root == Path.home() / ".airbyte-dagster"
    assert settings.resolve_home("relative", {}).root.is_absolute()


def test_full_disk_is_named() -> None:
    """A full disk is the reason, whether the file system or DuckDB says so."""
    for error in (OSError(errno.ENOSPC, "x"), RuntimeError("IO Error: Could not write: No space left on device")):
        failure = reporting.explain(error).failure
        assert failure.message == "The disk is full: no space left on device"
        assert failure.origin == "destination"


def test_settings_load_fast() -> None:
    """Settings, which others import, bring in nothing heavy."""
    heavy = "{'fastapi', 'sqlalchemy', 'pydantic', 'uvicorn', 'httpx', 'click', 'dagster'}"
    code = f"import sys, airbyte_dagster.local.settings; print({heavy} & set(sys.modules))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert printed.stdout == "set()\n"
