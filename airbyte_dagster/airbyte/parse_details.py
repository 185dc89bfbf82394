"""What the configuration API says of jobs and connections beyond the public API: its JSON turned into records.

Each parser returns ``None`` for an answer of another shape: all of it is an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airbyte_dagster.airbyte.parse import integer_of, list_of, text_of
from airbyte_dagster.airbyte.records import Attempts, Failure, StreamKey, StreamStats


def parse_stream_stats(data: Any) -> tuple[StreamStats, ...] | None:
    """Read ``job.streamAggregatedStats`` of the configuration API; ``None`` if the answer has none."""
    job = data.get("job") if isinstance(data, Mapping) else None
    stats = job.get("streamAggregatedStats") if isinstance(job, Mapping) else None
    if not isinstance(stats, list):
        return None
    return tuple(
        StreamStats(
            name=text_of(item.get("streamName")),
            namespace=text_of(item.get("streamNamespace")) or None,
            rows=_committed(item),
            bytes=integer_of(item.get("bytesCommitted")),
            rejected=integer_of(item.get("recordsRejected")),
        )
        for item in stats
        if isinstance(item, Mapping) and item.get("streamName")
    )


def _committed(stats: Mapping[str, Any]) -> int | None:
    """Return the records committed of a stream; the server adds up numbers that it lacks as 0.

    ``StatsAggregationHelper.kt`` does so: none committed where some were emitted, and not rejected, is not known.
    """
    committed, emitted, rejected = (
        integer_of(stats.get(name)) for name in ("recordsCommitted", "recordsEmitted", "recordsRejected")
    )
    if committed != 0:
        return committed
    return 0 if emitted == 0 or (emitted is not None and emitted == rejected) else None


def parse_log_line(data: Any) -> str | None:
    """Read ``job.lastLogLine``, which local Airbyte adds; ``None`` if the answer has none."""
    job = data.get("job") if isinstance(data, Mapping) else None
    line = job.get("lastLogLine") if isinstance(job, Mapping) else None
    return _one_line(line) if isinstance(line, str) else None


def parse_reset_streams(data: Any) -> frozenset[StreamKey] | None:
    """Read ``job.resetConfig.streamsToReset`` of the configuration API; ``None`` if the answer has none."""
    job = data.get("job") if isinstance(data, Mapping) else None
    config = job.get("resetConfig") if isinstance(job, Mapping) else None
    streams = config.get("streamsToReset") if isinstance(config, Mapping) else None
    if not isinstance(streams, list):
        return None
    return frozenset(
        StreamKey(text_of(item.get("namespace")) or None, text_of(item.get("name")))
        for item in streams
        if isinstance(item, Mapping)
    )


def parse_failure(data: Any) -> Failure | None:
    """Read why a job's last failed attempt failed; ``None`` if no attempt says."""
    attempts = [
        item["attempt"]
        for item in list_of(data.get("attempts") if isinstance(data, Mapping) else None)
        if isinstance(item, Mapping) and isinstance(item.get("attempt"), Mapping)
    ]
    for attempt in reversed(attempts):
        for failure in _failures(attempt):
            message = text_of(failure.get("externalMessage")) or text_of(failure.get("internalMessage"))
            if message:
                return Failure(
                    origin=text_of(failure.get("failureOrigin")) or "unknown",
                    message=_one_line(message),
                    attempts=len(attempts),
                    type=text_of(failure.get("failureType")) or None,
                )
    return None


def parse_attempts(data: Any) -> Attempts | None:
    """Read the attempts of a job in the configuration API; ``None`` if the answer has no list of them."""
    listed = data.get("attempts") if isinstance(data, Mapping) else None
    if not isinstance(listed, list):
        return None
    attempts = [
        item["attempt"] for item in listed if isinstance(item, Mapping) and isinstance(item.get("attempt"), Mapping)
    ]
    reasons = {}
    for failure in (failure for attempt in attempts for failure in _failures(attempt)):
        stream = failure.get("streamDescriptor")
        message = text_of(failure.get("externalMessage")) or text_of(failure.get("internalMessage"))
        if isinstance(stream, Mapping) and message:
            reasons[StreamKey(text_of(stream.get("namespace")) or None, text_of(stream.get("name")))] = _one_line(
                message
            )
    return Attempts(len(attempts), any(map(_has_output, attempts)), reasons)


def _has_output(attempt: Mapping[str, Any]) -> bool:
    total = attempt.get("totalStats")
    numbers = list(total.values()) if isinstance(total, Mapping) else []
    numbers += [attempt.get("recordsSynced"), attempt.get("bytesSynced")]
    return bool(list_of(attempt.get("streamStats"))) or any(number is not None for number in numbers)


def _failures(attempt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    summary = attempt.get("failureSummary")
    found = list_of(summary.get("failures")) if isinstance(summary, Mapping) else []
    return [failure for failure in found if isinstance(failure, Mapping)]


def parse_stream_states(data: Any) -> list[tuple[StreamKey, int | None, str]] | None:
    """Read a page of ``stream_statuses/list``: stream, number of the attempt, ``runState``; ``None`` if it is none."""
    listed = data.get("streamStatuses") if isinstance(data, Mapping) else None
    if not isinstance(listed, list):
        return None
    return [
        (
            StreamKey(text_of(item.get("streamNamespace")) or None, text_of(item.get("streamName"))),
            integer_of(item.get("attemptNumber")),
            text_of(item.get("runState")).upper(),
        )
        for item in listed
        if isinstance(item, Mapping)
    ]


def parse_catalog(data: Any) -> dict[StreamKey, tuple[str, ...]] | None:
    """Read ``syncCatalog``: stream → top-level fields of its schema; ``None`` if the answer has none.

    A stream whose columns are renamed or replaced on the way (mappers) is left out.
    """
    catalog = data.get("syncCatalog") if isinstance(data, Mapping) else None
    if not isinstance(catalog, Mapping):
        return None
    found = {}
    for item in list_of(catalog.get("streams")):
        stream, config = (item.get(key) if isinstance(item, Mapping) else None for key in ("stream", "config"))
        schema = stream.get("jsonSchema") if isinstance(stream, Mapping) else None
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        if not isinstance(stream, Mapping) or not isinstance(properties, Mapping) or not isinstance(config, Mapping):
            continue
        if not list_of(config.get("mappers")) and not list_of(config.get("hashedFields")):
            key = StreamKey(text_of(stream.get("namespace")) or None, text_of(stream.get("name")))
            found[key] = tuple(map(str, properties))
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
