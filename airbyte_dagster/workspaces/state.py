"""The stored snapshot of a workspace, so that definitions load without a call to Airbyte."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

from airbyte_dagster.airbyte.urls import CLOUD_SERVER_URL, normalise_server_url
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError, InvalidRequest, WorkspaceError
from airbyte_dagster.paths import home_directory
from airbyte_dagster.resources import AirbyteResource, plain
from airbyte_dagster.workspaces.columns import with_columns
from airbyte_dagster.workspaces.selector import Selector
from airbyte_dagster.workspaces.snapshot import OtherVersion, WorkspaceSnapshot, take_snapshot
from airbyte_dagster.workspaces.storage import (
    InstanceStorage,
    instance_storage,
    pin_version,
    pinned_version,
    read_file,
    write_file,
)

_LOG = logging.getLogger("airbyte_dagster")

_REFRESH = "Run `airbyte-dagster refresh` (with -m or -f and your definitions) where Airbyte can be reached."


@dataclass(frozen=True)
class Refreshed:
    """A workspace that was read from Airbyte.

    Attributes:
        stored_in: Where it is stored, for people.
        old: What was stored before; ``None`` if nothing was, or nothing that can be read.
        calls: How many calls it took.
        seconds: How long it took.
    """

    stored_in: str
    old: WorkspaceSnapshot | None
    new: WorkspaceSnapshot
    calls: int
    seconds: float


#: What this process has read from Airbyte while it loaded definitions, by the key of the state.
_read_here: dict[str, Refreshed] = {}


@dataclass(frozen=True)
class WorkspaceState:
    """The stored snapshot of one workspace.

    Attributes:
        airbyte: Names the workspace.
        key: Dagster's key of the state.
        path: A file that has the newest snapshot; ``None``: the instance has.
        instance: Has the snapshots that code locations were loaded from; ``None`` where there is no instance.
    """

    airbyte: AirbyteResource
    key: str
    path: Path | None
    instance: InstanceStorage | None

    @property
    def place(self) -> str:
        """Where the newest snapshot is."""
        if self.path is not None:
            return str(self.path)
        return f"the storage of Dagster's instance{_home(self.instance)}, as {self.key}"

    def load(self, version: str | None = None) -> WorkspaceSnapshot | None:
        """Return a snapshot, the newest by default; ``None`` if nothing is stored.

        Args:
            version: One that code locations may still have been loaded from. If it is not stored any more, the newest
                is returned, and the log warns of it.

        Raises:
            OtherVersion: Another version of this package wrote it.
            ConfigurationError: It can't be read, or is of another workspace.
        """
        text = self.instance.read(version) if self.instance and version else None
        if text is None:
            text = self._latest_text()
            if text is not None and version and self.instance:
                _LOG.warning("%s was refreshed many times since the code location was loaded; reload it.", self.place)
        if text is None:
            return None
        try:
            snapshot = WorkspaceSnapshot.from_json(text)
        except OtherVersion as error:
            raise OtherVersion(f"{self.place}: {error.message}", guidance=_REFRESH) from None
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{self.place}: {error.message}", guidance="Delete the file, or give another state_path."
            ) from None
        check_is_of(snapshot, self.airbyte, self.place)
        return snapshot

    def save(self, snapshot: WorkspaceSnapshot) -> None:
        """Store a snapshot as the newest.

        Raises:
            ConfigurationError: The file can't be written.
        """
        text = snapshot.to_json()
        if self.path is not None:
            write_file(self.path, text)
        elif self.instance is not None:
            self.instance.store(text, is_latest=True)

    def pin(self, snapshot: WorkspaceSnapshot) -> None:
        """Have the runs of the code location that is being loaded use this snapshot."""
        if self.instance is not None:
            pin_version(self.key, self.instance.store(snapshot.to_json(), is_latest=False))

    def _latest_text(self) -> str | None:
        if self.path is not None:
            return read_file(self.path)
        version = self.instance.latest() if self.instance else None
        return self.instance.read(version) if self.instance and version else None


def _home(storage: InstanceStorage | None) -> str:
    root = getattr(storage.instance, "root_directory", None) if storage else None
    return f" ({root})" if root else ""


@contextmanager
def state_of(airbyte: AirbyteResource, path: Path | None) -> Iterator[WorkspaceState]:
    """Yield the state of a workspace.

    Args:
        airbyte: Names the workspace.
        path: A file; without it, the storage of Dagster's instance, or, where there is no instance, a file below
            ``AIRBYTE_DAGSTER_HOME`` that is named after server and workspace.

    Raises:
        ConfigurationError: No path is given, and the server's address is read from a variable that is not set.
    """
    if path is not None:
        path = path.expanduser().absolute()
        identity = str(path)
    else:
        parts = (_server_url(airbyte), plain(airbyte.workspace_id), plain(airbyte.workspace_name))
        if not parts[0]:
            raise ConfigurationError("server_url is read from a variable that is not set.")
        identity = "\n".join(part or "" for part in parts)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    key = f"airbyte_workspace[{digest}]"
    # A file has the newest snapshot; the instance has those that Dagster pins for runs, and without a context none is.
    is_needed = path is None or DefinitionsLoadContext.is_set()
    with instance_storage(key) if is_needed else nullcontext() as instance:
        if path is None and instance is None:
            path = home_directory() / "workspaces" / f"{digest}.json"
        yield WorkspaceState(airbyte, key, path, instance)


def snapshot_of(
    airbyte: AirbyteResource, path: Path | None, *, refresh: bool, columns_of: Selector | None = None
) -> WorkspaceSnapshot:
    """Return a workspace as it is stored; if it is not, read it from Airbyte, once, and store it.

    Only the loading of a code location reads from Airbyte: the processes of its runs and steps build the definitions
    again, and have to get the same ones, whatever is stored in between.

    Args:
        airbyte: Where the workspace is.
        path: The file; see `state_of`.
        refresh: Read it from Airbyte though it is stored. If Airbyte can't be reached, what is stored is taken.
        columns_of: Connections whose streams' columns are read, too, if the workspace is read: those that are not
            stored yet.

    Raises:
        ConfigurationError: Nothing is stored and Airbyte can't be reached, or what is stored is another workspace.
    """
    with state_of(airbyte, path) as state:
        # Without a context, Dagster's is made by each call, and is of no run.
        context = DefinitionsLoadContext.get()
        if DefinitionsLoadContext.is_set() and context.load_type is DefinitionsLoadType.RECONSTRUCTION:
            return _snapshot_of_run(state)
        snapshot = _snapshot_of_location(state, columns_of, refresh=refresh)
        state.pin(snapshot)
        return snapshot


def _snapshot_of_run(state: WorkspaceState) -> WorkspaceSnapshot:
    """Return what the code location was loaded from, for a process of one of its runs."""
    version = pinned_version(state.key)
    stored = state.load(version)
    if stored is None:
        raise ConfigurationError(
            f"The state of the workspace is not in {state.place}, where this process of a run reads it.",
            guidance="A run needs the Dagster instance that its code location was loaded with.",
        )
    if version:
        pin_version(state.key, version)  # for the processes of its steps
    return stored


def _snapshot_of_location(state: WorkspaceState, columns_of: Selector | None, *, refresh: bool) -> WorkspaceSnapshot:
    stored = _stored(state)
    if stored is not None and not refresh:
        return stored
    try:
        done = _read(state, stored, columns_of, again=False)
    except AirbyteDagsterError as error:
        if stored is None:
            raise ConfigurationError(
                f"Nothing is stored of the workspace in {state.place}, and it can't be read from Airbyte: "
                f"{error.message}",
                guidance=_REFRESH,
            ) from error
        _LOG.warning("The workspace is taken as it was at %s: %s", stored.taken_at, error)
        return stored
    state.save(done.new)
    _read_here[state.key] = done
    return done.new


def refresh(
    airbyte: AirbyteResource,
    path: Path | None,
    columns_of: Selector | None = None,
    *,
    on_progress: Callable[[str], None] = _LOG.info,
) -> Refreshed:
    """Read a workspace from Airbyte and store it; if loading its definitions has just done that, return that.

    Args:
        airbyte: Where the workspace is.
        path: The file; see `state_of`.
        columns_of: Connections whose streams' columns are read, too, though they may be stored.
        on_progress: Called with each step.

    Raises:
        AirbyteDagsterError: It can't be read or stored, or something else is stored there.
    """
    with state_of(airbyte, path) as state:
        done = _read_here.pop(state.key, None)
        if done is None:
            done = _read(state, _stored(state), columns_of, again=True, on_progress=on_progress)
            state.save(done.new)
        return done


def _stored(state: WorkspaceState) -> WorkspaceSnapshot | None:
    """Return what is stored, of this workspace; what another version wrote is as good as nothing."""
    try:
        return state.load()
    except OtherVersion as error:
        _LOG.warning("%s It is read from Airbyte.", error.message)
        return None


def check_is_of(stored: WorkspaceSnapshot, airbyte: AirbyteResource, place: str) -> None:
    """Make sure that what is stored is of the workspace that is configured, as far as that is known.

    Raises:
        ConfigurationError: It is of another one.
    """
    # Variables that are not set say nothing: definitions load without them. Nobody signs in to Cloud with nothing.
    server_url, workspace_id = _server_url(airbyte), plain(airbyte.workspace_id)
    if server_url == CLOUD_SERVER_URL and not _signs_in(airbyte):
        return
    if server_url and server_url != stored.server_url:
        raise _of_another(place, f"the server {stored.server_url}", server_url)
    if workspace_id and workspace_id != stored.workspace_id:
        raise _of_another(place, f"the workspace {stored.workspace_id}", workspace_id)


def _of_another(place: str, stored: str, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        f"{place} has the state of {stored}, not of {wanted}.", guidance="Delete the file, or give another state_path."
    )


def _read(
    state: WorkspaceState,
    old: WorkspaceSnapshot | None,
    columns_of: Selector | None,
    *,
    again: bool,
    on_progress: Callable[[str], None] = _LOG.info,
) -> Refreshed:
    client = state.airbyte.client()
    calls, began = client.calls, time.monotonic()
    new = read_workspace(state.airbyte)
    new = with_columns(client, new, columns_of, known=old, again=again, on_progress=on_progress)
    if old is not None and replace(new, taken_at=old.taken_at) == old:
        new = old  # What is the same gets no new version.
    return Refreshed(state.place, old, new, client.calls - calls, time.monotonic() - began)


def read_workspace(airbyte: AirbyteResource) -> WorkspaceSnapshot:
    """Read a workspace from Airbyte. One that is configured by its id costs list calls alone.

    Raises:
        AirbyteDagsterError: It can't be read.
    """
    workspace_id = plain(airbyte.workspace_id)
    if not workspace_id or plain(airbyte.workspace_name):
        workspace_id = airbyte.find_workspace().id
    try:
        return take_snapshot(airbyte.client(), workspace_id)
    except InvalidRequest as error:
        raise WorkspaceError(
            f"Airbyte has nothing with the id {workspace_id!r}: {error.message}",
            guidance="Set workspace_id, or AIRBYTE_WORKSPACE_ID, to the id in the address of Airbyte's pages.",
        ) from error


def _signs_in(airbyte: AirbyteResource) -> bool:
    given = (airbyte.client_id, airbyte.bearer_token, airbyte.username)
    return bool(airbyte.extra_headers) or any(plain(value) for value in given)


def _server_url(airbyte: AirbyteResource) -> str | None:
    url = plain(airbyte.server_url)
    return normalise_server_url(url) if url else None
