"""Versions of a text in Dagster's database, in another storage of Dagster's, or in a file."""

from __future__ import annotations

import hashlib
import stat
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.workspaces.storage import InstanceStorage, read_file, write_file

REMOTE = """\
defs_state_storage:
  module: dagster._core.storage.defs_state.blob_storage_state_storage
  class: UPathDefsStateStorage
  config: {{base_path: "memory://{name}"}}
"""


@pytest.fixture(params=["database", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InstanceStorage]:
    """Dagster's default, and a storage that is no local directory."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(REMOTE.format(name=tmp_path.name) if request.param == "remote" else "")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield InstanceStorage(instance, "airbyte_workspace[x]")


def test_versions_stay_beside_the_newest(storage: InstanceStorage) -> None:
    """Each is read by what `store` returned; another key has none of them."""
    assert storage.latest() is None
    one = storage.store("one", is_latest=True)
    two = storage.store("zwei äöü", is_latest=True)

    assert storage.latest() == two
    assert (storage.read(one), storage.read(two), storage.read("0" * 32)) == ("one", "zwei äöü", None)
    assert InstanceStorage(storage.instance, "other").read(one) is None


def test_an_old_version_becomes_the_newest_again(storage: InstanceStorage) -> None:
    """Where a workspace is again as it was before."""
    one = storage.store("one", is_latest=True)
    storage.store("two", is_latest=True)
    storage.store("one", is_latest=True)

    assert storage.latest() == one


@pytest.mark.parametrize("storage", ["database"], indirect=True)
def test_what_is_only_pinned_is_not_the_newest(storage: InstanceStorage) -> None:
    """A code location that is still loading does not undo a refresh."""
    storage.store("one", is_latest=True)
    two = storage.store("two", is_latest=True)
    storage.store("one", is_latest=False)

    assert storage.latest() == two


@pytest.mark.parametrize("storage", ["database"], indirect=True)
def test_cells_fit_every_database(storage: InstanceStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """MySQL keeps 64 KB in a value and 64 characters of a key; SQLite's storage takes one new key a call."""
    written: dict[str, str] = {}
    real = storage.instance.run_storage.set_cursor_values

    def recording(pairs: Mapping[str, str]) -> None:
        assert len(pairs) == 1
        written.update(pairs)
        real(pairs)

    monkeypatch.setattr(storage.instance.run_storage, "set_cursor_values", recording)
    text = "".join(hashlib.sha256(bytes([one, two])).hexdigest() for one in range(25) for two in range(250))

    version = storage.store(text, is_latest=False)

    assert storage.read(version) == text
    assert len(written) > 3
    assert max(map(len, written)) <= 64
    assert max(map(len, written.values())) < 64_000


@pytest.mark.parametrize("storage", ["database"], indirect=True)
def test_twenty_versions_are_kept(storage: InstanceStorage) -> None:
    """The cells of those before are emptied, so that the database does not grow for ever."""
    versions = [storage.store(f"{number}", is_latest=True) for number in range(22)]

    assert [storage.read(version) for version in versions] == [None, None, *map(str, range(2, 22))]
    assert storage.store("0", is_latest=True) == versions[0]
    assert storage.read(versions[0]) == "0"


def test_a_file_is_for_this_user_alone(tmp_path: Path) -> None:
    """In a directory that is made; nothing else is left there."""
    path = tmp_path / "a" / "b" / "state.json"
    assert read_file(path) is None

    write_file(path, "one")
    write_file(path, "two")

    assert read_file(path) == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_many_read_and_write_a_file_at_once(tmp_path: Path) -> None:
    """Each sees one that was written as a whole."""
    path = tmp_path / "state.json"
    texts = [f"{number}" * 50_000 for number in range(4)]
    write_file(path, texts[0])
    together = threading.Barrier(8)

    def work(number: int) -> bool:
        together.wait()
        for _ in range(20):
            if number % 2:
                write_file(path, texts[number // 2])
            elif read_file(path) not in texts:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]


def test_a_write_that_fails_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no file beside it."""

    def disk_is_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_file(tmp_path / "state.json", "one")
    monkeypatch.setattr(Path, "replace", disk_is_full)

    with pytest.raises(ConfigurationError, match=r"can't be written.*No space left.*state_path"):
        write_file(tmp_path / "state.json", "two")

    assert read_file(tmp_path / "state.json") == "one"
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_file(tmp_path)
