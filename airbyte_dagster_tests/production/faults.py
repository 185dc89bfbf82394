"""What goes wrong with hosts, at moments that a seed decides; and what people do about it."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import dagster as dg
import httpx

from airbyte_dagster_tests.production.deployment import Deployment, LaunchRefused
from airbyte_dagster_tests.production.ledger import Request, last_run, launch
from airbyte_dagster_tests.production.network import Host, eventually

_Done = TypeVar("_Done")

#: Runs that a code server has, and takes with it.
_WITH_A_PROCESS = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]

_REEXECUTE = """
mutation Reexecute($params: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
_MARK_AS_CANCELED = """
mutation Mark($id: String!) {
  terminateRun(runId: $id, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename }
}
"""


def kill_a_run(deployment: Deployment, chance: random.Random) -> str:
    """SIGKILL the process of a run, if there is one."""
    host = deployment.code["shop"]
    runs = [pid for pid, command in host.processes().items() if _is_run(command)]
    if not runs:
        return "no run to kill"
    pid = chance.choice(runs)
    host.kill(pid)
    return f"killed the process {pid} of a run"


def _is_run(command: Sequence[str]) -> bool:
    return any("spawn_main" in part for part in command)


def crash_the_code_server(deployment: Deployment, _chance: random.Random) -> str:
    """Crash the host of the code server, with its runs, and boot it; then do what is left to people.

    Nobody but people can say that runs of Dagster's default launcher are dead with their host.
    """
    dead = [run.run_id for run in deployment.instance.get_runs(dg.RunsFilter(statuses=_WITH_A_PROCESS))]
    deployment.code["shop"].reboot()
    deployment.start_code("shop")
    deployment.wait_for_code("shop")
    resumed = [resume(deployment, run_id) for run_id in dead if not deployment.run(run_id).is_finished]
    return f"crashed the code server; resumed {len(resumed)} runs"


def resume(deployment: Deployment, run_id: str) -> str:
    """What a person does about a dead run: mark it as cancelled, and re-execute it from its failure."""

    def marked() -> bool:
        if not deployment.run(run_id).is_finished:
            deployment.graphql(_MARK_AS_CANCELED, id=run_id)
        return deployment.run(run_id).is_finished

    def reexecuted() -> str | None:
        children = deployment.instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
        if children:
            return children[0].run_id
        params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        launched = deployment.graphql(_REEXECUTE, params=params)["launchRunReexecution"]
        if launched["__typename"] == "InvalidSubsetError":
            raise LaunchRefused(launched)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    eventually(_patiently(marked), f"{run_id} is marked as cancelled", 120, 1.0)
    return eventually(_patiently(reexecuted), f"{run_id} is re-executed", 120, 1.0)


def _patiently(act: Callable[[], _Done]) -> Callable[[], _Done | None]:
    """Take an error of the web server for no answer: its connections to the database may have been cut."""

    def tried() -> _Done | None:
        try:
            return act()
        except (httpx.HTTPError, LaunchRefused):
            return None

    return tried


def crash_the_daemon(deployment: Deployment, _chance: random.Random) -> str:
    """Crash the daemon's host, and boot it."""
    deployment.daemon.reboot()
    deployment.start_daemon()
    return "crashed the daemon"


def crash_the_database(deployment: Deployment, _chance: random.Random) -> str:
    """Crash Dagster's PostgreSQL, and start it on what is on its disk."""
    deployment.database.reboot()
    deployment.start_postgres(deployment.database)
    return "crashed PostgreSQL"


def cut_off(deployment: Deployment, chance: random.Random) -> tuple[Host, str]:
    """Take one of the hosts off the network."""
    hosts = [deployment.code["shop"], deployment.daemon, deployment.airbyte, deployment.warehouse]
    host = chance.choice(hosts)
    host.cut_off()
    return host, f"cut off {host.name}"


CRASHES: dict[str, Callable[[Deployment, random.Random], str]] = {
    "run": kill_a_run,
    "code server": crash_the_code_server,
    "daemon": crash_the_daemon,
    "database": crash_the_database,
}


def errors_of(deployment: Deployment, run_id: str) -> list[str]:
    """Why the steps of a run failed: the innermost cause of each, on one line."""
    found = []
    for entry in deployment.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        error = entry.get_dagster_event().step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            found.append(f"{error.cls_name}: {' '.join(error.message.split())[:200]}")
    return found


@dataclass
class Chaos:
    """Launches requests, a few at a time, and has a fault or two hit each at a moment that the seed decides.

    Args:
        deployment: Where.
        seed: Decides all but how long things take.
        groups: Connections of each request that may be under way at once.
        say: Takes a line for people.

    Attributes:
        requests: All so far.
        faults: How many were planned.
        by_hand: How many runs somebody had to re-execute, since Dagster retries none after a code server was away.
    """

    deployment: Deployment
    seed: int
    groups: Sequence[tuple[int, ...]]
    say: Callable[[str], None] = print
    requests: list[Request] = field(default_factory=list)
    faults: int = 0
    by_hand: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free = list(self.groups)
        self._under_way: list[Request] = []
        self._cut_off = 0
        self._began = time.monotonic()

    def run(self, schedules: int, seconds: float) -> None:
        """Run so many schedules, or as many as are begun within these seconds, and wait for the end of all.

        A schedule is a request, and what is to go wrong after it.
        """
        while True:
            self._do_what_is_due()
            self._collect()
            is_over = len(self.requests) >= schedules or time.monotonic() - self._began > seconds
            if is_over and not self._under_way and not self._due:
                return
            assert time.monotonic() - self._began < seconds + 600, self._unfinished()
            if not is_over and self._free and self._is_whole:
                self._begin()
            time.sleep(0.2)

    @property
    def _is_whole(self) -> bool:
        """Whether no host is cut off: people wait for that, and this loop, which ends it, must not wait for people."""
        return not self._cut_off

    def _unfinished(self) -> str:
        return "\n".join(
            f"{request.name} has not ended: {self.deployment.run(request.run_id).status}\n"
            f"{self.deployment.log_of(request.run_id)}"
            for request in self._under_way
        )

    def _begin(self) -> None:
        group = self._free.pop(0)
        name = f"schedule {len(self.requests)}"
        began = time.monotonic()
        request = launch(self.deployment, "shop", group, name)
        self._tell(f"{name} is {request.run_id}, launched in {time.monotonic() - began:.1f} s")
        self.requests.append(request)
        self._under_way.append(request)
        for _ in range(self._chance.choice((1, 1, 2))):
            kind = self._chance.choice((*CRASHES, "run", "cut"))
            self._plan(self._chance.uniform(0, 12), kind)

    def _plan(self, delay: float, kind: str) -> None:
        self.faults += 1
        chance = random.Random(self._chance.random())
        self._at(delay, lambda: self._cut(chance) if kind == "cut" else self._crash(kind, chance))

    def _crash(self, kind: str, chance: random.Random) -> None:
        self._tell(CRASHES[kind](self.deployment, chance))

    def _cut(self, chance: random.Random) -> None:
        host, text = cut_off(self.deployment, chance)
        self._tell(text)
        self._cut_off += 1
        self._at(chance.uniform(3, 15), lambda: self._reconnect(host))

    def _reconnect(self, host: Host) -> None:
        host.reconnect()
        self._cut_off -= 1

    def _at(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), action))

    def _do_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            began = time.monotonic()
            heapq.heappop(self._due)[2]()
            if (took := time.monotonic() - began) > 5:
                self._tell(f"… that took {took:.0f} s")

    def _tell(self, text: str) -> None:
        self.say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def _collect(self) -> None:
        for request in list(self._under_way):
            newest = last_run(self.deployment, request)
            if newest is not None and newest.is_success:
                self._under_way.remove(request)
                self._free.append(request.connections)
            elif newest is not None and self._is_whole:
                self._by_hand(newest)

    def _by_hand(self, run: dg.DagsterRun) -> None:
        """Do what a person does about a run that has failed and that Dagster does not retry."""
        reason = run.tags.get("dagster/failure_reason", "no reason")
        self._tell(f"{run.run_id} is {run.status.value} for {reason}; re-executed from its failure by hand")
        for error in errors_of(self.deployment, run.run_id):
            self._tell(f"… {error}")
        self.by_hand += 1
        assert self.by_hand <= 3 * len(self.requests), self._unfinished()
        resume(self.deployment, run.run_id)
