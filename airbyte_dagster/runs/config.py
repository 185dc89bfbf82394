"""What one run can be told about its syncs: by its config, and by what has triggered it."""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

import dagster as dg
from pydantic import Field

from airbyte_dagster.sync.settings import SyncSettings

#: Run tag that says for one run what `SyncSettings.on_running` is.
ON_RUNNING_TAG = "airbyte_dagster/on_running"
_AUTOMATION_TAG = "dagster/from_automation_condition"


class OnRunning(Enum):
    """What to do if the connection syncs already; Dagster's launchpad offers these."""

    attach = "attach"
    fail = "fail"
    wait = "wait"


class SyncConfig(dg.Config):
    """Configuration of a sync, for one run."""

    on_running: OnRunning | None = Field(
        default=None,
        description="If the connection syncs already: watch that job (attach), fail, or wait and start another. "
        "What the resource says, if left out.",
    )
    sync_timeout: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which the job is cancelled. What the resource says, if left out.",
    )

    def over(self, settings: SyncSettings) -> SyncSettings:
        """Return the settings of the resource with what is said here in their place."""
        return replace(
            settings,
            on_running=self.on_running.value if self.on_running else settings.on_running,
            timeout=self.sync_timeout or settings.timeout,
        )


def triggered(settings: SyncSettings, tags: Mapping[str, str]) -> SyncSettings:
    """Return the settings of a run that something new upstream asked for.

    A sync that began before the change brings what was there before it: such a run waits for it and starts its own.
    """
    said = tags.get(ON_RUNNING_TAG) or ("wait" if _AUTOMATION_TAG in tags else None)
    if settings.on_running != "attach" or said not in ("attach", "fail", "wait"):
        return settings
    return replace(settings, on_running=OnRunning(said).value)
