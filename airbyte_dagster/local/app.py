"""The application: routes, error bodies, and the page at ``/docs``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from airbyte_dagster.local import pages as html
from airbyte_dagster.local import problems
from airbyte_dagster.local.deps import Context, require_token
from airbyte_dagster.local.forms import NotOurForm
from airbyte_dagster.local.guard import BodyLimit, HostGuard
from airbyte_dagster.local.routes import (
    actors,
    auth,
    config_actors,
    config_api,
    config_connections,
    config_lists,
    config_organizations,
    config_runs,
    connections,
    definitions,
    jobs,
    page_actions,
    pages,
    people,
    streams,
    tags,
    workspaces,
)
from airbyte_dagster.local.settings import CONFIG_API, PUBLIC_API

_LOG = logging.getLogger(__name__)
_THREADS = 256
_DESCRIPTION = """
Airbyte's public API on this machine, with real connectors. Try it in order: **1** get a token with the client id and
secret that `airbyte-dagster local env` shows and put it into **Authorize**; **2** list the workspaces; **3** create a
source; **4** create a destination; **5** create a connection; **6** start a sync and watch its job.
"""


def create_app(context: Context, *, hosts: Iterable[str] = ()) -> FastAPI:
    """The ASGI application.

    Args:
        context: The parts of the server. They are closed when the application shuts down.
        hosts: Host names that requests may use besides the loopback ones.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        from anyio import to_thread  # noqa: PLC0415 - part of the server, not of the application's construction

        # Discovery and installation hold a thread for minutes; other requests need theirs all the same.
        to_thread.current_default_thread_limiter().total_tokens = _THREADS
        yield
        await to_thread.run_sync(context.close)

    # Its page at /docs has everything that it needs from this server, and nothing from a CDN.
    app = FastAPIOffline(
        redoc_url=None, title="Local Airbyte", description=_DESCRIPTION, version="1.0.0", lifespan=lifespan
    )
    app.state.context = context
    signed_in = [Depends(require_token)]
    public = APIRouter(prefix=PUBLIC_API)
    public.include_router(auth.router)
    for router in (
        workspaces.router,
        actors.make_router("source"),
        actors.make_router("destination"),
        streams.router,
        connections.router,
        jobs.router,
        tags.router,
        definitions.router,
        people.router,
    ):
        public.include_router(router, dependencies=signed_in)
    app.include_router(public)
    for part in (config_api, config_connections, config_lists, config_runs, config_actors, config_organizations):
        app.include_router(part.router, prefix=CONFIG_API, dependencies=signed_in)
    # The configuration API's token call takes and gives the same.
    app.add_api_route(f"{CONFIG_API}/applications/token", auth.token, methods=["POST"], include_in_schema=False)
    app.add_api_route("/health", auth.look, methods=["GET"], tags=["1. Sign in"], summary="Health of the server")
    app.include_router(pages.router)
    app.include_router(page_actions.router)
    app.add_exception_handler(problems.ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(pages.Missing, _missing)
    app.add_exception_handler(NotOurForm, _not_our_form)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(BodyLimit)
    app.add_middleware(HostGuard, hosts=tuple(hosts))
    return app


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, problems.ApiError)  # noqa: S101 - registered for this class only
    return JSONResponse(error.body, error.status)


async def _invalid(_request: Request, error: Exception) -> Response:
    """A request that can't be read: 422 for its body, 400 for its path or query, as Airbyte's handlers do.

    One deviation: for a path id that is no UUID the real server answers 500, which no client can want.
    """
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    found = error.errors()
    status = 422 if any(item["loc"][:1] == ("body",) for item in found) else 400
    # Only where and why: the value itself may be a secret.
    words = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in found)
    refused = problems.error_id(status, words)
    return JSONResponse(refused.body, refused.status)


async def _missing(_request: Request, _error: Exception) -> Response:
    return pages.answer(html.missing(), 404)


async def _not_our_form(_request: Request, _error: Exception) -> Response:
    message = "This form is from before the server was started, or not from one of its pages. Open the page again."
    return pages.answer(html.refused("Not done", message), 403)


def _is_browser(request: Request) -> bool:
    """Whether a person looks at the answer: not at the API's addresses, which clients judge by Airbyte's own text."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    if error.status_code == 404:  # noqa: PLR2004 - an unrouted path
        return await _missing(request, error) if _is_browser(request) else PlainTextResponse("Object not found.", 404)
    if _is_browser(request):
        return pages.answer(html.refused("Not done", str(error.detail)), error.status_code)
    refused = problems.error_id(error.status_code, str(error.detail))
    return JSONResponse(refused.body, refused.status, headers=dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "Internal error; the server's output has the details"
    if isinstance(error, OperationalError) and "disk is full" in str(error.orig):
        message = "The disk that local Airbyte's home is on is full: make room, and try again"
    if _is_browser(request):
        return pages.answer(html.refused("Something is wrong here", f"{message}."), 500)
    body: dict[str, Any] = problems.error_id(500, message).body
    return JSONResponse(body, 500)
