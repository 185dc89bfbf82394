"""A workspace of many connections, and jobs of theirs that have ended, put into a server's database at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airbyte_dagster import AirbytePipeline, Connection, Destination, Source
from airbyte_dagster.local import settings
from airbyte_dagster.local.database import Database
from airbyte_dagster.local.records import Job
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from benchmarks.local_airbyte import fill

STREAMS = ("users", "products", "purchases")


def make_home(directory: Path, connections: int) -> Path:
    """Make a home whose workspace has so many connections; return it."""
    home = settings.resolve_home(directory / "home")
    fill(home, connections)
    return home.root


def connection_id(number: int) -> str:
    """Return the id of one of the connections."""
    return f"00000000-0000-4000-8000-{number:012}"


def pipelines_of(server: RunningAirbyte, numbers: Sequence[int]) -> list[AirbytePipeline]:
    """Declare pipelines for some of the connections, of one stream each."""
    return [
        AirbytePipeline(
            name=f"pipeline_{number}",
            source=Source(name="source", configuration={"sourceType": "faker"}),
            destination=Destination(
                name="destination",
                configuration={"destinationType": "duckdb", "destination_path": str(server.home.warehouse)},
            ),
            connection=Connection(name=f"connection {number}", streams=["users"]),
        )
        for number in numbers
    ]


def end_jobs(server: RunningAirbyte, numbers: Sequence[int], *, at: float, apart: float = 0.0) -> None:
    """Put jobs that succeeded into the server's database, one for each of some connections.

    Args:
        server: The server.
        numbers: The connections.
        at: When the first one ended; epoch seconds.
        apart: Seconds between two of them.
    """
    counts = dict.fromkeys(("recordsEmitted", "bytesEmitted", "recordsCommitted", "bytesCommitted"), 7)
    stats = [{"streamName": name, "streamNamespace": None, **counts} for name in STREAMS]
    database: Database = server.store.database
    with database.write() as session:
        session.add_all(
            Job(
                connection_id=connection_id(number),
                workspace_id=server.workspace_id,
                type="sync",
                status="succeeded",
                created_at=at + index * apart - 5,
                updated_at=at + index * apart,
                stats=stats,
            )
            for index, number in enumerate(numbers)
        )
