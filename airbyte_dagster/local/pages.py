"""Pages for people: what a workspace, a source, a destination, a connection or a job is and did, as plain HTML.

No scripts and nothing from elsewhere; everything is escaped, and configurations are masked before they come here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import zip_longest
from pathlib import Path
from typing import Any

from airbyte_dagster.local import views
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.records import ACTIVE, Actor, Connection, Job, Workspace

HEADERS = {
    # A page of another site must not frame these, and nothing in them can load or run anything.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Within this server only. Were it never, browsers would send the forms with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SECONDS_TO_RENEWAL = 3
"""How often a page renews itself while a job is active."""

Token = Callable[[str], str]
"""Gives what a form for an address has to send along."""

_TEMPLATES = Path(__file__).with_name("templates")
_KILO = 1000
_UNKNOWN = "–"
#: What Airbyte calls a reset by now.
_TYPES = {"reset": "clear"}
#: Lines of a log that matter to whoever looks for a reason.
_BAD_WORDS = (" ERROR ", " FATAL ", "Traceback (most recent call last)")


@dataclass(frozen=True)
class Confirmation:
    """What has to be confirmed, since it can't be taken back.

    Attributes:
        title: The question.
        words: On the button.
        consequences: A sentence each.
        action: The address that does it.
        back: The address that leads away from it.
        choices: Value and words of what can be chosen, the first by default; empty for nothing.
        streams: Value and words of streams that it is done with, as long as they stay chosen.
        connections: Connections that it concerns.
    """

    title: str
    words: str
    consequences: Sequence[str]
    action: str
    back: str
    choices: Sequence[tuple[str, str]] = ()
    streams: Sequence[tuple[str, str]] = ()
    connections: Sequence[Connection] = ()


def connection_path(record: Connection | Job, connection_id: str = "") -> str:
    """The address that a connection's pages begin with, for the connection or for one of its jobs."""
    return f"/workspaces/{record.workspace_id}/connections/{connection_id or record.id}"


def job_path(job: Job) -> str:
    """The address of a job's page, which is where Airbyte opens a job's log."""
    return f"{connection_path(job, job.connection_id)}/timeline?jobId={job.id}&openLogs=true"


def workspace(
    record: Workspace,
    sources: Sequence[Actor],
    destinations: Sequence[Actor],
    connections: Sequence[Connection],
    last_jobs: Mapping[str, Job],
    *,
    others: Sequence[Workspace] = (),
    turns: Sequence[tuple[str, str]] = (),
) -> str:
    """A workspace's page: what is in it, with the last job of each connection.

    Args:
        record: The workspace.
        sources: Some of its sources.
        destinations: Some of its destinations.
        connections: Some of its connections.
        last_jobs: The newest job by the id of its connection.
        others: The other workspaces.
        turns: Words and addresses that lead to the rest.
    """
    rows = [{"record": one, "job": _job(last_jobs[one.id]) if one.id in last_jobs else None} for one in connections]
    return _render(
        "workspace.html",
        title=record.name,
        workspace=record,
        actors=(("source", sources), ("destination", destinations)),
        connections=rows,
        renews=_renewal(last_jobs.values()),
        others=others,
        turns=turns,
    )


def actor(
    record: Actor, home: Workspace, connections: Sequence[Connection], turns: Sequence[tuple[str, str]] = ()
) -> str:
    """A source's or destination's page: its configuration, masked, and the connections that use it.

    Args:
        record: The source or destination.
        home: Its workspace.
        connections: Some of its connections.
        turns: Words and addresses that lead to the rest of them.
    """
    shown = views.actor(record, strict=True)["configuration"]
    return _render(
        "actor.html",
        title=record.name,
        workspace=home,
        record=record,
        settings=_flat(shown),
        connections=connections,
        turns=turns,
    )


def connection(
    record: Connection,
    home: Workspace,
    ends: Mapping[str, Actor | None],
    jobs: Sequence[Job],
    token: Token,
    *,
    tables: Sequence[str] = (),
    actions: Sequence[tuple[str, str]] = (),
    warnings: Sequence[str] = (),
    message: str = "",
) -> str:
    """A connection's page: what can be done with it, its streams, its last jobs and its settings.

    Args:
        record: The connection.
        home: Its workspace.
        ends: Its ``source`` and its ``destination``.
        jobs: Its last jobs, the newest first.
        token: For the forms.
        tables: The table of each of its streams; empty if they are not known.
        actions: What can be done besides syncing, cancelling and deleting: the address' last part, and words.
        warnings: What is wrong with it, a sentence each.
        message: Why the last request was refused.
    """
    return _render(
        "connection.html",
        title=record.name,
        workspace=home,
        record=record,
        path=connection_path(record),
        ends=list(ends.items()),
        schedule=record.schedule.get("cronExpression") or record.schedule.get("scheduleType", ""),
        streams=_streams(record, tables, jobs),
        jobs=[_job(job) for job in jobs],
        is_active=any(job.status in ACTIVE for job in jobs),
        renews=None if message else _renewal(jobs),
        token=token,
        more_actions=actions,
        warnings=warnings,
        message=message,
    )


