"""Dagster's daemon and code server as processes, with an instance of their own, against local Airbyte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    SensorInstigatorData,
    TickStatus,
)

from airbyte_dagster.airbyte.records import Job
from airbyte_dagster_tests.conftest import client_of, resource_of
from airbyte_dagster_tests.daemon.definitions import Places, definitions_at, read_orders
from airbyte_dagster_tests.http_server import HttpServer
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte, ScriptedEngine, ScriptedRun, running_local_airbyte

_Found = TypeVar("_Found")

_REPOSITORY = Path(__file__).parents[2]
_CODE_SERVER = "airbyte_dagster_tests.daemon.code_server"
#: What Dagster knows the code server by.
LOCATION = "tests"
#: A schedule ticks once a minute, and the machine may be busy.
_PATIENCE = 300.0
_STOP_SECONDS = 15.0
_LINES_SHOWN = 60
_GENTLY = (signal.SIGTERM, signal.SIGKILL)

# The daemon looks for what is due every few seconds, by a constant of its own.
_INSTANCE = """
telemetry: {enabled: false}
sensors: {use_threads: true, num_workers: 4}
schedules: {use_threads: true, num_workers: 4}
"""


class HoldingEngine(ScriptedEngine):
    """A scripted engine that can hold the jobs of single connections."""

    def __init__(self) -> None:
        super().__init__()
        self._gates: dict[str, threading.Event] = {}
        self._starting = threading.Lock()

    def hold_connection(self, connection_id: str) -> None:
        """Make jobs of this connection that start from now on wait, as running, until `release_connection`."""
        self._gates[connection_id] = threading.Event()

    def release_connection(self, connection_id: str) -> None:
        """Let its jobs go on, and those that come."""
        self._gates.pop(connection_id).set()

    def start(self, request: Any) -> ScriptedRun:
        with self._starting:
            self._gate = self._gates.get(request.connection_id)
            return super().start(request)

    def close(self) -> None:
        for connection_id in list(self._gates):
            self.release_connection(connection_id)


class _Process:
    """A process in a group of its own, whose output goes into a file."""

    def __init__(self, log: Path, environment: dict[str, str], *arguments: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=environment,
                cwd=_REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self, *signals: signal.Signals) -> None:
        """End it with all that it has started."""
        for sign in signals:
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()


class DagsterProcesses:
    """A code server, and what else is started, as processes of one instance; and questions to it.

    Attributes:
        instance: The instance that they work on.

    Args:
        instance: In `home`.
        home: ``DAGSTER_HOME``, with a ``dagster.yaml``; logs and the socket of the code server go there, too.
        environment: Variables for all processes; of Airbyte's, MotherDuck's and Dagster's they have no others.
        module: What the code server loads.
    """

    def __init__(self, instance: dg.DagsterInstance, home: Path, environment: Mapping[str, str], module: str) -> None:
        self.instance = instance
        self._home = home
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRBYTE_", "MOTHERDUCK_", "DAGSTER_"))
        }
        self._environment = {**kept, **environment, "DAGSTER_HOME": str(home)}
        socket = home / "code.sock"
        workspace = {
            "load_from": [{"grpc_server": {"host": "localhost", "socket": str(socket), "location_name": LOCATION}}]
        }
        (home / "workspace.yaml").write_text(json.dumps(workspace))
        arguments = ["api", "grpc", "--socket", str(socket), "-m", module]
        self._running = {"code-server": self._start("code-server", _CODE_SERVER, *arguments)}

    # Processes

    def _start(self, name: str, *arguments: str) -> _Process:
        return _Process(self._home / f"{name}.log", self._environment, *arguments)

    def start_daemon(self) -> None:
        workspace = str(self._home / "workspace.yaml")
        self._running["daemon"] = self._start("daemon", "dagster._daemon", "run", "--workspace", workspace)

    def stop_daemon(self, *signals: signal.Signals) -> None:
        self._running.pop("daemon").stop(*(signals or _GENTLY))

    def stop(self) -> None:
        for process in reversed(self._running.values()):
            process.stop(*_GENTLY)

    def eventually(self, condition: Callable[[], _Found | None], what: str) -> _Found:
        """Ask again and again until the answer is truthy, and return it.

        Args:
            what: What is waited for, for the message if it never comes; the logs are in it, too.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = condition()
            if found:
                return found
            for name, process in self._running.items():
                assert process.exit_code is None, f"{name} has ended\n{self._logs()}"
            assert time.monotonic() < deadline, f"never came: {what}\n{self._logs()}"
            threading.Event().wait(0.1)

    def _logs(self) -> str:
        parts = []
        for path in sorted(self._home.glob("*.log")):
            parts += [f"--- {path.stem}", *path.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]]
        return "\n".join(parts)

    # Dagster

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """The runs of a job, oldest first."""
        return list(reversed(self.instance.get_runs(dg.RunsFilter(job_name=job))))

    def log_of(self, run: dg.DagsterRun) -> str:
        records = self.instance.get_records_for_run(run.run_id).records
        return "\n".join(record.event_log_entry.user_message for record in records)


