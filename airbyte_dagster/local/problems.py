"""Airbyte's error bodies, as exceptions that the routes raise.

Their shape, statuses, titles and types are those of airbyte-platform's ``problems-api`` and of its error handlers.
"""

from __future__ import annotations

import uuid
from typing import Any

_BASE = "https://reference.airbyte.com/reference/errors"


class ApiError(Exception):
    """An answer that is not a success.

    Args:
        status: The HTTP status.
        body: The JSON body.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def words_of(error: ApiError) -> str:
    """What an error says to a person: what is particular to it, where it says so, else what its kind says."""
    particular = (error.body.get("data") or {}).get("message")
    return str(particular or error.body.get("message") or error.body.get("detail") or error.body)


def problem(status: int, title: str, suffix: str, detail: str, data: dict[str, Any] | None) -> ApiError:
    """A problem body: keys in Airbyte's order, nulls kept, the useful text in ``data``.

    Args:
        status: The HTTP status.
        title: The problem's name.
        suffix: What the documentation's address gets at its end, or, as ``error:…``, the whole type.
        detail: A constant sentence.
        data: What is particular to this case.
    """
    return ApiError(
        status,
        {
            "status": status,
            "type": suffix if suffix.startswith("error:") else _BASE + suffix,
            "title": title,
            "detail": detail,
            "documentationUrl": None,
            "data": data,
        },
    )


def bad_request(message: str) -> ApiError:
    """400: the server understood and refuses, as for a wrong stream configuration."""
    return problem(
        400,
        "bad-request",
        "#bad-request",
        "The request could not be understood by the server due to malformed syntax.",
        {"message": message},
    )


def value_not_found(value: str, message: str | None = None) -> ApiError:
    """400: no such name, as for an unknown ``sourceType``; ``message`` is an addition of local Airbyte's."""
    found = problem(400, "value-not-found", "", "The submitted value could not be found.", {"value": value})
    if message is not None:
        found.body["message"] = message
    return found


def forbidden(message: str) -> ApiError:
    """403."""
    return problem(403, "forbidden", "#forbidden", "The request is forbidden.", {"message": message})


def not_found(resource_type: str, resource_id: str) -> ApiError:
    """404: no such thing. ``resource_type`` is ``WORKSPACE``, ``STANDARD_SYNC``, ``SOURCE_CONNECTION``, …."""
    detail = "The requested resource could not be found."
    data = {"resourceType": resource_type, "resourceId": resource_id}
    return problem(404, "resource-not-found", "#resource-not-found", detail, data)


def try_again_later(message: str) -> ApiError:
    """409: a sync is running already."""
    return problem(409, "try-again-later", "#try-again-later", "Please try again later.", {"message": message})


def state_conflict(message: str) -> ApiError:
    """409: not possible as things are; also Airbyte's answer for a job id that does not exist."""
    return problem(409, "state-conflict", "#409-state-conflict", "State conflict", {"message": message})


def unprocessable(message: str) -> ApiError:
    """422: the body's content is wrong; ``message`` says where."""
    detail = "The body of the request was not understood"
    return problem(422, "unprocessable-entity", "#unprocessable-entity", detail, {"message": message})


def unexpected(message: str | None) -> ApiError:
    """500: something outside failed, such as a connector's discovery."""
    detail = (
        "An unexpected problem has occurred. If this is an error that needs to be addressed, "
        "please submit a pull request or github issue."
    )
    return problem(500, "unexpected-problem", "", detail, {"message": message})


def error_id(status: int, message: str) -> ApiError:
    """Airbyte's bare ``{"errorId"}``, used where a request can't be read at all.

    ``message`` is an addition of local Airbyte's: the real server writes it to its log only.
    """
    return ApiError(status, {"errorId": str(uuid.uuid4()), "message": message})


def invalid_credentials() -> ApiError:
    """400: what Airbyte Community answers to a wrong client id or secret."""
    return ApiError(
        400,
        {
            "message": "Bad Request",
            "_links": {"self": {"href": "/api/public/v1/applications/token", "templated": False}},
            "_embedded": {"errors": [{"message": "Invalid client id or token", "_links": {}, "_embedded": {}}]},
        },
    )


def unauthorized(path: str) -> ApiError:
    """401: no token, or one that is unknown or has expired. The real body is not established; this is Micronaut's."""
    return ApiError(
        401,
        {
            "message": "Unauthorized",
            "_links": {"self": {"href": path, "templated": False}},
            "_embedded": {"errors": [{"message": "Unauthorized", "_links": {}, "_embedded": {}}]},
        },
    )


def tag_exists() -> ApiError:
    """409: the workspace has a tag of this name."""
    title, detail = "tag-already-exists", "A tag with this name already exists in the workspace."
    return problem(409, title, "error:tag-already-exists", detail, None)


def tag_limit() -> ApiError:
    """400: the workspace has as many tags as it can. Type and status at Airbyte's are not established."""
    title, detail = "tag-limit-for-workspace-reached", "Maximum 100 tags can be created in a workspace"
    return problem(400, title, "error:tag-limit-for-workspace-reached", detail, None)


def tag_name_too_long() -> ApiError:
    """400: a tag's name has more than 30 characters. Type and status at Airbyte's are not established."""
    title, detail = "tag-name-too-long", "The name of a tag can have 30 characters at most."
    return problem(400, title, "error:tag-name-too-long", detail, None)


def tag_color_invalid() -> ApiError:
    """400: a tag's colour is not 6 hex digits. Type and status at Airbyte's are not established."""
    title, detail = "tag-invalid-hex-color", "The color of a tag is 6 hexadecimal digits, without a #."
    return problem(400, title, "error:tag-invalid-hex-color", detail, None)
