"""The SDK, called by hand as Airbyte's course does, has the client's sign-in, retries and timeouts."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import airbyte_api
import pytest
from airbyte_api import api, errors, models

from airbyte_dagster.errors import BadCredentials
from airbyte_dagster_tests.airbyte.conftest import BASE, TOKEN, FakeTime, MakeClient, job, page, problem, token_reply
from airbyte_dagster_tests.http_server import HttpServer, Reply

WORKSPACE = {"workspaceId": "w-1", "name": "One", "dataResidency": "auto", "notifications": {}}
SOURCE = {
    "sourceId": "s-1",
    "name": "my_source_faker_using_api",
    "workspaceId": "w-1",
    "sourceType": "faker",
    "definitionId": "d-1",
    "createdAt": 1700000000,
    "configuration": {"sourceType": "faker", "count": 35},
}


@pytest.fixture
def sdk(server: HttpServer, make_client: MakeClient, application: dict[str, str]) -> airbyte_api.AirbyteAPI:
    server.on("POST", TOKEN, token_reply())
    return make_client(**application).sdk()


def test_the_course(server: HttpServer, sdk: airbyte_api.AirbyteAPI) -> None:
    """List the workspaces, create a Faker source, start a job and look at it: one token for all of it."""
    server.on("GET", f"{BASE}/workspaces", page(WORKSPACE))
    server.on("POST", f"{BASE}/sources", Reply(200, SOURCE))
    server.on("POST", f"{BASE}/jobs", Reply(200, job()))
    server.on("GET", f"{BASE}/jobs/42", Reply(200, job(status="succeeded")))

    workspaces = sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest()).workspaces_response
    assert workspaces is not None
    source = sdk.sources.create_source(
        request=models.SourceCreateRequest(
            configuration=models.SourceFaker(count=35),
            name="my_source_faker_using_api",
            workspace_id=workspaces.data[0].workspace_id,
        )
    ).source_response
    assert source is not None
    assert server.sent("POST", f"{BASE}/sources")[0].json["configuration"]["sourceType"] == "faker"
    started = sdk.jobs.create_job(
        request=models.JobCreateRequest(connection_id="c-1", job_type=models.JobTypeEnum.SYNC)
    ).job_response
    assert started is not None
    found = sdk.jobs.get_job(request=api.GetJobRequest(job_id=started.job_id)).job_response
    assert found is not None
    assert found.status == models.JobStatusEnum.SUCCEEDED
    assert len(server.sent("POST", TOKEN)) == 1
    assert {request.headers.get("authorization") for request in server.requests} == {None, "Bearer token-1"}


def test_the_sdk_survives_blips(server: HttpServer, sdk: airbyte_api.AirbyteAPI, time: FakeTime) -> None:
    """Its reads are repeated, a refused token is replaced, and a create is not sent twice."""
    server.on("GET", f"{BASE}/workspaces", Reply(503), Reply(401), page(WORKSPACE))
    server.on("POST", f"{BASE}/jobs", Reply(502))
    assert sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest()).workspaces_response is not None
    with pytest.raises(errors.SDKError):
        sdk.jobs.create_job(request=models.JobCreateRequest(connection_id="c", job_type=models.JobTypeEnum.SYNC))
    assert len(server.sent("POST", f"{BASE}/jobs")) == 1
    assert len(time.pauses) == 1


def test_the_sdk_sees_its_own_errors(server: HttpServer, sdk: airbyte_api.AirbyteAPI) -> None:
    """A status of 400 and more is an SDKError, as the SDK's users expect."""
    server.on("POST", f"{BASE}/jobs", problem(409, "try-again-later", "A sync is already running for: c-1"))
    with pytest.raises(errors.SDKError) as caught:
        sdk.jobs.create_job(request=models.JobCreateRequest(connection_id="c-1", job_type=models.JobTypeEnum.SYNC))
    assert caught.value.status_code == 409
    assert "already running" in caught.value.body


def test_the_sdk_with_bad_credentials(server: HttpServer, sdk: airbyte_api.AirbyteAPI) -> None:
    """A refused sign-in is told in plain words through the SDK too."""
    server.on("POST", TOKEN, Reply(401, {"message": "Unknown client"}))
    with pytest.raises(BadCredentials, match="Unknown client"):
        sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest())


def test_the_sdk_as_a_context(server: HttpServer, make_client: MakeClient) -> None:
    """Leaving the SDK's context doesn't close the client it works through."""
    server.on("GET", f"{BASE}/workspaces", page(WORKSPACE))
    client = make_client()
    with client.sdk() as sdk:
        sdk.workspaces.list_workspaces(request=api.ListWorkspacesRequest())
    assert client.workspaces()[0].id == "w-1"
    client.sdk().workspaces.list_workspaces(request=api.ListWorkspacesRequest())


def test_async_methods_are_refused(sdk: airbyte_api.AirbyteAPI) -> None:
    """Asynchronous methods would be sent without sign-in; they say so instead."""
    with pytest.raises(NotImplementedError, match="synchronous"):
        asyncio.run(sdk.workspaces.list_workspaces_async(request=api.ListWorkspacesRequest()))


def test_imports() -> None:
    """Importing the client loads neither the SDK nor Dagster; both take most of a second."""
    code = (
        "import sys, airbyte_dagster.airbyte\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'airbyte_api', 'dagster', 'pandas', 'duckdb'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
