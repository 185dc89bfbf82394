"""Environments, with a stand-in for uv; and what asking a connector does when the connector misbehaves."""

from __future__ import annotations

import json
import os
import stat
import tracemalloc
from pathlib import Path

import pytest
from filelock import FileLock

from airbyte_dagster.local import connectors as connectors_module
from airbyte_dagster.local import environments
from airbyte_dagster.local.connectors import Connectors
from airbyte_dagster.local.engine import ConnectorFailed, UnknownConnector
from airbyte_dagster.local.environments import EnvironmentFailed, Environments, NoSuchPackage, pinned
from airbyte_dagster.local.isolation import connector_environment, uv_environment
from airbyte_dagster_tests.local.processes import TINY

UV = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case "$1 $2" in
  "python find") echo /usr/bin/python3; exit 0;;
  "pip install")
    case "$*" in
      *nonesuch*) echo "  x No solution found when resolving dependencies:"
                  echo "  Because airbyte-source-nonesuch was not found in the package registry, no."; exit 1;;
      *broken*) echo "error: it broke"; exit 2;;
    esac
    for last; do :; done
    prefix=$(echo "$*" | sed 's/.*--python \\([^ ]*\\)\\/bin\\/python.*/\\1/')
    mkdir -p "$prefix/bin" "$prefix/lib/python3.11/site-packages/airbyte_source_thing-1.2.3.dist-info"
    touch "$prefix/bin/source-thing";;
esac
"""


@pytest.fixture
def uv_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for uv; the file that it notes its calls in."""
    uv = tmp_path / "uv" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV)
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "_uv_program", lambda: str(uv))
    return uv.parent / "calls"


def test_made_once_and_remembered(uv_calls: Path, tmp_path: Path) -> None:
    """The first need installs, with progress; the second finds it and says nothing."""
    said: list[str] = []
    made = Environments(tmp_path / "e").ensure("thing", said.append)
    assert made.version == "1.2.3"
    assert made.executable("source-thing").is_file()
    assert said[0] == "installing the connector airbyte-source-thing"
    assert said[-1] == "the connector airbyte-source-thing is ready"
    calls = uv_calls.read_text()
    again = Environments(tmp_path / "e")
    assert again.ensure("thing", pytest.fail) == made
    assert uv_calls.read_text() == calls
    assert again.find("thing") == made


def test_interrupted_build_is_made_again(uv_calls: Path, tmp_path: Path) -> None:
    """A directory without the marker of completion is no environment."""
    half = tmp_path / "e" / "source-thing-latest"
    (half / "bin").mkdir(parents=True)
    assert Environments(tmp_path / "e").find("thing") is None
    assert Environments(tmp_path / "e").ensure("thing").version == "1.2.3"


def test_failures_are_one_sentence(uv_calls: Path, tmp_path: Path) -> None:
    """A failure has uv's last line and where the rest is; an unknown package is told apart."""
    where = Environments(tmp_path / "e")
    with pytest.raises(
        EnvironmentFailed, match=r"airbyte-source-broken failed: error: it broke \(full output: .*log\)"
    ):
        where.ensure("broken")
    with pytest.raises(NoSuchPackage):
        where.ensure("nonesuch")
    assert where.find("broken") is where.find("nonesuch") is None


@pytest.mark.parametrize("name", ["", "-x", "X", "a/b", "a b", "a;b", "../a", "a==1", "a[b]", "--help", "a\n"])
def test_names_that_are_no_names(name: str, uv_calls: Path, tmp_path: Path) -> None:
    """A name that could mean anything else to uv or a shell never gets there."""
    with pytest.raises(UnknownConnector):
        Connectors(Environments(tmp_path / "e"), tmp_path / "s").resolve(name)
    assert not uv_calls.exists()


def test_program_that_runs_manifests_is_no_connector(uv_calls: Path, tmp_path: Path) -> None:
    """Its environment can't be had as a source."""
    with pytest.raises(UnknownConnector):
        Connectors(Environments(tmp_path / "e"), tmp_path / "s").resolve("declarative-manifest")


