"""Generated histories in which nothing is ever lost: no check is red, whatever happens to a connection.

What nobody could know is left out: a sync or a reset that Dagster has not recorded and that leaves a table empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg
import pytest
from hypothesis import Phase, given, settings

from airbyte_dagster import Checks
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.local.engine import JobRequest
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres
from airbyte_dagster_tests.proof.airbyte import Clock
from airbyte_dagster_tests.proof.histories import STREAMS, Beginning, Course, Kinds, Step, Turn, histories
from airbyte_dagster_tests.proof.source import SourceStream
from airbyte_dagster_tests.proof.world import Place, World

History = tuple[list[Beginning], list[tuple[Turn, ...]]]
Make = Callable[[str, Sequence[SourceStream], Mapping[StreamKey, Checks]], World]
#: Of 200 histories, a tenth is PostgreSQL's.
IN_DUCKDB, IN_POSTGRES = 180 // STREAMS, 20 // STREAMS
#: The same in each run. One that fails is not made shorter, which would take minutes: it says what is red after what.
_AS_DRAWN: dict[str, Any] = {"derandomize": True, "database": None, "phases": (Phase.explicit, Phase.generate)}
_KINDS_IN_POSTGRES = Kinds(2)
_DELETED = "_ab_cdc_deleted_at IS NOT NULL"


@pytest.fixture(scope="module")
def proof(
    proof_airbyte: RunningAirbyte, clock: Clock, proof_directory: Path, proof_instance: dg.DagsterInstance
) -> Callable[[Callable[[str], Place]], Make]:
    """Makes what makes connections, given where those of a name write."""

    def of(place: Callable[[str], Place]) -> Make:
        return lambda name, streams, checks: World(
            name, proof_airbyte, clock, proof_directory, place(name), proof_instance, streams, checks
        )

    return of


def happens(history: History, kinds: Kinds, make: Make, delete: Callable[[JobRequest, str], None]) -> None:
    """Let a history happen, with a destination that deletes rows as some of Airbyte's do."""
    beginnings, steps = history
    course = Course(beginnings, make)

    def afterwards(request: JobRequest) -> None:
        for plan in request.streams:
            if StreamKey(plan.namespace, plan.name) in course.hard and request.job_type != "reset":
                delete(request, f'"{plan.schema}"."{plan.table.replace(chr(34), 2 * chr(34))}"')

    course.world.airbyte.engine.afterwards = afterwards
    course.begin()
    for number, turns in enumerate(steps):
        course.take(Step(kinds.of(history, number), turns))


def test_no_check_is_red_over_healthy_data(proof: Callable[..., Make], proof_airbyte: RunningAirbyte) -> None:
    """Of any mode, with deletions, resets, refreshes, retries, jobs that fail in parts, and syncs of others."""
    kinds = Kinds(1)

    def delete(request: JobRequest, table: str) -> None:
        with duckdb.connect(request.warehouse.path) as connection:
            connection.execute(f"DELETE FROM {table} WHERE {_DELETED}")  # noqa: S608

    make = proof(lambda name: Place.duckdb(proof_airbyte.home.root / f"{name}.duckdb"))

    @settings(max_examples=IN_DUCKDB, **_AS_DRAWN)
    @given(history=histories)
    def all_of_them(history: History) -> None:
        happens(history, kinds, make, delete)

    all_of_them()


@settings(max_examples=IN_POSTGRES, **_AS_DRAWN)
@given(history=histories)
def test_nor_in_postgresql(proof: Callable[..., Make], postgres: Postgres, history: History) -> None:
    """The same of a destination with other types, names and transactions."""

    def delete(_request: JobRequest, table: str) -> None:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": postgres.port, "dbname": "postgres"}
        with psycopg.connect(**where, user="airbyte", password=PASSWORD) as connection:
            connection.execute(f"DELETE FROM {table} WHERE {_DELETED}")  # noqa: S608

    happens(history, _KINDS_IN_POSTGRES, proof(lambda name: Place.postgres(postgres, name)), delete)
