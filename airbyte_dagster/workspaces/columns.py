"""Columns of a workspace's streams before any sync: what ``GET /streams`` says of their sources."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeAlias

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.workspaces.selector import Selector, selected
from airbyte_dagster.workspaces.snapshot import ConnectionRecord, WorkspaceSnapshot

_LOG = logging.getLogger("airbyte_dagster")

#: Airbyte may have to run a connector for each.
_SIDE_BY_SIDE = 4

#: Id of a source, namespace and name of a stream of it.
_SourceStream: TypeAlias = tuple[str, str | None, str]
_Columns: TypeAlias = Mapping[_SourceStream, tuple[str, ...]]


def with_columns(
    client: AirbyteClient,
    snapshot: WorkspaceSnapshot,
    selector: Selector | None,
    *,
    known: WorkspaceSnapshot | None = None,
    again: bool = True,
    on_progress: Callable[[str], None] = _LOG.info,
) -> WorkspaceSnapshot:
    """Return a snapshot whose selected connections have the columns of their streams; others have what was known.

    It takes a call for each source. Airbyte answers from what it has discovered before; else it runs discover, for
    minutes perhaps.

    Args:
        client: Reads them.
        snapshot: As it was just read, without columns.
        selector: Which connections; ``None`` for none.
        known: What was stored before. It is used for sources that can't be read, of which the log warns.
        again: Read those of all sources; else only for those that have streams of unknown columns.
        on_progress: Called with each source that has been read.

    Raises:
        ConfigurationError: The selector is none, or fails.
    """
    found = _known(known.connections) if known else {}
    wanted = selected(selector, snapshot.connections) if selector else []
    sources = {
        connection.source.id: connection.source.name
        for connection in wanted
        if again or any(key not in found for key in _keys(connection))
    }
    for columns in _columns(client, sources, on_progress):
        found.update(columns)
    if not found:
        return snapshot
    return replace(snapshot, connections=tuple(_filled(connection, found) for connection in snapshot.connections))


def _known(connections: Iterable[ConnectionRecord]) -> dict[_SourceStream, tuple[str, ...]]:
    return {
        key: stream.columns
        for connection in connections
        for key, stream in zip(_keys(connection), connection.streams, strict=True)
        if stream.columns
    }


def _keys(connection: ConnectionRecord) -> list[_SourceStream]:
    return [(connection.source.id, *stream.key) for stream in connection.streams]


def _columns(
    client: AirbyteClient, sources: Mapping[str, str], on_progress: Callable[[str], None]
) -> Iterator[_Columns]:
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="airbyte-columns")
    try:
        answers = {source_id: pool.submit(client.available_streams, source_id) for source_id in sources}
        for number, (source_id, answer) in enumerate(answers.items(), 1):
            try:
                streams = answer.result()
            except AirbyteDagsterError as error:
                _LOG.warning("Airbyte did not return the columns of source '%s': %s", sources[source_id], error)
                continue
            on_progress(f"Columns of source '{sources[source_id]}' ({number:,} of {len(sources):,})")
            yield {
                # Each path begins with a column; nested fields are within one.
                (source_id, stream.namespace, stream.name): tuple(
                    dict.fromkeys(path[0] for path in stream.property_fields if path)
                )
                for stream in streams
            }
    finally:
        # Whoever interrupts it is to wait for no more than the requests under way.
        pool.shutdown(cancel_futures=True)


def _filled(connection: ConnectionRecord, found: _Columns) -> ConnectionRecord:
    return replace(
        connection,
        streams=tuple(
            replace(stream, columns=found.get(key, ()))
            for key, stream in zip(_keys(connection), connection.streams, strict=True)
        ),
    )
