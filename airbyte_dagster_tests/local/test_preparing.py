"""What is ready when the server says so; and what people see while it is not."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airbyte_dagster.cli import local_server as cli_local_server
from airbyte_dagster.cli.local_server import LocalAirbyteFailed, local_server
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.local import environments, settings
from airbyte_dagster.local.connectors import Connectors
from airbyte_dagster.local.environments import Environments
from airbyte_dagster.local.options import LocalOptions, NamedConnector
from airbyte_dagster.local.server import listen
from airbyte_dagster.local.workers import ConnectorEngine
from airbyte_dagster.serving import url_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, running_local_airbyte
from airbyte_dagster_tests.local.processes import TINY, ServerProcess

Start = Callable[..., ServerProcess]


@pytest.fixture
def own_cache(tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the Faker connector, which has not been asked anything yet; its environment."""
    real = Environments(environments).path("faker")
    own = tmp_path / "cache" / "environments" / real.name
    own.mkdir(parents=True)
    for name in ("lib", "pyvenv.cfg", ".complete"):
        (own / name).symlink_to(real / name)
    (own / "bin").mkdir()
    for program in ("python", "source-faker"):
        (own / "bin" / program).symlink_to(real / "bin" / program)
    monkeypatch.setenv(settings.CACHE_VARIABLE, str(tmp_path / "cache"))
    return own


def create(server: ServerProcess) -> list[str]:
    """Make a source and a connection of the course's streams, in the words of the course; the connection's streams."""
    with server.api() as api:
        api.timeout = 5.0  # the SDK's
        connection = api.connection(api.source(count=35), api.destination(), ["users", "products", "purchases"])
        found = api.ok("GET", f"/connections/{connection}")
    return [stream["name"] for stream in found["configurations"]["streams"]]


@pytest.mark.real
def test_creates_need_no_connector_once_the_server_is_ready(
    start_server: Start, tmp_path: Path, own_cache: Path
) -> None:
    """On a fresh home the spec and the streams of the course's connector are there before the first request.

    They are kept with the connector, so that the next home, too, has them without running it.
    """
    first = start_server(tmp_path / "home", "--prepare", "faker")
    (own_cache / "bin" / "source-faker").unlink()

    assert create(first) == ["users", "products", "purchases"]
    second = start_server(tmp_path / "other", "--prepare", "faker")
    assert create(second) == ["users", "products", "purchases"]


def test_server_starts_without_what_it_can_not_prepare(start_server: Start, tmp_path: Path) -> None:
    """It says so, and goes on: most of it needs no connector, and the next use tries again."""
    server = start_server(tmp_path, "--prepare", "no-such-connector-anywhere")

    output = "".join(server.output)
    assert "• installing the connector airbyte-source-no-such-connector-anywhere\n" in output
    assert "• the connector no-such-connector-anywhere is not ready, its first use will try again:" in output
    with server.api() as api:
        assert api.ok("GET", "/sources")["data"] == []


def test_two_servers_that_start_at_once_have_ports_of_their_own() -> None:
    """A port is taken from the moment it is chosen, not only once requests are accepted."""
    with contextlib.closing(listen("127.0.0.1", None)) as one, contextlib.closing(listen("127.0.0.1", None)) as other:
        assert url_of(one) != url_of(other)


_STARTING = """#!/bin/sh
echo 'of an earlier start' > /dev/null
echo '• installing the connector airbyte-source-faker'
echo 'not for people'
echo '• the connector airbyte-source-faker is ready'
echo 'Error: the disk is full.' >&2
exit 1
"""


def test_progress_of_a_starting_server_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is told as it happens; the last line says why the server did not start; both come from its log."""
    python = tmp_path / "python"
    python.write_text(_STARTING)
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    home = settings.resolve_home(tmp_path / "home")
    home.make()
    (home.state_dir / "server.log").write_text("• of an earlier start\n")
    said: list[str] = []

    with (
        pytest.raises(LocalAirbyteFailed, match=r"did not start: the disk is full\. More is in .*server\.log"),
        local_server(home.root, options=LocalOptions(), say=said.append, meanwhile=lambda: None),
    ):
        pass

    assert said == ["installing the connector airbyte-source-faker", "the connector airbyte-source-faker is ready"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec sleep 300", "no progress in 0 s, and it did not answer"),
        ("exit 1", "it printed nothing"),
    ],
)
def test_why_a_server_that_says_nothing_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    """Neither is explained by what an earlier start has left in the log."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    if "sleep" in script:
        monkeypatch.setattr(cli_local_server, "_START_SECONDS", 0.2)
    home = settings.resolve_home(tmp_path / "home")
    home.make()
    (home.state_dir / "server.log").write_text("Local Airbyte has ended.\n")

    with (
        pytest.raises(LocalAirbyteFailed, match=f"did not start: {words}"),
        local_server(home.root, options=LocalOptions(), say=lambda _: None, meanwhile=lambda: None),
    ):
        pass


