"""The program of the host ``airbyte``: the simulated Airbyte on all addresses, whose syncs write to a real warehouse.

A job succeeds once its rows are committed there, and not before. Below ``/simulation`` are the truth, and what goes
wrong on the way to the clients.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from typing import Any

import psycopg
from aiohttp import web
from psycopg import sql

from benchmarks.simulated_airbyte.core import SimulatedAirbyte
from benchmarks.simulated_airbyte.faults import STATUS, RandomFaults
from benchmarks.simulated_airbyte.inventory import COLUMNS, ConnectionRow
from benchmarks.simulated_airbyte.jobs import JobRow
from benchmarks.simulated_airbyte.server import Server
from benchmarks.simulated_airbyte.views import ROWS

PORT = 8001
_LOOK_SECONDS = 0.1


class FaultyServer(Server):
    """A server some of whose answers don't arrive, as on a bad network."""

    def __init__(self, airbyte: SimulatedAirbyte, latency: float) -> None:
        super().__init__(airbyte, latency)
        self._faults = RandomFaults(0, 0.0)

    def application(self) -> web.Application:
        application = super().application()
        application.router.add_post("/simulation/faults", self._set_faults)
        return application

    async def _set_faults(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self._faults = RandomFaults(wanted["seed"], wanted["rate"], tuple(wanted["kinds"]))
        return web.Response(status=204)

    async def _call(self, request: web.Request) -> web.Response:
        fault = self._faults(request.method, request.path)
        if fault is None:
            return await super()._call(request)
        if fault.kind == "answer_lost" or fault.has_acted:
            await super()._call(request)
        if fault.kind in STATUS:
            return web.json_response({"message": "The gateway says no."}, status=STATUS[fault.kind])
        assert request.transport is not None
        request.transport.abort()
        return web.Response(status=500)


class Writer:
    """Does the work of the jobs: writes each stream's rows, and then has the job end.

    Args:
        seconds: How long a job takes at least.
        warehouse: libpq's address.
    """

    def __init__(self, airbyte: SimulatedAirbyte, seconds: float, warehouse: str) -> None:
        self._airbyte = airbyte
        self._seconds = seconds
        self._warehouse = warehouse
        self._done: set[int] = set()

    async def work(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._warehouse, connect_timeout=5) as connection:
                    while True:
                        for job in self._due():
                            await self._write(connection, job)
                            job.ends = self._airbyte.now
                            self._done.add(job.id)
                        await asyncio.sleep(_LOOK_SECONDS)
            except psycopg.OperationalError as error:
                print(f"the warehouse: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(1)

    def _due(self) -> list[JobRow]:
        now = self._airbyte.now
        return [
            job
            for job in self._airbyte.jobs
            if job.id not in self._done and job.cancelled is None and now >= job.created + self._seconds
        ]

    async def _write(self, connection: psycopg.AsyncConnection[Any], job: JobRow) -> None:
        row = next(item for item in self._airbyte.connections if item.id == job.connection_id)
        async with connection.transaction():
            for stream in job.streams:
                for statement in _statements(f"{row.prefix}{stream}"):
                    await connection.execute(statement)


def _statements(table: str) -> list[sql.Composed]:
    name = sql.Identifier(table)
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(column)) for column in COLUMNS)
    values = sql.SQL(", ").join([sql.SQL("n::text")] * len(COLUMNS))
    own = "_airbyte_raw_id text, _airbyte_extracted_at timestamptz, _airbyte_meta jsonb, _airbyte_generation_id bigint"
    return [
        sql.SQL("CREATE TABLE IF NOT EXISTS {} ({}, {})").format(name, columns, sql.SQL(own)),
        sql.SQL("TRUNCATE {}").format(name),
        sql.SQL("INSERT INTO {} SELECT {}, n::text, now(), '{{}}', 0 FROM generate_series(1, {}) n").format(
            name, values, sql.Literal(ROWS)
        ),
    ]


def prepare(airbyte: SimulatedAirbyte, tags: dict[str, int], warehouse: dict[str, str]) -> None:
    """Give the first connections the first tag, and so on, and let all write to one PostgreSQL."""
    rows = iter(airbyte.connections)
    for tag, count in tags.items():
        for _ in range(count):
            row: ConnectionRow = next(rows)
            row.tags, row.name = (tag,), f"{tag} {int(row.id[-12:])}"
    for destination in airbyte._world.inventory.destinations:
        destination.type = "postgres"
        destination.configuration = {"schema": "public", "port": 5432, **warehouse}


async def _serve(options: dict[str, Any]) -> None:
    tags = options["tags"]
    airbyte = SimulatedAirbyte(
        sum(tags.values()),
        options["streams"],
        job_seconds=math.inf,
        clock=time.monotonic,
        start=time.time(),
        token_seconds=options.get("token_seconds", 900.0),
    )
    warehouse = options["warehouse"]
    prepare(airbyte, tags, {key: warehouse[key] for key in ("host", "database", "username")})
    application = FaultyServer(airbyte, options["latency"]).application()
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", PORT, backlog=1024).start()
    address = {"dbname": warehouse["database"], "user": warehouse["username"], "password": warehouse["password"]}
    await Writer(
        airbyte, options["job_seconds"], psycopg.conninfo.make_conninfo(host=warehouse["host"], **address)
    ).work()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
