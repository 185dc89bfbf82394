"""Notices of syncs that ended, posted to the webhooks of their workspace.

Body and manner of airbyte-platform's ``SlackNotificationClient``: one POST, not signed and not repeated. A notice is a
hint; who needs to be sure looks the job up.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timezone
from typing import Any

from airbyte_dagster.local import settings, views
from airbyte_dagster.local.engine import Json
from airbyte_dagster.local.jobstore import JobStore
from airbyte_dagster.local.problems import ApiError
from airbyte_dagster.local.records import Actor, Connection, Job, Workspace
from airbyte_dagster.local.settings import Home
from airbyte_dagster.local.store import Store

_LOG = logging.getLogger(__name__)
_SECONDS = 30.0
_EVENTS = {"succeeded": "success", "failed": "failure"}
_UNITS = ("B", "kB", "MB", "GB")
_KILO = 1024


class Notices:
    """Posts notices, in the background.

    Args:
        store: Where workspaces, and what jobs are about, are.
        jobs: Where jobs are.
        home: Says where the server is, for the links.
    """

    def __init__(self, store: Store, jobs: JobStore, home: Home) -> None:
        self._store = store
        self._jobs = jobs
        self._home = home

    def send(self, job_id: int) -> None:
        """Post that a sync succeeded or failed, if its workspace has a webhook for that; returns at once."""
        job = self._jobs.get(job_id)
        if job.type != "sync" or job.status not in _EVENTS:
            return
        try:
            workspace = self._store.workspace(job.workspace_id)
        except ApiError:  # deleted meanwhile
            return
        url = webhook(workspace.notifications, _EVENTS[job.status])
        if url is None:
            return
        connection = self._store.connection(job.connection_id)
        ends = self._store.actors_by_id([connection.source_id, connection.destination_id])
        record = settings.server_record(self._home)
        root = record["url"] if record else f"http://{settings.DEFAULT_HOST}:{settings.DEFAULT_PORT}"
        body = body_of(job, workspace, connection, (ends[connection.source_id], ends[connection.destination_id]), root)
        name = f"notice-of-job-{job.id}"
        threading.Thread(target=_post, args=(url, body, job.id), name=name, daemon=True).start()


def webhook(notifications: Any, event: str) -> str | None:
    """The URL of an event's webhook, as `Workspace.notifications` has it; None if there is none or it is off."""
    found: Any = notifications
    for key in (event, "webhook"):
        found = found.get(key) if isinstance(found, dict) else None
    url = found.get("url") if isinstance(found, dict) and found.get("enabled") else None
    return url if isinstance(url, str) and url.startswith(("http://", "https://")) else None


def body_of(job: Job, workspace: Workspace, connection: Connection, ends: tuple[Actor, Actor], root: str) -> Json:
    """What is posted of a job: ``text`` for people, ``blocks`` for Slack, ``data`` for programs.

    Args:
        job: A sync that has ended.
        workspace: Its workspace.
        connection: Its connection.
        ends: The connection's source and destination.
        root: The URL of the server, which the links begin with.
    """
    at = f"{root}/workspaces/{workspace.id}"
    link = f"{at}/connections/{connection.id}"
    source, destination = ({"id": end.id, "name": end.name, "url": f"{at}/{end.kind}/{end.id}"} for end in ends)
    failure = job.failure or {}
    data = {
        "workspace": {"id": workspace.id, "name": workspace.name, "url": at},
        "connection": {"id": connection.id, "name": connection.name, "url": link},
        "source": source,
        "destination": destination,
        "jobId": job.id,
        "startedAt": _instant(job.created_at),
        "finishedAt": _instant(job.updated_at),
        **{
            f"{what}{how}": views.total(job, f"{what}{how}")
            for what in ("bytes", "records")
            for how in ("Emitted", "Committed")
        },
        "recordsFilteredOut": 0,
        "bytesFilteredOut": 0,
        "errorMessage": failure.get("message"),
        "errorType": failure.get("kind"),
        "errorOrigin": failure.get("origin"),
        "success": job.status == "succeeded",
        "durationInSeconds": int(job.updated_at) - int(job.created_at),
    }
    return {"text": _text(data), "blocks": _blocks(data), "data": data}


def _text(data: Json) -> str:
    ended = "succeeded" if data["success"] else "just failed..."
    why = f"This {'was for' if data['success'] else 'happened with'} {data['errorMessage'] or 'null'}"
    names = f"{data['connection']['name']} from {data['source']['name']} to {data['destination']['name']}"
    logs = f"You can access its logs here: {data['connection']['url']}"
    return f"Your connection {names} {ended}\n{why}\n\n{logs}\n\nJob ID: {data['jobId']}"


def _blocks(data: Json) -> list[Json]:
    title = "Sync completed" if data["success"] else "Sync failure occurred"
    fields = ["*Source:*", _link(data["source"]), "*Destination:*", _link(data["destination"])]
    fields += ["*Duration:*", _duration(data["durationInSeconds"])]
    blocks = [
        _section(f"{title}: {_link(data['connection'])}"),
        {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in fields]},
    ]
    if data["errorMessage"] is not None:
        blocks.append(_section(f"*Failure reason:*\n\n```\n[{data['errorType']}] {data['errorMessage']}\n```\n"))
    blocks.append(
        _section(
            f"*Sync Summary:*\n{data['recordsEmitted']} record(s) extracted / {data['recordsCommitted']} "
            f"record(s) loaded\n{_size(data['bytesEmitted'])} extracted / {_size(data['bytesCommitted'])} loaded\n"
        )
    )
    return blocks


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _link(thing: Json) -> str:
    name = thing["name"].replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")
    return f"<{thing['url']}|{name}>"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: int) -> str:
    minutes, hours = seconds // 60, seconds // 3600
    if not minutes:
        return f"{seconds} sec"
    return f"{hours} hours {minutes % 60} min" if hours else f"{minutes} min {seconds % 60} sec"


def _size(count: int) -> str:
    for unit in _UNITS:
        if count < _KILO:
            return f"{count} {unit}"
        count //= _KILO
    return f"{count} TB"


def _post(url: str, body: Json, job_id: int) -> None:
    import httpx  # noqa: PLC0415 - most servers post nothing

    try:
        answer = httpx.post(url, json=body, timeout=_SECONDS)
        reason = None if answer.is_success else f"HTTP {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        reason = type(error).__name__  # its text may quote the URL, which is a secret
    if reason:
        _LOG.warning("The notice of job %d could not be posted: %s", job_id, reason, extra={"job_id": job_id})
