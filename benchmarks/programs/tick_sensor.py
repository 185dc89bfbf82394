"""Evaluate the sync sensor of ``defs_production`` several times: seconds for each, and what each recorded.

Its argument is how often.
"""

from __future__ import annotations

import resource
import sys
import time

import dagster as dg
from defs_production import defs

from airbyte_dagster import AirbyteResource
from benchmarks.programs.saying import say

_SENSOR = "workspace_syncs"
ticks = []
resources = {"airbyte": AirbyteResource.from_env()}
with dg.DagsterInstance.get() as instance:
    sensor = defs.get_sensor_def(_SENSOR)
    cursor: str | None = None
    for _ in range(int(sys.argv[1])):
        began = time.perf_counter()
        with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
            result = sensor.evaluate_tick(context)
        cursor = result.cursor
        ticks.append({"seconds": time.perf_counter() - began, "events": len(result.asset_events)})
say({"ticks": ticks, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
