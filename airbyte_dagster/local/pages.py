"""Pages for people: what a workspace, a source, a destination or a connection is and what it did, as plain HTML.

No scripts and nothing from elsewhere; everything is escaped, and configurations are masked before they come here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airbyte_dagster.local import views
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import ACTIVE, Actor, Connection, Job, Workspace

HEADERS = {
    # A page of another site must not frame these, and nothing in them can load or run anything.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_TEMPLATES = Path(__file__).with_name("templates")
_KILO = 1000


def workspace(
    record: Workspace,
    sources: Sequence[Actor],
    destinations: Sequence[Actor],
    connections: Sequence[Connection],
    last_jobs: dict[str, Job],
) -> str:
    """A workspace's page: what is in it, with the last job of each connection."""
    rows = [{"record": one, "job": _job(last_jobs[one.id]) if one.id in last_jobs else None} for one in connections]
    return _render(
        "workspace.html",
        title=record.name,
        workspace=record,
        actors=(("source", sources), ("destination", destinations)),
        connections=rows,
    )


def actor(record: Actor, home: Workspace, connections: Sequence[Connection]) -> str:
    """A source's or destination's page: its configuration, masked, and the connections that use it."""
    shown = views.actor(record, strict=True)["configuration"]
    return _render(
        "actor.html", title=record.name, workspace=home, record=record, settings=_flat(shown), connections=connections
    )


def connection(
    record: Connection, home: Workspace, source: Actor | None, destination: Actor | None, jobs: Sequence[Job]
) -> str:
    """A connection's page: its settings, its streams, and its last jobs, the newest first."""
    return _render(
        "connection.html",
        title=record.name,
        workspace=home,
        record=record,
        ends=(("source", source), ("destination", destination)),
        schedule=record.schedule.get("cronExpression") or record.schedule.get("scheduleType", ""),
        streams=[_stream(one) for one in record.streams],
        jobs=[_job(job) for job in jobs],
        refresh=any(job.status in ACTIVE for job in jobs),
    )


def missing() -> str:
    """The page for an address that stands for nothing, or nothing any more."""
    return _render("missing.html", title="Not found", workspace=None)


def size(count: int) -> str:
    """A number of bytes for people: ``1.5 kB``."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < _KILO:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} TB"


def _job(job: Job) -> Json:
    shown = views.job(job, with_counts=True)
    started = datetime.fromtimestamp(int(job.created_at), tz=timezone.utc)
    return {
        "id": job.id,
        "type": job.type,
        "status": job.status,
        "rows": f"{shown['rowsSynced']:,}",
        "bytes": size(shown["bytesSynced"]),
        "start": started.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "duration": shown.get("duration", "PT0S").removeprefix("PT").lower(),
        "reason": (job.failure or {}).get("message", ""),
    }


def _stream(shown: Json) -> Json:
    return {
        "name": f"{shown['namespace']}.{shown['name']}" if shown.get("namespace") else shown["name"],
        "mode": shown["syncMode"].replace("_", " "),
        "cursor": ".".join(shown.get("cursorField") or []),
        "key": ", ".join(".".join(path) for path in shown.get("primaryKey") or []),
        "fields": ", ".join(".".join(one["fieldPath"]) for one in shown.get("selectedFields") or []) or "all",
    }


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """A configuration as lines of a table: ``login.user``, ``hosts.0.name``."""
    if isinstance(value, dict) and value:
        return [line for key, child in value.items() for line in _flat(child, f"{path}.{key}" if path else key)]
    if isinstance(value, list) and value:
        return [line for index, child in enumerate(value) for line in _flat(child, f"{path}.{index}")]
    if not path:
        return []
    return [(path, value if isinstance(value, str) else json.dumps(value))]


@functools.cache
def _environment() -> Any:
    # Loaded at the first page only: the server starts without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **values: Any) -> str:
    return str(_environment().get_template(template).render({"refresh": False, **values}))
