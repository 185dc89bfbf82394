"""What the engine is given for a job, and what becomes of the states of its streams meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from airbyte_dagster.local import configuration, destinations, plan, refreshes
from airbyte_dagster.local.destinations import Places
from airbyte_dagster.local.engine import JobRequest, Json, StreamPlan
from airbyte_dagster.local.generations import Generations
from airbyte_dagster.local.records import Job
from airbyte_dagster.local.statestore import StateStore, without
from airbyte_dagster.local.store import Store
from airbyte_dagster.local.tableclaims import Key


class JobStates:
    """The states of a connection's streams while a job reads them.

    Args:
        states: Where they are kept.
        connection_id: The connection.
        about: The streams that the job reads from their beginning, or empties.
    """

    def __init__(self, states: StateStore, connection_id: str, about: frozenset[Key]) -> None:
        self._states = states
        self._connection_id = connection_id
        self._about = about
        self._silent = about
        """Those that have told no state since."""

    def keep(self, told: Sequence[Json]) -> None:
        """Keep states that the source has told."""
        self._states.keep(self._connection_id, told)
        self._silent -= refreshes.spoken_of(told, self._about)

    def settle(self, streams: Sequence[StreamPlan]) -> None:
        """Make them what they are after a sync of these streams that has succeeded."""
        self._states.settle(self._connection_id, streams)
        self._states.forget_streams(self._connection_id, self._silent)


class JobRequests:
    """Prepares jobs.

    Args:
        store: Where connections are.
        states: Where incremental reads stopped.
        places: Where warehouse files may be; the home is for logs and temporary files, too.
    """

    def __init__(self, store: Store, states: StateStore, places: Places) -> None:
        self._store = store
        self._states = states
        self._places = places
        self._home = places.home
        self._generations = Generations(store.database)

    def secrets(self, job: Job) -> tuple[Any, ...]:
        """What is not to be read anywhere that the job writes."""
        connection = self._store.connection(job.connection_id)
        actors = (
            self._store.actor("source", connection.source_id),
            self._store.actor("destination", connection.destination_id),
        )
        found = (configuration.secret_values(actor.configuration, actor.secret_paths) for actor in actors)
        return tuple(itertools.chain.from_iterable(found))

    def prepare(self, job: Job, secrets: tuple[Any, ...]) -> tuple[JobRequest, JobStates]:
        """Begin new generations, forget the states of what is emptied, and say what is to be done.

        Raises:
            ApiError: The connection, or one of its ends, is gone or not valid any more.
        """
        connection = self._store.connection(job.connection_id)
        source = self._store.actor("source", connection.source_id)
        destination = self._store.actor("destination", connection.destination_id)
        warehouse = destinations.warehouse(destination.type, destination.configuration, self._places)
        about = refreshes.chosen(job, connection)
        self._generations.begin(connection.id, refreshes.begins_again(job, connection))
        # First the states, then the tables: an interrupted reset must not leave states for rows that are gone.
        if job.type == "reset" and job.streams is None:
            self._states.forget(connection.id)
        elif job.type == "reset":
            self._states.forget_streams(connection.id, about)
        streams = refreshes.planned(
            plan.streams(connection, warehouse), job, about, self._generations.of(connection.id)
        )
        known = JobStates(self._states, connection.id, about)
        request = JobRequest(
            job_id=job.id,
            job_type="reset" if job.type == "reset" else "sync",
            connection_id=connection.id,
            source_type=source.type,
            source_config=source.configuration,
            warehouse=warehouse,
            streams=streams,
            states=without(self._states.of_connection(connection.id), about),
            log=self._home.job_log(job.id),
            scratch=self._home.scratch / f"job-{job.id}",
            secrets=secrets,
            keep_states=known.keep,
        )
        return request, known
