"""What is stored of a workspace: read once, by any number of processes, and never that of another."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.reconstruct import (
    initialize_repository_def_from_pointer,
    reconstruct_repository_def_from_pointer,
)
from dagster._core.definitions.repository_definition import RepositoryLoadData
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster_shared.serdes import deserialize_value

from airbyte_dagster import AirbyteResource
from airbyte_dagster.errors import ConfigurationError, WorkspaceError
from airbyte_dagster.workspaces.changes import diff
from airbyte_dagster.workspaces.snapshot import ActorRecord, OtherVersion
from airbyte_dagster.workspaces.state import refresh, snapshot_of, state_of
from airbyte_dagster_tests.airbyte.conftest import BASE, page, problem
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.workspaces.records import connection, snapshot, stream

CONNECTION = {
    "connectionId": "c-1",
    "name": "shop",
    "sourceId": "s-1",
    "destinationId": "d-1",
    "status": "active",
    "configurations": {"streams": [{"name": "users"}]},
}


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """An Airbyte with a workspace that has one connection."""
    with HttpServer() as running:
        running.on("GET", f"{BASE}/connections", page(CONNECTION))
        running.on("GET", f"{BASE}/sources", page({"sourceId": "s-1", "name": "s"}))
        running.on("GET", f"{BASE}/destinations", page({"destinationId": "d-1", "name": "d"}))
        running.on("GET", f"{BASE}/workspaces", page({"workspaceId": "w-1", "name": "One"}))
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AIRBYTE_DAGSTER_HOME", str(tmp_path / "home"))
    # Dagster goes on with the storage of another test's instance, where two of them ended in the order of their begin.
    with set_defs_state_storage(None):
        yield tmp_path / "home"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of ``DAGSTER_HOME``."""
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    with dg.DagsterInstance.get() as found:
        yield found


@pytest.fixture
def in_a_run() -> Iterator[None]:
    """Definitions are built as a process of a run builds them."""
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext(DefinitionsLoadType.RECONSTRUCTION)):
        yield


