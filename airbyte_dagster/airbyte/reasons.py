"""Airbyte's own words in an answer that reports a failure.

Four shapes are known: the problem body of the public API (its text is in ``data.message``; ``detail`` is constant),
Micronaut's ``{"message", "_embedded": {"errors"}}``, ``{"errorId"}`` of uncaught failures, and plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

_UNROUTED_TEXTS = frozenset({"object not found.", "not found", "page not found", "404 page not found"})


@dataclass(frozen=True)
class Reason:
    """What an answer says.

    Attributes:
        text: One text, perhaps empty.
        kind: The problem's title (``try-again-later``), ``error-id``, or ``""``.
        is_unrouted: The server says that it has no such path, as opposed to no such thing.
    """

    text: str
    kind: str = ""
    is_unrouted: bool = False


def is_html(response: httpx.Response) -> bool:
    """Whether an answer is a web page."""
    content_type = response.headers.get("content-type", "")
    if "json" in content_type:
        return False
    if "html" in content_type:
        return True
    return response.text[:200].lstrip().lower().startswith(("<!doctype html", "<html"))


def read_reason(response: httpx.Response) -> Reason:
    """Read what an answer says about its failure; never raises."""
    if is_html(response):
        return Reason("a web page")
    try:
        body = response.json()
    except ValueError:
        text = _one_line(response.text)
        return Reason(text, is_unrouted=text.lower() in _UNROUTED_TEXTS)
    if not isinstance(body, Mapping):
        return Reason(_one_line(body) if isinstance(body, str) else "")
    text = _one_line(_text_of(body))
    if not text and body.get("errorId"):
        return Reason(f"errorId {body['errorId']}", kind="error-id")
    return Reason(text, kind=_kind_of(body), is_unrouted="data" not in body and text.lower() in _UNROUTED_TEXTS)


def _text_of(body: Mapping[str, Any]) -> str:
    data = body.get("data")
    data = data if isinstance(data, Mapping) else {}
    if data.get("message"):
        return str(data["message"])
    embedded = body.get("_embedded")
    inner = embedded.get("errors") if isinstance(embedded, Mapping) else None
    messages = [str(item["message"]) for item in inner or () if isinstance(item, Mapping) and item.get("message")]
    if messages:
        return "; ".join(messages)
    if body.get("message"):
        return str(body["message"])
    text = next((_words(body[key]) for key in ("detail", "error_description", "title", "error") if body.get(key)), "")
    # resource-not-found and value-not-found name the thing in `data`, and nothing but their kind in `detail`.
    named = " ".join(str(data[key]) for key in ("resourceType", "resourceId", "value") if data.get(key))
    return f"{text} ({named})" if named else text


def _words(value: Any) -> str:
    """FastAPI's 422 has a list of problems here; their ``input`` is left out, for it quotes what was sent."""
    if isinstance(value, list):
        parts = []
        for item in value:
            if isinstance(item, Mapping):
                place = ".".join(str(part) for part in item.get("loc") or ())
                parts.append(f"{place}: {item.get('msg')}" if place else str(item.get("msg")))
        return "; ".join(parts)
    return str(value)


def _kind_of(body: Mapping[str, Any]) -> str:
    title, type_ = body.get("title"), body.get("type")
    if isinstance(type_, str) and "#" in type_:
        return type_.rsplit("#", 1)[1]
    return title if isinstance(title, str) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
