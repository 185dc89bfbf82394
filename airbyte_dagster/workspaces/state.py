"""The file that keeps a snapshot of a workspace, so that definitions load without asking Airbyte."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType

from airbyte_dagster.airbyte.urls import CLOUD_SERVER_URL, normalise_server_url
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError, InvalidRequest, WorkspaceError
from airbyte_dagster.paths import home_directory
from airbyte_dagster.resources import AirbyteResource, plain
from airbyte_dagster.workspaces.columns import with_columns
from airbyte_dagster.workspaces.selector import Selector
from airbyte_dagster.workspaces.snapshot import OtherVersion, WorkspaceSnapshot, take_snapshot

_LOG = logging.getLogger("airbyte_dagster")

_REFRESH = "Run `airbyte-dagster refresh` (with -m or -f and your definitions) where Airbyte can be reached."


#: States that are kept for runs of code locations that were loaded from them.
_KEPT = 5


class WorkspaceState:
    """A file with a snapshot. Any number of processes may read and write it at once: each sees a whole one.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, version: str | None = None) -> WorkspaceSnapshot | None:
        """Return the snapshot; ``None`` if nothing is stored.

        Args:
            version: Of `keep`: this one, if it is still kept, though another was stored since.

        Raises:
            OtherVersion: Another version of this package wrote it.
            ConfigurationError: The file can't be read, or is something else.
        """
        text = self._text()
        if version is not None and (text is None or version != _version(text)):
            text = self._kept_text(version) or text
        if text is None:
            return None
        try:
            return WorkspaceSnapshot.from_json(text)
        except OtherVersion as error:
            raise OtherVersion(f"{self.path}: {error.message}", guidance=_REFRESH) from None
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{self.path}: {error.message}", guidance="Delete the file, or give another state_path."
            ) from None

    def keep(self, snapshot: WorkspaceSnapshot) -> str:
        """Keep a snapshot beside what is stored, whatever is stored later; the last few are kept.

        Returns:
            What `load` finds it by.
        """
        text = snapshot.to_json()
        version = _version(text)
        # Where nothing can be written, nothing can be stored later either.
        with contextlib.suppress(OSError):
            kept = self._kept(version)
            if kept.exists():
                kept.touch()
            else:
                self._write(kept, text)
            others = self.path.parent.glob(f".{glob.escape(self.path.name)}.*.kept")
            for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
                path.unlink(missing_ok=True)
        return version

    def save(self, snapshot: WorkspaceSnapshot) -> None:
        """Store a snapshot in place of what is there; only this user may read it.

        Raises:
            ConfigurationError: The file can't be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write(self.path, snapshot.to_json())
        except OSError as error:
            raise ConfigurationError(
                f"The state of the workspace can't be written to {self.path}: {error.strerror or error}.",
                guidance="Give another state_path.",
            ) from None

    def _kept(self, version: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{version}.kept")

    def _kept_text(self, version: str) -> str | None:
        try:
            return self._kept(version).read_text(encoding="utf-8")
        except OSError:
            _LOG.warning("%s was stored anew after the code location was loaded, and is read as it is now.", self.path)
            return None

    def _text(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"{self.path} can't be read: {error.strerror or error}.") from None

    def _write(self, path: Path, text: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Refreshed:
    """A workspace that was read anew.

    Attributes:
        old: What was stored before; ``None`` if nothing was, or nothing that can be read.
        calls: How many calls it took.
        seconds: How long it took.
    """

    path: Path
    old: WorkspaceSnapshot | None
    new: WorkspaceSnapshot
    calls: int
    seconds: float


#: What this process has read from Airbyte while it loaded definitions.
_read_here: dict[Path, Refreshed] = {}


def state_of(airbyte: AirbyteResource, path: Path | None) -> WorkspaceState:
    """Return where the state of a workspace is.

    Args:
        airbyte: Names the workspace.
        path: The file; a file below ``AIRBYTE_DAGSTER_HOME`` by default, named after server and workspace.

    Raises:
        ConfigurationError: No path is given, and the server's address is read from a variable that is not set.
    """
    if path is not None:
        return WorkspaceState(path.expanduser().absolute())
    identity = (_server_url(airbyte), plain(airbyte.workspace_id), plain(airbyte.workspace_name))
    if not identity[0]:
        raise ConfigurationError("server_url is read from a variable that is not set.")
    digest = hashlib.sha256("\n".join(part or "" for part in identity).encode()).hexdigest()
    return WorkspaceState(home_directory() / "workspaces" / f"{digest[:16]}.json")


def snapshot_of(
    airbyte: AirbyteResource, path: Path | None, *, refresh: bool, columns_of: Selector | None = None
) -> WorkspaceSnapshot:
    """Return a workspace as it is stored; if it is not, read it from Airbyte, once, and store it.

    Only the loading of a code location reads from Airbyte: the processes of its runs and steps build the definitions
    again, and are to have the same ones, whatever is stored in between.

    Args:
        airbyte: Where the workspace is.
        path: The file; see `state_of`.
        refresh: Read it from Airbyte though it is stored. If Airbyte can't be asked, what is stored is taken.
        columns_of: Connections of whose streams the columns are asked for, if the workspace is read: those that are
            not stored yet.

    Raises:
        ConfigurationError: Nothing is stored and Airbyte can't be asked, or what is stored is another workspace.
    """
    state = state_of(airbyte, path)
    if not DefinitionsLoadContext.is_set():
        return _snapshot_of_location(state, airbyte, columns_of, refresh=refresh)
    context, pin = DefinitionsLoadContext.get(), f"airbyte_dagster/workspace_state/{state.path}"
    if context.load_type is DefinitionsLoadType.RECONSTRUCTION:
        version = context.reconstruction_metadata.get(pin)
        snapshot = _snapshot_of_run(state, airbyte, version)
    else:
        snapshot = _snapshot_of_location(state, airbyte, columns_of, refresh=refresh)
        version = state.keep(snapshot)
    if version is not None:
        context.add_to_pending_reconstruction_metadata(pin, version)
    return snapshot


def _snapshot_of_run(state: WorkspaceState, airbyte: AirbyteResource, version: str | None) -> WorkspaceSnapshot:
    """Return what the code location was loaded from, for a process of one of its runs."""
    stored = state.load(version)
    if stored is None:
        raise ConfigurationError(
            f"The state of the workspace is not at {state.path}, where this process of a run looks for it.",
            guidance="It needs the file that the code location was loaded from: give state_path, or "
            "AIRBYTE_DAGSTER_HOME, a place that all processes see.",
        )
    check_is_of(stored, airbyte, state.path)
    return stored


def _snapshot_of_location(
    state: WorkspaceState, airbyte: AirbyteResource, columns_of: Selector | None, *, refresh: bool
) -> WorkspaceSnapshot:
    stored = _stored(state, airbyte)
    if stored is not None and not refresh:
        return stored
    try:
        done = _read(state, airbyte, stored, columns_of, anew=False)
    except AirbyteDagsterError as error:
        if stored is None:
            raise ConfigurationError(
                f"Nothing is stored of the workspace at {state.path}, and it can't be read from Airbyte: "
                f"{error.message}",
                guidance=_REFRESH,
            ) from error
        _LOG.warning("The workspace is taken as it was at %s: %s", stored.taken_at, error)
        return stored
    state.save(done.new)
    _read_here[state.path] = done
    return done.new


def refresh(
    airbyte: AirbyteResource,
    path: Path | None,
    columns_of: Selector | None = None,
    *,
    tell: Callable[[str], None] = _LOG.info,
) -> Refreshed:
    """Read a workspace from Airbyte and store it; if loading its definitions has just done that, tell of it.

    Args:
        airbyte: Where the workspace is.
        path: The file; see `state_of`.
        columns_of: Connections of whose streams the columns are asked for, too, though they may be stored.
        tell: Told of the progress.

    Raises:
        AirbyteDagsterError: It can't be read or stored, or something else is at the path.
    """
    state = state_of(airbyte, path)
    done = _read_here.pop(state.path, None)
    if done is None:
        done = _read(state, airbyte, _stored(state, airbyte), columns_of, anew=True, tell=tell)
        state.save(done.new)
    return done


def _stored(state: WorkspaceState, airbyte: AirbyteResource) -> WorkspaceSnapshot | None:
    """Return what is stored, of this workspace; what another version wrote is as good as nothing."""
    try:
        stored = state.load()
    except OtherVersion as error:
        _LOG.warning("%s It is read from Airbyte.", error.message)
        return None
    if stored is not None:
        check_is_of(stored, airbyte, state.path)
    return stored


def check_is_of(stored: WorkspaceSnapshot, airbyte: AirbyteResource, path: Path) -> None:
    """Make sure that what is stored is of the workspace that is configured, as far as that can be told.

    Raises:
        ConfigurationError: It is of another one.
    """
    # Variables that are not set say nothing: definitions load without them. Nobody signs in to Cloud with nothing.
    server_url, workspace_id = _server_url(airbyte), plain(airbyte.workspace_id)
    if server_url == CLOUD_SERVER_URL and not _signs_in(airbyte):
        return
    if server_url and server_url != stored.server_url:
        raise _of_another(path, f"the server {stored.server_url}", server_url)
    if workspace_id and workspace_id != stored.workspace_id:
        raise _of_another(path, f"the workspace {stored.workspace_id}", workspace_id)


def _of_another(path: Path, stored: str, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} keeps the state of {stored}, not of {wanted}.", guidance="Delete the file, or give another state_path."
    )


def _read(
    state: WorkspaceState,
    airbyte: AirbyteResource,
    old: WorkspaceSnapshot | None,
    columns_of: Selector | None,
    *,
    anew: bool,
    tell: Callable[[str], None] = _LOG.info,
) -> Refreshed:
    client = airbyte.client()
    calls, began = client.calls, time.monotonic()
    new = read_workspace(airbyte)
    new = with_columns(client, new, columns_of, known=old, anew=anew, tell=tell)
    return Refreshed(state.path, old, new, client.calls - calls, time.monotonic() - began)


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
            f"Airbyte knows nothing by the id {workspace_id!r}: {error.message}",
            guidance="Set workspace_id, or AIRBYTE_WORKSPACE_ID, to the id in the address of Airbyte's pages.",
        ) from error


def _signs_in(airbyte: AirbyteResource) -> bool:
    given = (airbyte.client_id, airbyte.bearer_token, airbyte.username)
    return bool(airbyte.extra_headers) or any(plain(value) for value in given)


def _server_url(airbyte: AirbyteResource) -> str | None:
    url = plain(airbyte.server_url)
    return normalise_server_url(url) if url else None
