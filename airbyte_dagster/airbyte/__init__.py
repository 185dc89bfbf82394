"""Airbyte's public API: authentication, timeouts, retries, paging and errors, behind records of our own.

This package is the only importer of ``airbyte_api``, and imports it only when the SDK itself is asked for. Its modules
build on each other in this order: `urls`, `settings`, `redaction`, `policy`, `reasons`, `problems`, then `network`,
`transport` and `auth`, then `times`, `parse`, `calls`, `job_changes`, `session`, `workspaces` and `api`.
"""

from airbyte_dagster.airbyte.client import AirbyteClient
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.urls import CLOUD_SERVER_URL, normalise_server_url

__all__ = ["CLOUD_SERVER_URL", "AirbyteClient", "ClientSettings", "normalise_server_url"]
