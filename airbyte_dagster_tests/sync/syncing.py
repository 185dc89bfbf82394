"""Many syncs against a simulated Airbyte, in virtual time and one thread: the same seed gives the same course."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import httpx

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.sync.many import ManySyncs, Outcome
from airbyte_dagster.sync.runner import JobNote, SyncSettings
from airbyte_dagster_tests.clock import FakeClock
from benchmarks.simulated_airbyte import (
    CLIENT_ID,
    CLIENT_SECRET,
    SERVER_URL,
    WORKSPACE_ID,
    JobRow,
    SimulatedAirbyte,
    SimulatedTransport,
    connection_id,
)

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


class Memory:
    """Notes that outlive the process, if it lives when it writes them."""

    def __init__(self) -> None:
        self.notes: dict[str, JobNote] = {}
        self.writes = 0
        self.is_dead: Callable[[], bool] = lambda: False

    def recall(self, connection_id: str) -> JobNote | None:
        return self.notes.get(connection_id)

    def note_all(self, notes: Mapping[str, JobNote]) -> None:
        if self.is_dead():
            raise Killed
        self.writes += 1
        self.notes.update(notes)

    def forget(self, connection_id: str) -> None:
        """As a run does once it has told of the connection."""
        if not self.is_dead():
            self.notes.pop(connection_id, None)


class World:
    """A simulated Airbyte, and runs of many syncs of it.

    Attributes:
        memory: Of the run and those that retry it.
        requests: How many were sent in all.
    """

    def __init__(self, connections: int, **simulation: Any) -> None:
        # Tokens are shared within the process, by server: no other world's are to be at hand.
        self.server_url = SERVER_URL.replace("airbyte.test", f"airbyte-{next(_worlds)}.test")
        self.clock = FakeClock()
        self.airbyte = SimulatedAirbyte(connections, clock=self.clock, **simulation)
        self.ids = [connection_id(number) for number in range(connections)]
        self.memory = Memory()
        self.warnings: list[str] = []

    def client(self, transport: httpx.BaseTransport | None = None) -> AirbyteClient:
        return AirbyteClient(
            ClientSettings(
                self.server_url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, workspace_id=WORKSPACE_ID
            ),
            transport=transport or SimulatedTransport(self.airbyte),
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def syncs(
        self, transport: httpx.BaseTransport | None = None, settings: SyncSettings | None = None, **options: Any
    ) -> ManySyncs:
        """Many syncs in one thread and virtual time."""
        return ManySyncs(
            self.client(transport),
            WORKSPACE_ID,
            settings or SyncSettings(),
            self.memory,
            **{
                "clock": self.clock,
                "now": lambda: self.airbyte.now,
                "sleep": self.clock.sleep,
                # A loop takes some time, even if there is nothing to wait for.
                "pause": lambda seconds, _futures: self.clock.sleep(max(seconds, 0.01)),
                "executor": Inline,
                "warn": self.warnings.append,
                **options,
            },
        )

    def run(self, ids: Sequence[str] | None = None, **options: Any) -> dict[str, Outcome]:
        """Run to the end, and return the outcomes, which are one for each."""
        outcomes = list(self.syncs(**options).run(self.ids if ids is None else ids))
        assert len({outcome.connection_id for outcome in outcomes}) == len(outcomes)
        return {outcome.connection_id: outcome for outcome in outcomes}

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
