"""What a server with one user answers about people, and which connectors it says that it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

NOBODY = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Iterator[Api]:
    with airbyte.api() as client:
        yield client


def test_there_is_one_organization_one_user_one_permission(api: Api) -> None:
    """Application tokens act as the single instance admin (``ApplicationServiceMicronautImpl.kt``)."""
    (organization,) = api.ok("GET", "/organizations")["data"]
    (user,) = api.ok("GET", f"/users?organizationId={organization['organizationId']}")["data"]
    (permission,) = api.ok("GET", f"/permissions?userId={user['id']}")["data"]

    assert permission["permissionType"] == "instance_admin"
    assert permission["userId"] == user["id"]
    assert api.ok("GET", f"/permissions/{permission['permissionId']}")["permissionType"] == "instance_admin"


def test_nobody_else_is_known(api: Api) -> None:
    """Other organizations and permissions are a 404, other users an empty list."""
    assert api.get(f"/users?organizationId={NOBODY}").status_code == 404
    assert api.get(f"/permissions/{NOBODY}").status_code == 404
    assert api.ok("GET", f"/permissions?userId={NOBODY}&organizationId=00000000-0000-0000-0000-000000000000") == {
        "data": []
    }


def test_permissions_can_not_be_given(api: Api) -> None:
    """403, with the reason."""
    body = {"permissionType": "workspace_admin", "userId": NOBODY, "workspaceId": api.workspace_id}

    answer = api.post("/permissions", json=body)

    assert answer.status_code == 403
    assert "one user" in answer.json()["data"]["message"]


@pytest.mark.parametrize(("kind", "name"), [("sources", "faker"), ("destinations", "duckdb")])
def test_definitions_are_listed_and_got(api: Api, kind: str, name: str) -> None:
    """Unpaged, with id, name, repository and tag; each can be got by its id."""
    path = f"/workspaces/{api.workspace_id}/definitions/{kind}"

    listed = api.ok("GET", path)["data"]

    (one,) = [item for item in listed if item["dockerRepository"].endswith(f"-{name}")]
    assert {"id", "name", "dockerRepository", "dockerImageTag"} <= set(one)
    assert api.ok("GET", f"{path}/{one['id']}") == one
    assert api.get(f"{path}/{NOBODY}").status_code == 404


def test_definitions_can_not_be_made(api: Api) -> None:
    """403, with what to do instead."""
    body = {"name": "mine", "dockerRepository": "me/source-mine", "dockerImageTag": "1"}

    answer = api.post(f"/workspaces/{api.workspace_id}/definitions/sources", json=body)

    assert answer.status_code == 403
    assert "--connector NAME=PATH" in answer.json()["data"]["message"]
