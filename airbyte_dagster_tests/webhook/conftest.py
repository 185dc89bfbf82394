"""What the tests of the receiver share: local Airbyte, which posts notices, and a real Dagster instance."""

from __future__ import annotations

from airbyte_dagster_tests.sensors.conftest import connection, gate, recording

__all__ = ["connection", "gate", "recording"]
