"""A sensor's cursor: JSON with a version."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from airbyte_dagster.runs.config import ON_RUNNING_TAG
from airbyte_dagster.sensors.tick import SkipTick

_VERSION = 1
#: Dagster keeps the cursor with every tick, for days: a longer one is compressed.
_LONGEST_PLAIN = 4000
#: Tells the sync not to join one that began before the change: it would bring what was there before.
_NOT_JOINING = {ON_RUNNING_TAG: "wait"}


@dataclass(frozen=True)
class SensorCursor:
    """What is known from earlier ticks.

    Attributes:
        watched: Digest of the query or pattern: with another one a sensor starts again.
        created: Distinguishes this cursor from those before it that somebody cleared: run keys must not be used twice.
        requests: Runs requested so far.
        seen: What the last tick saw, as JSON; ``None`` for nothing yet.
        is_new: Whether nothing was ever seen of what is watched now.
    """

    watched: str
    created: str
    requests: int = 0
    seen: Any = None
    is_new: bool = False

    @classmethod
    def of(cls, context: dg.SensorEvaluationContext, watched: str) -> SensorCursor:
        """Read the cursor of a sensor.

        Args:
            watched: What it watches now, such as a query.

        Raises:
            SkipTick: This version of the sensor, or an older one, did not write the cursor.
        """
        watched = digest(watched)
        if not context.cursor:
            # The tick before has another time, unless this one is repeated after a crash; the first has none before it.
            last = context.last_tick_completion_time
            return cls(watched, "0" if last is None else f"{int(last * 1000):x}", is_new=True)
        try:
            data = json.loads(context.cursor)
            if data["version"] != _VERSION:
                raise ValueError(data["version"])  # noqa: TRY301 - one message for all that is wrong
            packed = data.get("packed")
            seen = json.loads(zlib.decompress(base64.b64decode(packed))) if packed else data["seen"]
            cursor = cls(str(data["watched"]), str(data["created"]), int(data["requests"]), seen)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
            raise SkipTick(
                "The cursor was not written by this sensor, or by a newer version of it.",
                guidance="Clear the cursor in Dagster, on the page of the sensor; then it starts again.",
            ) from None
        return cursor if cursor.watched == watched else replace(cursor, watched=watched, seen=None, is_new=True)

    def record(self, seen: Any, reason: str) -> dg.SensorResult:
        """Return the result of a tick that requests nothing, for a reason, but has seen something."""
        cursor = replace(self, seen=seen)
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor.to_json())

    def request(self, sensor_name: str, seen: Any, tags: Mapping[str, str]) -> dg.SensorResult:
        """Return the result of a tick that requests a run.

        If the process ends after the launch and before the cursor is saved, the next tick sees the same again, counts
        to the same number, and Dagster finds the existing run of this key. What is seen again later has another number.
        """
        cursor = replace(self, seen=seen, requests=self.requests + 1)
        seen_digest = digest(json.dumps(seen, sort_keys=True))
        key = f"{sensor_name}:{cursor.created}:{cursor.requests}:{seen_digest}"
        request = dg.RunRequest(run_key=key, tags={**tags, **_NOT_JOINING})
        return dg.SensorResult(run_requests=[request], cursor=cursor.to_json())

    def to_json(self) -> str:
        """Return the cursor as Dagster keeps it."""
        data = {"version": _VERSION, "watched": self.watched, "created": self.created, "requests": self.requests}
        text = json.dumps({**data, "seen": self.seen})
        if len(text) <= _LONGEST_PLAIN:
            return text
        packed = base64.b64encode(zlib.compress(json.dumps(self.seen).encode(), 9)).decode()
        return json.dumps({**data, "packed": packed})


def digest(text: str) -> str:
    """Return eight characters that stand for a text."""
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=6).digest()).decode()
