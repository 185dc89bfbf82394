"""Airbyte's own SDK, two versions of it, and the whole course in its words."""

from __future__ import annotations

import pytest

from airbyte_dagster_tests.clients.conftest import Client
from airbyte_dagster_tests.local.fakes import RunningAirbyte

VERSIONS = ["1.0.1", "0.53.0"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_course(version: str, client: Client, airbyte: RunningAirbyte) -> None:
    """Every call of the course, and reading, changing and deleting what it made; the token by a relative URL.

    Both versions join it to the server's URL, whose last part it replaces, so it begins with ``v1``.
    """
    seen = client(f"airbyte-api-{version}", "sdk", TOKEN_URL="v1/applications/token")

    assert (seen["health"], seen["workspaces"]) == (200, [airbyte.workspace_id])
    assert seen["streams"] == ["products", "purchases", "users"]
    assert seen["connection_streams"] == ["users", "products", "purchases"]
    assert (seen["started"], seen["status"], seen["rows"]) == ("pending", "succeeded", 3 * 35)
    assert seen["reset"] == ["succeeded", "reset"]
    assert seen["cancelled"] == "cancelled"
    assert seen["jobs"] == [seen["job"] + 1, seen["job"]]
    assert [seen[kind] for kind in ("sources", "destinations", "connections")] == [
        [seen["source_id"]],
        [seen["destination_id"]],
        [seen["connection_id"]],
    ]
    assert (seen["got"], seen["patched"], seen["put"]) == ("my_source_faker_using_api", "patched", "put")
    assert seen["got_destination"] == ["my_duck_using_api", "duckdb"]
    assert (seen["patched_destination"], seen["put_destination"]) == ("patched duck", "put duck")
    assert seen["renamed"] == ["renamed", "inactive"]
    assert (seen["deleted"], seen["gone"]) == ([204, 204, 204], "deprecated")
    assert [request.source_config["count"] for request in airbyte.engine.requests] == [35, 35, 35]
    assert airbyte.store.connection(seen["connection_id"]).status == "deprecated"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_token_by_an_absolute_url(version: str, client: Client, airbyte: RunningAirbyte) -> None:
    """Which is what works against every Airbyte."""
    seen = client(f"airbyte-api-{version}", "sdk", TOKEN_URL=f"{airbyte.server_url}/applications/token")

    assert seen["gone"] == "deprecated"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_that_names_no_streams(version: str, client: Client) -> None:
    """``ConnectionCreateRequest(name, source_id, destination_id)`` takes what Faker suggests, and 105 rows arrive."""
    seen = client(f"airbyte-api-{version}", "sdk_defaults", TOKEN_URL="v1/applications/token")

    assert seen == {"streams": ["users", "products", "purchases"], "status": "succeeded", "rows": 105}
