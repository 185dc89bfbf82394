"""The simulated Airbyte: calls in, answers out; nothing but the clock that it is given makes time pass."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.simulated_airbyte import calls
from benchmarks.simulated_airbyte.calls import Answer, Call, Handler
from benchmarks.simulated_airbyte.inventory import ConnectionRow, Inventory
from benchmarks.simulated_airbyte.jobs import JobRow
from benchmarks.simulated_airbyte.lists import BadQuery
from benchmarks.simulated_airbyte.views import Json, problem
from benchmarks.simulated_airbyte.world import World

_PUBLIC, _CONFIGURATION = "/api/public/v1", "/api/v1"
_OPEN_TO_ALL = ("/applications/token", "/health")


def _route(method: str, path: str, handler: Handler, *, base: str = _PUBLIC) -> tuple[str, re.Pattern[str], Handler]:
    name = f"{method} {path}" + (" of the configuration API" if base == _CONFIGURATION else "")
    pattern = re.escape(f"{method} {base}{path}").replace(r"\{id\}", "([^/]+)").replace(r"\{number\}", r"(\d+)")
    return name, re.compile(pattern), handler


_ROUTES = [
    _route("GET", "/jobs", calls.jobs),
    _route("GET", "/jobs/{number}", calls.job),
    _route("POST", "/jobs", calls.create_job),
    _route("DELETE", "/jobs/{number}", calls.cancel_job),
    _route("POST", "/applications/token", calls.token),
    _route("GET", "/health", calls.health),
    _route("GET", "/workspaces", calls.workspaces),
    _route("GET", "/workspaces/{id}", calls.workspace),
    _route("GET", "/connections", calls.connections),
    _route("GET", "/connections/{id}", calls.connection),
    _route("DELETE", "/connections/{id}", calls.delete_connection),
    _route("GET", "/sources", calls.actors("source")),
    _route("GET", "/sources/{id}", calls.actor("source")),
    _route("GET", "/destinations", calls.actors("destination")),
    _route("GET", "/destinations/{id}", calls.actor("destination")),
    _route("GET", "/streams", calls.streams),
    _route("POST", "/connections/get", calls.connection_with_catalog, base=_CONFIGURATION),
    _route("POST", "/jobs/get_without_logs", calls.job_with_stats, base=_CONFIGURATION),
    _route("POST", "/jobs/get_debug_info", calls.job_with_stats, base=_CONFIGURATION),
]


@dataclass(frozen=True)
class CallRecord:
    """A call that was answered: when (seconds since the epoch), and its route, such as ``GET /jobs/{number}``."""

    at: float
    route: str


class SimulatedAirbyte:
    """A workspace whose jobs go from pending over running to their end by the clock alone.

    Safe to use from several threads. `answer` and `accepts` are Airbyte; the rest is for those who set it up and look
    behind it.

    Args:
        connections: How many there are; see `inventory.connection_id` for their ids.
        streams: How many each has.
        job_seconds: From the making of a job to its end; a number, or by the connection's id.
        fails: Whether a new job will fail, by the connection's id and how many jobs it had before.
        written_late: By how many seconds the end of a job is shown late, by the job's id; see `JobRow`.
        clock: Seconds; only differences count.
        start: The time of making, in seconds since the epoch.
        token_seconds: How long a token lives.

    Attributes:
        records: All calls that were answered.
    """

    def __init__(
        self,
        connections: int = 1,
        streams: int = 1,
        *,
        job_seconds: float | Callable[[str], float] = 5.0,
        fails: Callable[[str, int], bool] = lambda _connection_id, _earlier: False,
        written_late: Callable[[int], float] = lambda _job_id: 0.0,
        clock: Callable[[], float],
        start: float = 1_800_000_000.0,
        token_seconds: float = 900.0,
    ) -> None:
        self.records: list[CallRecord] = []
        self._world = World(
            Inventory.of(connections, streams),
            job_seconds if callable(job_seconds) else lambda _connection_id: job_seconds,
            fails,
            written_late,
            token_seconds,
        )
        self._clock = clock
        self._offset = start - clock()
        self._later: list[tuple[float, Callable[[float], Answer]]] = []
        self._lock = threading.RLock()

    @property
    def now(self) -> float:
        """The time, in seconds since the epoch."""
        return self._clock() + self._offset

    # Airbyte

    def answer(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Answer a call; who sends it is not looked at, see `accepts`.

        Args:
            method: HTTP method.
            path: From ``/api`` on.
            query: Values of a repeated key are joined by commas.
            body: JSON.
        """
        with self._lock:
            self._do_what_is_due()
            return self._answer(self.now, method, path, query or {}, body)

    def accepts(self, path: str, authorization: str | None) -> bool:
        """Whether a call of a path may be answered that has this ``Authorization`` header."""
        if path.endswith(_OPEN_TO_ALL):
            return True
        with self._lock:
            return self._world.tokens.get((authorization or "").removeprefix("Bearer "), 0.0) > self.now

    # Behind it

    @property
    def jobs(self) -> list[JobRow]:
        """All jobs ever made, oldest first."""
        with self._lock:
            self._do_what_is_due()
            return list(self._world.jobs.rows)

    @property
    def connections(self) -> list[ConnectionRow]:
        """All connections, in the order of the list."""
        return list(self._world.inventory.connections)

    @property
    def calls(self) -> Counter[str]:
        """How many calls of each route were answered."""
        with self._lock:
            return Counter(record.route for record in self.records)

    def truth(self) -> list[Json]:
        """Return all jobs ever made as JSON; see `JobRow.truth`."""
        with self._lock:
            return [row.truth(self.now) for row in self.jobs]

    def answer_later(self, seconds: float, method: str, path: str, query: Mapping[str, str], body: Any) -> None:
        """Act on a call whose sender waits no more, so many seconds from now."""
        with self._lock:
            self._later.append((self.now + seconds, lambda now: self._answer(now, method, path, query, body)))

    def expire_tokens(self) -> None:
        """Refuse all tokens that were given."""
        with self._lock:
            self._world.tokens.clear()

    def shift(self, chance: random.Random) -> None:
        """Change the order of lists, as a database may between two pages."""
        with self._lock:
            self._world.shift(chance)

    def alter(self, connection_id: str, **fields: Any) -> None:
        """Set fields of a connection (see `ConnectionRow`).

        Raises:
            KeyError: There is no such connection, or field.
        """
        with self._lock:
            row = self._connection(connection_id)
            for name, value in fields.items():
                if name not in ConnectionRow.__dataclass_fields__:
                    raise KeyError(name)
                setattr(row, name, tuple(value) if isinstance(value, list) else value)

    def add(self, row: ConnectionRow) -> None:
        """Add a connection."""
        with self._lock:
            self._world.inventory.add(row)

    def delete(self, connection_id: str) -> None:
        """Delete a connection; what runs on it is cancelled.

        Raises:
            KeyError: There is no such connection.
        """
        with self._lock:
            self._world.delete(self._connection(connection_id), self.now)

    def _connection(self, connection_id: str) -> ConnectionRow:
        row = self._world.inventory.connection(connection_id)
        if row is None:
            raise KeyError(connection_id)
        return row

    def _do_what_is_due(self) -> None:
        now = self.now
        due = sorted((item for item in self._later if item[0] <= now), key=lambda item: item[0])
        self._later = [item for item in self._later if item[0] > now]
        for at, act in due:
            act(at)

    def _answer(self, now: float, method: str, path: str, query: Mapping[str, str], body: Any) -> Answer:
        for route, pattern, handler in _ROUTES:
            found = pattern.fullmatch(f"{method} {path}")
            if found:
                self.records.append(CallRecord(now, route))
                try:
                    return handler(self._world, Call(now, query, body or {}, "".join(found.groups())))
                except BadQuery as error:
                    return Answer(400, problem(400, "bad-request", {"message": str(error)}))
        self.records.append(CallRecord(now, "no route"))
        return Answer(404, "Object not found.")
