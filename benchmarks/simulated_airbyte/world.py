"""All that the simulated Airbyte has, and what happens in it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.simulated_airbyte.inventory import ConnectionRow, Inventory
from benchmarks.simulated_airbyte.jobs import JobBook, JobRow


@dataclass
class World:
    """The state; times in seconds since the epoch.

    Attributes:
        job_seconds: How long a new job takes, by the connection's id.
        fails: Whether a new job will fail, by the connection's id and how many jobs it had before.
        written_late: By how many seconds the end of a job is shown late, by the job's id.
        token_seconds: How long a token lives.
        tokens: Until when each is good.
        newest_tie_first: Which of two jobs of one instant is listed first.
    """

    inventory: Inventory
    job_seconds: Callable[[str], float]
    fails: Callable[[str, int], bool]
    written_late: Callable[[int], float]
    token_seconds: float
    jobs: JobBook = field(default_factory=JobBook)
    tokens: dict[str, float] = field(default_factory=dict)
    newest_tie_first: bool = False
    _tokens_made: int = 0

    def make_token(self, now: float) -> str:
        """Make a token that is unlike all before it."""
        self._tokens_made += 1
        token = f"token-{self._tokens_made}"
        self.tokens[token] = now + self.token_seconds
        return token

    def make_job(self, row: ConnectionRow, job_type: str, now: float) -> JobRow:
        """Make a job of a connection."""
        return self.jobs.add(
            row.id,
            job_type,
            row.streams,
            now,
            seconds=self.job_seconds(row.id),
            fails=self.fails(row.id, len(self.jobs.of(row.id))),
            written_late=self.written_late(len(self.jobs.rows) + 1),
        )

    def cancel(self, connection_id: str, now: float) -> None:
        """Cancel whatever runs on a connection."""
        active = self.jobs.active(connection_id, now)
        if active is not None:
            active.cancelled = now

    def delete(self, row: ConnectionRow, now: float) -> None:
        """Delete a connection, and cancel what runs on it."""
        row.status = "deprecated"
        self.cancel(row.id, now)

    def shift(self, chance: random.Random) -> None:
        """Move a row of each list to one of its ends, and turn ties round."""
        for rows in (self.inventory.connections, self.inventory.sources, self.inventory.destinations):
            moved: Any = rows.pop(chance.randrange(len(rows)))
            rows.insert(chance.choice((0, len(rows))), moved)
        self.newest_tie_first = not self.newest_tie_first
