"""Facts: definitions, organizations, users and permissions.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from airbyte_dagster_tests.local.fakes import Api, ScriptedEngine, running_local_airbyte

ZERO = "00000000-0000-0000-0000-000000000000"


def test_definitions(api: Api) -> None:
    """The lists have data only, each with these fields; the ids are those that sources are made with. (§7)"""
    path = f"/workspaces/{api.workspace_id}/definitions"
    faker = {
        "id": "dfd88b22-b603-4c3d-aad7-3701784586b1",
        "name": "Faker",
        "dockerRepository": "airbyte/source-faker",
        "dockerImageTag": "7.2.1",
        "documentationUrl": "https://docs.airbyte.com/integrations/sources/faker",
    }
    sources = api.ok("GET", f"{path}/sources")
    assert sources.keys() == {"data"}
    assert faker in sources["data"]
    assert api.ok("GET", f"{path}/sources/{faker['id']}") == faker
    assert api.ok("GET", f"/sources/{api.source(count=1)}")["definitionId"] == faker["id"]
    assert {"airbyte/destination-duckdb", "airbyte/destination-motherduck"} <= {
        one["dockerRepository"] for one in api.ok("GET", f"{path}/destinations")["data"]
    }


def test_unknown_definitions(api: Api) -> None:
    """An unknown definition, and one of the other kind, is a 404 with this resource type. (DefinitionsController.kt)"""
    path = f"/workspaces/{api.workspace_id}/definitions"
    duckdb = "94bd199c-2ff0-4aa2-b98e-17f0acb72610"
    answer = api.get(f"{path}/sources/{duckdb}")
    assert (answer.status_code, answer.json()["data"]) == (
        404,
        {"resourceType": "STANDARD_SOURCE_DEFINITION", "resourceId": duckdb},
    )
    answer = api.get(f"{path}/destinations/{uuid4()}")
    assert answer.json()["data"]["resourceType"] == "STANDARD_DESTINATION_DEFINITION"
    assert api.get(f"/workspaces/{uuid4()}/definitions/sources").status_code == 404


def test_configured_and_used_types_are_definitions(tmp_path: Path) -> None:
    """A connector that the user configured has a definition, and so has any type that a source is of. (ours)"""
    engine = ScriptedEngine()
    engine.add("used", {"t": []})
    running = running_local_airbyte(tmp_path, engine, connectors={"mine": tmp_path / "source-mine"})
    with running as airbyte, airbyte.api() as api:
        made = api.ok("GET", f"/sources/{api.source('used')}")
        found = api.ok("GET", f"/workspaces/{api.workspace_id}/definitions/sources")["data"]
        tags = {one["name"]: one["dockerImageTag"] for one in found}
        assert (tags["Mine"], tags["Used"]) == ("local", "latest")
        assert made["definitionId"] in {one["id"] for one in found}
        body = {
            "name": "s",
            "workspaceId": api.workspace_id,
            "configuration": {},
            "definitionId": made["definitionId"],
        }
        assert api.ok("POST", "/sources", json=body)["sourceType"] == "used"


def test_declarative_sources_have_a_list_of_their_own(api: Api) -> None:
    """Manifest sources are not among the others; there are none here. (§7, DefinitionsController.kt)"""
    assert api.ok("GET", f"/workspaces/{api.workspace_id}/definitions/declarative_sources") == {"data": []}


def test_definitions_are_not_made_here(api: Api) -> None:
    """Create, put and delete are a 403 that says what to do instead. (ours: there are no images to run)"""
    path = f"/workspaces/{api.workspace_id}/definitions/sources"
    body = {"name": "n", "dockerRepository": "r", "dockerImageTag": "1"}
    faker = "dfd88b22-b603-4c3d-aad7-3701784586b1"
    for answer in (api.post(path, json=body), api.put(f"{path}/{faker}", json=body), api.delete(f"{path}/{faker}")):
        assert answer.status_code == 403
        assert "--connector NAME=PATH" in answer.json()["data"]["message"]
    assert api.delete(f"{path}/{uuid4()}").status_code == 404


def test_organizations(api: Api) -> None:
    """There is one, in a list without pages, with Airbyte's default id. (OAS: OrganizationsResponse;
    its name is ours)
    """
    assert api.ok("GET", "/organizations") == {
        "data": [{"organizationId": ZERO, "organizationName": "Local Airbyte", "email": "user@localhost"}]
    }


def test_users(api: Api) -> None:
    """organizationId is required; ids and emails select. (UsersController.kt)"""
    user = {"id": ZERO, "name": "Local user", "email": "user@localhost"}
    assert api.ok("GET", f"/users?organizationId={ZERO}") == {"data": [user]}
    assert api.ok("GET", f"/users?organizationId={ZERO}&emails=user@localhost")["data"] == [user]
    assert api.ok("GET", f"/users?organizationId={ZERO}&ids={uuid4()}&ids={ZERO}")["data"] == [user]
    assert api.ok("GET", f"/users?organizationId={ZERO}&ids={uuid4()}")["data"] == []
    assert api.get("/users").status_code == 400
    answer = api.get(f"/users?organizationId={uuid4()}")
    assert (answer.status_code, answer.json()["data"]["resourceType"]) == (404, "ORGANIZATION")


def test_permissions(api: Api) -> None:
    """The user is instance admin (§1). A list puts scope and scopeId in the place of the ids, which for an instance
    admin are `none` and zeros; a single permission has neither. (PermissionResponseReadMapper.kt)
    """
    (listed,) = api.ok("GET", "/permissions")["data"]
    single = api.ok("GET", f"/permissions/{listed['permissionId']}")
    assert single == {"permissionId": listed["permissionId"], "permissionType": "instance_admin", "userId": ZERO}
    assert listed == {**single, "scope": "none", "scopeId": ZERO}
    assert api.ok("GET", f"/permissions?userId={ZERO}")["data"] == [listed]
    assert api.get(f"/permissions/{uuid4()}").status_code == 404


def test_permissions_of_others(api: Api) -> None:
    """Another user's permissions are asked for with an organization. (PermissionsController.kt)"""
    answer = api.get(f"/permissions?userId={uuid4()}")
    assert answer.status_code == 400
    assert answer.json()["data"]["message"] == ("Organization ID is required when getting someone else's permissions.")
    assert api.ok("GET", f"/permissions?userId={uuid4()}&organizationId={ZERO}")["data"] == []


def test_permissions_are_not_given_here(api: Api) -> None:
    """A create without a scope is Airbyte's 400; all other changes are a 403. (PermissionsController.kt; the 403 is
    ours)
    """
    body = {"permissionType": "workspace_admin", "userId": ZERO}
    answer = api.post("/permissions", json=body)
    assert answer.status_code == 400
    assert answer.json()["data"]["message"] == (
        "Workspace ID or Organization ID must be provided in order to create a permission."
    )
    path = f"/permissions/{api.ok('GET', '/permissions')['data'][0]['permissionId']}"
    assert api.post("/permissions", json={**body, "workspaceId": api.workspace_id}).status_code == 403
    assert api.patch(path, json=body).status_code == 403
    assert api.delete(path).status_code == 403
    assert api.delete(f"/permissions/{uuid4()}").status_code == 404
