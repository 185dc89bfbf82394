"""Connections of the event storage that stay open while a run records."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

from airbyte_dagster.runs.event_storage import open_connections
from airbyte_dagster_tests.local.postgresql import PASSWORD, running_postgres

_ASSETS = [dg.AssetKey(f"asset_{number}") for number in range(20)]


@pytest.fixture
def sqlite_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with Dagster's default storage."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def postgres_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on a PostgreSQL of its own."""
    with running_postgres() as server:
        address = f"postgresql+psycopg2://airbyte:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/postgres"
        config = {"storage": {"postgres": {"postgres_url": address}}, "telemetry": {"enabled": False}}
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
        with dg.DagsterInstance.from_config(str(tmp_path)) as made:
            yield made


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Databases of the SQLAlchemy engines that were made since."""
    made: list[str] = []
    create = sa.create_engine

    def create_engine(url: str, **options: Any) -> sa.Engine:
        made.append(url)
        return create(url, **options)

    monkeypatch.setattr("sqlalchemy.create_engine", create_engine)
    monkeypatch.setattr("dagster._core.storage.event_log.sqlite.sqlite_event_log.create_engine", create_engine)
    return made


def _record(instance: dg.DagsterInstance) -> None:
    for key in _ASSETS:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"rows": 1}))
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(key, "row_count", passed=True))


def test_one_engine_serves_each_database(sqlite_instance: dg.DagsterInstance, engines: list[str]) -> None:
    """However many events there are: one engine for the database of all, one for the run's, beside Dagster's first."""
    with open_connections(sqlite_instance):
        _record(sqlite_instance)

    assert len(engines) <= 5
    _record(sqlite_instance)
    assert len(engines) > len(_ASSETS)


def test_columns_of_tables_are_looked_up_once(sqlite_instance: dg.DagsterInstance) -> None:
    """Dagster looks with each event whether its table of assets was migrated, which does not change meanwhile."""
    looked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement == 'PRAGMA main.table_xinfo("asset_keys")':
            looked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with open_connections(sqlite_instance):
            _record(sqlite_instance)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert len(looked) == 1


def test_each_event_can_be_read_elsewhere_at_once(sqlite_instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Another instance, as in Dagster's webserver, sees an event before the block ends; so do other threads of ours."""
    key, *_ = _ASSETS
    check = dg.AssetCheckKey(key, "row_count")
    with open_connections(sqlite_instance):
        _record(sqlite_instance)

        with dg.DagsterInstance.local_temp(str(tmp_path)) as other:
            found = other.get_latest_materialization_event(key)
            assert found is not None
            assert found.asset_materialization == dg.AssetMaterialization(key, metadata={"rows": 1})
            (summary,) = other.event_log_storage.get_latest_asset_check_execution_by_key([check]).values()
            assert summary.status.value == "SUCCEEDED"

        threads = [threading.Thread(target=_record, args=[sqlite_instance]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sqlite_instance.fetch_materializations(key, limit=10).records) == 4


def test_the_storage_is_left_as_it_was(sqlite_instance: dg.DagsterInstance) -> None:
    """After the block, also one within another, after an error, and where nothing was recorded."""
    before = dict(vars(sqlite_instance.event_log_storage))

    def fail() -> None:
        with open_connections(sqlite_instance):
            with open_connections(sqlite_instance):
                _record(sqlite_instance)
            _record(sqlite_instance)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert vars(sqlite_instance.event_log_storage).keys() == before.keys()
    _record(sqlite_instance)


def test_a_thread_that_is_late_records_nevertheless(sqlite_instance: dg.DagsterInstance) -> None:
    """What began to write before the block ended, and got its turn only after it, finds an open connection."""
    storage: Any = sqlite_instance.event_log_storage
    with open_connections(sqlite_instance):
        _record(sqlite_instance)
        late = storage.index_connection

    with late() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM asset_keys")).scalar() == len(_ASSETS)


def test_another_dagster_is_left_alone(
    sqlite_instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, engines: list[str]
) -> None:
    """A version of Dagster without the class that is known here records as it does by itself."""
    monkeypatch.delattr("dagster._core.storage.event_log.SqliteEventLogStorage")

    with open_connections(sqlite_instance):
        _record(sqlite_instance)

    assert len(engines) > len(_ASSETS)
    assert sqlite_instance.get_latest_materialization_event(_ASSETS[-1]) is not None


def test_postgresql_keeps_its_connection(postgres_instance: dg.DagsterInstance) -> None:
    """One connection takes all events (a second, what is done within it), each committed at once; then it is closed."""
    key = _ASSETS[-1]
    opened: list[Any] = []
    storage: Any = postgres_instance.event_log_storage
    sa.event.listen(storage._engine, "connect", lambda connection, _: opened.append(connection))

    with open_connections(postgres_instance):
        _record(postgres_instance)
        with dg.DagsterInstance.from_config(postgres_instance.root_directory) as other:
            assert len(other.fetch_materializations(key, limit=10).records) == 1
            assert other.get_latest_materialization_event(key) is not None

    assert len(opened) <= 2
    assert all(connection.closed for connection in opened)
    _record(postgres_instance)
    assert len(opened) > len(_ASSETS)
    assert len(postgres_instance.fetch_materializations(key, limit=10).records) == 2


def test_other_storage_is_left_alone() -> None:
    """What is no storage of that very class is not touched, such as that of tests."""
    with dg.DagsterInstance.ephemeral() as instance:
        before = dict(vars(instance.event_log_storage))
        with open_connections(instance):
            assert vars(instance.event_log_storage).keys() == before.keys()
