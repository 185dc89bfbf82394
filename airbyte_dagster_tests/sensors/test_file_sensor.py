"""The file sensor against local files, fsspec's memory in place of buckets, and a real HTTP server."""

from __future__ import annotations

import base64
import json
import os
import threading
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
from airbyte_dagster.sensors.asking import Asker
from airbyte_dagster.sensors.files import _fingerprint
from airbyte_dagster_tests.http_server import HttpServer, Reply
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


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


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


def test_a_crash_between_launch_and_cursor_repeats_the_run_key(watched: Watched) -> None:
    """Dagster then finds the run that is there. With more files by then, it is another run, which names all."""
    ticks = watched.ticks(include_existing=True)
    watched.write("a.csv")
    lost = ticks.run()

    ticks.crash()
    assert ticks.run().run_key == lost.run_key
    ticks.crash()
    watched.write("b.csv")
    again = ticks.run()
    assert again.run_key != lost.run_key
    assert names_of(again) == ["a.csv", "b.csv"]


def test_the_same_files_seen_again_are_another_run(local: Watched) -> None:
    """A file that goes and comes back with the same time and size looks the same, but is new."""
    ticks = local.ticks()
    ticks.skip()
    keys = []
    for _ in range(2):
        local._clock = 0
        local.write("a.csv")
        keys.append(ticks.run().run_key)
        local.remove("a.csv")
        ticks.skip()

    assert len(set(keys)) == 2


def test_a_directory_that_is_not_there_is_no_change(local: Watched, tmp_path: Path) -> None:
    """A volume that is not mounted for a while: when it is back with the same files, nothing is new."""
    ticks = local.ticks()
    local.write("a.csv")
    ticks.skip()
    cursor = ticks.cursor

    (tmp_path / "in").rename(tmp_path / "away")
    assert ticks.skip() == f"{tmp_path}/in/ is not there. It is compared again when it is back."
    assert ticks.cursor == cursor
    (tmp_path / "away").rename(tmp_path / "in")
    assert ticks.skip() == "1 file matches; none is new or changed."


def test_a_directory_that_is_not_there_yet_has_no_files(tmp_path: Path) -> None:
    """Its first file is new: many places make a directory with the first file."""
    ticks = Ticks(build_file_sensor("s", tmp_path / "in" / "**" / "*.csv", target="j"))
    assert ticks.skip() == f"{tmp_path}/in/ is not there. A run is requested when some are new or changed."

    (tmp_path / "in" / "2026" / "01").mkdir(parents=True)
    (tmp_path / "in" / "2026" / "01" / "a.csv").write_text("")
    (tmp_path / "in" / "directory.csv").mkdir()

    assert names_of(ticks.run()) == ["a.csv"]


def test_a_single_file_without_a_pattern(local: Watched, tmp_path: Path) -> None:
    """It is watched by itself; gone, it is not compared until it is back."""
    ticks = Ticks(build_file_sensor("s", tmp_path / "in" / "a.csv", target="j"))
    local.write("a.csv")
    ticks.skip()

    local.remove("a.csv")
    assert ticks.skip() == f"{tmp_path}/in/a.csv is not there. It is compared again when it is back."
    local.write("a.csv")
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


def test_too_many_files_are_said_and_nothing_is_lost(watched: Watched) -> None:
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


def test_a_name_that_fits_no_tag_is_left_out(local: Watched, tmp_path: Path) -> None:
    """Its run is requested all the same."""
    deep = tmp_path.joinpath("in", *(["x" * 250] * 10))
    ticks = Ticks(build_file_sensor("s", f"{tmp_path}/in/**/*.csv", target="j"))
    ticks.skip()
    here = Path.cwd()
    deep.mkdir(parents=True)
    (deep / "a.csv").touch()

    request = ticks.run()

    assert Path.cwd() == here
    assert request.tags["airbyte_dagster/files"] == "[]"
    assert request.tags["airbyte_dagster/file_count"] == "1"


def test_another_pattern_starts_anew(local: Watched, tmp_path: Path) -> None:
    """What an older pattern did not match is not new because of that."""
    local.write("a.csv")
    local.write("a.txt")
    ticks = local.ticks()
    ticks.skip()

    ticks.sensor = build_file_sensor("new_files", tmp_path / "in" / "*", target="j")

    assert "Recorded 2 files." in ticks.skip()


def test_http_is_watched_by_etag(server: HttpServer) -> None:
    """One address, without a pattern: a new ETag is a change, the same one is none, whatever else differs."""
    server.on("HEAD", "/prices.csv", Reply(headers={"ETag": '"one"'}))
    ticks = Ticks(build_file_sensor("prices", f"{server.url}/prices.csv", target="j"))

    assert "Recorded 1 file" in ticks.skip()
    assert ticks.skip() == "1 file matches; none is new or changed."
    server.on("HEAD", "/prices.csv", Reply(headers={"ETag": '"two"'}))
    assert json.loads(ticks.run().tags["airbyte_dagster/files"]) == [f"{server.url}/prices.csv"]