def test_a_file_is_read_without_the_instance(
    server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program, which pins nothing for runs, opens no storage of Dagster's to read a file."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "not_there"))

    for _ in range(2):
        assert snapshot_of(airbyte_at(server), tmp_path / "state.json", refresh=False).connections

    assert not (tmp_path / "not_there").exists()


def airbyte_at(server: HttpServer, **settings: Any) -> AirbyteResource:
    return AirbyteResource(**{"server_url": server.url, "workspace_id": "w-1", "max_attempts": 1, **settings})


def key_of(airbyte: AirbyteResource) -> str:
    with state_of(airbyte, None) as state:
        return state.key


def names(server: HttpServer, path: Path | None, *, refresh: bool = False) -> list[str]:
    return [one.name for one in snapshot_of(airbyte_at(server), path, refresh=refresh).connections]


# Reading and storing


def test_it_is_read_from_airbyte_once(server: HttpServer, home: Path) -> None:
    """Later loads send no request, and take what is stored: without an instance of Dagster, in a file."""
    assert names(server, None) == ["shop"]
    asked = len(server.requests)
    server.on("GET", f"{BASE}/connections", page())

    assert names(server, None) == ["shop"]

    assert [request.path.removeprefix(BASE) for request in server.requests[:1]] == ["/connections"]
    assert len(server.requests) == asked == 3
    assert [path.parent for path in home.rglob("*.json")] == [home / "workspaces"]


def test_it_is_in_the_instance(server: HttpServer, home: Path, instance: dg.DagsterInstance) -> None:
    """Where there is one: in its database, so that no file of any home is needed."""
    assert names(server, None) == ["shop"]
    asked = len(server.requests)

    assert names(server, None) == ["shop"]

    assert len(server.requests) == asked == 3
    assert not home.exists()
    assert not Path(instance.root_directory, "storage").exists()


def test_a_given_path_is_used(server: HttpServer, tmp_path: Path, home: Path) -> None:
    assert names(server, tmp_path / "mine.json") == ["shop"]

    assert (tmp_path / "mine.json").exists()
    assert not home.exists()


def test_each_workspace_has_a_state_of_its_own(server: HttpServer) -> None:
    """However its address is written; and no address, id or secret is in the key."""
    named = [
        key_of(airbyte_at(server, **settings))
        for settings in (
            {},
            {"server_url": f"{server.url}/api/v1/"},
            {"workspace_id": "w-2"},
            {"workspace_id": None},
            {"workspace_id": None, "workspace_name": "One"},
            {"server_url": "http://other.test"},
            {"client_id": "i", "client_secret": "PLANTED"},
        )
    ]

    assert named[0] == named[1] == named[6]
    assert len(set(named)) == 5
    assert all(re.fullmatch(r"airbyte_workspace\[[0-9a-f]{16}\]", key) for key in named)


def test_the_only_workspace_is_found(server: HttpServer) -> None:
    """Where none is configured, it is asked for."""
    found = snapshot_of(airbyte_at(server, workspace_id=None), None, refresh=False)

    assert found.workspace_id == "w-1"
    assert len(server.requests) == 4


def test_it_is_read_anew_on_request(server: HttpServer) -> None:
    names(server, None)
    server.on("GET", f"{BASE}/connections", page({**CONNECTION, "name": "store"}))

    assert names(server, None, refresh=True) == ["store"]
    assert names(server, None) == ["store"]


def test_what_is_stored_is_taken_if_airbyte_is_down(server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    """Loading definitions is not to fail for a refresh; the log says how old they are."""
    taken_at = snapshot_of(airbyte_at(server), None, refresh=False).taken_at
    server.on("GET", f"{BASE}/connections", Reply(503))

    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        assert names(server, None, refresh=True) == ["shop"]

    assert taken_at in caplog.text


def test_nothing_stored_and_airbyte_down(server: HttpServer, tmp_path: Path) -> None:
    """It is said what to run."""
    server.on("GET", f"{BASE}/connections", Reply(503))

    with pytest.raises(ConfigurationError, match=r"mine\.json.*503.*airbyte-dagster refresh"):
        names(server, tmp_path / "mine.json")


def test_the_address_may_be_unknown_where_the_path_is_not(
    server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Definitions load with nothing in the environment."""
    names(server, tmp_path / "mine.json")
    monkeypatch.setenv("AIRBYTE_SERVER_URL", server.url)
    airbyte = AirbyteResource.from_env()
    monkeypatch.delenv("AIRBYTE_SERVER_URL")

    assert len(snapshot_of(airbyte, tmp_path / "mine.json", refresh=False).connections) == 1
    with pytest.raises(ConfigurationError, match="variable that is not set"):
        snapshot_of(airbyte, None, refresh=False)


def test_an_environment_that_names_no_airbyte_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where images are built, say, nothing is set; but who signs in to Cloud means Cloud."""
    for name in ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET", "WORKSPACE_ID"):
        monkeypatch.delenv(f"AIRBYTE_{name}", raising=False)
    (tmp_path / "s.json").write_text(snapshot(connection("shop")).to_json())

    assert len(snapshot_of(AirbyteResource.from_env(), tmp_path / "s.json", refresh=False).connections) == 1
    with pytest.raises(ConfigurationError, match=r"not of https://api\.airbyte\.com/v1"):
        snapshot_of(AirbyteResource(bearer_token="x"), tmp_path / "s.json", refresh=False)


# Processes of runs


@pytest.mark.usefixtures("in_a_run")
def test_a_run_never_asks(server: HttpServer, tmp_path: Path) -> None:
    """Not even where definitions are to be read anew on load."""
    (tmp_path / "s.json").write_text(snapshot(connection("stored"), server_url=f"{server.url}{BASE}").to_json())

    assert names(server, tmp_path / "s.json", refresh=True) == ["stored"]
    assert server.requests == []


@pytest.mark.usefixtures("in_a_run")
def test_a_run_that_finds_no_file(server: HttpServer, tmp_path: Path) -> None:
    """It does not read the workspace, which may have changed since its code location was loaded."""
    with pytest.raises(ConfigurationError, match=r"s\.json.*needs the Dagster instance"):
        names(server, tmp_path / "s.json", refresh=True)
    assert server.requests == []


@pytest.mark.usefixtures("in_a_run")
def test_a_run_that_finds_another_version(server: HttpServer, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"version": 99, "workspace_id": "w-1"}')

    with pytest.raises(OtherVersion, match="airbyte-dagster refresh"):
        names(server, path)
    assert server.requests == []


def dagster_process(file: Path, data: RepositoryLoadData | None = None) -> tuple[set[str], RepositoryLoadData | None]:
    """Load a file as Dagster does: first as a code location; with what that gave, as a process of one of its runs.

    Returns:
        Names of the connections, and what processes of runs are given.
    """
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)):
        # One process loads a file once; each copy is another's.
        copy = file.with_name(f"defs_{uuid.uuid4().hex}.py")
        copy.write_text(file.read_text())
        pointer = CodePointer.from_python_file(str(copy), "defs", None)
        repository = (
            reconstruct_repository_def_from_pointer(pointer, data)
            if data
            else initialize_repository_def_from_pointer(pointer)
        )
        names = {key.path[0] for key in repository.assets_defs_by_key}
        return names, repository.repository_load_data


def _handed_on(data: RepositoryLoadData | None) -> RepositoryLoadData:
    """To another process."""
    return deserialize_value(dg.serialize_value(data), RepositoryLoadData)


DEFINITIONS = """\
from airbyte_dagster import AirbyteResource, build_workspace_defs

defs = build_workspace_defs(
    AirbyteResource(server_url={url!r}, workspace_id="w-1"), state_path={path!r}, refresh_on_load={on_load}
)
"""


@pytest.mark.usefixtures("instance")
@pytest.mark.parametrize("name", [None, "s.json"])
@pytest.mark.parametrize("on_load", [False, True])
def test_runs_are_of_what_the_code_location_was_loaded_from(
    server: HttpServer, tmp_path: Path, name: str | None, *, on_load: bool
) -> None:
    """Though it is refreshed in between; a code location that is loaded afterwards has what is new."""
    file, path = tmp_path / "defs.py", tmp_path / name if name else None
    file.write_text(DEFINITIONS.format(url=server.url, path=name and str(path), on_load=on_load))
    loaded, data = dagster_process(file)
    server.on("GET", f"{BASE}/connections", page({**CONNECTION, "name": "store"}))
    refresh(airbyte_at(server), path)
    refresh(airbyte_at(server), path)
    asked = len(server.requests)

    in_run, data_of_run = dagster_process(file, _handed_on(data))
    in_step, _ = dagster_process(file, _handed_on(data_of_run))

    assert (loaded, in_run, in_step) == ({"shop"}, {"shop"}, {"shop"})
    assert len(server.requests) == asked
    assert dagster_process(file)[0] == {"store"}
    assert (len(server.requests) > asked) == on_load


def test_a_run_whose_state_was_replaced_many_times(
    server: HttpServer, tmp_path: Path, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes the newest, and the log says what to do; the instance keeps no more than twenty."""
    file = tmp_path / "defs.py"
    file.write_text(DEFINITIONS.format(url=server.url, path=None, on_load=False))
    _, data = dagster_process(file)
    for number in range(21):
        server.on("GET", f"{BASE}/connections", page({**CONNECTION, "name": f"store_{number}"}))
        refresh(airbyte_at(server), None)

    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        in_run, _ = dagster_process(file, _handed_on(data))

    assert in_run == {"store_20"}
    assert f"({instance.root_directory})" in caplog.text
    assert "reload it" in caplog.text


@pytest.mark.usefixtures("instance")
def test_what_is_the_same_is_no_new_version(server: HttpServer) -> None:
    """However often it is refreshed."""
    first = snapshot_of(airbyte_at(server), None, refresh=False)
    refresh(airbyte_at(server), None)

    for _ in range(25):
        done = refresh(airbyte_at(server), None)

    assert (done.new, done.calls) == (first, 3)


# Other files


def test_another_version_is_replaced(server: HttpServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is a state of this workspace, which a newer package reads again."""
    path = tmp_path / "s.json"
    path.write_text('{"version": 99, "workspace_id": "w-1"}')

    with caplog.at_level(logging.WARNING, "airbyte_dagster"):
        assert names(server, path) == ["shop"]

    assert "another version" in caplog.text
    assert names(server, path) == ["shop"]


@pytest.mark.parametrize("refreshing", [False, True])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (snapshot(workspace_id="w-2").to_json(), r"the server http://airbyte\.test"),
        ("[project]\nname = 'mine'", "not the state of a workspace"),
    ],
)
def test_nothing_else_is_replaced(
    server: HttpServer, tmp_path: Path, text: str, words: str, *, refreshing: bool
) -> None:
    """Another workspace's file, or one that is no such file at all, is an error."""
    path = tmp_path / "s.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=rf"{words}.*[Dd]elete the file, or give another state_path"):
        names(server, path, refresh=refreshing)
    with pytest.raises(ConfigurationError, match=words):
        refresh(airbyte_at(server), path)

    assert path.read_text() == text


