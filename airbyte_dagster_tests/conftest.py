"""Fixtures that several test files share."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import ssl
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import certifi
import dagster as dg
import duckdb
import httpx
import pytest
import sqlalchemy as sa
import uvicorn.server
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, settings

from airbyte_dagster import AirbytePipeline, AirbyteResource, Connection, Destination, MotherDuckResource, Source
from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.local.environments import prepare
from airbyte_dagster.local.settings import CACHE_VARIABLE, cache_directory, resolve_home
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, running_local_airbyte

if TYPE_CHECKING:
    from airbyte_dagster_tests.dg_project import Project

# How fast the machine is just now is no finding; in a fresh checkout the first text alone takes a second to draw.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

_SLOWEST_GROUPS = ("secrets", "acceptance", "daemon", "automation", "ui", "warehouses", "pages")


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """Commands that run in this process say to those below them where they are, by variables."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """Reading the public certificates takes 30 ms, and each client of httpx does it; here they share one reading."""
    real, public = ssl.create_default_context, {"cafile": certifi.where()}
    shared = real(cafile=certifi.where())

    def create(*arguments: Any, **more: Any) -> ssl.SSLContext:
        return shared if more == public and not arguments else real(*arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", create)
        yield


@pytest.fixture(scope="session", autouse=True)
def databases_of_a_moment() -> Iterator[None]:
    """SQLite does not wait for the disk in this process: no test's database has to outlive the machine."""

    def connected(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    sa.event.listen(sa.Engine, "connect", connected)
    yield
    sa.event.remove(sa.Engine, "connect", connected)


@pytest.fixture(scope="session", autouse=True)
def servers_that_end_at_once() -> Iterator[None]:
    """Uvicorn looks every tenth of a second whether it is to end, and then waits for another: most tests have one."""
    brief = types.ModuleType("asyncio")
    vars(brief).update(vars(asyncio), sleep=lambda seconds: asyncio.sleep(min(seconds, 0.005)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", brief)
        yield


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """Dagster reads its hundred migrations for each new database, and each run has one; here they share one reading."""
    known: dict[str, ScriptDirectory] = {}
    read = ScriptDirectory.from_config

    def from_config(config: Any) -> ScriptDirectory:
        where = config.get_main_option("script_location")
        if where not in known:
            known[where] = read(config)
        return known[where]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that nobody waits for it at the end.

    That is shared stacks, then real connectors, then what draws many examples.
    """
    items.sort(key=lambda item: not getattr(getattr(item, "obj", None), "is_hypothesis_test", False))
    items.sort(key=lambda item: not item.get_closest_marker("real"))
    items.sort(key=_place_of_group)


def _place_of_group(item: pytest.Item) -> int:
    """When the tests that share a stack begin, the slowest first; the others come after them."""
    marker = item.get_closest_marker("xdist_group")
    if marker is None:
        return len(_SLOWEST_GROUPS) + 1
    return _SLOWEST_GROUPS.index(marker.args[0]) if marker.args[0] in _SLOWEST_GROUPS else len(_SLOWEST_GROUPS)


class RecordingTransport(httpx.HTTPTransport):
    """The real transport, which also keeps what went through it.

    Attributes:
        sent: Method and path of each request, below the API's base, token requests left out.
        lose: Methods and paths whose answers are thrown away, once each, after the server has served them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.lose: list[tuple[str, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        call = (request.method, request.url.path.removeprefix("/api/public/v1"))
        if not call[1].endswith("/applications/token"):
            self.sent.append(call)
            self.bodies.append(request.read())
        response = super().handle_request(request)
        if call in self.lose:
            self.lose.remove(call)
            response.close()
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return response

    @property
    def writes(self) -> list[tuple[str, str]]:
        """What was not a read."""
        return [call for call in self.sent if call[0] != "GET"]


@pytest.fixture(params=[False, True], ids=["with type key", "without type key"])
def both_shapes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningAirbyte]:
    """Local Airbyte with a scripted engine, once in each shape of `configuration`."""
    with running_local_airbyte(tmp_path / "home", ScriptedEngine(), strict=request.param) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def cache() -> Iterator[Path]:
    """The cache of connectors that all homes share, those in processes of their own too: the user's, as in the product.

    ``AIRBYTE_DAGSTER_TEST_ENVIRONMENTS`` names its ``environments``.
    """
    configured = os.environ.get("AIRBYTE_DAGSTER_TEST_ENVIRONMENTS")
    checkout = resolve_home(Path(__file__).parents[1] / ".airbyte-dagster")
    directory = Path(configured).parent if configured else cache_directory(checkout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(directory))
        yield directory


@pytest.fixture(scope="session")
def environments(cache: Path) -> Path:
    """The pinned connectors, installed once and shared by all homes."""
    root = cache / "environments"
    prepare(root, ["faker", "file"])
    return root


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What DuckDB is asked from now on in this process, in order."""
    asked: list[str] = []
    real = duckdb.connect

    class Recording:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.connection = real(*arguments, **options)

        def execute(self, query: str, *arguments: Any) -> Any:
            asked.append(query)
            return self.connection.execute(query, *arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

        def __enter__(self) -> Any:
            return self.connection.__enter__()

        def __exit__(self, *error: object) -> None:
            self.connection.__exit__(*error)

    monkeypatch.setattr(duckdb, "connect", Recording)
    return asked


@pytest.fixture
def real_home(tmp_path: Path, environments: Path) -> Path:
    """A new home; the connectors are in the cache."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def airbyte(tmp_path: Path) -> Iterator[RunningAirbyte]:
    """Local Airbyte with a scripted engine."""
    with running_local_airbyte(tmp_path / "home", ScriptedEngine()) as running:
        yield running


@pytest.fixture
def api(airbyte: RunningAirbyte) -> Iterator[Api]:
    """A signed-in client of that server."""
    with airbyte.api() as client:
        yield client


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment that a project would take from there."""
    for name in [name for name in os.environ if name.startswith(("AIRBYTE_", "MOTHERDUCK_", "DAGSTER_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of ``dg``, empty."""
    from airbyte_dagster_tests.dg_project import Project  # noqa: PLC0415 - heavy, and few need it

    return Project(tmp_path / "project", monkeypatch)


@pytest.fixture
def transport() -> RecordingTransport:
    return RecordingTransport()


def client_of(server: RunningAirbyte, transport: httpx.BaseTransport | None = None) -> AirbyteClient:
    """A client of a running server."""
    settings = ClientSettings(
        server_url=server.server_url, client_id=server.client_id, client_secret=server.client_secret
    )
    return AirbyteClient(settings, transport=transport)


def resource_of(server: RunningAirbyte, **settings: Any) -> AirbyteResource:
    """A resource of a running server."""
    return AirbyteResource(
        server_url=server.server_url,
        client_id=server.client_id,
        client_secret=server.client_secret,
        **settings,
    )


def warehouse_of(server: RunningAirbyte, **settings: Any) -> MotherDuckResource:
    """The file that `pipeline_of` writes into."""
    return MotherDuckResource(database=str(server.home.warehouse), **settings)


def pipeline_of(
    server: RunningAirbyte,
    *,
    source: dict[str, Any] | None = None,
    streams: Any = ("users", "products"),
    **connection: Any,
) -> AirbytePipeline:
    """A pipeline from Faker into the server's DuckDB file.

    Args:
        source: Configuration beside the type.
        streams: Streams of the connection.
        connection: Further settings of the connection.
    """
    return AirbytePipeline(
        name="example",
        source=Source(name="faker source", configuration={"sourceType": "faker", "count": 35, **(source or {})}),
        destination=Destination(
            name="duck",
            configuration={"destinationType": "duckdb", "destination_path": str(server.home.warehouse)},
        ),
        connection=Connection(name="faker to duck", streams=streams, **connection),
    )


@pytest.fixture(scope="session")
def new_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of an instance that nothing was done with: it takes Dagster a third of a second to make them."""
    directory = tmp_path_factory.mktemp("new") / "dagster"
    directory.mkdir()
    with dg.instance_for_test(temp_dir=str(directory)):
        return directory


@pytest.fixture
def instance(tmp_path: Path, new_instance: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance with its storage on disk."""
    directory = shutil.copytree(new_instance, tmp_path / "dagster")
    with dg.instance_for_test(temp_dir=str(directory)) as made:
        yield made
