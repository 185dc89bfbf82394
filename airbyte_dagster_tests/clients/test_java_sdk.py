"""Airbyte's Java SDK."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from airbyte_dagster_tests.clients.environments import java_classpath
from airbyte_dagster_tests.clients.running import SCRIPTS, run_client, variables_of
from airbyte_dagster_tests.local.processes import ServerProcess

STREAMS = ["users", "products", "purchases"]


@pytest.mark.clients
@pytest.mark.real
def test_the_course(real_server: ServerProcess, tmp_path: Path) -> None:
    """Every call of the course, by a client that offers HTTP/2 with each request; the rows arrive and are cleared."""
    counts: list[list[int]] = []

    def count() -> None:
        with duckdb.connect(str(real_server.home.warehouse), read_only=True) as warehouse:
            counts.append([warehouse.table(stream).count("*").fetchall()[0][0] for stream in STREAMS])

    command = ["java", "-cp", java_classpath(), str(SCRIPTS / "JavaSdk.java")]
    seen = run_client(command, variables_of(real_server, tmp_path / "client"), {"count": count})

    with real_server.api() as api:
        assert seen["workspaces"] == [api.workspace_id]
    assert seen["my_duck_using_api"] == ["duckdb", {"destinationType": "duckdb", "destination_path": "lms.duckdb"}]
    assert seen["my_motherduck_using_api"][0] == "motherduck"
    assert seen["my_motherduck_using_api"][1]["motherduck_api_key"] == "**********"
    assert seen["connection_streams"] == STREAMS
    assert (seen["started"], seen["synced"]) == ("pending", ["succeeded", 3 * 35])
    assert seen["emptied"] == ["succeeded", "reset"]
    assert counts == [[35, 35, 35], [0, 0, 0]]
    assert (seen["jobs"], seen["cancelled_too_late"]) == (["sync", "reset"], "succeeded")
    assert (seen["deleted"], seen["gone"]) == ([204, 204, 204, 204], "deprecated")