def job(
    record: Job,
    its_connection: Connection,
    home: Workspace,
    log: str,
    token: Token,
    *,
    log_is_cut: bool = False,
    follow: bool = True,
) -> str:
    """A job's page: how it ended and why, its attempts, what it moved of each stream, and its log.

    Args:
        record: The job.
        its_connection: Its connection.
        home: Its workspace.
        log: Its log, or the end of it.
        token: For the forms.
        log_is_cut: Whether there is more of the log.
        follow: Whether the page renews itself as long as the job is active.
    """
    shown = _job(record)
    attempts = [views.config_api_attempt(record, ())["attempt"]] if record.started_at else []
    return _render(
        "job.html",
        title=f"Job {record.id}",
        workspace=home,
        trail=[(its_connection.name, f"{connection_path(its_connection)}/status")],
        record=its_connection,
        path=connection_path(its_connection),
        job=shown,
        is_active=record.status in ACTIVE,
        chosen=[name_of(*key) for key in record.streams or ()],
        failure=record.failure,
        attempts=[{"endedAt": None, **attempt} for attempt in attempts],
        streams=[_moved(stream) for stream in record.stats],
        log=[(line, any(words in line for words in _BAD_WORDS)) for line in log.splitlines()],
        log_is_cut=log_is_cut,
        renews=_renewal([record]) if follow else None,
        token=token,
    )


def confirmation(needed: Confirmation, home: Workspace, token: Token) -> str:
    """The page between a button and what can't be taken back."""
    return _render("confirm.html", workspace=home, token=token, **vars(needed))


def refused(title: str, message: str, back: str = "/") -> str:
    """The page that says why something was not done."""
    return _render("refused.html", title=title, workspace=None, message=message, back=back)


def missing() -> str:
    """The page for an address that stands for nothing, or nothing any more."""
    return _render("missing.html", title="Not found", workspace=None)


def size(count: int | None) -> str:
    """A number of bytes for people: ``1.5 kB``; a dash for what is not known."""
    if count is None:
        return _UNKNOWN
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < _KILO:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} TB"


def _count(number: int | None) -> str:
    return _UNKNOWN if number is None else f"{number:,}"


def _when(seconds: float | None) -> Any:
    from markupsafe import Markup  # noqa: PLC0415 - comes with the templates

    if seconds is None:
        return _UNKNOWN
    moment = datetime.fromtimestamp(int(seconds), tz=timezone.utc)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), moment.strftime("%Y-%m-%d %H:%M:%S UTC"))


def _renewal(jobs: Any) -> int | None:
    return SECONDS_TO_RENEWAL if any(one.status in ACTIVE for one in jobs) else None


def _job(record: Job) -> Json:
    shown = views.job(record, with_counts=True)
    return {
        "id": record.id,
        "path": job_path(record),
        "type": _TYPES.get(record.type, record.type),
        "status": record.status,
        "rows": shown["rowsSynced"] if record.stats else None,
        "bytes": shown["bytesSynced"] if record.stats else None,
        "start": record.created_at,
        "duration": shown.get("duration", "").removeprefix("PT").lower(),
        "reason": (record.failure or {}).get("message", ""),
    }


def _moved(stats: Mapping[str, Any]) -> Json:
    return {
        **stats,
        "name": name_of(stats["streamNamespace"], stats["streamName"]),
        "status": (stats.get("status") or "").lower(),  # older jobs have none
    }


def _streams(record: Connection, tables: Sequence[str], jobs: Sequence[Job]) -> list[Json]:
    syncs = (one for one in jobs if one.type != "reset" and one.status not in ACTIVE and one.stats)
    stats = next((one.stats for one in syncs), [])
    rows = {(one["streamNamespace"], one["streamName"]): one["recordsCommitted"] for one in stats}
    return [
        {
            "name": name_of(shown.get("namespace"), shown["name"]),
            "table": table,
            "mode": shown["syncMode"].replace("_", " "),
            "cursor": ".".join(shown.get("cursorField") or []),
            "key": ", ".join(".".join(path) for path in shown.get("primaryKey") or []),
            "fields": ", ".join(".".join(one["fieldPath"]) for one in shown.get("selectedFields") or []) or "all",
            "rows": rows.get((shown.get("namespace"), shown["name"])),
        }
        for shown, table in zip_longest(record.streams, tables)
    ]


def name_of(namespace: str | None, name: str) -> str:
    """A stream's name for people."""
    return f"{namespace}.{name}" if namespace else name


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

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"when": _when, "count": _count, "size": size}
    return made


def _render(template: str, **values: Any) -> str:
    return str(_environment().get_template(template).render({"renews": None, "trail": (), "turns": (), **values}))
