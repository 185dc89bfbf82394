"""Read the workspace and keep it, as a first load does, without what Dagster then makes of it: the seconds it took."""

from __future__ import annotations

import os
import time
from pathlib import Path

from airbyte_dagster import AirbyteResource
from airbyte_dagster.workspaces.state import snapshot_of
from benchmarks.programs.saying import say

airbyte = AirbyteResource.from_env()
began = time.perf_counter()
snapshot = snapshot_of(airbyte, Path(os.environ["STATE"]), refresh=False)
seconds = time.perf_counter() - began
say({"seconds": seconds, "connections": len(snapshot.connections)})
