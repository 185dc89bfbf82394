"""Reading a group of streams into the warehouse, and resetting one."""

# PyAirbyte is imported where it is used, since that takes seconds; and several of its private parts are used, which
# the exact pin of its version makes safe.
# ruff: noqa: PLC0415, SLF001

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from airbyte_dagster.local.work.careful import careful_processor
from airbyte_dagster.local.work.reporting import Failure, Reporter, explain
from airbyte_dagster.local.work.source import configured_catalog, make_source
from airbyte_dagster.local.work.state import States, without_streams
from airbyte_dagster.local.work.warehouses import empty_tables, make_cache, missing_tables, patiently


def run_sync(request: dict[str, Any], reporter: Reporter) -> None:
    """Read all groups, one after the other."""
    for index, group in enumerate(request["groups"]):
        _read_group(request, index, group, reporter)


def run_reset(request: dict[str, Any], reporter: Reporter) -> None:
    """Empty the tables of all groups."""
    for group in request["groups"]:
        cache = make_cache(request, group, reporter)
        try:
            empty_tables(cache, [entry["stream"]["name"] for entry in group["streams"]])
            cache.processor._do_checkpoint()
        finally:
            cache.close()


def _read_group(request: dict[str, Any], index: int, group: dict[str, Any], reporter: Reporter) -> None:
    """Read the streams of one group, which share a schema, a write strategy and a way of reading."""
    from airbyte.progress import ProgressStyle
    from airbyte.shared.catalog_providers import CatalogProvider
    from airbyte.strategies import WriteStrategy

    names = [entry["stream"]["name"] for entry in group["streams"]]
    namespaces = {entry["stream"]["name"]: entry["stream"].get("namespace") for entry in group["streams"]}
    errors: list[Failure] = []
    cache = make_cache(request, group, reporter)
    try:
        # Without its table a stream's state says nothing, as after the user removed it.
        gone = missing_tables(cache, names) if group["state"] else set()
        states = States(index, without_streams(group["state"], gone, names), reporter)
        source = make_source(request, reporter, errors, states.see)
        tracker = _tracker(request, cache, errors, reporter, namespaces)(
            ProgressStyle.NONE, source=source, cache=cache, destination=None, expected_streams=names
        )
        for name in names:
            reporter.read(name, namespaces[name], 0, 0)
        try:
            with careful_processor(cache, request["destination"]["kind"], group):
                source._read_to_cache(
                    cache=cache,
                    catalog_provider=CatalogProvider(configured_catalog(group)),
                    stream_names=names,
                    state_provider=states.provider() if group["incremental"] else None,
                    state_writer=states.writer(),
                    write_strategy=WriteStrategy(group["strategy"]),
                    force_full_refresh=not group["incremental"],
                    skip_validation=True,
                    progress_tracker=tracker,
                )
        except Exception as error:
            raise (errors[0] if errors else explain(error)) from error
        finally:
            tracker._update_display(force_refresh=True)
        if group["strategy"] == "replace":
            # PyAirbyte leaves a table as it is when nothing was read; a full refresh of nothing is an empty table.
            empty_tables(cache, [name for name in names if not tracker.stream_read_counts.get(name)])
        states.commit_all()
        for name in names:
            reporter.commit(name, namespaces[name])
    finally:
        cache.close()


def _tracker(
    request: dict[str, Any],
    cache: Any,
    errors: list[Failure],
    reporter: Reporter,
    namespaces: dict[str, str | None],
) -> Any:
    """PyAirbyte's tracker of progress, which sees every message between the source and the writing."""
    from airbyte.progress import ProgressTracker

    class Tracker(ProgressTracker):  # type: ignore[misc, unused-ignore]
        def _update_display(self, **_: Any) -> None:
            self._last_update_time = time.time()
            for name in list(self.stream_read_counts):
                reporter.read(name, namespaces.get(name), self.stream_read_counts[name], self.stream_bytes_read[name])

        def tally_records_read(self, messages: Any, *, auto_close_streams: bool = False) -> Iterator[Any]:
            # The file is let go while the source is read, so that others can look into it meanwhile.
            cache.dispose_engine()
            yield from super().tally_records_read(messages, auto_close_streams=auto_close_streams)
            if errors:
                raise errors[0]  # a failed connector must not reach the writing of what came before its failure
            patiently(request, reporter, lambda: cache.get_sql_engine().connect().close())

    return Tracker
