"""Pages of lists, and the filters and orders of the list of jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from benchmarks.simulated_airbyte.jobs import JobRow

Row = TypeVar("Row")

_HOST = "http://localhost:8001/api/public/v1"
_DEFAULT_LIMIT, _MOST = 20, 100
#: Of a query, what survives into the address of the next page.
_KEPT = ("includeDeleted", "workspaceIds", "jobType", "connectionId")


class BadQuery(Exception):
    """A query that is answered 400."""


def page(path: str, query: Mapping[str, str], rows: Sequence[Row], view: Callable[[Row], Any]) -> dict[str, Any]:
    """Return the page of a list that is asked for.

    ``next`` is there whenever the page has something, even if nothing comes after it, and names a host that is not to
    be reached from outside.

    Raises:
        BadQuery: `limit` or `offset` is out of range.
    """
    limit, offset = _number(query, "limit", _DEFAULT_LIMIT), _number(query, "offset", 0)
    if not 1 <= limit <= _MOST or offset < 0:
        raise BadQuery("limit is 1 to 100, offset at least 0")
    shown = rows[offset : offset + limit]
    kept = {key: query[key] for key in _KEPT if key in query}

    def link(start: int) -> str:
        return f"{_HOST}{path}?{urlencode({**kept, 'limit': limit, 'offset': start})}"

    return {
        "previous": link(max(0, offset - limit)) if offset else "",
        "next": link(offset + limit) if shown else "",
        "data": [view(row) for row in shown],
    }


def chosen_jobs(
    rows: Iterable[JobRow], query: Mapping[str, str], now: float, *, newest_tie_first: bool = False
) -> list[JobRow]:
    """Return the jobs that a query asks for, in its order; bounds are inclusive.

    Args:
        rows: All, or those of one connection.
        query: Airbyte's parameters.
        now: When it is asked.
        newest_tie_first: Which of two jobs of one instant comes first, which Airbyte leaves open.

    Raises:
        BadQuery: It can't be understood.
    """
    tests: list[Callable[[JobRow], bool]] = []
    for name, time_of in (("createdAt", lambda row: row.created), ("updatedAt", lambda row: row.updated(now))):
        start, end = _time(query, f"{name}Start"), _time(query, f"{name}End")
        if start is not None:
            tests.append(lambda row, time_of=time_of, start=start: time_of(row) >= start)  # type: ignore[misc]
        if end is not None:
            tests.append(lambda row, time_of=time_of, end=end: time_of(row) <= end)  # type: ignore[misc]
    if "status" in query:
        tests.append(lambda row: row.status(now) == query["status"])
    if "jobType" in query:
        tests.append(lambda row: row.job_type == query["jobType"])
    field, _, direction = query.get("orderBy", "createdAt|ASC").partition("|")
    if field not in ("createdAt", "updatedAt") or direction not in ("ASC", "DESC"):
        raise BadQuery("orderBy is createdAt or updatedAt, | and ASC or DESC")
    found = [row for row in rows if all(test(row) for test in tests)]
    found.sort(key=lambda row: row.id, reverse=newest_tie_first)
    found.sort(key=lambda row: row.created if field == "createdAt" else row.updated(now), reverse=direction == "DESC")
    return found


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError:
        raise BadQuery(f"{name} is not a number") from None


def _time(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise BadQuery(f"{name} is not a time") from None
