"""Time that passes only when somebody waits."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """A monotonic clock and the sleep that moves it.

    Attributes:
        waits: Every wait so far, in seconds.
        on_sleep: Called after each wait with the new time.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.on_sleep: Callable[[float], None] = lambda _now: None

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.waits.append(seconds)
        self.now += seconds
        self.on_sleep(self.now)
