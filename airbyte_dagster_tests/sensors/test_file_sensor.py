"""The file sensor against local files, and fsspec's memory in place of buckets."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec  # type: ignore[import-untyped]
import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.sensors import build_file_sensor
from airbyte_dagster_tests.sensors.ticks import Ticks


class Watched:
    """Files that a sensor can watch: a directory, or a bucket in memory.

    Attributes:
        glob: Pattern of its CSV files.
    """

    def __init__(self, place: str) -> None:
        self.glob = f"{place}/*.csv"
        self._place = place
        self._system, _ = fsspec.core.url_to_fs(place)
        self._clock = 1_767_225_600
        self._system.makedirs(place, exist_ok=True)

    def write(self, name: str, text: str = "a,b\n") -> None:
        """Write a file; like time, its modification time moves on."""
        path = f"{self._place}/{name}"
        self._system.pipe(path, text.encode())
        self._clock += 1
        if path.startswith("/"):
            os.utime(path, (self._clock, self._clock))

    def remove(self, name: str) -> None:
        self._system.rm(f"{self._place}/{name}")

    def ticks(self, **settings: Any) -> Ticks:
        return Ticks(build_file_sensor("new_files", self.glob, target="sync_files", **settings))


@pytest.fixture(params=["local", "memory"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    place = str(tmp_path / "in") if request.param == "local" else f"memory://{uuid.uuid4().hex}/in"
    yield Watched(place)
    MemoryFileSystem.store.clear()


@pytest.fixture
def local(tmp_path: Path) -> Watched:
    return Watched(str(tmp_path / "in"))


def names_of(request: dg.RunRequest) -> list[str]:
    names = json.loads(request.tags["airbyte_dagster/files"])
    assert isinstance(names, list)
    return [name.rpartition("/")[2] for name in names]


def test_new_and_changed_files_are_one_run(watched: Watched) -> None:
    """The first tick only records; then however many files are new or changed are one run, which names them."""
    ticks = watched.ticks()
    watched.write("old.csv")
    watched.write("other.txt")

    assert ticks.skip() == "Recorded 1 file. A run is requested when some are new or changed."
    assert ticks.skip() == "1 file matches; none is new or changed."
    for name in ("b.csv", "a.csv"):
        watched.write(name)
    watched.write("old.csv", "a,c\n")
    watched.write("more.txt")
    request = ticks.run()

    assert request.tags["airbyte_dagster/file_count"] == "3"
    # What is syncing already may have read the files before they changed.
    assert request.tags["airbyte_dagster/on_running"] == "wait"
    assert names_of(request) == ["a.csv", "b.csv", "old.csv"]
    assert ticks.skip() == "3 files match; none is new or changed."


def test_files_go_by_their_whole_address(tmp_path: Path) -> None:
    """A run can open what its tag names."""
    for place in (str(tmp_path), "memory://bucket"):
        watched = Watched(place)
        ticks = watched.ticks()
        ticks.skip()
        watched.write("a.csv", "x")

        (name,) = json.loads(ticks.run().tags["airbyte_dagster/files"])

        with fsspec.open(name) as file:
            assert file.read() == b"x"
    MemoryFileSystem.store.clear()


def test_a_file_that_is_gone_is_forgotten(watched: Watched) -> None:
    """Its going is no reason for a run; if it comes back, it is new."""
    ticks = watched.ticks()
    watched.write("a.csv")
    watched.write("b.csv")
    ticks.skip()

    watched.remove("a.csv")
    assert ticks.skip() == "1 file matches; none is new or changed."
    watched.write("a.csv")
    assert names_of(ticks.run()) == ["a.csv"]


def test_existing_files_can_count_as_new(watched: Watched) -> None:
    """At the first tick, too, if that is said; none there is recorded, and the first one then is new in any case."""
    watched.write("a.csv")
    assert names_of(watched.ticks(include_existing=True).run()) == ["a.csv"]

    watched.remove("a.csv")
    for include_existing in (True, False):
        ticks = watched.ticks(include_existing=include_existing)
        assert "A run is requested when some are new" in ticks.skip()
        watched.write("a.csv")
        assert names_of(ticks.run()) == ["a.csv"]
        watched.remove("a.csv")


def test_run_keys(local: Watched) -> None:
    """After a crash between launch and cursor it is the same run, which Dagster finds; else each run is another one.

    With more files by then, and for a file that goes and comes back with the same time and size.
    """
    ticks = local.ticks()
    ticks.skip()
    local.write("a.csv")
    first = ticks.run().run_key
    ticks.crash()
    assert ticks.run().run_key == first
    ticks.crash()
    local.write("b.csv")
    more = ticks.run()
    assert names_of(more) == ["a.csv", "b.csv"]
    for name in ("a.csv", "b.csv"):
        local.remove(name)
    ticks.skip()
    local._clock -= 2
    local.write("a.csv")
    assert len({first, more.run_key, ticks.run().run_key}) == 3


def test_a_directory_that_is_not_there_is_no_change(local: Watched, tmp_path: Path) -> None:
    """A volume that is not mounted for a while: when it is back with the same files, nothing is new; one file, too."""
    ticks = local.ticks()
    single = Ticks(build_file_sensor("s", tmp_path / "in" / "a.csv", target="j"))
    local.write("a.csv")
    ticks.skip()
    single.skip()
    cursor = ticks.cursor

    (tmp_path / "in").rename(tmp_path / "away")
    assert ticks.skip() == f"{tmp_path}/in/ is not there. It is compared again when it is back."
    assert single.skip() == f"{tmp_path}/in/a.csv is not there. It is compared again when it is back."
    assert ticks.cursor == cursor
    (tmp_path / "away").rename(tmp_path / "in")
    assert ticks.skip() == "1 file matches; none is new or changed."
    local.write("a.csv")
    assert names_of(single.run()) == ["a.csv"]


def test_a_directory_that_is_not_there_yet_has_no_files(tmp_path: Path) -> None:
    """Its first file is new: many places make a directory with the first file."""
    ticks = Ticks(build_file_sensor("s", tmp_path / "in" / "**" / "*.csv", target="j"))
    assert ticks.skip() == f"{tmp_path}/in/ is not there. A run is requested when some are new or changed."

    (tmp_path / "in" / "2026" / "01").mkdir(parents=True)
    (tmp_path / "in" / "2026" / "01" / "a.csv").write_text("")
    (tmp_path / "in" / "directory.csv").mkdir()

    assert names_of(ticks.run()) == ["a.csv"]


def test_symbolic_links_count_by_what_they_lead_to(local: Watched, tmp_path: Path) -> None:
    """A new target is a change; a link that leads nowhere is no file; one to a directory is none either."""
    target = tmp_path / "target"
    target.write_text("1")
    os.utime(target, (1, 1))
    (tmp_path / "in" / "link.csv").symlink_to(target)
    (tmp_path / "in" / "dangling.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in" / "directory.csv").symlink_to(tmp_path)
    ticks = local.ticks()
    assert "Recorded 1 file." in ticks.skip()

    os.utime(target, (2, 2))

    assert names_of(ticks.run()) == ["link.csv"]


def test_too_many_files_are_reported_and_nothing_is_lost(watched: Watched) -> None:
    """The cursor stays: when there are fewer again, what is new is seen."""
    ticks = watched.ticks(max_files=2)
    watched.write("a.csv")
    ticks.skip()
    cursor = ticks.cursor
    for name in ("b.csv", "c.csv"):
        watched.write(name)

    reason = ticks.skip()

    assert "3 files match" in reason
    assert "max_files is 2" in reason
    assert ticks.cursor == cursor
    watched.remove("b.csv")
    assert names_of(ticks.run()) == ["c.csv"]


def test_many_files_keep_tags_and_cursor_small(local: Watched, tmp_path: Path) -> None:
    """Dagster on PostgreSQL takes about 2,700 bytes of a tag; a cursor is kept with each tick."""
    ticks = local.ticks()
    ticks.skip()
    for number in range(1000):
        (tmp_path / "in" / f"orders-of-2026-01-{number:05}-ü.csv").touch()

    request = ticks.run()

    tag = request.tags["airbyte_dagster/files"]
    assert request.tags["airbyte_dagster/file_count"] == "1000"
    assert 10 <= len(json.loads(tag)) <= 20
    assert len(tag.encode()) <= 2000
    assert ticks.cursor is not None
    assert len(ticks.cursor) < 25_000
    assert ticks.skip() == "1000 files match; none is new or changed."
    (tmp_path / "in" / "one-more.csv").touch()
    assert names_of(ticks.run()) == ["one-more.csv"]


def test_a_name_that_fits_no_tag_is_left_out() -> None:
    """Its run is requested all the same."""
    MemoryFileSystem.store.clear()
    ticks = Ticks(build_file_sensor("s", "memory://in/**/*.csv", target="j"))
    ticks.skip()
    MemoryFileSystem().pipe(f"/in/{'x' * 2500}.csv", b"")

    request = ticks.run()

    assert request.tags["airbyte_dagster/files"] == "[]"
    assert request.tags["airbyte_dagster/file_count"] == "1"
    MemoryFileSystem.store.clear()


def test_another_pattern_starts_again(local: Watched, tmp_path: Path) -> None:
    """What an older pattern did not match is not new because of that."""
    local.write("a.csv")
    local.write("a.txt")
    ticks = local.ticks()
    ticks.skip()

    ticks.sensor = build_file_sensor("new_files", tmp_path / "in" / "*", target="j")

    assert "Recorded 2 files." in ticks.skip()


def test_it_says_what_it_watches() -> None:
    """In its description: what it runs, which files."""
    sensor = build_file_sensor("s", "s3://bucket/in/*.csv", target="sync_shop")

    assert sensor.description == "Runs sync_shop when `s3://bucket/in/*.csv` is new or was changed."
    assert sensor.minimum_interval_seconds == 60
    assert build_file_sensor("s", "/x/*", target="j", description="mine").description == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "not a name"}, "'not a name' is no name of a sensor"),
        ({"glob": ""}, "has no files to watch: glob is ''"),
        ({"glob": "s3://"}, "has no files to watch"),
        ({"glob": "nonsense://u:secret@b/*"}, "watch nonsense://b/*, but fsspec knows no 'nonsense'"),
        ({"max_files": 0}, "max_files of the sensor 's' is 0"),
        ({"target": 7}, "can't run a int"),
    ],
)
def test_a_wrong_declaration_is_refused(changes: dict[str, Any], message: str) -> None:
    """When it is written, in one sentence."""
    with pytest.raises(ConfigurationError) as caught:
        build_file_sensor(**{"name": "s", "glob": "/x/*", "target": "j", **changes})

    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