class Stack(DagsterProcesses):
    """All of it, and questions to it.

    Attributes:
        airbyte: Local Airbyte, in this process.
        places: Where the tests meet the code server.
        prices: The web server of ``prices_url``.
    """

    def __init__(
        self, airbyte: RunningAirbyte, places: Places, prices: HttpServer, instance: dg.DagsterInstance, home: Path
    ) -> None:
        environment = {**airbyte.environment, **places.environment}
        super().__init__(instance, home, environment, "airbyte_dagster_tests.daemon.code_location")
        self.airbyte = airbyte
        self.engine: HoldingEngine = airbyte.engine
        self.places = places
        self.prices = prices

    def kill_daemon(self) -> None:
        """End it as a crash does, with no time for anything; but not on the way to launching a schedule's run.

        Nobody launches that again, and the tests of schedules, which other tests' crashes are not about, wait for it.
        """
        self.eventually(lambda: not self._launching_for_schedules(), "the start of the runs of schedules")
        self.stop_daemon(signal.SIGKILL)

    def _launching_for_schedules(self) -> bool:
        launching = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING]
        runs = self.instance.get_runs(dg.RunsFilter(statuses=launching))
        return any("dagster/schedule_name" in run.tags for run in runs)

    def run_that_succeeded(self, job: str, number: int = 1) -> dg.DagsterRun:
        """The n-th run of a job, once it has succeeded."""

        def succeeded() -> dg.DagsterRun | None:
            runs = self.runs(job)
            if len(runs) < number:
                return None
            run = runs[number - 1]
            assert not run.is_finished or run.is_success, f"{run.run_id} of {job} is {run.status}\n{self.log_of(run)}"
            return run if run.is_success else None

        return self.eventually(succeeded, f"run {number} of {job}")

    def state(self, name: str) -> InstigatorState:
        """The state of a schedule or sensor, once the daemon has made it."""

        def found() -> InstigatorState | None:
            return next((state for state in self.instance.all_instigator_state() if state.name == name), None)

        return self.eventually(found, f"the state of {name}")

    def rewind(self, name: str, cursor: str) -> None:
        """Give a sensor a cursor that it had before; the daemon must not be running."""
        state = self.state(name)
        assert isinstance(state.instigator_data, SensorInstigatorData)
        self.instance.update_instigator_state(state.with_data(state.instigator_data._replace(cursor=cursor)))

    def turn_off(self, name: str) -> None:
        self.instance.update_instigator_state(self.state(name).with_status(InstigatorStatus.STOPPED))

    def ticks(self, name: str, *, after: float = 0.0) -> Sequence[InstigatorTick]:
        """The ticks of a schedule or sensor that have ended, newest first."""
        state = self.state(name)
        ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, after=after)
        failed = [tick for tick in ticks if tick.status is TickStatus.FAILURE]
        assert not failed, failed[0].error
        return [tick for tick in ticks if tick.status in (TickStatus.SUCCESS, TickStatus.SKIPPED)]

    def skipped(self, name: str, reason: str, *, after: float = 0.0) -> InstigatorTick:
        """The newest tick that gave a reason with these words to do nothing, once there is one."""

        def found() -> InstigatorTick | None:
            ticks = self.ticks(name, after=after)
            return next((tick for tick in ticks if reason in (tick.skip_reason or "")), None)

        return self.eventually(found, f"a tick of {name} that says {reason!r}")

    # Airbyte

    def jobs(self, pipeline: str) -> list[Job]:
        """The jobs of a pipeline's connection in Airbyte, oldest first; their ids say so."""
        with client_of(self.airbyte) as client:
            ids = [item.id for item in client.connections(self.airbyte.workspace_id) if item.name == pipeline]
            return sorted((job for id_ in ids for job in client.jobs(id_)), key=lambda job: job.id)


@contextmanager
def running_stack(root: Path) -> Iterator[Stack]:
    """Start all of it; end it at the end of the block.

    The connections of ``busy`` and ``patient`` are made before, and each is held by a job of somebody else.
    """
    home = root / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(_INSTANCE)
    engine = HoldingEngine()
    engine.add("csv", lambda config: {"orders": read_orders(Path(config["path"]))})
    with ExitStack() as exits:
        prices = exits.enter_context(HttpServer())
        airbyte = exits.enter_context(running_local_airbyte(root / "airbyte", engine, workers=8))
        places = Places(airbyte.home.root, f"{prices.url}/prices.csv")
        instance = exits.enter_context(dg.DagsterInstance.from_config(str(home)))
        api = exits.enter_context(airbyte.api())
        for name in ("busy", "patient"):
            _hold(name, places, airbyte, instance, api)
        stack = Stack(airbyte, places, prices, instance, home)
        exits.callback(stack.stop)
        yield stack


def _hold(name: str, places: Places, airbyte: RunningAirbyte, instance: dg.DagsterInstance, api: Api) -> None:
    job = definitions_at(places, resource_of(airbyte)).resolve_job_def(f"provision_{name}")
    connection_id = job.execute_in_process(instance=instance).output_for_node("create_connection")
    airbyte.engine.hold_connection(connection_id)
    api.until(api.sync(connection_id), lambda found: bool(found["status"] == "running"))
