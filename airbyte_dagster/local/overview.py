"""What the command line tells of a home, whether its server runs or not; read from its database directly.

Standard library only, so that the command line loads fast.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from airbyte_dagster.local import settings
from airbyte_dagster.local.settings import Home

_ACTIVE = ("pending", "running", "incomplete")
_LAST_JOBS = 5


@dataclass(frozen=True)
class Thing:
    """A connection, source or destination that is not deleted.

    Attributes:
        id: Its id.
        name: Its name, which others may have, too.
        connections: Of a source or destination, the connections that it is part of.
    """

    id: str
    name: str
    connections: tuple[Thing, ...] = ()


def things(home: Home, kind: str) -> list[Thing]:
    """All of a kind (``connection``, ``source`` or ``destination``), oldest first."""
    found = _rows(
        home, "SELECT id, name, source_id, destination_id FROM connections WHERE status <> 'deprecated' ORDER BY rowid"
    )
    if kind == "connection":
        return [Thing(row[0], row[1]) for row in found]
    actors = _rows(home, "SELECT id, name FROM actors WHERE kind = ? AND NOT deleted ORDER BY rowid", kind)
    return [
        Thing(actor, name, tuple(Thing(row[0], row[1]) for row in found if actor in row[2:])) for actor, name in actors
    ]


def job_status(home: Home, job_id: int) -> str | None:
    """The state of a job, or None if there is no such job."""
    rows = _rows(home, "SELECT status FROM jobs WHERE id = ?", job_id)
    return str(rows[0][0]) if rows else None


def has_ended(home: Home, job_id: int) -> bool:
    """Whether a job is final, or can't be going on, since no server runs."""
    return job_status(home, job_id) not in _ACTIVE or settings.running_server(home) is None


def status(home: Home) -> dict[str, Any]:
    """What there is, and whether a server runs, in the names that ``--json`` has."""
    url = settings.running_server(home)
    record = settings.server_record(home) if url else None
    workspaces, connections, active = (
        _rows(home, query, *arguments)[:1] or [(0,)]
        for query, arguments in (
            ("SELECT count(*) FROM workspaces WHERE NOT deleted", ()),
            ("SELECT count(*) FROM connections WHERE status <> 'deprecated'", ()),
            ("SELECT count(*) FROM jobs WHERE status IN (?, ?, ?)", _ACTIVE),
        )
    )
    jobs = _rows(
        home,
        "SELECT id, type, status, connection_id, created_at FROM jobs ORDER BY id DESC LIMIT ?",
        _LAST_JOBS,
    )
    return {
        "running": url is not None,
        "url": url,
        "pid": record["pid"] if record else None,
        "version": _version(),
        "home": str(home.root),
        "workspaces": workspaces[0][0],
        "connections": connections[0][0],
        "activeJobs": active[0][0] if url else 0,
        "lastJobs": [
            {
                "jobId": job_id,
                "jobType": kind,
                "status": state if url or state not in _ACTIVE else "failed",
                "connectionId": connection_id,
                "startTime": datetime.fromtimestamp(created_at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for job_id, kind, state, connection_id, created_at in jobs
        ],
    }


def _rows(home: Home, query: str, *arguments: Any) -> list[Any]:
    """The rows of a query; none if there is no database yet."""
    if not home.database.is_file():
        return []
    # Read-only, and as a path in a URI, where ? and # would begin something else.
    with contextlib.closing(sqlite3.connect(f"{home.database.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
        try:
            return database.execute(query, arguments).fetchall()
        except sqlite3.OperationalError:
            return []


def _version() -> str:
    try:
        return version("airbyte-dagster")
    except PackageNotFoundError:
        return "unknown"