def test_http_is_watched_by_time_where_there_is_no_head(server: HttpServer) -> None:
    """A server that answers only GET, with Last-Modified."""
    server.on("HEAD", "/prices.csv", Reply(405))
    server.on("GET", "/prices.csv", Reply(body="x", headers={"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}))
    ticks = Ticks(build_file_sensor("prices", f"{server.url}/prices.csv", target="j"))
    ticks.skip()

    server.on("GET", "/prices.csv", Reply(body="y", headers={"Last-Modified": "Thu, 01 Jan 2026 00:00:01 GMT"}))

    assert ticks.run().tags["airbyte_dagster/file_count"] == "1"


def test_a_page_of_links_is_a_directory_over_http(server: HttpServer) -> None:
    """Its links are matched, and each is asked for its ETag; a dead link is no file."""
    page = '<a href="a.csv">a</a> <a href="b.csv">b</a> <a href="gone.csv">c</a> <a href="readme">d</a>'
    server.on("GET", "/files/", Reply(body=page, headers={"Content-Type": "text/html"}))
    for name in ("a", "b"):
        server.on("HEAD", f"/files/{name}.csv", Reply(headers={"ETag": '"one"'}))
    ticks = Ticks(build_file_sensor("files", f"{server.url}/files/*.csv", target="j"))
    assert "Recorded 2 files" in ticks.skip()

    server.on("HEAD", "/files/b.csv", Reply(headers={"ETag": '"two"'}))

    assert names_of(ticks.run()) == ["b.csv"]


@pytest.mark.parametrize("path", ["/files/*.csv", "/files/a.csv"])
@pytest.mark.parametrize("answer", [Reply(503), Reply(401), Reply(drop="before"), None])
def test_a_web_server_that_is_down_is_no_change(path: str, answer: Reply | None) -> None:
    """Unreachable, refusing, broken: the reason is said, the cursor stays, and what is there again is not new."""
    server = HttpServer().start()
    page = Reply(body='<a href="a.csv">a</a>', headers={"Content-Type": "text/html"})
    file = Reply(headers={"ETag": '"one"'})
    server.on("GET", "/files/", page)
    server.on("HEAD", "/files/a.csv", file)
    ticks = Ticks(build_file_sensor("files", f"{server.url}{path}", target="j"))
    assert "Recorded 1 file" in ticks.skip()
    cursor = ticks.cursor

    if answer is None:
        server.close()
    else:
        for call in (("GET", "/files/"), ("HEAD", "/files/a.csv"), ("GET", "/files/a.csv")):
            server.on(*call, answer)
    reason = ticks.skip()
    assert f"{path} can't be listed" in reason
    assert ticks.cursor == cursor

    if answer is not None:
        assert answer.drop or str(answer.status) in reason
        server.on("GET", "/files/", page)
        server.on("HEAD", "/files/a.csv", file)
        assert ticks.skip() == "1 file matches; none is new or changed."
        server.close()


def test_a_web_server_that_breaks_in_the_middle_is_told_by_its_answer(server: HttpServer) -> None:
    """fsspec turns it into a file that is not found; the reason is what the server said."""
    page = Reply(body='<a href="a.csv">a</a>', headers={"Content-Type": "text/html"})
    server.on("GET", "/files/", page, Reply(503))

    reason = Ticks(build_file_sensor("files", f"{server.url}/files/*.csv", target="j")).skip()

    assert "can't be listed: 503" in reason


def test_credentials_are_used_and_never_said(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, in the address, in its query: they reach the server, and no reason, tag or description."""
    monkeypatch.setenv("FILES_HEADER", "header-from-the-environment")
    address = f"http://reader:word-in-address@127.0.0.1:{server.port}/p.csv?signature=sig-in-query"
    options = {"headers": {"X-Key": dg.EnvVar("FILES_HEADER")}}
    server.on("HEAD", "/p.csv", Reply(headers={"ETag": '"one"'}))
    ticks = Ticks(build_file_sensor("files", address, target="j", storage_options=options))
    said = [ticks.skip()]
    server.on("HEAD", "/p.csv", Reply(headers={"ETag": '"two"'}))
    said += [repr(ticks.run().tags), str(ticks.sensor.description)]
    server.on("HEAD", "/p.csv", Reply(401))
    server.on("GET", "/p.csv", Reply(401))
    said += [ticks.skip()]

    (sent, *_) = server.sent("HEAD", "/p.csv")
    assert sent.headers["x-key"] == "header-from-the-environment"
    assert base64.b64decode(sent.headers["authorization"].split()[1]) == b"reader:word-in-address"
    assert sent.query == {"signature": ["sig-in-query"]}
    assert "401" in said[-1]
    for text in said:
        for secret in ("header-from-the-environment", "word-in-address", "sig-in-query", "reader"):
            assert secret not in text


class CachingFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """Lists once and answers from that, as the file systems of buckets do; fsspec keeps each of them, too."""

    protocol = "caching"
    cachable = True

    @classmethod
    def _strip_protocol(cls, path: str) -> Any:
        return super()._strip_protocol(path.replace("caching://", "memory://"))

    def glob(self, path: str, **options: Any) -> Any:
        if not hasattr(self, "listed"):
            self.listed = super().glob(path, **options)
        return self.listed


def test_a_file_system_that_caches_is_asked_anew() -> None:
    """A file that came after the first listing is seen."""
    fsspec.register_implementation("caching", CachingFileSystem, clobber=True)
    ticks = Ticks(build_file_sensor("s", "caching://bucket/*.csv", target="j"))
    ticks.skip()

    MemoryFileSystem().pipe("/bucket/a.csv", b"x")

    assert names_of(ticks.run()) == ["a.csv"]
    MemoryFileSystem.store.clear()


class EchoingFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """Fails with all that it was given in its message."""

    protocol = "echoing"
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def glob(self, path: str, **_: Any) -> Any:
        raise RuntimeError(f"no access to {path} with {self.options}")


def test_options_that_a_file_system_echoes_give_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes from the environment, and what is named like a secret, is hidden at any depth; the rest helps."""
    fsspec.register_implementation("echoing", EchoingFileSystem, clobber=True)
    monkeypatch.setenv("BUCKET_ID", "id-from-the-environment")
    monkeypatch.setenv("BUCKET_ROLE", "role-from-the-environment")
    options = {
        "anything": dg.EnvVar("BUCKET_ID"),
        "client_kwargs": {"endpoint_url": "http://127.0.0.1:9000", "secret": "written-in-code"},
        "roles": [dg.EnvVar("BUCKET_ROLE")],
    }

    reason = Ticks(build_file_sensor("s", "echoing://b/*", target="j", storage_options=options)).skip()

    assert "echoing://b/* can't be listed: no access to" in reason
    assert "http://127.0.0.1:9000" in reason
    for secret in ("id-from-the-environment", "role-from-the-environment", "written-in-code"):
        assert secret not in reason


def test_a_variable_that_is_not_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name and where it was written."""
    monkeypatch.delenv("BUCKET_KEY", raising=False)
    options = {"key": dg.EnvVar("BUCKET_KEY")}

    reason = Ticks(build_file_sensor("s", "memory://b/*", target="j", storage_options=options)).skip()

    assert "storage_options.key is read from the environment variable BUCKET_KEY, which is not set" in reason


def test_a_missing_package_is_said() -> None:
    """Which one to install, in fsspec's words."""
    reason = Ticks(build_file_sensor("s", "dropbox://folder/*.csv", target="j")).skip()

    assert "A package is missing that dropbox://folder/*.csv is read with" in reason
    assert "Install it where Dagster runs." in reason


def test_no_answer_in_time_is_said(monkeypatch: pytest.MonkeyPatch, server: HttpServer) -> None:
    """A server that never answers does not hold up the tick."""
    monkeypatch.setattr("airbyte_dagster.sensors.file_sensor.Asker", lambda: Asker(0.1))
    never = threading.Event()
    server.on("HEAD", "/a.csv", Reply(wait_for=never))

    ticks = Ticks(build_file_sensor("s", f"{server.url}/a.csv", target="j"))

    assert ticks.skip() == "There was no answer within 0.1 s."
    assert ticks.cursor is None
    never.set()


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ({"ETag": "a", "LastModified": 1, "Size": 1}, {"ETag": "b", "LastModified": 1, "Size": 1}, True),
        ({"ETag": "a", "StorageClass": "STANDARD"}, {"ETag": "a", "StorageClass": "GLACIER"}, False),
        ({"generation": "1", "updated": "1"}, {"generation": "1", "updated": "2"}, False),
        ({"generation": "1", "updated": "1"}, {"generation": "2", "updated": "1"}, True),
        ({"content_md5": b"1"}, {"content_md5": b"2"}, True),
        ({"mtime": 1.0, "size": 1, "created": 1}, {"mtime": 1.0, "size": 1, "created": 2}, False),
        ({"size": 1, "created": 1}, {"size": 1, "created": 2}, True),
        ({"size": 1}, {"size": 2}, True),
        ({"name": "a"}, {"name": "b"}, False),
    ],
)
def test_what_a_file_system_tells_decides(one: dict[str, Any], other: dict[str, Any], *, differ: bool) -> None:
    """Hashes, versions, times and sizes tell of a change; where a file is kept, and its labels, do not."""
    assert (_fingerprint(one) != _fingerprint(other)) is differ


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
