"""What a receiver of Airbyte's notices has recorded, kept in the instance for the sensor: it has the checks run.

A sensor that misses an entry loses nothing: it sees the job in Airbyte's list, that it is recorded, and that its checks
have not been requested.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

#: The oldest entries make room for new ones: all are written with each. MySQL would take 64 kB.
_MOST_CHARACTERS = 16_000


@dataclass(frozen=True)
class Noted:
    """Jobs that were recorded since the sensor's last tick.

    Attributes:
        last: Number of the last entry; the next tick reads on from there.
        jobs: Ids.
        to_check: Assets whose checks are to run, with the job that is the reason.
    """

    last: int = 0
    jobs: frozenset[int] = frozenset()
    to_check: Mapping[dg.AssetKey, int] = field(default_factory=dict)


class NotedJobs:
    """The entries for one sensor. They are written under `instance_lock`.

    Args:
        instance: Where they are.
        sensor_name: The sensor.
        keys: Its assets: several code locations may have a sensor of that name.
    """

    def __init__(self, instance: dg.DagsterInstance, sensor_name: str, keys: Sequence[dg.AssetKey]) -> None:
        self._storage = instance.daemon_cursor_storage
        names = sorted(key.to_user_string() for key in keys)
        # At most 64 characters: MySQL's index of Dagster's key-value table has no more.
        self._cell = f"airbyte_noted:{hashlib.sha256(json.dumps([sensor_name, *names]).encode()).hexdigest()[:48]}"

    def add(self, jobs: Collection[int], to_check: Mapping[dg.AssetKey, int]) -> None:
        """Note jobs that are recorded."""
        last, entries = self._read()
        assets = {key.to_escaped_user_string(): job_id for key, job_id in to_check.items()}
        entries.append((last + 1, sorted(jobs), assets))
        while entries and len(text := json.dumps([last + 1, entries])) > _MOST_CHARACTERS:
            entries.pop(0)
        self._storage.set_cursor_values({self._cell: text if entries else json.dumps([last + 1, []])})

    def since(self, number: int) -> Noted:
        """Return what was noted after an entry."""
        last, entries = self._read()
        # Lower numbers begin again where somebody has emptied the storage.
        new = [entry for entry in entries if entry[0] > number or number > last]
        return Noted(
            last,
            frozenset(job_id for _, jobs, _ in new for job_id in jobs),
            {dg.AssetKey.from_escaped_user_string(key): job for _, _, assets in new for key, job in assets.items()},
        )

    def _read(self) -> tuple[int, list[tuple[int, list[int], dict[str, int]]]]:
        text = self._storage.get_cursor_values({self._cell}).get(self._cell)
        last, entries = json.loads(text) if text else (0, [])
        return last, entries
