"""Facts: the bodies and statuses of refusals.

Each test's docstring names the fact and where it comes from: a section (§) of the reference of Airbyte's behaviour, or
a source file of airbyte-platform. ``[?]`` marks what the reference could not establish.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from airbyte_dagster.local import problems
from airbyte_dagster.local.engine import ConnectorFailed
from airbyte_dagster_tests.local.fakes import Api

BASE = "https://reference.airbyte.com/reference/errors"


@pytest.mark.parametrize(
    ("made", "status", "title", "kind", "detail", "data"),
    [
        (
            problems.bad_request("m"),
            400,
            "bad-request",
            f"{BASE}#bad-request",
            "The request could not be understood by the server due to malformed syntax.",
            {"message": "m"},
        ),
        (
            problems.value_not_found("v"),
            400,
            "value-not-found",
            BASE,
            "The submitted value could not be found.",
            {"value": "v"},
        ),
        (problems.forbidden("m"), 403, "forbidden", f"{BASE}#forbidden", "The request is forbidden.", {"message": "m"}),
        (
            problems.not_found("T", "i"),
            404,
            "resource-not-found",
            f"{BASE}#resource-not-found",
            "The requested resource could not be found.",
            {"resourceType": "T", "resourceId": "i"},
        ),
        (
            problems.try_again_later("m"),
            409,
            "try-again-later",
            f"{BASE}#try-again-later",
            "Please try again later.",
            {"message": "m"},
        ),
        (
            problems.state_conflict("m"),
            409,
            "state-conflict",
            f"{BASE}#409-state-conflict",
            "State conflict",
            {"message": "m"},
        ),
        (
            problems.unprocessable("m"),
            422,
            "unprocessable-entity",
            f"{BASE}#unprocessable-entity",
            "The body of the request was not understood",
            {"message": "m"},
        ),
        (
            problems.unexpected(None),
            500,
            "unexpected-problem",
            BASE,
            (
                "An unexpected problem has occurred. If this is an error that needs to be addressed, "
                "please submit a pull request or github issue."
            ),
            {"message": None},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_problem_bodies(
    made: problems.ApiError, status: int, title: str, kind: str, detail: str, data: dict[str, Any]
) -> None:
    """A problem has these keys in this order, nulls kept, and its detail is constant. (§2, api-problems.yaml)"""
    assert list(made.body.items()) == [
        ("status", status),
        ("type", kind),
        ("title", title),
        ("detail", detail),
        ("documentationUrl", None),
        ("data", data),
    ]
    assert made.status == status


def test_problems_are_plain_json(api: Api) -> None:
    """The content type is application/json, not application/problem+json. (§2, AbstractThrowableProblemHandler.kt)"""
    answer = api.get(f"/sources/{uuid4()}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("workspaces", "WORKSPACE"),
        ("sources", "SOURCE_CONNECTION"),
        ("destinations", "DESTINATION_CONNECTION"),
        ("connections", "STANDARD_SYNC"),
    ],
)
def test_unknown_ids(kind: str, resource: str, api: Api) -> None:
    """An unknown id is a 404 with its resource type; an id that is no UUID is a 400, never a 500. (§2; a 404 since the
    single user is instance admin. Airbyte has 500 for an id that is no UUID)
    """
    unknown = str(uuid4())
    for method in ("GET", "PATCH", "DELETE"):
        answer = api.request(method, f"/{kind}/{unknown}", json={} if method == "PATCH" else None)
        assert answer.status_code == 404
        assert answer.json()["data"] == {"resourceType": resource, "resourceId": unknown}
        assert api.request(method, f"/{kind}/nonsense", json={} if method == "PATCH" else None).status_code == 400


def test_bean_validation_is_a_400_with_an_error_id(api: Api) -> None:
    """A parameter out of range gets the bare errorId, not a problem. (§2: limit=500)"""
    answer = api.get("/sources?limit=500")
    assert answer.status_code == 400
    assert "errorId" in answer.json()
    assert "title" not in answer.json()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": 1}', b"{}"])
def test_unreadable_bodies_are_a_422_with_an_error_id(body: bytes, api: Api) -> None:
    """JSON that can't be parsed or mapped gets a 422 with an errorId. (§2; a missing field's 400 or 422 is [?])"""
    answer = api.post("/workspaces", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "errorId" in answer.json()


def test_unrouted_path(api: Api) -> None:
    """An unknown path is a 404 with a text. (§2, NotFoundController.kt)"""
    answer = api.get("/nonesuch")
    assert (answer.status_code, answer.text) == (404, "Object not found.")


def test_a_failed_discovery_is_a_500_unexpected_problem(airbyte: Any, api: Api) -> None:
    """The connector's words are in data.message. (§5, SourceService.kt)"""

    def broken(*_: Any, **__: Any) -> Any:
        raise ConnectorFailed("no catalog today")

    source, destination = api.source(count=1), api.destination()
    airbyte.engine.discover = broken
    answers = [
        api.post("/connections", json={"sourceId": source, "destinationId": destination}),
        api.get(f"/streams?sourceId={source}"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["title"]) == (500, "unexpected-problem")
        assert answer.json()["data"] == {"message": "no catalog today"}


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '"\\ud800"', "[" * 500 + "]" * 500, '{"\\udfff": 1}'])
def test_json_that_could_not_be_written_again_is_refused(value: str, api: Api) -> None:
    """What a lenient parser takes for JSON but can't be answered with is a 4xx, and no list breaks afterwards."""
    headers = {"content-type": "application/json"}
    body = f'{{"name":"n","workspaceId":"{api.workspace_id}","configuration":{{"sourceType":"faker","x":{value}}}}}'
    assert api.post("/sources", content=body, headers=headers).status_code == 422
    assert api.post("/workspaces", content=f'{{"name":"n","notifications":{{"x":{value}}}}}', headers=headers).is_error
    assert api.ok("GET", "/sources")["data"] == []
    assert len(api.ok("GET", "/workspaces")["data"]) == 1


def test_secrets_are_not_in_answers_to_malformed_bodies(api: Api) -> None:
    """An answer to a body that can't be read doesn't repeat its values."""
    body = {"name": "n", "workspaceId": "x", "configuration": {"sourceType": "faker", "api_key": "planted-secret"}}
    assert "planted-secret" not in api.post("/sources", json=body).text
    assert "planted-secret" not in api.post("/sources", json={**body, "configuration": ["planted-secret"]}).text
    valid = {
        **body,
        "workspaceId": api.workspace_id,
        "configuration": {"sourceType": "faker", "api_key": ["planted-secret"]},
    }
    assert "planted-secret" not in api.post("/sources", json=valid).text
