"""A simulated Airbyte of any size: a pure core with an injected clock, and two faces of it.

    clock = FakeClock()
    airbyte = SimulatedAirbyte(connections=1000, streams=10, job_seconds=60, clock=clock)
    transport = SimulatedTransport(airbyte, RandomFaults(seed=1, rate=0.1))      # in memory, with faults
    client = AirbyteClient(
        ClientSettings(SERVER_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET),
        transport=transport, clock=clock, sleep=clock.sleep,
    )
    client.create_job(connection_id(0), "sync")
    airbyte.truth()                                                              # all jobs ever made
    airbyte.calls                                                                # how many calls of each route

`process.running_simulation` has it as an HTTP server in a process of its own, with a latency for each request.
"""

from __future__ import annotations

from benchmarks.simulated_airbyte.calls import CLIENT_ID, CLIENT_SECRET, Answer
from benchmarks.simulated_airbyte.core import CallRecord, SimulatedAirbyte
from benchmarks.simulated_airbyte.faults import KINDS, Fault, RandomFaults
from benchmarks.simulated_airbyte.inventory import WORKSPACE_ID, WORKSPACE_NAME, ConnectionRow, connection_id
from benchmarks.simulated_airbyte.jobs import JobRow
from benchmarks.simulated_airbyte.transport import SERVER_URL, SimulatedTransport

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "KINDS",
    "SERVER_URL",
    "WORKSPACE_ID",
    "WORKSPACE_NAME",
    "Answer",
    "CallRecord",
    "ConnectionRow",
    "Fault",
    "JobRow",
    "RandomFaults",
    "SimulatedAirbyte",
    "SimulatedTransport",
    "connection_id",
]
