"""Streams that one table is written by are named when definitions load."""

from __future__ import annotations

import pytest

from airbyte_dagster import AirbytePipeline, build_pipeline_defs
from airbyte_dagster.destinations.tables import collisions_warning
from airbyte_dagster.workspaces.tables import shared_tables
from airbyte_dagster_tests.workspaces.records import connection


def test_a_pipeline_warns_of_streams_that_share_a_table(caplog: pytest.LogCaptureFixture) -> None:
    """It loads all the same: what the other streams bring is right."""
    pipeline = AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "faker"}},
        destination={"name": "d", "configuration": {"destinationType": "motherduck"}},
        connection={"name": "c", "streams": ["Users", "users", "orders"]},
    )

    build_pipeline_defs(pipeline, airbyte="airbyte", warehouse=None)

    assert "main.users is written by c: Users and c: users" in caplog.text


def test_connections_of_a_workspace_that_write_one_table_are_found() -> None:
    """Of one destination; a prefix keeps them apart."""
    one, two = connection("a", ["users"]), connection("b", ["Users"])

    assert [str(found) for found in shared_tables([one, two])] == [
        "main.users is written by a (id-a): users and b (id-b): Users"
    ]
    assert not shared_tables([one, connection("b", ["users"], prefix="p_")])


def test_of_thousands_a_few_are_named() -> None:
    """The warning stays one that people read."""
    streams = [f"s{number}" for number in range(30)]
    found = shared_tables([connection(f"c{number}", streams) for number in range(2000)])

    warning = collisions_warning(found)

    assert "main.s0 is written by c0 (id-c0): s0 and c1 (id-c1): s0" in warning
    assert "and 1,995 more" in warning
    assert warning.endswith(" and 25 more.")
    assert len(warning) < 1000
