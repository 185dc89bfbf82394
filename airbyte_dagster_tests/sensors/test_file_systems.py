"""The file sensor against a real HTTP server, and file systems of fsspec that cache or fail."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import fsspec  # type: ignore[import-untyped]
import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airbyte_dagster.sensors import build_file_sensor
from airbyte_dagster.sensors.files import _fingerprint
from airbyte_dagster.sensors.tick import TimeLimitedCall
from airbyte_dagster_tests.http_server import HttpServer, Reply
from airbyte_dagster_tests.sensors.ticks import Ticks


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


def names_of(request: dg.RunRequest) -> list[str]:
    names = json.loads(request.tags["airbyte_dagster/files"])
    assert isinstance(names, list)
    return [name.rpartition("/")[2] for name in names]


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
    """Its links are matched, and each is requested for its ETag; a dead link is no file."""
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


def test_a_web_server_that_breaks_in_the_middle_is_known_by_its_answer(server: HttpServer) -> None:
    """fsspec turns it into a file that is not found; the reason is what the server said."""
    page = Reply(body='<a href="a.csv">a</a>', headers={"Content-Type": "text/html"})
    server.on("GET", "/files/", page, Reply(503))

    reason = Ticks(build_file_sensor("files", f"{server.url}/files/*.csv", target="j")).skip()

    assert "can't be listed: 503" in reason


def test_credentials_are_used_and_never_shown(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_file_system_that_caches_lists_again() -> None:
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


@pytest.mark.parametrize(
    ("glob", "reason"),
    [
        ("memory://b/*", "storage_options.key is read from the environment variable BUCKET_KEY, which is not set"),
        ("dropbox://folder/*.csv", "A package is missing that dropbox://folder/*.csv is read with"),
    ],
)
def test_what_is_missing_on_this_machine_is_the_reason(monkeypatch: pytest.MonkeyPatch, glob: str, reason: str) -> None:
    """A variable, by its name and where it was written; a package, in fsspec's words."""
    monkeypatch.delenv("BUCKET_KEY", raising=False)
    options = {"key": dg.EnvVar("BUCKET_KEY")} if glob.startswith("memory") else {}

    assert reason in Ticks(build_file_sensor("s", glob, target="j", storage_options=options)).skip()


def test_no_answer_in_time_is_reported(monkeypatch: pytest.MonkeyPatch, server: HttpServer) -> None:
    """A server that never answers does not hold up the tick."""
    monkeypatch.setattr("airbyte_dagster.sensors.file_sensor.TimeLimitedCall", lambda: TimeLimitedCall(0.1))
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
def test_what_a_file_system_reports_decides(one: dict[str, Any], other: dict[str, Any], *, differ: bool) -> None:
    """Hashes, versions, times and sizes show a change; where a file is kept, and its labels, do not."""
    assert (_fingerprint(one) != _fingerprint(other)) is differ