def test_environment_without_its_python_is_made_again(uv_calls: Path, tmp_path: Path) -> None:
    """A cache lives longer than the machine's Pythons: an environment whose Python was removed can't be used."""
    made = Environments(tmp_path / "e").ensure("thing")
    made.executable("python").symlink_to(tmp_path / "removed")
    assert Environments(tmp_path / "e").find("thing") is None
    Environments(tmp_path / "e").ensure("thing")
    assert uv_calls.read_text().count("pip install") == 2


def test_installation_by_another_process_is_waited_for_and_said(
    uv_calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for another process's installation says so, and then uses what that one made."""
    monkeypatch.setattr(environments, "_SECONDS_BETWEEN_LINES", 0.01)
    where = Environments(tmp_path / "e")
    where.ensure("thing")
    (where.path("thing") / ".complete").rename(tmp_path / "complete")
    said: list[str] = []
    other = FileLock(f"{where.path('thing')}.lock")
    other.acquire()

    def say(line: str) -> None:
        if not said:
            (tmp_path / "complete").rename(where.path("thing") / ".complete")
            other.release()
        said.append(line)

    assert where.ensure("thing", say).version == "1.2.3"
    assert set(said) == {"waiting for another process that installs the connector airbyte-source-thing"}
    assert uv_calls.read_text().count("pip install") == 1


def test_pins_have_names_and_versions_only() -> None:
    """The pinned lists name no index, no path and no URL, and cover the course's connectors."""
    assert pinned() == ["faker", "file"]
    for file in environments.PINS.glob("*.txt"):
        lines = file.read_text().splitlines()
        assert lines[0].startswith("# python: >=3.10,<3.1")
        for line in lines:
            assert line.startswith("#") or "==" in line.split(";")[0]
            assert "://" not in line
            assert not line.startswith(("-", "/"))


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo broken >&2; exit 3", "ended with exit code 3: broken"),
        ("exit 0", "gave no spec"),
        ('echo \'{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"why"}}}\'; exit 1', "^why$"),
    ],
)
def test_misbehaving_connector(body: str, words: str, tmp_path: Path) -> None:
    """Whatever a connector does wrong is one sentence."""
    tool = script(tmp_path / "connector", body)
    with pytest.raises(ConnectorFailed, match=words):
        Connectors(Environments(tmp_path / "e"), tmp_path / "s", {"x": tool}).spec("x")


def test_connector_that_is_gone(tmp_path: Path) -> None:
    """A configured executable that isn't there, or can't be run, is said to be so."""
    connectors = Connectors(Environments(tmp_path), tmp_path / "s", {"x": tmp_path / "gone", "y": tmp_path / "file"})
    (tmp_path / "file").write_text("not a program")
    with pytest.raises(ConnectorFailed, match="not there"):
        connectors.spec("x")
    with pytest.raises(ConnectorFailed, match="can't be started"):
        connectors.spec("y")


def test_tiny_connector_is_asked(tmp_path: Path) -> None:
    """spec, check and discover work by the protocol; the configuration's file is gone afterwards."""
    connectors = Connectors(Environments(tmp_path), tmp_path / "s", {"tiny": TINY})
    config = {"streams": {"items": [{"id": 1, "name": None}, {"id": 2, "name": "x"}]}, "api_key": "planted"}
    assert connectors.spec("tiny")["required"] == ["streams"]
    assert connectors.check("tiny", config) is None
    (stream,) = connectors.discover("tiny", config)
    assert list(stream["json_schema"]["properties"]) == ["id", "name"]
    assert list((tmp_path / "s").iterdir()) == []


def test_discovery_is_cached_per_configuration(tmp_path: Path) -> None:
    """The same configuration is asked once, unless a refresh is wanted; another one is asked."""
    rows = tmp_path / "rows.json"
    connectors = Connectors(Environments(tmp_path), tmp_path / "s", {"tiny": TINY})

    def names(**more: object) -> list[str]:
        found = connectors.discover("tiny", {"streams": str(rows)}, **more)  # type: ignore[arg-type]
        return [stream["name"] for stream in found]

    rows.write_text(json.dumps({"a": []}))
    assert names() == ["a"]
    rows.write_text(json.dumps({"b": []}))
    assert names() == ["a"]
    assert names(refresh=True) == ["b"]