def test_another_workspace_of_the_same_server(server: HttpServer, tmp_path: Path) -> None:
    names(server, tmp_path / "s.json")

    with pytest.raises(ConfigurationError, match=r"the workspace w-1, not of w-2"):
        snapshot_of(airbyte_at(server, workspace_id="w-2"), tmp_path / "s.json", refresh=False)


# Refresh


def test_refresh_tells_what_it_did(server: HttpServer, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(snapshot(server_url=f"{server.url}{BASE}").to_json())

    done = refresh(airbyte_at(server), tmp_path / "s.json")

    assert done.old == snapshot(server_url=f"{server.url}{BASE}")
    assert [one.name for one in done.new.connections] == ["shop"]
    assert (done.stored_in, done.calls) == (str(tmp_path / "s.json"), 3)


def test_what_loading_has_just_read_is_not_read_again(server: HttpServer, tmp_path: Path) -> None:
    """But the next time, it is."""
    names(server, tmp_path / "s.json")

    assert refresh(airbyte_at(server), tmp_path / "s.json").old is None
    assert len(server.requests) == 3
    assert refresh(airbyte_at(server), tmp_path / "s.json").old is not None
    assert len(server.requests) == 6


def _disk_is_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("read", [names, lambda server, path: refresh(airbyte_at(server), path)])
def test_a_state_that_cannot_be_written_says_so(
    server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[HttpServer, Path], object]
) -> None:
    """That is not Airbyte's fault."""
    monkeypatch.setattr(Path, "replace", _disk_is_full)

    with pytest.raises(ConfigurationError, match=r"^The state of the workspace can't be written to .*state_path"):
        read(server, tmp_path / "s.json")


