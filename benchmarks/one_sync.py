"""One sync of three seconds, of a connection that is there already: how soon it is noticed, and what it costs in calls.

Local Airbyte runs with scripted connectors, so that the job takes three seconds and not what a connector takes.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import httpx
from rich.table import Table

from airbyte_dagster import build_pipeline_defs
from airbyte_dagster_tests.conftest import pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.local.fakes import running_local_airbyte

_JOB_SECONDS = 3.0


def _kind(request: httpx.Request) -> str:
    if "/jobs" not in request.url.path:
        return "reconcile"
    # The engine watches by the list of what was updated last.
    return "poll" if request.url.params.get("orderBy", "").startswith("updatedAt") else "sync"


def measure() -> Table:
    """Measure and tabulate."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as directory, running_local_airbyte(Path(directory) / "home") as server:
        airbyte = resource_of(server)
        definitions = build_pipeline_defs(pipeline_of(server), airbyte=airbyte, warehouse=warehouse_of(server))
        job = definitions.resolve_job_def("sync_example")
        with dg.instance_for_test(temp_dir=directory) as instance:
            job.execute_in_process(instance=instance)
            calls: list[str] = []
            airbyte.client().http.event_hooks["request"] = [lambda request: calls.append(_kind(request))]
            server.engine.hold()
            ended: list[float] = []

            def end_in_time() -> None:
                server.engine.wait_for_start(2)
                time.sleep(_JOB_SECONDS)
                server.engine.release()
                with server.api() as api:
                    api.finish(2)
                ended.append(time.time())

            thread = threading.Thread(target=end_in_time)
            thread.start()
            result = job.execute_in_process(instance=instance)
            thread.join()
            records = [record.event_log_entry for record in instance.get_records_for_run(result.run_id).records]
        materialized = min(
            entry.timestamp for entry in records if entry.dagster_event and entry.dagster_event.is_step_materialization
        )
    kinds = Counter(calls)
    table = Table("what", "measured", title=f"One sync of {_JOB_SECONDS:g} s", title_justify="left")
    table.add_row("from Airbyte's succeeded to the materialization", f"{materialized - ended[0]:.2f} s")
    table.add_row("calls to reconcile what is unchanged", str(kinds["reconcile"]))
    table.add_row("calls to sync, without polls", str(kinds["sync"]))
    table.add_row("polls", str(kinds["poll"]))
    logging.disable(logging.NOTSET)
    return table


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
