"""Evaluate the sync sensor of ``defs_production`` several times: seconds for each, and what each recorded.

Its argument is how often. The standard input has a line for each tick, and says when to go on.
"""

from __future__ import annotations

import resource
import sys
import time

import dagster as dg
from defs_production import defs

from benchmarks.programs.saying import say

ticks = []
with dg.DagsterInstance.get() as instance:
    sensor = defs.get_sensor_def("workspace_syncs")
    cursor: str | None = None
    for _ in range(int(sys.argv[1])):
        began = time.perf_counter()
        with dg.build_sensor_context(instance, cursor=cursor, definitions=defs) as context:
            result = sensor.evaluate_tick(context)
        cursor = result.cursor
        ticks.append({"seconds": time.perf_counter() - began, "events": len(result.asset_events)})
say({"ticks": ticks, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024})
