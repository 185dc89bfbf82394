"""Many syncs against a simulated Airbyte, in virtual time and one thread: the same seed gives the same course."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Literal

import httpx

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.airbyte.records import JobType
from airbyte_dagster.sync.checkpoints import Checkpoint
from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster.sync.results import SyncResult
from airbyte_dagster.sync.settings import SyncSettings
from airbyte_dagster_tests.clock import FakeClock
from benchmarks.simulated_airbyte import (
    CLIENT_ID,
    CLIENT_SECRET,
    SERVER_URL,
    WORKSPACE_ID,
    Fault,
    JobRow,
    SimulatedAirbyte,
    SimulatedTransport,
    connection_id,
)
from benchmarks.simulated_airbyte.faults import Faults

#: How long runs may take, in virtual time: one that would wait for ever fails.
MOST_SECONDS = 20_000.0
_worlds = itertools.count()


class Killed(BaseException):
    """The process is gone: nothing that it would do happens any more."""


class DyingTransport(httpx.BaseTransport):
    """A transport of a process that dies at one of its requests, before or after the server has seen it.

    Args:
        beneath: The transport.
        last: After how many requests; never if it is ``None``.
        has_acted: Whether the server still acts on the last one.
    """

    def __init__(self, beneath: httpx.BaseTransport, last: int | None = None, *, has_acted: bool = False) -> None:
        self._beneath = beneath
        self._left = last
        self._has_acted = has_acted
        self.is_dead = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_dead:
            raise Killed
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.is_dead = True
                if self._has_acted:
                    with contextlib.suppress(httpx.HTTPError):
                        self._beneath.handle_request(request)
                raise Killed
        return self._beneath.handle_request(request)


class Inline(Executor):
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as a pool's threads do
            future.set_exception(error)
        return future


class Store:
    """Checkpoints that outlive the process, if it lives when it writes them.

    Attributes:
        kept: By connection.
        writes: How many there were.
        failing: Called before each write with what is to be written; raises, if it is to fail.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Checkpoint] = {}
        self.writes = 0
        self.is_dead: Callable[[], bool] = lambda: False
        self.failing: Callable[[Mapping[str, Checkpoint]], None] = lambda _checkpoints: None

    def load(self, connection_ids: Collection[str]) -> Mapping[str, Checkpoint]:
        return {key: self.kept[key] for key in connection_ids if key in self.kept}

    def save(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        if self.is_dead():
            raise Killed
        self.failing(checkpoints)
        self.writes += 1
        self.kept.update(checkpoints)


class World:
    """A simulated Airbyte, and runs of many syncs of it.

    Attributes:
        store: Of the run and those that resume it.
    """

    def __init__(self, connections: int, **simulation: Any) -> None:
        # Tokens are shared within the process, by server: no other world's are to be at hand.
        self.server_url = SERVER_URL.replace("airbyte.test", f"airbyte-{next(_worlds)}.test")
        self.clock = FakeClock()
        self._began = self.clock()
        self.airbyte = SimulatedAirbyte(connections, clock=self.clock, **simulation)
        self.ids = [connection_id(number) for number in range(connections)]
        self.store = Store()
        self.warnings: list[str] = []
        self.lines: list[str] = []

    def client(self, transport: httpx.BaseTransport | None = None) -> AirbyteClient:
        return AirbyteClient(
            ClientSettings(
                self.server_url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, workspace_id=WORKSPACE_ID
            ),
            transport=transport or SimulatedTransport(self.airbyte),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def _pause(self, seconds: float, _futures: object) -> None:
        assert self.clock() - self._began < MOST_SECONDS, "a run that does not end"
        # A loop takes some time, even if there is nothing to wait for.
        self.clock.sleep(max(seconds, 0.01))

    def engine(
        self, transport: httpx.BaseTransport | None = None, settings: SyncSettings | None = None, **options: Any
    ) -> SyncEngine:
        """An engine in one thread and virtual time."""
        return SyncEngine(
            self.client(transport),
            WORKSPACE_ID,
            settings or SyncSettings(),
            self.store,
            **{
                "clock": self.clock,
                "now": lambda: self.airbyte.now,
                "sleep": self.clock.sleep,
                "pause": self._pause,
                "executor": lambda _width: Inline(),
                "warn": self.warnings.append,
                "log": self.lines.append,
                **options,
            },
        )

    def run(
        self,
        ids: Sequence[str] | None = None,
        job_type: JobType = "sync",
        until: Literal["ended", "started"] = "ended",
        **options: Any,
    ) -> dict[str, SyncResult]:
        """Run to the end, and return the results, which are one for each."""
        results = list(self.engine(**options).run(self.ids if ids is None else ids, job_type, until=until))
        assert len({result.connection_id for result in results}) == len(results)
        return {result.connection_id: result for result in results}

    def run_one(self, job_type: JobType = "sync", **options: Any) -> SyncResult:
        """Run the first connection to the end."""
        [result] = self.run(self.ids[:1], job_type, **options).values()
        return result

    def transport(self, *faults: Faults) -> SimulatedTransport:
        """A transport on which the first fault that anybody wants happens."""

        def fault(method: str, path: str) -> Fault | None:
            return next((found for wanted in faults if (found := wanted(method, path)) is not None), None)

        return SimulatedTransport(self.airbyte, fault)

    def statuses(self) -> list[str]:
        """The statuses of all jobs, oldest first."""
        return [job.status(self.airbyte.now) for job in self.airbyte.jobs]

    def jobs_of(self) -> Mapping[str, list[JobRow]]:
        """All jobs that were ever made, by connection, oldest first."""
        found = defaultdict(list)
        for job in self.airbyte.jobs:
            found[job.connection_id].append(job)
        return found

    @property
    def calls(self) -> Counter[str]:
        return self.airbyte.calls

    def start_elsewhere(self, *ids: str) -> None:
        """Start syncs as Airbyte's own schedule does."""
        client = self.client()
        for wanted in ids:
            client.create_job(wanted, "sync")


def a_seed(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret depends on it


class OddTransport(httpx.BaseTransport):
    """Puts answers of its own in the place of the server's.

    Args:
        beneath: Answers everything else.
        answer: Returns an answer to a request, or nothing.
    """

    def __init__(self, beneath: httpx.BaseTransport, answer: Callable[[httpx.Request], httpx.Response | None]) -> None:
        self._beneath = beneath
        self._answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(request)
        return self._beneath.handle_request(request) if answer is None else answer


def is_post(method: str, path: str) -> bool:
    """Whether a call requests a job."""
    return method == "POST" and path.endswith("public/v1/jobs")


def once(fault: Fault, when: Callable[[str, str], bool] = is_post) -> Faults:
    """A fault at the first call of a kind."""
    left = [fault]
    return lambda method, path: left.pop() if left and when(method, path) else None
