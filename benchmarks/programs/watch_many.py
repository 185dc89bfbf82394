"""Watch the syncs of many connections in memory, by a clock that only waiting moves: calls, minutes, CPU, memory.

Its arguments: the number of connections, the seconds of a job, and how many are on their way at once (0 for all).
Requests take 50 ms of that clock, and are sent one after another, so the minutes are more than they would be.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.sync.engine import SyncEngine
from airbyte_dagster_tests.clock import FakeClock
from benchmarks.programs.saying import say
from benchmarks.simulated_airbyte import (
    CLIENT_ID,
    CLIENT_SECRET,
    SERVER_URL,
    WORKSPACE_ID,
    SimulatedAirbyte,
    SimulatedTransport,
    connection_id,
)

_LATENCY = 0.05


class AtOnce(Executor):
    """Does what it is given when it is given it, so that there is one order of things."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised again where the result is asked for
            done.set_exception(error)
        return done


def main() -> None:
    """Watch, and print what it took."""
    connections, seconds, most = map(int, sys.argv[1:])
    clock = FakeClock()
    airbyte = SimulatedAirbyte(connections, 10, job_seconds=seconds, clock=clock)
    transport = SimulatedTransport(airbyte, latency=_LATENCY, sleep=clock.sleep)
    settings = ClientSettings(SERVER_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    client = AirbyteClient(settings, transport=transport, clock=clock, sleep=clock.sleep)

    def pause(longest: float, futures: Iterable[Future[Any]]) -> None:
        if not any(future.done() for future in futures):
            clock.sleep(longest)

    engine = SyncEngine(
        client,
        WORKSPACE_ID,
        max_concurrent=most or None,
        describe=lambda job: client.job_stream_stats(job.id),
        clock=clock,
        sleep=clock.sleep,
        pause=pause,
        executor=lambda _width: AtOnce(),
    )
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = clock()
    results = list(engine.run([connection_id(number) for number in range(connections)]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    late = [result.job.last_updated for result in results if result.job and result.job.last_updated]
    assert len(late) == len(airbyte.jobs) == connections
    say(
        {
            "succeeded": sum(result.error is None for result in results),
            "calls": transport.sent,
            "minutes": (clock() - began) / 60,
            "cpu": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
            "more_mb": (used.ru_maxrss - before.ru_maxrss) / 1024,
        }
    )


if __name__ == "__main__":
    main()
