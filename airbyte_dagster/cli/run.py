"""``airbyte-dagster run``: one real run of the pipeline in a Dagster instance, shown step by step."""

from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import shutil
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from airbyte_dagster.cli.environment import airbyte_environment, prepare_dagster_home
from airbyte_dagster.cli.terminal import CheckOutcome, Progress, StreamResult, preview_table, results_table
from airbyte_dagster.output import Facts

if TYPE_CHECKING:
    import dagster as dg

    from airbyte_dagster.local.options import LocalOptions
    from airbyte_dagster.warehouse import Warehouse

#: Begins Dagster's message on a step that did not run because another failed; that failure is shown by itself.
_SKIPPED_STEP = "Dependencies for step "
_INTERRUPTED = "DagsterExecutionInterruptedError"
_PROGRESS_LINE = re.compile(r"Job \d+ (pending|queued|running|incomplete)\b")


def run(home: Path, *, options: LocalOptions, console: Console) -> Facts:
    """Run the pipeline of `airbyte_dagster.definitions` once and show what arrived.

    Args:
        home: Where local Airbyte, the Dagster instance and the default warehouse live.
        options: How to start local Airbyte, if it has to be started.

    Returns:
        What arrived; the status is 0 only if the run succeeded and every check passed.

    Raises:
        AirbyteDagsterError: The run could not be started.
    """
    prepare_dagster_home(home)
    with (
        Progress(console) as progress,
        _Dagster() as dagster,
        airbyte_environment(home, options=options, say=progress.step, meanwhile=dagster.load),
    ):
        from dagster._core.storage.tags import REPOSITORY_LABEL_TAG  # noqa: PLC0415 - heavy

        from airbyte_dagster import definitions  # noqa: PLC0415 - reads the environment set above

        job = definitions.defs.resolve_job_def(f"sync_{definitions.pipeline.name}")
        run_id = str(uuid.uuid4())
        dagster.instance.add_event_listener(run_id, _printer(progress))
        result = job.execute_in_process(
            instance=dagster.instance,
            run_id=run_id,
            raise_on_error=False,
            run_config=_QUIET_CONSOLE,
            tags={REPOSITORY_LABEL_TAG: _REPOSITORY},  # else the job's own page in the UI would not list it
        )
        progress.waiting("Stopping …")
    if _was_interrupted(result):
        raise KeyboardInterrupt
    rows = _stream_results(result)
    warehouse = definitions.warehouse.warehouse()
    passed = result.success and bool(rows) and all(row.passed for row in rows)
    record = {
        "passed": passed,
        "runId": run_id,
        "streams": [row.record for row in rows],
        "failures": [_reason(event) for event in result.all_events if event.is_step_failure],
        "database": warehouse.database,
    }
    return Facts(
        record, lambda: _show(console, home, result, rows, warehouse), status=0 if passed else 1, ends_process=True
    )


def _show(
    console: Console,
    home: Path,
    result: dg.ExecuteInProcessResult,
    rows: Sequence[StreamResult],
    warehouse: Warehouse,
) -> None:
    if rows:
        console.print(results_table(rows))
    if result.success and rows:
        _preview(console, warehouse, result)
    if rows:
        console.print(f"Database: {warehouse.database}", highlight=False, soft_wrap=True)
    console.print(f"Dagster's UI, with this run: {_dev_command(home)}", highlight=False, soft_wrap=True)


def _dev_command(home: Path) -> str:
    """Return what starts ``dev`` for this home in the shell that this was started from."""
    if os.environ.get("MAKELEVEL"):
        return "make dev"
    program = Path(sys.argv[0])
    on_path = shutil.which("airbyte-dagster")
    if program.name != "airbyte-dagster":
        command = shlex.join([sys.executable, "-m", "airbyte_dagster"])
    else:
        command = "airbyte-dagster" if on_path and Path(on_path).samefile(program) else shlex.quote(str(program))
    # The variable was set to this home meanwhile; the shell may have had another.
    return f"{command} dev --home {shlex.quote(str(home))}"


