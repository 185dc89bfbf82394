"""What a refresh, or a reset of some streams, means for a job. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from airbyte_dagster.local.engine import Json, StreamPlan
from airbyte_dagster.local.records import Connection, Job
from airbyte_dagster.local.tableclaims import Key, keys_of


def chosen(job: Job, connection: Connection) -> frozenset[Key]:
    """The streams that a refresh or a reset is about; none for a sync."""
    if job.type == "sync":
        return frozenset()
    all_of_them = frozenset(keys_of(connection.streams))
    return all_of_them if job.streams is None else all_of_them & {(key[0], key[1]) for key in job.streams}


def begins_again(job: Job, connection: Connection) -> frozenset[Key]:
    """The streams that get a new generation: those that are refreshed or emptied, and those that are read as a whole.

    As ``AttemptHandler.updateGenerationAndStateForFirstAttempt``.
    """
    if job.type == "reset":
        return chosen(job, connection)
    whole = [stream for stream in connection.streams if stream["syncMode"].startswith("full_refresh")]
    return frozenset(keys_of(whole)) | chosen(job, connection)


def planned(
    streams: Iterable[StreamPlan], job: Job, about: frozenset[Key], generations: Mapping[Key, int]
) -> tuple[StreamPlan, ...]:
    """What is left of a connection's plan in a reset of some streams, and what a refresh makes of it.

    A refresh reads its streams from their beginning: with ``Truncate`` the rows of earlier generations are replaced,
    with ``Merge`` they stay and are merged or added to as by any sync.

    Args:
        streams: The connection's plan.
        job: The job.
        about: The streams that it is about, as `chosen`.
        generations: The generation of each stream that has one.
    """
    found = []
    for stream in streams:
        key = (stream.namespace or None, stream.name)
        if job.type == "reset" and key not in about:
            continue
        strategy = "replace" if key in about and job.refresh_mode == "Truncate" else stream.strategy
        found.append(replace(stream, strategy=strategy, generation_id=generations.get(key, 0)))
    return tuple(found)


def spoken_of(states: Sequence[Json], keys: frozenset[Key]) -> frozenset[Key]:
    """Those of the streams that these states say something of."""
    if any(state.get("type") != "STREAM" for state in states):
        return keys
    return keys & {_key(state["stream"]) for state in states}


def _key(stream: Json) -> Key:
    descriptor = stream["stream_descriptor"]
    return descriptor.get("namespace") or None, str(descriptor["name"])
