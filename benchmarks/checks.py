"""All checks of 100 streams of a million rows together: how many queries, and how long; and measuring many tables."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import dagster as dg
import duckdb
from rich.table import Table

from airbyte_dagster import AirbytePipeline, AirbyteResource, MotherDuckResource, build_pipeline_defs
from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.pipelines.spec import Connection
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster.warehouse.sql_session import SqlSession
from airbyte_dagster.warehouse.tables import Sample

_STREAMS = 100
_ROWS = 1_000_000
_RUNS = 3
_MANY = (300, 1_000, 3_000)
_CHECKS = {"unique_key": True, "not_null": True, "fresh": {"within": "1h"}, "expected_range": {"min": 1}}


@contextlib.contextmanager
def _timed_queries() -> Iterator[list[float]]:
    """Keep the seconds of each query to a warehouse, its rows fetched, while a block runs."""
    seconds: list[float] = []
    execute = SqlSession._execute  # noqa: SLF001 - below all that the checks do

    def timed(session: SqlSession, statement: str, limit: int | None) -> Sample:
        start = time.perf_counter()
        try:
            return execute(session, statement, limit)
        finally:
            seconds.append(time.perf_counter() - start)

    with mock.patch.object(SqlSession, "_execute", timed):
        yield seconds


def _pipeline(database: str) -> AirbytePipeline:
    streams = [{"name": f"stream_{index}", "primary_key": "id"} for index in range(_STREAMS)]
    return AirbytePipeline(
        name="example",
        source={"name": "s", "configuration": {"sourceType": "faker"}},
        destination={"name": "d", "configuration": {"destinationType": "duckdb", "destination_path": database}},
        connection={"name": "c", "streams": streams},
        checks=_CHECKS,
    )


def measure() -> Table:
    """Measure and tabulate."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as directory:
        database = str(Path(directory) / "lms.duckdb")
        with duckdb.connect(database) as connection:
            for index in range(_STREAMS):
                connection.execute(
                    f"CREATE TABLE stream_{index} AS SELECT i AS id, 'row ' || i AS name, "  # noqa: S608
                    f"now() AS _airbyte_extracted_at FROM range({_ROWS // _STREAMS}) t(i)"
                )
        # Nothing of it is called: the checks are made without a sync.
        airbyte = AirbyteResource(server_url="http://127.0.0.1:1", bearer_token="none")  # noqa: S106
        definitions = build_pipeline_defs(
            _pipeline(database), airbyte=airbyte, warehouse=MotherDuckResource(database=database)
        )
        job = definitions.resolve_job_def("check_example")
        runs = []
        with dg.instance_for_test(temp_dir=directory) as instance, _timed_queries() as seconds:
            for _ in range(_RUNS):
                seconds.clear()
                start = time.perf_counter()
                result = job.execute_in_process(instance=instance)
                runs.append((time.perf_counter() - start, list(seconds)))
    whole, queries = min(runs)
    checks = len(result.get_asset_check_evaluations())
    table = Table("what", "measured", title=f"Checks of {_STREAMS} streams, {_ROWS:,} rows", title_justify="left")
    table.add_row("checks evaluated", str(checks))
    table.add_row("queries · seconds in the warehouse", f"{len(queries)} · {sum(queries):.2f} s")
    table.add_row("the whole Dagster run with them", f"{whole:.1f} s")
    for count in _MANY:
        table.add_row(f"{count:,} small tables, measured alone", f"{_measured(count):.1f} s")
    logging.disable(logging.NOTSET)
    return table


def _measured(count: int) -> float:
    """Return the seconds that it takes to find and measure so many tables, the best of some runs."""
    with tempfile.TemporaryDirectory() as directory:
        database = str(Path(directory) / "many.duckdb")
        streams = [Stream(f"stream_{index}") for index in range(count)]
        with duckdb.connect(database) as connection:
            connection.begin()
            for stream in streams:
                connection.execute(
                    f"CREATE TABLE {stream.name} AS SELECT i AS id, now() AS _airbyte_extracted_at "  # noqa: S608
                    "FROM range(10) t(i)"
                )
            connection.commit()
        places = TablePlaces.of("duckdb", {}, Connection(name="c"), streams)
        times = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            refs = {
                stream.key: replace(
                    places.ref(stream), keys=(("id",),), not_null=("id",), newest="_airbyte_extracted_at"
                )
                for stream in streams
            }
            assert all(DuckDBWarehouse(database).inspect(refs).values())
            times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
