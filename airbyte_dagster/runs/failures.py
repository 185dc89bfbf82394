"""Which connections of a run did not succeed, and what the run says of them at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.checks.results import JOB_ID
from airbyte_dagster.errors import AirbyteDagsterError, SyncError
from airbyte_dagster.runs.events import unsuccessful

#: Names that a sentence has; the metadata has all.
_NAMED = 10


@dataclass
class Failures:
    """The failures of a run, by connection; the first of each connection counts.

    Attributes:
        names: Of the connections, by id.
        links: To Airbyte's pages.
    """

    names: Mapping[str, str]
    links: Links
    errors: dict[str, AirbyteDagsterError] = field(default_factory=dict)

    def add(
        self,
        context: dg.AssetExecutionContext,
        connection_id: str,
        error: AirbyteDagsterError,
        keys: Sequence[dg.AssetKey],
        reasons: Mapping[dg.AssetKey, str] | None = None,
    ) -> None:
        """Note a failure, and record that of a job for the connection's assets.

        Args:
            context: Of the run.
            connection_id: The connection.
            error: What was wrong.
            keys: The assets that failed: all of the connection, whichever were selected, but those that are complete.
            reasons: Of single assets, where they have reasons of their own.
        """
        context.log.error(f"'{self.names[connection_id]}': {error}")
        self.errors.setdefault(connection_id, error)
        if not isinstance(error, SyncError):
            return
        for key in keys:
            event = unsuccessful(
                key,
                (reasons or {}).get(key, str(error)),
                job_id=error.job_id,
                status=error.status,
                connection_id=connection_id,
                links=self.links,
            )
            context.log_event(event)

    def named(self, connection_ids: Sequence[str]) -> str:
        """Return the names of connections, the first of many."""
        names = [f"'{self.names[connection_id]}'" for connection_id in connection_ids[:_NAMED]]
        more = f" and {len(connection_ids) - _NAMED:,} more" if len(connection_ids) > _NAMED else ""
        return ", ".join(names) + more

    def raise_all(self, total: int) -> None:
        """Fail the step, if there are any.

        Args:
            total: How many connections the run was over.

        Raises:
            dg.Failure: It names each; of a single connection it is the error itself.
        """
        if not self.errors:
            return
        if total == 1:
            [(connection_id, error)] = self.errors.items()
            metadata = self._job_metadata(connection_id, error)
            raise dg.Failure(str(error), metadata=metadata, allow_retries=self._may_retry) from error
        texts = {f"{self.names[key]} ({key})": str(error) for key, error in self.errors.items()}
        some = [f"{name}: {text}" for name, text in list(texts.items())[:_NAMED]]
        more = [f"… and {len(texts) - _NAMED:,} more, see the metadata."] if len(texts) > _NAMED else []
        summary = f"{len(texts):,} of {total:,} connections did not succeed."
        raise dg.Failure(
            "\n".join([summary, *some, *more]),
            metadata={"failed": dg.MetadataValue.json(texts)},
            allow_retries=self._may_retry,
        )

    @property
    def _may_retry(self) -> bool:
        """Whether trying again may help: not where all that failed is configured wrongly."""
        types = [error.failure_type if isinstance(error, SyncError) else None for error in self.errors.values()]
        return any(failure_type != "config_error" for failure_type in types)

    def _job_metadata(self, connection_id: str, error: AirbyteDagsterError) -> dict[str, Any]:
        if not isinstance(error, SyncError):
            return {}
        return {
            JOB_ID: str(error.job_id),
            "airbyte/job_status": error.status,
            "airbyte/job": dg.MetadataValue.url(self.links.job(connection_id, error.job_id)),
        }


def is_terminated(context: dg.AssetExecutionContext) -> bool:
    """Whether somebody is known to have terminated the run: not if Dagster's database is away."""
    try:
        run = context.instance.get_run_by_id(context.run.run_id)
    except Exception:  # noqa: BLE001 - whatever a database raises
        return False
    return run is not None and run.status is dg.DagsterRunStatus.CANCELING