class _Dagster(ExitStack):
    """Dagster and its instance, loaded while something else starts: that takes a second or two."""

    instance: dg.DagsterInstance

    def load(self) -> None:
        """Import all that reads no environment, and open the instance; a new one's database is made."""
        from dagster import DagsterInstance  # noqa: PLC0415 - heavy

        from airbyte_dagster.runs.event_storage import open_connections  # noqa: PLC0415

        for module in ("pipelines.definitions", "pipelines.sync_sensor", "warehouse"):
            importlib.import_module(f"airbyte_dagster.{module}")
        self.instance = self.enter_context(DagsterInstance.get())
        _ = self.instance.run_storage
        self.enter_context(open_connections(self.instance))


#: As the web server of ``dev`` names it: the definitions of the module that it loads.
_REPOSITORY = "__repository__@airbyte_dagster.definitions"
_QUIET_CONSOLE = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _printer(progress: Progress) -> Callable[[Any], None]:
    """Return a listener of the run's events that prints the messages of this package, and failures."""

    def show(event: Any) -> None:
        dagster_event = event.dagster_event
        if dagster_event is None:
            line = event.user_message
            if line.startswith(_SKIPPED_STEP):
                return
            if _PROGRESS_LINE.match(line):
                progress.moving(line)
            elif event.level >= logging.WARNING:
                progress.warning(line)
            elif event.level >= logging.INFO:
                progress.step(line)
        elif dagster_event.is_step_failure and _error_name(dagster_event) != _INTERRUPTED:
            progress.error(_reason(dagster_event))

    return show


def _error_name(event: dg.DagsterEvent) -> str | None:
    error = event.step_failure_data.error
    return error.cls_name if error else None


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Dagster turns Ctrl-C and SIGTERM into an error of the step, and ends the run by itself."""
    return any(_error_name(event) == _INTERRUPTED for event in result.all_events if event.is_step_failure)


def _reason(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    failure = data.user_failure_data
    if failure and failure.description:
        return str(failure.description)
    # The step's own error wraps ours, which may have a less clear cause of its own.
    error = data.error.cause if data.error and data.error.cause else data.error
    if error is None:
        return "The step failed."
    return error.message.strip().removeprefix("airbyte_dagster.errors.").removeprefix(f"{error.cls_name}: ")


def _stream_results(result: dg.ExecuteInProcessResult) -> list[StreamResult]:
    checks = defaultdict(list)
    for evaluation in result.get_asset_check_evaluations():
        checks[evaluation.asset_key].append(evaluation)
    rows = []
    for event in result.get_asset_materialization_events():
        materialization = event.materialization
        values: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
        evaluations = checks[materialization.asset_key]
        rows.append(
            StreamResult(
                stream=materialization.asset_key.path[-1],
                reported=values.get("airbyte/rows_reported"),
                in_warehouse=values.get("dagster/row_count"),
                checks=tuple(CheckOutcome(it.check_name, it.passed, it.description) for it in evaluations),
                seconds=values.get("airbyte/duration_seconds"),
            )
        )
    return rows


def _preview(console: Console, warehouse: Warehouse, result: dg.ExecuteInProcessResult) -> None:
    from airbyte_dagster.errors import AirbyteDagsterError  # noqa: PLC0415
    from airbyte_dagster.warehouse.dialects import DUCKDB  # noqa: PLC0415

    names = [
        event.materialization.metadata["dagster/table_name"].value
        for event in result.get_asset_materialization_events()
        if "dagster/table_name" in event.materialization.metadata
    ]
    if not names:
        return
    name = str(names[0])
    try:
        with warehouse.session() as session:
            found = session.sample(f"SELECT * FROM {DUCKDB.name(*name.split('.'))}", 3)  # noqa: S608 - quoted
    except AirbyteDagsterError as error:
        console.print(f"No preview: {error}", highlight=False)
        return
    console.print(preview_table(name, list(found.columns), list(found.rows)))
