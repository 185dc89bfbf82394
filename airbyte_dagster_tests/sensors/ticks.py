"""Ticks of a sensor, one after another, as the daemon would do them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg


def outcome(data: Any) -> dg.RunRequest | str:
    """The one run that a tick requests, or the reason why it requests none."""
    if data.run_requests:
        (request,) = data.run_requests
        assert isinstance(request, dg.RunRequest)
        return request
    assert data.skip_message
    return str(data.skip_message)


class Ticks:
    """Evaluates a sensor again and again, keeping its cursor.

    Attributes:
        cursor: What the last tick left.
        before: Cursor that the last tick found.
    """

    def __init__(self, sensor: dg.SensorDefinition, *, resources: Mapping[str, Any] | None = None) -> None:
        self.sensor = sensor
        self.resources = resources or {}
        self.cursor: str | None = None
        self.before: str | None = None

    def tick(self) -> dg.RunRequest | str:
        """Evaluate it once; return the one run it requests, or the reason why it requests none."""
        self.before = self.cursor
        with dg.build_sensor_context(
            cursor=self.cursor, resources=self.resources, sensor_name=self.sensor.name
        ) as context:
            data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return outcome(data)

    def run(self) -> dg.RunRequest:
        """Evaluate it once; it has to request a run."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return request

    def skip(self) -> str:
        """Evaluate it once; it has to request nothing."""
        reason = self.tick()
        assert isinstance(reason, str), reason
        return reason

    def crash(self) -> None:
        """Lose what the last tick left, as a daemon does that is killed after the launch."""
        self.cursor = self.before
