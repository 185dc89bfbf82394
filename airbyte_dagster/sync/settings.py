"""How syncs are run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

#: What to do if a connection has an active sync: watch it (``attach``), raise (``fail``), or start our own once it has
#: ended (``wait``).
OnRunning: TypeAlias = Literal["attach", "fail", "wait"]


@dataclass(frozen=True)
class SyncSettings:
    """How to run a job; times in seconds.

    Attributes:
        timeout: After this the job is cancelled and `SyncTimedOut` raised. ``None`` (default) waits for ever.
        poll_ceiling: Longest wait between two polls. The wait is a twentieth of the job's age, at least 0.4 s.
        poll_failure_tolerance: For how long in a row polling may fail, with whatever answer, before the job is given
            up as unknown.
        on_running: What to do if the connection has an active sync.
        cancel_on_timeout: Whether a timeout cancels the job, if this run started it.
        cancel_on_termination: Whether terminating the run cancels the jobs that it started.
    """

    timeout: float | None = None
    poll_ceiling: float = 10.0
    poll_failure_tolerance: float = 300.0
    on_running: OnRunning = "attach"
    cancel_on_timeout: bool = True
    cancel_on_termination: bool = True


class SyncSlots(Protocol):
    """Slots that syncs of several runs share, such as those of a Dagster pool; called from one thread."""

    def acquire(self, connection_id: str) -> bool:
        """Take a slot for a connection's sync, without waiting.

        Called again about every second, for the same connection, until it returns true.
        """

    def release(self, connection_id: str) -> None:
        """Give the slot of a connection back, or its place in the queue if it was never given one."""
