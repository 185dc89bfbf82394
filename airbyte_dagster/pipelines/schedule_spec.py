"""What a user declares of a schedule."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from airbyte_dagster.declaration import Declaration

#: Ticks that are looked at for the longest time between two: more than a month of hourly ones.
_TICKS = 800


class Schedule(Declaration):
    """When Dagster syncs a pipeline.

    Args:
        cron: Five fields, ``"0 6 * * *"``, or ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``.
        timezone: IANA name, such as ``"Europe/Berlin"``; UTC by default.
        on_running: What a tick does while the connection still syncs: ``skip`` (default) says so and does nothing,
            ``wait`` starts a run with `OnRunning` ``wait``: it waits for that sync to end and then starts its own. At
            most one run waits. A tick has no job to attach to, and to fail it would say no more than ``skip``.
        running: Whether the schedule is on from the start; by default it is to be turned on in Dagster.
    """

    cron: str = Field(description="Five fields, such as 0 6 * * *, or @hourly, @daily, @weekly, @monthly.")
    timezone: str = Field(default="UTC", description="IANA name, such as Europe/Berlin.")
    on_running: Literal["skip", "wait"] = Field(
        default="skip",
        description="What a tick does while the connection still syncs: nothing, or start a run that waits.",
    )
    running: bool = Field(default=False, description="Whether the schedule is on from the start.")

    @model_validator(mode="after")
    def _is_known_to_dagster(self) -> Schedule:
        import dagster as dg  # noqa: PLC0415 - heavy, and needed only where a schedule is declared

        try:
            dg.ScheduleDefinition("check", cron_schedule=self.cron, execution_timezone=self.timezone, job_name="check")
        except dg.DagsterInvalidDefinitionError:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"timezone: {self.timezone!r} is no time zone, such as Europe/Berlin") from None
            raise ValueError(
                f"cron: {self.cron!r} is no cron expression of five fields ('0 6 * * *'), nor @hourly, @daily, …"
            ) from None
        return self

    def longest_gap(self) -> dt.timedelta:
        """Return the longest time between two ticks, of the next ones."""
        from dagster._utils.schedules import schedule_execution_time_iterator  # noqa: PLC0415 - heavy

        start = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc).timestamp()
        ticks = list(
            itertools.islice(schedule_execution_time_iterator(start, self.cron, self.timezone, ascending=True), _TICKS)
        )
        return max(later - earlier for earlier, later in itertools.pairwise(ticks))


def as_schedule(value: Any) -> Any:
    """Take a cron expression for a schedule, as people write it."""
    return {"cron": value} if isinstance(value, str) else value
