"""Signing in, and health."""

from __future__ import annotations

import os
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import ValidationError

from airbyte_dagster.local import problems
from airbyte_dagster.local.deps import TOKEN_SECONDS, Ctx
from airbyte_dagster.local.health import problems as problems_of
from airbyte_dagster.local.schemas import TokenRequest

router = APIRouter()

_MOST_FIELDS = 100
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            media: {
                "schema": {
                    "type": "object",
                    "required": ["client_id", "client_secret"],
                    "properties": {"client_id": {"type": "string"}, "client_secret": {"type": "string"}},
                }
            }
            for media in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}


async def _credentials(request: Request) -> TokenRequest:
    """The credentials in the body, JSON or form: PyAirbyte sends the one, Airbyte's SDK and Terraform the other."""
    if "json" in request.headers.get("content-type", "json"):
        try:
            raw: Any = await request.json()
        except (ValueError, RecursionError):
            raise problems.error_id(422, "the body is not JSON") from None
    else:
        from urllib.parse import parse_qsl  # noqa: PLC0415 - one use

        try:
            raw = dict(parse_qsl((await request.body()).decode(errors="replace"), max_num_fields=_MOST_FIELDS))
        except ValueError:
            raise problems.error_id(422, f"the form has more than {_MOST_FIELDS} fields") from None
    try:
        return TokenRequest.model_validate(raw)
    except ValidationError as error:
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_input=False, include_url=False)]
        ) from None


@router.post("/applications/token", tags=["1. Sign in"], summary="Get an access token", openapi_extra=_BODY)
async def token(request: Request, context: Ctx) -> dict[str, Any]:
    """Give the `client_id` and `client_secret` that `airbyte-dagster local env` shows; put the `access_token` of the
    answer into **Authorize** at the top of this page. It is good for 15 minutes.
    """  # noqa: D205 - shown in the page
    asked = await _credentials(request)
    access_token = context.tokens.issue(asked.client_id, asked.client_secret)
    return {"access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


async def look(context: Ctx) -> JSONResponse:
    """Whether the server can work: `status` and `problems`; 503 if there are any. For monitoring; needs no token."""
    found = await to_thread.run_sync(problems_of, context.home)
    return JSONResponse({"status": "failing" if found else "ok", "problems": found}, 503 if found else 200)


@router.get("/health", tags=["1. Sign in"], summary="Health", response_class=PlainTextResponse)
async def health() -> PlainTextResponse:
    """Needs no token."""
    return PlainTextResponse("Successful operation", headers={"X-Local-Airbyte-Pid": str(os.getpid())})
