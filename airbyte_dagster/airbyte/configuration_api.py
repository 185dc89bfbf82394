"""What the client reads from Airbyte's configuration API: officially unsupported, so that all of it is an extra."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airbyte_dagster.airbyte.calls import PAGE_SIZE
from airbyte_dagster.airbyte.parse_details import (
    parse_attempts,
    parse_catalog,
    parse_failure,
    parse_log_line,
    parse_reset_streams,
    parse_stream_states,
    parse_stream_stats,
)
from airbyte_dagster.airbyte.records import Attempts, Failure, StreamKey, StreamStats
from airbyte_dagster.airbyte.session import Session
from airbyte_dagster.errors import AirbyteError, WrongBasePath

_LOG = logging.getLogger("airbyte_dagster")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigurationApi(Session):
    """A session that reads what only the configuration API has; ``None`` wherever that is out of reach."""

    _configuration_api_is_missing = False

    def reach_configuration_api(self, workspace_id: str) -> None:
        """Ask the configuration API for something that every reader of a workspace may see.

        Raises:
            WrongBasePath: There is no configuration API where it would be.
            AirbyteError: It refuses, or can't be reached.
        """
        body = {"workspaceId": workspace_id}
        self._caller.call("POST", "/workspaces/get_organization_info", json=body, configuration_api=True)

    def job_stream_stats(self, job_id: int) -> tuple[StreamStats, ...] | None:
        """Return what a job says it committed, by stream; ``None`` where the configuration API is out of reach."""
        return parse_stream_stats(self._configuration_api("/jobs/get_without_logs", {"id": job_id}))

    def job_log_line(self, job_id: int) -> str | None:
        """Return the last line of a job's log, perhaps empty; ``None`` from any Airbyte but a local one.

        Only a server on a loopback address is asked, where local Airbyte is: the call would tell nothing of another.
        """
        if urlsplit(self.settings.server_url or "").hostname not in _LOOPBACK:
            return None
        return parse_log_line(self._configuration_api("/jobs/get_without_logs", {"id": job_id}))

    def reset_streams(self, job_id: int) -> frozenset[StreamKey] | None:
        """Return the streams that a reset is of, namespace and name; ``None`` where that isn't known: then it is all.

        A reset that somebody starts in Airbyte's pages may be of some streams only.
        """
        return parse_reset_streams(self._configuration_api("/jobs/get_without_logs", {"id": job_id}))

    def attempts(self, job_id: int) -> Attempts | None:
        """Return the attempts of a job; ``None`` where the configuration API is out of reach."""
        return parse_attempts(self._configuration_api("/jobs/get_debug_info", {"id": job_id}))

    def stream_states(self, workspace_id: str, connection_id: str, job_id: int) -> dict[StreamKey, str] | None:
        """Return how far a job came with each stream, in its last attempt.

        Returns:
            Airbyte's ``runState`` (``COMPLETE``, ``INCOMPLETE``, …) of the streams that have one; ``None`` where the
            configuration API is out of reach.
        """
        last: dict[StreamKey, tuple[int, str]] = {}
        body = {"workspaceId": workspace_id, "connectionId": connection_id, "jobId": job_id}
        for offset in itertools.count(0, PAGE_SIZE):
            pagination = {"pageSize": PAGE_SIZE, "rowOffset": offset}
            page = parse_stream_states(
                self._configuration_api("/stream_statuses/list", {**body, "pagination": pagination})
            )
            if page is None:
                return None
            for key, attempt, state in page:
                # What does not say which attempt it is of may be of one that was followed by another.
                if attempt is not None and (key not in last or attempt >= last[key][0]):
                    last[key] = (attempt, state)
            if len(page) < PAGE_SIZE:
                break
        return {key: state for key, (_, state) in last.items()}

    def catalog(self, connection_id: str) -> dict[StreamKey, tuple[str, ...]] | None:
        """Return the fields that a connection knows of its streams; ``None`` if the configuration API is out of reach.

        They are those that its source had when the schema was last read.
        """
        return parse_catalog(self._configuration_api("/connections/get", {"connectionId": connection_id}))

    def job_failure(self, job_id: int) -> Failure | None:
        """Return why a job failed; ``None`` where the configuration API is out of reach or has no reason."""
        return parse_failure(self._configuration_api("/jobs/get_debug_info", {"id": job_id}))

    def _configuration_api(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask the configuration API; ``None`` if that fails, since all that it knows is an extra."""
        if self._configuration_api_is_missing:
            return None
        try:
            return self._caller.call("POST", path, json=body, configuration_api=True)
        except AirbyteError as error:
            _LOG.debug("No details from the configuration API: %s", error)
            if isinstance(error, WrongBasePath):
                self._configuration_api_is_missing = True
            return None
