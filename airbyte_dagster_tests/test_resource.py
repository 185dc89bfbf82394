"""The resources: what they take, and the SDK's client that they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from airbyte_api import api, models

from airbyte_dagster import AirbyteResource, MotherDuckResource, PostgresWarehouseResource, SqlWarehouseResource
from airbyte_dagster.airbyte import CLOUD_SERVER_URL
from airbyte_dagster.errors import ConfigurationError, WorkspaceError
from airbyte_dagster.resources import WarehouseResource
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte


def test_course_can_be_followed_with_the_sdk(airbyte: RunningAirbyte) -> None:
    """The calls of Airbyte's course, in the SDK's own words, through `get_client()`."""
    sdk: Any = resource_of(airbyte).get_client()

    workspaces = sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest())
    workspace_id = workspaces.workspaces_response.data[0].workspace_id
    source = sdk.sources.create_source(
        request=models.SourceCreateRequest(
            name="my_source_faker_using_api",
            workspace_id=workspace_id,
            configuration=models.SourceFaker(count=35),
        )
    ).source_response
    destination = sdk.destinations.create_destination(
        request=models.DestinationCreateRequest(
            name="my_duck_using_api",
            workspace_id=workspace_id,
            configuration=models.DestinationDuckdb(destination_path=str(airbyte.home.warehouse)),
        )
    ).destination_response
    connection = sdk.connections.create_connection(
        request=models.ConnectionCreateRequest(
            name="my_connection_using_api",
            source_id=source.source_id,
            destination_id=destination.destination_id,
            configurations=models.StreamConfigurations(streams=[models.StreamConfiguration(name="users")]),
        )
    ).connection_response
    job = sdk.jobs.create_job(
        request=models.JobCreateRequest(connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC)
    ).job_response

    with airbyte.api() as http:
        assert http.finish(job.job_id)["status"] == "succeeded"
    assert sdk.jobs.get_job(request=api.GetJobRequest(job_id=job.job_id)).job_response.rows_synced == 35


def test_from_env_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are read late; what is not set keeps its default; what is given wins."""
    for name in ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET", "WORKSPACE_ID"):
        monkeypatch.delenv(f"AIRBYTE_{name}", raising=False)
    assert AirbyteResource.from_env().server_url == CLOUD_SERVER_URL

    monkeypatch.setenv("AIRBYTE_CLIENT_ID", "before")
    monkeypatch.setenv("AIRBYTE_CLIENT_SECRET", "secret")
    resource = AirbyteResource.from_env(request_timeout=7)
    monkeypatch.setenv("AIRBYTE_CLIENT_ID", "after")

    settings = resource.client().settings
    assert (settings.client_id, settings.client_secret, settings.request_timeout) == ("after", "secret", 7)


def test_equal_resources_share_a_client() -> None:
    """Dagster makes a resource anew for each step: its connections and token are shared all the same."""
    assert AirbyteResource(bearer_token="t").client() is AirbyteResource(bearer_token="t").client()
    assert AirbyteResource(bearer_token="t").client() is not AirbyteResource(bearer_token="u").client()


@pytest.mark.parametrize(
    ("credentials", "names"),
    [
        ({"client_id": "a"}, ("client_id", "client_secret")),
        ({"username": "a"}, ("username", "password")),
        ({"client_id": "a", "client_secret": "b", "bearer_token": "c"}, ("client_id", "bearer_token")),
    ],
)
def test_half_or_double_credentials_are_refused(credentials: dict[str, str], names: tuple[str, ...]) -> None:
    """Both fields are named, before any call."""
    with pytest.raises(ConfigurationError) as caught:
        AirbyteResource.from_env(**credentials).client()

    assert all(name in str(caught.value) for name in names)


def test_workspace_is_the_only_one_or_the_named_one(airbyte: RunningAirbyte) -> None:
    """With several and none named, they are listed; id and name find theirs; both together are refused."""
    assert resource_of(airbyte).find_workspace().id == airbyte.workspace_id
    with airbyte.api() as http:
        other = http.ok("POST", "/workspaces", json={"name": "Other"})["workspaceId"]

    with pytest.raises(WorkspaceError) as caught:
        resource_of(airbyte).find_workspace()
    assert other in str(caught.value)
    assert airbyte.workspace_id in str(caught.value)
    assert resource_of(airbyte, workspace_name="Other").find_workspace().id == other
    assert resource_of(airbyte, workspace_id=other).find_workspace().name == "Other"
    with pytest.raises(WorkspaceError, match="Othr"):
        resource_of(airbyte, workspace_name="Othr").find_workspace()
    with pytest.raises(ConfigurationError, match="not both"):
        resource_of(airbyte, workspace_name="Other", workspace_id=other).find_workspace()


