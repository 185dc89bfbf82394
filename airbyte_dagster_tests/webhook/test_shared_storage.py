"""The storage of a Dagster instance is all that sensors and receivers of several machines share."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs import instance_lock as locks
from airbyte_dagster.runs.instance_lock import StorageLocked, has_lock, instance_lock
from airbyte_dagster.sensors.noted import NotedJobs
from airbyte_dagster.webhook import build_webhook_app
from airbyte_dagster.webhook.recorder import recorders_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.postgresql import PASSWORD, Postgres, running_postgres
from airbyte_dagster_tests.sensors.own_runs import PRODUCTS
from airbyte_dagster_tests.sensors.recording import Recording
from airbyte_dagster_tests.warehouse.mariadb import running_mariadb
from airbyte_dagster_tests.webhook.receiving import SECRET, notice_of, post, receiving, served, until

#: Holds the lock of the instance until its stdin ends.
HOLDER = """
import sys
import dagster as dg
from airbyte_dagster.runs.instance_lock import instance_lock
with dg.DagsterInstance.get() as instance, instance_lock(instance):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def on_postgres(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with running_postgres() as server, dg.instance_for_test(temp_dir=str(tmp_path), overrides=of(server)) as made:
        yield made


def of(server: Postgres) -> dict[str, Any]:
    """What dagster.yaml says of storage in a PostgreSQL server."""
    # Dagster's SQL is for this driver; SQLAlchemy 2.1 would take another one that is installed, too.
    driver = {"scheme": "postgresql+psycopg2"}
    where = {"hostname": "127.0.0.1", "port": server.port, "db_name": "postgres", "username": "airbyte", **driver}
    return {"storage": {"postgres": {"postgres_db": {**where, "password": PASSWORD}}}}


@contextmanager
def on_sqlite(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


def test_receivers_and_a_sensor_share_postgresql(airbyte: RunningAirbyte, api: Api, tmp_path: Path) -> None:
    """Each with an instance of its own, as on machines of their own; all of them at the same job at once."""
    with on_postgres(tmp_path) as one, dg.DagsterInstance.from_ref(one.get_ref()) as other:
        recording = Recording(airbyte, one)
        connection = recording.provision()
        recording.tick()
        app = build_webhook_app(recording.definitions, secret=SECRET, instance=other)
        with ExitStack() as until_end:
            first = until_end.enter_context(receiving(recording))
            second = f"{until_end.enter_context(served(app))}/notices/{SECRET}"
            for number in range(1, 4):
                job = api.finish(api.sync(connection))["jobId"]
                notices = [threading.Thread(target=post, args=(at, notice_of(api, job))) for at in (first, second)]
                for thread in notices:
                    thread.start()
                recording.tick()
                until(lambda: len(recording.jobs(*PRODUCTS)) >= number, recording)  # noqa: B023 - called here
                for thread in notices:
                    thread.join()
        assert recording.jobs() == recording.jobs(*PRODUCTS) == [1, 2, 3]


@pytest.mark.parametrize("storage", [on_sqlite, on_postgres])
def test_the_lock_ends_with_its_process(storage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process waits for it, for a time; when the one that holds it is killed, it is free."""
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 1)
    with storage(tmp_path) as instance:
        assert has_lock(instance)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StorageLocked, match="recorded by the sensor's next tick"), instance_lock(instance):
            raise AssertionError
        holder.kill()
        holder.communicate()
        for _ in range(2):
            with instance_lock(instance):
                instance.daemon_cursor_storage.set_cursor_values({"a": "b"})


def test_the_lock_in_mysql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection has it; when that has ended, however that came, the next one has it."""
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 1)
    with running_mariadb() as port:
        url = sa.URL.create("mysql+pymysql", "airbyte", PASSWORD, "127.0.0.1", port)
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as one, engine.connect() as other:
            with locks._mysql(one), pytest.raises(StorageLocked), locks._mysql(other):
                raise AssertionError
            lost = locks._mysql(other)
            lost.__enter__()
            other.close()
            with locks._mysql(one):
                pass


def test_in_memory_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance without a disk belongs to one process."""
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.1)
    with dg.DagsterInstance.ephemeral() as instance:
        assert has_lock(instance)
        with instance_lock(instance), pytest.raises(StorageLocked), instance_lock(instance):
            raise AssertionError


def test_nobody_writes_without_the_lock(
    recording: Recording, connection: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a tick nor a receiver does while another process has it; both do afterwards."""
    monkeypatch.setattr(locks, "_PATIENCE_SECONDS", 0.1)
    job = api.finish(api.sync(connection))["jobId"]
    with recorders_of(recording.definitions, recording.instance) as (recorder,):
        with instance_lock(recording.instance):
            with pytest.raises(StorageLocked):
                recorder.record(job)
            assert "Other processes have been recording" in (recording.tick().skip_message or "")
        assert recording.jobs() == []
        recording.tick()
    assert recording.jobs() == [1]


class WithoutDatabase:
    """A storage that is reached otherwise, as Dagster+ has it."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    def __getattr__(self, name: str) -> Any:
        if name == "connect":
            raise AttributeError
        return getattr(self.storage, name)


def test_a_storage_without_a_lock(
    recording: Recording, connection: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor works there as everywhere; a receiver is not allowed."""
    monkeypatch.setattr(recording.instance, "_run_storage", WithoutDatabase(recording.instance.run_storage))
    assert not has_lock(recording.instance)
    api.finish(api.sync(connection))
    recording.tick()
    assert recording.jobs() == [1]

    with pytest.raises(ConfigurationError, match="no lock that a receiver"):
        build_webhook_app(recording.definitions, secret=SECRET, instance=recording.instance)


def test_notes_stay_short(instance: dg.DagsterInstance) -> None:
    """Old entries make room; where the storage was emptied, none is overlooked."""
    keys = [dg.AssetKey(["a", "b.c" * 30]), dg.AssetKey("d")]
    notes = NotedJobs(instance, "syncs", keys)
    assert notes.since(0).last == 0
    for job in range(1, 251):
        notes.add([job], {keys[0]: job})

    noted = notes.since(0)

    assert noted.last == 250
    assert 50 < len(noted.jobs) < 250
    assert max(noted.jobs) == 250
    assert noted.to_check == {keys[0]: 250}
    assert notes.since(249).jobs == {250}
    assert notes.since(250).jobs == frozenset()
    assert notes.since(5000).jobs == noted.jobs
    assert NotedJobs(instance, "syncs", keys[:1]).since(0).jobs == frozenset()
    assert all(len(key) <= 64 for key in (notes._cell, "airbyte_dagster:recorded"))
