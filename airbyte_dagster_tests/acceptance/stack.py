"""Dagster's webserver, code server and daemon against Airbyte; what users do goes through GraphQL, as in the UI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import httpx
import psutil

from airbyte_dagster import AirbyteResource
from airbyte_dagster_tests.acceptance.airbyte import Airbyte, running_airbyte
from airbyte_dagster_tests.acceptance.definitions import (
    WORKSPACES,
    connections_of,
    definitions_of_pipeline,
    warehouse_of,
)
from airbyte_dagster_tests.daemon.stack import LOCATION, DagsterProcesses
from airbyte_dagster_tests.ui.dagster_process import free_port

# Runs start where they are launched, so that no daemon is needed to take them from a queue.
_INSTANCE = """
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
run_retries: {enabled: true, max_retries: 0}
concurrency: {pools: {granularity: op}}
sensors: {use_threads: true, num_workers: 4}
"""

_OUTCOME = """
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
"""
_LAUNCH = f"mutation($params: ExecutionParams!) {{ launchRun(executionParams: $params) {{ {_OUTCOME} }} }}"
_REEXECUTE = (
    f"mutation($params: ReexecutionParams!) {{ launchRunReexecution(reexecutionParams: $params) {{ {_OUTCOME} }} }}"
)
_TERMINATE = "mutation($run: String!) { terminateRun(runId: $run) { __typename ... on Error { message } } }"
_LIMIT = "mutation($pool: String!, $limit: Int!) { setConcurrencyLimit(concurrencyKey: $pool, limit: $limit) }"
_BLOCKED = """query($pool: String!) { instance {
    concurrencyLimit(concurrencyKey: $pool) { pendingSteps { runId assignedTimestamp } } } }"""
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
    __typename ... on PythonError { message } } } } } }"""

Strategy = Literal["ALL_STEPS", "FROM_FAILURE"]