def test_options_reach_the_server_that_is_started(tmp_path: Path) -> None:
    """`run` and `dev` give --connector, --allow-path and --workers to the local Airbyte that they start."""
    (tmp_path / "elsewhere").mkdir()
    options = LocalOptions(
        port=0, workers=1, connectors=(NamedConnector("tiny", TINY),), allow_paths=(tmp_path / "elsewhere",)
    )
    said: list[str] = []
    with local_server(tmp_path / "home", options=options, say=said.append, meanwhile=lambda: None) as url:
        credentials = settings.read_credentials(settings.resolve_home(tmp_path / "home"))
        assert credentials is not None
        with Api(url, credentials) as api:
            api.source("tiny", streams={"items": []})
            api.destination(str(tmp_path / "elsewhere" / "x.duckdb"))

        with local_server(tmp_path / "home", options=LocalOptions(), say=said.append, meanwhile=lambda: None) as same:
            assert same == url
        with (
            pytest.raises(
                ConfigurationError, match=r"runs already at .*; it takes --workers, --connector, --allow-path"
            ),
            local_server(tmp_path / "home", options=options, say=said.append, meanwhile=lambda: None),
        ):
            pass

    assert said[-2:] == [f"Local Airbyte listens at {url}", f"Local Airbyte runs already at {url}"]


UV = """#!/bin/sh
case "$1 $2" in
  "python find") echo /usr/bin/python3; exit 0;;
  "pip install")
    prefix=$(echo "$*" | sed 's/.*--python \\([^ ]*\\)\\/bin\\/python.*/\\1/')
    mkdir -p "$prefix/bin" "$prefix/lib/python3.11/site-packages/airbyte_source_thing-1.2.3.dist-info"
    cp TINY "$prefix/bin/source-thing"; chmod +x "$prefix/bin/source-thing";;
esac
"""


@pytest.fixture
def installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environments:
    """Environments that install the tiny connector, whatever is asked for."""
    uv = tmp_path / "uv"
    uv.write_text(UV.replace("TINY", str(TINY)))
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "_uv_program", lambda: str(uv))
    return Environments(tmp_path / "environments")


def test_job_says_that_its_connector_is_installed(tmp_path: Path, installing: Environments) -> None:
    """If the connector is gone when a job starts, the job's log has each step of its installation."""
    engine = ConnectorEngine(installing, tmp_path / "asking")
    with running_local_airbyte(tmp_path / "home", engine) as airbyte, airbyte.api() as api:
        source = api.source("thing", streams={"items": [{"id": 1}]})
        connection = api.connection(source, api.destination(), ["items"])
        shutil.rmtree(installing.path("thing"))
        job = api.sync(connection)
        api.finish(job)
        log = airbyte.home.job_log(job).read_text()

    assert "Z installing the connector airbyte-source-thing\n" in log
    assert "Z the connector airbyte-source-thing is ready\n" in log


def test_job_says_what_it_waits_for(airbyte: RunningAirbyte) -> None:
    """A job that waits for another one's file says for which, once, in its log."""
    with airbyte.api() as api:
        airbyte.engine.hold()
        source = api.source(count=1)
        jobs = [api.sync(api.connection(source, api.destination(), ["users"])) for _ in range(3)]
        airbyte.engine.wait_for_start()
        airbyte.engine.release()
        for job in jobs:
            api.finish(job)
        first, *others = [airbyte.home.job_log(job) for job in jobs]

    assert not first.exists() or "Waiting for" not in first.read_text()
    for log in others:
        (line,) = [line for line in log.read_text().splitlines() if "Waiting for" in line]
        assert line.endswith("Z Waiting for job 1, which writes the same DuckDB file or is of the same connection.")


def test_job_says_that_it_waits_for_a_worker(tmp_path: Path) -> None:
    """So it does if too many run."""
    with running_local_airbyte(tmp_path, workers=1) as airbyte, airbyte.api() as api:
        airbyte.engine.hold()
        source = api.source(count=1)
        jobs = [api.sync(api.connection(source, api.destination(f"{n}.duckdb"), ["users"])) for n in range(2)]
        airbyte.engine.wait_for_start()
        airbyte.engine.release()
        assert [api.finish(job)["status"] for job in jobs] == ["succeeded", "succeeded"]
        assert "Waiting for one of the 1 workers" in airbyte.home.job_log(jobs[1]).read_text()


def test_kept_answers_are_those_of_one_version(tmp_path: Path, installing: Environments) -> None:
    """What a connector said is gone with it: the next installation is asked again."""
    connectors = Connectors(installing, tmp_path / "asking")
    spec = connectors.spec("thing")
    kept = installing.path("thing") / ".spec.json"
    kept.write_text('{"title": "as it was kept"}')
    assert Connectors(installing, tmp_path / "asking").spec("thing") == {"title": "as it was kept"}

    shutil.rmtree(installing.path("thing"))

    assert Connectors(installing, tmp_path / "asking").spec("thing") == spec
