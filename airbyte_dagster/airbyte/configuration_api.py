"""What Airbyte says in its configuration API alone, which is not everywhere within reach: details of jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airbyte_dagster.airbyte.parse import parse_failure, parse_reset_streams, parse_stream_stats
from airbyte_dagster.airbyte.records import Failure, StreamKey, StreamStats
from airbyte_dagster.airbyte.session import Session
from airbyte_dagster.errors import AirbyteError, WrongBasePath

_LOG = logging.getLogger("airbyte_dagster")


class ConfigurationApiSession(Session):
    """A session that asks for details where it can get them; without them, everything else works as well."""

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
        return parse_stream_stats(self._details("/jobs/get_without_logs", {"id": job_id}))

    def reset_streams(self, job_id: int) -> frozenset[StreamKey] | None:
        """Return the streams that a reset is of, namespace and name; ``None`` where that isn't known: then it is all.

        A reset that somebody starts in Airbyte's pages may be of some streams only.
        """
        return parse_reset_streams(self._details("/jobs/get_without_logs", {"id": job_id}))

    def job_failure(self, job_id: int) -> Failure | None:
        """Return why a job failed; ``None`` where the configuration API is out of reach or has no reason."""
        return parse_failure(self._details("/jobs/get_debug_info", {"id": job_id}))

    def _details(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return an answer; ``None`` if that fails, since all that is asked for here is an extra."""
        if self._configuration_api_is_missing:
            return None
        try:
            return self._caller.call("POST", path, json=body, configuration_api=True)
        except AirbyteError as error:
            _LOG.debug("No details from the configuration API: %s", error)
            if isinstance(error, WrongBasePath):
                self._configuration_api_is_missing = True
            return None
