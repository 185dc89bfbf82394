"""Runs of ours that are under way when the sync sensor looks, and a warehouse that can hold them up."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import MotherDuckResource
from airbyte_dagster.runs.checkpoints import RunCheckpoints
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster_tests.sensors.recording import Recording, Told

USERS = dg.AssetKey(["example", "users"])


PRODUCTS = ("example", "products")


def own_run(recording: Recording, connection: str, checkpoint: Checkpoint, **settings: Any) -> str:
    """Leave a run in the instance that has a checkpoint; its id."""
    job = recording.definitions.resolve_job_def("sync_example")
    settings.setdefault("status", dg.DagsterRunStatus.STARTED)
    run = recording.instance.create_run_for_job(job, **settings)
    RunCheckpoints(recording.instance, run).save({connection: checkpoint})
    return run.run_id


def end_run(recording: Recording, run_id: str) -> None:
    """Say that a run has failed, as Dagster does of one whose process has died."""
    run = recording.instance.get_run_by_id(run_id)
    assert run
    recording.instance.report_run_failed(run)


class Killed(BaseException):
    """The end of a process, which nothing catches."""


@contextmanager
def killed_after(instance: dg.DagsterInstance, events: int | None) -> Iterator[None]:
    """End whoever writes events into an instance when so many are written."""
    real, written = instance.report_runless_asset_event, itertools.count()

    def write(event: Any) -> None:
        if next(written) == events:
            raise Killed
        real(event)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(instance, "report_runless_asset_event", write)
        yield


def reports_of(told: Told) -> dict[str, Any]:
    (reports,) = told.metadata["airbyte/streams"].records
    return dict(reports.data)


class Gate:
    """Holds up whoever looks into the warehouse."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.open.wait(300)


GATE = Gate()


class GatedWarehouse(DuckDBWarehouse):
    """A warehouse that shows its tables only when the gate is open."""

    @contextmanager
    def session(self) -> Iterator[Any]:
        GATE.wait()
        with super().session() as session:
            yield session


class GatedResource(MotherDuckResource):
    """The resource of it."""

    def warehouse(self) -> DuckDBWarehouse:
        return GatedWarehouse(self.database)
