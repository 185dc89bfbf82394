"""Opening the warehouse, and what is done to its tables besides writing rows."""

# PyAirbyte is imported where it is used, since that takes seconds; and several of its private parts are used, which
# the exact pin of its version makes safe.
# ruff: noqa: PLC0415, SLF001

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airbyte_dagster.local.work.postgres import open_postgres
from airbyte_dagster.local.work.reporting import Failure, Reporter, explain

SECONDS_BETWEEN_TRIES = 0.3


def make_cache(request: dict[str, Any], group: dict[str, Any], reporter: Reporter) -> Any:
    """Open the warehouse as a PyAirbyte cache."""
    arguments = {
        "schema_name": group["schema"],
        "table_prefix": request["prefix"],
        "cache_dir": str(Path(request["scratch"]) / "cache"),
        "cleanup": True,
    }
    return patiently(request, reporter, lambda: open_cache(request["destination"], arguments))


def patiently(request: dict[str, Any], reporter: Reporter, open_warehouse: Callable[[], Any]) -> Any:
    """Open the warehouse; while another process holds it, try again for up to ``lockTimeout`` seconds."""
    deadline = time.monotonic() + request["lockTimeout"]
    told = False
    while True:
        try:
            return open_warehouse()
        except Exception as error:
            text = str(error)
            if "Could not set lock on file" not in text:
                raise explain(error, "The warehouse can't be opened: ") from error
            if time.monotonic() >= deadline:
                message = f"Another process has held the warehouse file for {request['lockTimeout']:.0f} s"
                raise Failure(message, text, origin="destination", kind="transient_error") from error
            if not told:
                reporter.log(f"Waiting for another process to let go of {request['destination']['path']}")
                told = True
            time.sleep(SECONDS_BETWEEN_TRIES)


def open_cache(destination: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """Open a ``duckdb``, ``motherduck`` or ``postgres`` destination, by its ``kind``."""
    if destination["kind"] == "postgres":
        return open_postgres(destination, arguments)
    if destination["kind"] == "motherduck":
        from airbyte.caches import MotherDuckCache
        from airbyte.secrets import SecretString

        return MotherDuckCache(
            database=destination["database"], api_key=SecretString(destination["apiKey"]), **arguments
        )
    from airbyte.caches import DuckDBCache

    return DuckDBCache(db_path=destination["path"], **arguments)


def missing_tables(cache: Any, streams: list[str]) -> set[str]:
    """Those of the streams that have no table."""
    processor = cache.processor
    return {name for name in streams if not processor._table_exists(processor.get_sql_table_name(name))}


def empty_tables(cache: Any, streams: list[str]) -> None:
    """Delete all rows of the streams' tables that exist."""
    processor = cache.processor
    for stream in sorted(set(streams) - missing_tables(cache, streams)):
        table = processor._fully_qualified(processor.get_sql_table_name(stream))
        processor._execute_sql(f"DELETE FROM {table}")  # noqa: S608 - quoted by PyAirbyte
