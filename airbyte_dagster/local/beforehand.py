"""What is done about a job before, and beside, the running of its connector.

Its source is asked what it has, its tables are noted, and what a person should know is written to its log.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from airbyte_dagster.local import destinations, drift
from airbyte_dagster.local.destinations import Places
from airbyte_dagster.local.engine import ConnectorFailed, Engine, UnknownConnector
from airbyte_dagster.local.joblogs import JobLog
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Actor, Connection, Job
from airbyte_dagster.local.store import Store
from airbyte_dagster.local.tableclaims import Sharing

_SECONDS_BETWEEN_LOOKS = 0.1


class Look:
    """A look at a source while its connection syncs.

    Args:
        work: What is done, in a thread.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, name="look-at-source", daemon=True)
        self._thread.start()

    def join(self, given_up: Callable[[], bool]) -> None:
        """Wait for its end, or until nobody waits for the job any more."""
        while self._thread.is_alive() and not given_up():
            self._thread.join(_SECONDS_BETWEEN_LOOKS)


class Beforehand:
    """What is done about jobs before they run.

    Args:
        store: Where connections are.
        engine: What asks sources.
        places: Where warehouse files may be; the home is for logs, too.
    """

    def __init__(self, store: Store, engine: Engine, places: Places) -> None:
        self._store = store
        self._engine = engine
        self._places = places

    def begin(self, job: Job, hide: Callable[[str], str]) -> Look | None:
        """Look at a job's connection; a source that is not waited for is looked at beside the sync.

        Args:
            job: The job.
            hide: Takes the job's secrets out of a line of its log.

        Raises:
            Disabled: The source has changed so that the connection was disabled.
            ConnectorFailed: The source could not be asked, though the connection is to follow it.
            UnknownConnector: There is no such connector.
            ApiError: The connection can't sync: it has two streams for one table.
        """
        connection = self._store.note_tables(job.connection_id)
        log = partial(_log, self._places.home.job_log(job.id), hide)
        log([f"WARNING: {sharing}" for sharing in self.shared_tables(connection)])
        if job.type == "reset":
            return None
        source = self._store.actor("source", connection.source_id)
        if not drift.decides(connection):
            return Look(lambda: self._look_beside(connection, source, log))
        try:
            log(self._look(connection, source, log))
        except ConnectorFailed as error:
            if connection.schema_updates != "ignore":
                raise
            log([f"The source could not be asked whether its schema has changed: {error}"])
        return None

    def shared_tables(self, connection: Connection) -> list[Sharing]:
        """The tables of a connection that others write, too."""
        return self._store.shared_tables(connection, self._database_of)

    def _look(self, connection: Connection, source: Actor, log: Callable[[Iterable[str]], None]) -> list[str]:
        # The connector may have to be installed for it, of which each step goes into the log.
        return drift.look(self._store, self._engine, connection, source, on_progress=lambda line: log([line]))

    def _look_beside(self, connection: Connection, source: Actor, log: Callable[[Iterable[str]], None]) -> None:
        # What can't be asked now shows in the sync itself, and a connection may be deleted meanwhile.
        with contextlib.suppress(ConnectorFailed, UnknownConnector, ApiError):
            try:
                log(self._look(connection, source, log))
            except drift.Disabled as error:  # its streams were changed since: this sync goes on, the next does not
                log([str(error)])

    def _database_of(self, destination: Actor) -> object:
        try:
            where = destinations.warehouse(destination.type, destination.configuration, self._places)
        except ApiError:
            return None
        return where.kind, where.path, where.database, where.host, where.port


def _log(path: Path, hide: Callable[[str], str], lines: Iterable[str]) -> None:
    said = list(lines)
    if said:
        with contextlib.closing(JobLog(path)) as log:
            for line in said:
                log.write(hide(line))
