"""Addresses of Airbyte's web pages, for people to follow from Dagster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

_CLOUD_API_HOST = "api.airbyte.com"
_CLOUD_WEB_ROOT = "https://cloud.airbyte.com"
_PUBLIC_API = "/api/public/v1"


@dataclass(frozen=True)
class Links:
    """Pages of one workspace.

    Attributes:
        server_url: Base of the public API.
    """

    server_url: str
    workspace_id: str

    @cached_property
    def workspace(self) -> str:
        """The workspace's page; a self-managed Airbyte serves its pages where its API is, below a sub-path too."""
        parts = urlsplit(self.server_url)
        if parts.hostname == _CLOUD_API_HOST:
            root = _CLOUD_WEB_ROOT
        else:
            before, api, _ = parts.path.rpartition(_PUBLIC_API)
            root = f"{parts.scheme}://{parts.netloc}{before if api else ''}"
        return f"{root}/workspaces/{self.workspace_id}"

    def source(self, source_id: str) -> str:
        """A source's page."""
        return f"{self.workspace}/source/{source_id}"

    def destination(self, destination_id: str) -> str:
        """A destination's page."""
        return f"{self.workspace}/destination/{destination_id}"

    def connection(self, connection_id: str) -> str:
        """A connection's page."""
        return f"{self.workspace}/connections/{connection_id}/status"

    def jobs(self, connection_id: str) -> str:
        """The page with a connection's jobs."""
        return f"{self.workspace}/connections/{connection_id}/timeline"

    def job(self, connection_id: str, job_id: int) -> str:
        """The same page, which opens a job's logs; an Airbyte that does not know the job shows the page alone."""
        return f"{self.jobs(connection_id)}?jobId={job_id}&openLogs=true"