class DagsterStack(DagsterProcesses):
    """All of it, and what users do with it.

    Attributes:
        airbyte: What the runs sync with.
    """

    def __init__(self, airbyte: Airbyte, instance: dg.DagsterInstance, home: Path) -> None:
        super().__init__(instance, home, airbyte.environment, "airbyte_dagster_tests.acceptance.code_location")
        self.airbyte = airbyte
        self._port = free_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=300)

    def start_webserver(self) -> None:
        """Start it, and wait until it has loaded the code location."""
        self.eventually((self._home / "code.sock").exists, "the code server")
        workspace = str(self._home / "workspace.yaml")
        arguments = ["-w", workspace, "-h", "127.0.0.1", "-p", str(self._port)]
        self._running["webserver"] = self._start("webserver", "dagster_webserver", *arguments)
        self.eventually(self._has_loaded, "the webserver")

    def _has_loaded(self) -> bool:
        try:
            (entry,) = self.graphql(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (httpx.TransportError, ValueError):  # an error page, while it starts
            return False
        found = entry["locationOrLoadError"]
        assert found is None or found["__typename"] == "RepositoryLocation", found
        return bool(entry["loadStatus"] == "LOADED" and found)

    def stop(self) -> None:
        self._client.close()
        super().stop()

    # What users do

    def graphql(self, query: str, **variables: Any) -> Any:
        """Send a query; its data."""
        answer = self._client.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(
        self,
        job: str,
        *,
        assets: Sequence[str] | None = None,
        checks: Sequence[tuple[str, str]] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> dg.DagsterRun:
        """Launch a job.

        Args:
            job: Its name.
            assets: A part of it, such as ``shop/users``.
            checks: A part of its checks, by asset and name.
            tags: Of the run.
        """
        selector: dict[str, Any] = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets is not None:
            selector["assetSelection"] = [{"path": asset.split("/")} for asset in assets]
        if checks is not None:
            selector["assetCheckSelection"] = [
                {"assetKey": {"path": asset.split("/")}, "name": name} for asset, name in checks
            ]
        metadata = {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]}
        params = {"selector": selector, "mode": "default", "executionMetadata": metadata}
        return self._launched(self.graphql(_LAUNCH, params=params)["launchRun"])

    def reexecute(self, run: dg.DagsterRun, strategy: Strategy) -> dg.DagsterRun:
        """Re-execute a run."""
        params = {"parentRunId": run.run_id, "strategy": strategy}
        return self._launched(self.graphql(_REEXECUTE, params=params)["launchRunReexecution"])

    def _launched(self, outcome: Mapping[str, Any]) -> dg.DagsterRun:
        assert outcome["__typename"] == "LaunchRunSuccess", outcome
        return self.run(outcome["run"]["runId"])

    def terminate(self, run: dg.DagsterRun) -> None:
        """Terminate a run."""
        outcome = self.graphql(_TERMINATE, run=run.run_id)["terminateRun"]
        assert outcome["__typename"] == "TerminateRunSuccess", outcome

    def limit_pool(self, pool: str, limit: int) -> None:
        """Give a pool slots."""
        assert self.graphql(_LIMIT, pool=pool, limit=limit)["setConcurrencyLimit"]

    def blocked_steps(self, run: dg.DagsterRun, pool: str) -> int:
        """How many steps of a run wait for a slot of a pool."""
        steps = self.graphql(_BLOCKED, pool=pool)["instance"]["concurrencyLimit"]["pendingSteps"]
        return sum(step["runId"] == run.run_id and step["assignedTimestamp"] is None for step in steps)

    # What came of it

    def run(self, run_id: str) -> dg.DagsterRun:
        """A run as it is now."""
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def wait_for(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run, when it has ended."""
        return self.eventually(lambda: found if (found := self.run(run.run_id)).is_finished else None, "the run's end")

    def retry_of(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run that the daemon launches after a failed one, when it has ended."""
        retries = dg.RunsFilter(tags={"dagster/parent_run_id": run.run_id})
        return self.wait_for(self.eventually(lambda: self.instance.get_runs(retries), "a retry")[0])

    def succeed(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run, when it has ended well."""
        return self._ended(run, dg.DagsterRunStatus.SUCCESS)

    def fail(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run, when it has failed."""
        return self._ended(run, dg.DagsterRunStatus.FAILURE)

    def be_canceled(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """The run, when it has been terminated."""
        return self._ended(run, dg.DagsterRunStatus.CANCELED)

    def _ended(self, run: dg.DagsterRun, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        ended = self.wait_for(run)
        assert ended.status is status, f"{ended.job_name} is {ended.status}\n{self.log_of(ended)}"
        return ended

    def _events(self, run: dg.DagsterRun, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        entries = self.instance.all_logs(run.run_id, of_type=kind)
        return [entry.dagster_event for entry in entries if entry.dagster_event]

    def materialized(self, run: dg.DagsterRun) -> dict[str, Mapping[str, Any]]:
        """Metadata of the assets that a run has materialized, by key; each once."""
        events = self._events(run, dg.DagsterEventType.ASSET_MATERIALIZATION)
        found = [event.step_materialization_data.materialization for event in events]
        assert len({item.asset_key for item in found}) == len(found)
        return {item.asset_key.to_user_string(): _values(item.metadata) for item in found}

    def checked(self, run: dg.DagsterRun, name: str = "row_count") -> dict[str, dg.AssetCheckEvaluation]:
        """What a check of this name found in a run, by asset."""
        events = self._events(run, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        found = [event.asset_check_evaluation_data for event in events]
        return {item.asset_key.to_user_string(): item for item in found if item.check_name == name}

    def passed(self, run: dg.DagsterRun, name: str = "row_count") -> dict[str, bool]:
        """Whether a check of this name passed in a run, by asset."""
        return {asset: found.passed for asset, found in self.checked(run, name).items()}

    def job_of_check(self, run: dg.DagsterRun, asset: str) -> Any:
        """The job that the count of an asset's rows in a run is about."""
        return _values(self.checked(run)[asset].metadata)["airbyte/job_id"]

    def errors_of(self, run: dg.DagsterRun) -> str:
        """Why the steps of a run failed."""
        events = self._events(run, dg.DagsterEventType.STEP_FAILURE)
        return "\n".join(str(event.step_failure_data) for event in events)

    def kill(self, run: dg.DagsterRun) -> None:
        """Kill the process of a run with all that it has started, as the end of a container does."""
        messages = [event.message or "" for event in self._events(run, dg.DagsterEventType.ENGINE_EVENT)]
        started = re.search(r"Started process for run \(pid: (\d+)\)", "\n".join(messages))
        assert started, messages
        process = psutil.Process(int(started[1]))
        for one in (process, *process.children(recursive=True)):
            one.kill()

    # Airbyte

    def warehouse(self, name: str) -> str:
        """The DuckDB file of a scenario."""
        return str(warehouse_of(name, self.airbyte.server.home.root))

    def provision(self, name: str) -> None:
        """Make the connection of a pipeline."""
        airbyte = AirbyteResource(
            server_url=self.airbyte.server.server_url,
            client_id=self.airbyte.server.client_id,
            client_secret=self.airbyte.server.client_secret,
        )
        defs = definitions_of_pipeline(name, self.airbyte.server.home.root, airbyte)
        assert defs.resolve_job_def(f"provision_{name}").execute_in_process(instance=self.instance).success

    def wait_for_jobs(self, run: dg.DagsterRun, *names: str) -> None:
        """Wait until each of some connections has a job that runs, and the run has asked for jobs since, or is over."""
        ids = {self.airbyte.id_of(name) for name in names}
        self.until_over(run, lambda: self.airbyte.engine.running(ids) == ids, f"jobs of {', '.join(names)}")
        self.wait_for_questions(run, 2)

    def wait_for_questions(self, run: dg.DagsterRun, more: int) -> None:
        """Wait until Airbyte was asked for jobs so many times from now on, or the run is over."""
        wanted = self.airbyte.ingress.questions_about_jobs() + more
        self.until_over(run, lambda: self.airbyte.ingress.questions_about_jobs() >= wanted, "requests for jobs")

    def until_over(self, run: dg.DagsterRun, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition, or for the end of a run that should have brought it about."""
        self.eventually(lambda: condition() or self.run(run.run_id).is_finished, what)


def _values(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    """The values of some metadata; the id of the job as the number that it is."""
    values = {name: value.value for name, value in metadata.items()}
    return {name: int(str(value)) if name == "airbyte/job_id" else value for name, value in values.items()}


@contextmanager
def running_stack(root: Path) -> Iterator[DagsterStack]:
    """Start all but the daemon, with the connections of the workspaces; end it at the end of the block."""
    home = root / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(_INSTANCE)
    with running_airbyte(root / "airbyte") as airbyte, dg.DagsterInstance.from_config(str(home)) as instance:
        for name in WORKSPACES:
            _connect(airbyte, name)
        stack = DagsterStack(airbyte, instance, home)
        try:
            stack.start_webserver()
            yield stack
        finally:
            stack.stop()


def _connect(airbyte: Airbyte, name: str) -> None:
    scenario = WORKSPACES[name]
    source = airbyte.api.source(scenario.source)
    home = airbyte.server.home.root
    for connection in connections_of(name):
        destination = airbyte.api.destination(str(warehouse_of(name, home / connection)))
        airbyte.ids[connection] = airbyte.api.connection(
            source,
            destination,
            [dict(stream) for stream in scenario.streams],
            name=connection,
            prefix=f"{connection}_",
            namespaceDefinition=scenario.namespace_definition,
        )