def test_an_id_that_is_none_is_named(server: HttpServer, tmp_path: Path) -> None:
    """Airbyte's own words name neither it nor the setting."""
    server.on("GET", f"{BASE}/connections", problem(400, "try-again"))

    with pytest.raises(WorkspaceError, match=r"'rubbish'.*AIRBYTE_WORKSPACE_ID"):
        refresh(airbyte_at(server, workspace_id="rubbish"), tmp_path / "s.json")


def test_refresh_fails_if_airbyte_is_down(server: HttpServer, tmp_path: Path) -> None:
    """Other than loading: what is stored stays."""
    names(server, tmp_path / "s.json")
    refresh(airbyte_at(server), tmp_path / "s.json")
    server.on("GET", f"{BASE}/sources", Reply(503))
    before = (tmp_path / "s.json").read_text()

    with pytest.raises(Exception, match="503"):
        refresh(airbyte_at(server), tmp_path / "s.json")

    assert (tmp_path / "s.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


# Changes


def test_changes_in_words() -> None:
    old = snapshot(
        connection("same", ["b", "a"]),
        connection("gone"),
        connection("shop"),
        connection("crm", ["a", "b", stream("c", "n")]),
        connection("off"),
        connection("moved"),
        connection("heir", id="id-heir"),
        connection("heir", id="id-heiress", created_at=2),
    )
    new = snapshot(
        connection("same", ["a", "b"]),
        connection("new", ["x", "y"]),
        connection("store", id="id-shop"),
        connection("crm", ["d", "e", "f", "g", stream("a", sync_mode="incremental_append"), stream("c", "n")]),
        connection("off", status="inactive"),
        connection("moved", source=ActorRecord("s-9", "elsewhere", "faker", {})),
        connection("heir", id="id-heiress", created_at=2),
    )

    changes = diff(old, new)

    assert str(changes) == "1 connection added, 2 connections removed, 5 connections changed (1 renamed)"
    assert list(changes.lines()) == [
        "+ 'new': 2 streams",
        "- 'gone'",
        "- 'heir'",
        "~ 'shop': is now 'store', key shop → store",
        "~ 'crm': 4 streams added (d, e, f, …), 1 stream removed (b), 1 stream changed (a)",
        "~ 'off': is now inactive",
        "~ 'moved': other settings",
        "~ 'heir': key heir_a700ea11 → heir",
    ]


def test_no_changes() -> None:
    same = snapshot(connection("a"))

    assert (bool(diff(same, same)), str(diff(same, same)), list(diff(same, same).lines())) == (
        False,
        "nothing changed",
        [],
    )
    assert str(diff(None, same)) == "1 connection added"
