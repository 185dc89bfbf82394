"""What the tests of sensors share: local Airbyte over HTTP, a real instance, a real DuckDB file."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from airbyte_dagster_tests.conftest import client_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.sensors.own_runs import (
    Gate,
)
from airbyte_dagster_tests.sensors.recording import Recording


@pytest.fixture
def recording(airbyte: RunningAirbyte, instance: dg.DagsterInstance) -> Recording:
    """The pipeline of users and products, with its connection made and the first tick done."""
    made = Recording(airbyte, instance)
    made.provision()
    made.tick()
    return made


@pytest.fixture
def connection(recording: Recording) -> str:
    with client_of(recording.server) as client:
        (found,) = client.connections(recording.server.workspace_id)
    return found.id


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr("airbyte_dagster_tests.sensors.own_runs.GATE", gate)
    yield gate
    gate.open.set()