@pytest.mark.parametrize("field", ["server_url", "client_secret", "workspace_id"])
def test_a_variable_that_is_not_set_is_no_value(
    field: str, airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be another Airbyte, or the one workspace that there is."""
    monkeypatch.delenv("NOT_SET", raising=False)
    resource = resource_of(airbyte).model_copy(update={field: dg.EnvVar("NOT_SET")})

    with pytest.raises(ConfigurationError, match="NOT_SET is not set"):
        resource.find_workspace()


@pytest.mark.parametrize(
    "resource",
    [
        MotherDuckResource(database=dg.EnvVar("NOT_SET")),
        MotherDuckResource(database="md:lake", motherduck_token=dg.EnvVar("NOT_SET")),
        PostgresWarehouseResource(host=dg.EnvVar("NOT_SET"), database="raw", username="reader"),
        SqlWarehouseResource(url=dg.EnvVar("NOT_SET")),
    ],
)
def test_nor_of_a_warehouse(resource: WarehouseResource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the name "None" would be looked into."""
    monkeypatch.delenv("NOT_SET", raising=False)

    with pytest.raises(ConfigurationError, match="NOT_SET is not set"):
        resource.warehouse()


def test_wrong_workspace_id_is_a_definite_error(airbyte: RunningAirbyte) -> None:
    """It lists what there is, instead of silently finding nothing."""
    resource = resource_of(airbyte, workspace_id="00000000-0000-4000-8000-000000000000")

    with pytest.raises(WorkspaceError, match="Default Workspace"):
        resource.find_workspace()


def test_unknown_setting_is_refused_with_the_nearest_match() -> None:
    """A typo would otherwise be ignored, and the default taken."""
    settings: dict[str, Any] = {"database": "x", "lock_timout": 3}
    with pytest.raises(ConfigurationError, match=r"has no setting 'lock_timout'. Did you mean 'lock_timeout'\?"):
        MotherDuckResource(**settings)


def test_sync_settings_are_those_of_the_resource() -> None:
    """Each setting reaches the runner."""
    resource = AirbyteResource(
        sync_timeout=60,
        poll_ceiling=5,
        poll_failure_tolerance=7,
        on_running="wait",
        cancel_on_timeout=False,
        cancel_on_termination=False,
    )

    assert resource.sync_settings() == SyncSettings(
        timeout=60,
        poll_ceiling=5,
        poll_failure_tolerance=7,
        on_running="wait",
        cancel_on_timeout=False,
        cancel_on_termination=False,
    )


def test_warehouse_of_a_file_and_of_motherduck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory in a path is expanded; a token may be an EnvVar."""
    monkeypatch.setenv("EXAMPLE_TOKEN", "value")

    assert MotherDuckResource(database="~/x.duckdb").warehouse().database == str(Path("~/x.duckdb").expanduser())
    motherduck = MotherDuckResource(database="md:lms", motherduck_token=dg.EnvVar("EXAMPLE_TOKEN")).warehouse()
    assert (motherduck.database, motherduck.motherduck_token, motherduck.is_motherduck) == ("md:lms", "value", True)


def test_client_and_resource_agree(airbyte: RunningAirbyte) -> None:
    """The resource's client sees what any other client sees."""
    with client_of(airbyte) as client:
        assert resource_of(airbyte).client().workspaces() == client.workspaces()


def test_nothing_given_says_that_cloud_was_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any AIRBYTE_* variable the error says so, and how to start local Airbyte; nothing is called."""
    for name in ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET", "WORKSPACE_ID"):
        monkeypatch.delenv(f"AIRBYTE_{name}", raising=False)

    with pytest.raises(ConfigurationError, match="so Airbyte Cloud was assumed") as caught:
        AirbyteResource.from_env().find_workspace()

    assert "`airbyte-dagster local serve`" in caught.value.guidance
    signed = AirbyteResource(extra_headers={"Authorization": "Basic x"})
    assert signed.client().settings.server_url.startswith("https://api.airbyte.com")