def test_connectors_get_named_variables_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the server's environment a connector gets what programs need; any other variable may hold a secret."""
    ours = ("AIRBYTE_CLIENT_SECRET", "MOTHERDUCK_APIKEY", "PYTHONPATH", "VIRTUAL_ENV", "AWS_SECRET_ACCESS_KEY", "OTHER")
    for name in (*ours, "LC_ALL", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "value")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = connector_environment("/scratch")
    assert not {*ours} & found.keys()
    assert found["TMPDIR"] == "/scratch"
    assert (found["LC_ALL"], found["HTTPS_PROXY"], found["PATH"]) == ("value", "value", os.environ["PATH"])


def test_uv_gets_no_secret_but_that_of_its_index(
    uv_calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run the build of somebody's package. What it needs to find and keep packages and Pythons, it gets."""
    ours = ("AIRBYTE_CLIENT_SECRET", "MOTHERDUCK_APIKEY", "AWS_SECRET_ACCESS_KEY", "OTHER")
    its = ("UV_INDEX_OWN_PASSWORD", "XDG_CACHE_HOME", "HTTPS_PROXY", "PYENV_VERSION", "NETRC")
    for name in (*ours, *its):
        monkeypatch.setenv(name, "value")
    seen = tmp_path / "seen"
    uv = uv_calls.parent / "uv"
    uv.write_text(uv.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\nenv >>{seen}\n", 1))

    Environments(tmp_path / "e").ensure("thing")

    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert names & {*ours} == set()
    assert names >= {*its, "PATH"}
    assert uv_environment()["VIRTUAL_ENV"] == ""


def test_endless_line_is_refused(tmp_path: Path) -> None:
    """A connector that writes one line without an end is ended when that is too long; it is not kept in memory."""
    tool = script(tmp_path / "connector", "exec tr '\\0' x </dev/zero")
    with pytest.raises(ConnectorFailed, match="wrote a line of more than 32 MB"):
        Connectors(Environments(tmp_path / "e"), tmp_path / "s", {"x": tool}).spec("x")


def test_endless_output_is_not_kept(tmp_path: Path) -> None:
    """Many lines, and errors without an end of line, are read and forgotten; the answer among them is found."""
    answer = json.dumps({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}})
    noise = "head -c 100000000 /dev/zero | tr '\\0' x"
    tool = script(tmp_path / "connector", f"{noise} >&2\n{noise} | fold -w 1000\necho\necho '{answer}'")
    connectors = Connectors(Environments(tmp_path / "e"), tmp_path / "s", {"x": tool})
    tracemalloc.start()
    try:
        assert connectors.check("x", {}) is None
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_silent_connector_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never answers is ended after its time, even if a process that it left behind holds its output."""
    monkeypatch.setattr(connectors_module, "_SPEC_SECONDS", 0.2)
    tool = script(tmp_path / "connector", "setsid sleep 5 & exit 0")
    with pytest.raises(ConnectorFailed, match="did not answer in 0 s"):
        Connectors(Environments(tmp_path / "e"), tmp_path / "s", {"x": tool}).spec("x")


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, '{"type":' + "[" * 100_000, '{"type": "TRACE", "trace": "x"}', '{"type": "SPEC", "spec": 1}'],
)
def test_odd_lines_are_no_messages(line: str, tmp_path: Path) -> None:
    """What only looks like a message is passed over."""
    (tmp_path / "lines").write_text(line + "\n")
    tool = script(tmp_path / "connector", f"cat {tmp_path}/lines")
    with pytest.raises(ConnectorFailed, match="gave no spec"):
        Connectors(Environments(tmp_path / "e"), tmp_path / "s", {"x": tool}).spec("x")
