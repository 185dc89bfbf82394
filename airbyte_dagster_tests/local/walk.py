"""All routes of the server, for tests that hold for each of them."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import APIRoute

from airbyte_dagster.local.routes import page_actions, pages
from airbyte_dagster.local.settings import CONFIG_API


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route: those of the API's description, and those that it leaves out."""
    described = [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]
    parts = [route for part in (pages, page_actions) for route in part.router.routes if isinstance(route, APIRoute)]
    shown = [(method, route.path) for route in parts for method in route.methods or ()]
    return sorted({*described, *shown, ("POST", f"{CONFIG_API}/applications/token")})


def body_fields(app: FastAPI) -> dict[tuple[str, str], list[str]]:
    """The fields that each route reads from its body, for those routes that take one."""
    described = app.openapi()
    found = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                schema = described["components"]["schemas"][name] if name else content["schema"]
                found[method.upper(), path] = list(schema["properties"])
    return found
