"""What Airbyte posts when a sync has ended: see airbyte-platform's ``SlackNotificationClient``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

#: Ids of jobs are PostgreSQL's bigint.
_MOST = 2**63 - 1


@dataclass(frozen=True)
class Notice:
    """A claim that a job has ended.

    Attributes:
        job_id: The job.
        workspace_id: Its workspace; ``""`` if that is not said.
    """

    job_id: int
    workspace_id: str


def parse_notice(body: bytes) -> Notice | None:
    """Read a notice; ``None`` for one that is about no job, such as that of a changed schema.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        content = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, Mapping):
        raise ValueError("no object")  # noqa: TRY004 - of the body, not of an argument
    data = content.get("data")
    job_id = data.get("jobId") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or type(job_id) is not int or not 0 < job_id <= _MOST:
        return None
    workspace = data.get("workspace")
    workspace_id = workspace.get("id") if isinstance(workspace, Mapping) else None
    return Notice(job_id, workspace_id if isinstance(workspace_id, str) else "")
