"""What a sensor keeps between its ticks: JSON with a version, as Dagster's cursor of it."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from airbyte_dagster.sensors.asking import Unanswered

_VERSION = 1
#: Dagster keeps the cursor with every tick, for days: what is longer than this is compressed.
_LONGEST_PLAIN = 4000


@dataclass(frozen=True)
class Kept:
    """What is known from former ticks.

    Attributes:
        watches: Digest of what is watched: with another query or pattern a sensor starts anew.
        born: Tells this cursor from those before it, if somebody cleared them: run keys must not be used twice.
        requests: Runs requested so far.
        seen: What the last tick saw, as JSON; ``None`` for nothing yet.
        is_new: Whether nothing was ever seen of what is watched now.
    """

    watches: str
    born: str
    requests: int = 0
    seen: Any = None
    is_new: bool = False

    def having_seen(self, seen: Any) -> Kept:
        """Return what is to be kept of a tick that requests nothing."""
        return replace(self, seen=seen, is_new=False)

    def having_requested(self, seen: Any) -> Kept:
        """Return what is to be kept of a tick that requests a run."""
        return replace(self, seen=seen, is_new=False, requests=self.requests + 1)

    def run_key(self, sensor_name: str) -> str:
        """Return the key of the run that was requested last.

        If the process ends after the launch and before this is saved, the next tick sees the same again, counts to the
        same number, and Dagster finds that the run of this key is there. What is seen again later has another number.
        """
        return f"{sensor_name}:{self.born}:{self.requests}:{digest(json.dumps(self.seen, sort_keys=True))}"

    def to_json(self) -> str:
        """Return the cursor."""
        known: dict[str, Any] = {
            "version": _VERSION,
            "watches": self.watches,
            "born": self.born,
            "requests": self.requests,
        }
        text = json.dumps({**known, "seen": self.seen})
        if len(text) <= _LONGEST_PLAIN:
            return text
        packed = base64.b64encode(zlib.compress(json.dumps(self.seen).encode(), 9)).decode()
        return json.dumps({**known, "packed": packed})


def kept_by(context: dg.SensorEvaluationContext, watched: str) -> Kept:
    """Return what a sensor knows from former ticks.

    Args:
        watched: What it watches now, such as a query.

    Raises:
        Unanswered: The cursor was not written by this version of the sensor, nor an older one.
    """
    watches = digest(watched)
    if not context.cursor:
        # The tick before has another time, unless this one is tried again after a crash.
        return Kept(watches, born=f"{int((context.last_tick_completion_time or 0) * 1000):x}", is_new=True)
    try:
        data = json.loads(context.cursor)
        if data["version"] != _VERSION:
            raise ValueError(data["version"])  # noqa: TRY301 - one message for all that is wrong
        packed = data.get("packed")
        seen = json.loads(zlib.decompress(base64.b64decode(packed))) if packed else data["seen"]
        kept = Kept(str(data["watches"]), str(data["born"]), int(data["requests"]), seen)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        raise Unanswered(
            "The cursor is not one that this sensor wrote, or a newer version of it did.",
            guidance="Clear the cursor in Dagster, on the page of the sensor; then it starts anew.",
        ) from None
    return kept if kept.watches == watches else replace(kept, watches=watches, seen=None, is_new=True)


def digest(text: str) -> str:
    """Return eight characters that stand for a text."""
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=6).digest()).decode()
