"""Where local Airbyte keeps its things, and what others need to reach it. Standard library only, so it loads fast."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import tempfile
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8006
PUBLIC_API = "/api/public/v1"
CONFIG_API = "/api/v1"
CACHE_VARIABLE = "AIRBYTE_DAGSTER_CACHE"
CONNECTOR_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
#: The connector of Airbyte's course, which is there from the first start on.
COURSE_CONNECTOR = "faker"
#: Begins each line that a starting server prints of its preparations.
PROGRESS_MARK = "• "


@dataclass(frozen=True)
class Home:
    """The directory tree of one local Airbyte.

    Args:
        root: The home directory itself, absolute.
    """

    root: Path

    @property
    def state_dir(self) -> Path:
        """The server's own files; only the user may read them (mode 0700)."""
        return self.root / "local"

    @property
    def database(self) -> Path:
        """The SQLite file with workspaces, sources, destinations, connections and jobs."""
        return self.state_dir / "state.sqlite"

    @property
    def credentials_file(self) -> Path:
        """JSON with ``client_id``, ``client_secret`` and ``workspace_id``, mode 0600."""
        return self.state_dir / "credentials.json"

    @property
    def server_file(self) -> Path:
        """JSON with ``url`` and ``pid``; there only while a server accepts requests."""
        return self.state_dir / "server.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one server of this home."""
        return self.state_dir / "server.lock"

    @property
    def logs(self) -> Path:
        """One log file per job."""
        return self.state_dir / "logs"

    @property
    def definitions(self) -> Path:
        """Declarative sources that were defined over the API."""
        return self.state_dir / "definitions"

    @property
    def scratch(self) -> Path:
        """A directory per running job, for files that must not outlive it."""
        return self.state_dir / "tmp"

    @property
    def environments(self) -> Path:
        """Python environments of connectors, in the user's cache: all homes share them."""
        return cache_directory(self) / "environments"

    @property
    def warehouse(self) -> Path:
        """The default DuckDB file."""
        return self.root / "lms.duckdb"

    def job_log(self, job_id: int) -> Path:
        """The log file of a job."""
        return self.logs / f"job-{job_id}.log"

    def make(self) -> None:
        """Create the directories that are missing, private to the user."""
        self.root.mkdir(parents=True, exist_ok=True)
        for directory in (self.state_dir, self.logs, self.scratch):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Credentials:
    """What a client signs in with, and the default workspace.

    The secret is left out of ``repr``.
    """

    client_id: str
    client_secret: str = field(repr=False)
    workspace_id: str


def resolve_home(home: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None) -> Home:
    """Find the home: the argument, else ``AIRBYTE_DAGSTER_HOME``, else ``~/.airbyte-dagster``.

    Args:
        home: An explicit directory; ``~`` is expanded and a relative path made absolute.
        env: The environment to look in; ``os.environ`` by default.
    """
    variables = os.environ if env is None else env
    chosen = home or variables.get("AIRBYTE_DAGSTER_HOME") or "~/.airbyte-dagster"
    return Home(Path(chosen).expanduser().absolute())


def cache_directory(home: Home, env: Mapping[str, str] | None = None) -> Path:
    """Where what can be downloaded again is kept for all homes of a user; it need not exist.

    ``AIRBYTE_DAGSTER_CACHE``, else ``airbyte-dagster`` in ``XDG_CACHE_HOME`` or in ``~/.cache``. For a user without a
    home directory that can be written, ``cache`` in the home of local Airbyte.

    Args:
        home: Of local Airbyte.
        env: The environment to look in; ``os.environ`` by default.
    """
    variables = os.environ if env is None else env
    if chosen := variables.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    caches = Path(variables.get("XDG_CACHE_HOME") or "")
    if not caches.is_absolute():  # as the specification of the variable has it
        try:
            user = Path(variables.get("HOME") or Path.home())
        except RuntimeError:  # the user is in no list, as in some containers
            user = Path()
        if not (user.is_absolute() and user.is_dir()):
            return home.root / "cache"
        caches = user / ".cache"
    existing = next(path for path in (caches, *caches.parents) if path.exists())
    return caches / "airbyte-dagster" if os.access(existing, os.W_OK | os.X_OK) else home.root / "cache"


def write_private(path: Path, value: Any) -> None:
    """Write JSON that only the user may read (0600), atomically: readers see the old file or the whole new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes the file 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_credentials(home: Home) -> Credentials | None:
    """Read the credentials of a home, or None when no server has been started there."""
    try:
        raw = json.loads(home.credentials_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Credentials(str(raw["client_id"]), str(raw["client_secret"]), str(raw["workspace_id"]))


def ensure_credentials(home: Home) -> Credentials:
    """Read the credentials, making them at random the first time.

    Two processes that do so at once end with the same credentials: the file is linked into place, so the first wins.
    """
    found = read_credentials(home)
    if found is not None:
        return found
    home.make()
    made = {
        "client_id": str(uuid.uuid4()),
        "client_secret": secrets.token_urlsafe(32),
        "workspace_id": str(uuid.uuid4()),
    }
    draft = home.credentials_file.with_name(f".credentials.{uuid.uuid4().hex}")
    write_private(draft, made)
    try:
        home.credentials_file.hardlink_to(draft)
    except FileExistsError:
        pass  # another process was first; its credentials hold
    finally:
        draft.unlink()
    winner = read_credentials(home)
    if winner is None:
        raise FileNotFoundError(home.credentials_file)
    return winner


def environment(home: Home, url: str) -> dict[str, str]:
    """The five variables that point a client at local Airbyte.

    Args:
        home: The home of the server.
        url: The server's root, without the API's path, such as ``http://127.0.0.1:8006``.

    Returns:
        ``AIRBYTE_SERVER_URL``, ``AIRBYTE_CLIENT_ID``, ``AIRBYTE_CLIENT_SECRET``, ``AIRBYTE_WORKSPACE_ID`` and
        ``AIRBYTE_DAGSTER_HOME``. Credentials are made if there are none yet.
    """
    credentials = ensure_credentials(home)
    return {
        "AIRBYTE_SERVER_URL": url.rstrip("/") + PUBLIC_API,
        "AIRBYTE_CLIENT_ID": credentials.client_id,
        "AIRBYTE_CLIENT_SECRET": credentials.client_secret,
        "AIRBYTE_WORKSPACE_ID": credentials.workspace_id,
        "AIRBYTE_DAGSTER_HOME": str(home.root),
    }


def server_record(home: Home) -> dict[str, Any] | None:
    """The content of ``server.json`` (``url``, ``pid``), or None. It may be left over from a server that was killed."""
    try:
        raw = json.loads(home.server_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return raw if isinstance(raw, dict) and {"url", "pid"} <= raw.keys() else None


def running_server(home: Home, *, timeout: float = 2.0) -> str | None:
    """The root URL of a live server of this home, or None.

    The recorded server is asked for its health and must name the recorded pid, so a leftover file or another program
    on the same port is not taken for it.

    Args:
        home: The home to look in.
        timeout: Seconds to wait for the answer.
    """
    record = server_record(home)
    if record is None:
        return None
    address = urllib.parse.urlsplit(str(record["url"]))
    try:
        connection = http.client.HTTPConnection(address.hostname or DEFAULT_HOST, address.port, timeout=timeout)
        try:
            connection.request("GET", f"{PUBLIC_API}/health")
            answer = connection.getresponse()
            alive = answer.status == http.client.OK and answer.getheader("X-Local-Airbyte-Pid") == str(record["pid"])
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return None
    return str(record["url"]) if alive else None
