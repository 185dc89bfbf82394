"""How the sync of one connection ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from airbyte_dagster.airbyte.records import Job, StreamKey
from airbyte_dagster.errors import AirbyteDagsterError

#: ``new``: requested just now. ``attached``: it was active already, requested by somebody else. ``resumed``: this run,
#: or the one that it resumes, requested it before.
JobOrigin: TypeAlias = Literal["new", "attached", "resumed"]


@dataclass(frozen=True)
class SyncResult:
    """How the sync of one connection ended, or, in a deferred run, that it has begun.

    Attributes:
        job: The job, if there was one. It succeeded if there is no `error`; it is on its way if nobody waited for it.
        origin: Where the job came from.
        error: Why there was no success.
        details: What `SyncEngine.describe` returned for the job.
        rows_before: Rows of the streams before the job, where they are known to be those: counted after the last
            foreign job had ended and before ours was requested, with no other job of the connection since.
    """

    connection_id: str
    job: Job | None = None
    origin: JobOrigin | None = None
    error: AirbyteDagsterError | None = None
    details: Any = None
    rows_before: Mapping[StreamKey, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Where a run is; the four are all of its connections."""

    waiting: int
    active: int
    succeeded: int
    failed: int
