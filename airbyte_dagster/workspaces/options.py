"""What is to be made of a workspace, once it was read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import dagster as dg

from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources import AirbyteResource, AnyWarehouse
from airbyte_dagster.runs.keys import asset_key_part
from airbyte_dagster.runs.sync_op import Execute, OpSettings, Wait, utc_now
from airbyte_dagster.workspaces.selector import Selector
from airbyte_dagster.workspaces.translator import AirbyteTranslator


@dataclass(frozen=True)
class WorkspaceOptions:
    """Arguments of `build_workspace_defs`, which describes them; `op` is of each op, `now` returns the time.

    Raises:
        ConfigurationError: Some contradict each other, or one is not valid.
    """

    airbyte: AirbyteResource | None
    connection_selector: Selector | None = None
    translator: AirbyteTranslator | None = None
    warehouse: AnyWarehouse | str | None = None
    checks: Checks | Mapping[str, Any] | Literal["strict"] | None = None
    name: str = "workspace"
    max_concurrent_syncs: int | None = None
    wait: Wait = "inline"
    sync_sensor: bool | None = None
    poll_interval_seconds: int | None = None
    one_op_per_connection: bool = False
    pool: str | None = None
    execute: Execute | None = None
    op: OpSettings = field(default_factory=OpSettings)
    executor: dg.ExecutorDefinition | None = None
    airbyte_key: str = "airbyte"
    warehouse_key: str = "motherduck"
    now: Callable[[], dt.datetime] = utc_now

    def __post_init__(self) -> None:
        if self.wait not in get_args(Wait):
            raise ConfigurationError(f"wait is {self.wait!r}: it is one of {', '.join(get_args(Wait))}.")
        if self.wait == "deferred" and self.sync_sensor is False:
            raise ConfigurationError(
                "Nothing would record that deferred syncs have ended.",
                guidance="Leave sync_sensor out, or say wait='inline'.",
            )
        if self.max_concurrent_syncs is not None and self.max_concurrent_syncs < 1:
            raise ConfigurationError(f"max_concurrent_syncs is {self.max_concurrent_syncs}: at least 1 is needed.")
        if self.checks is not None and self.warehouse is None:
            raise ConfigurationError(
                "There are checks, but no warehouse to look into.", guidance="Give warehouse, too."
            )
        if asset_key_part(self.name) != self.name:
            raise ConfigurationError(f"name is {self.name!r}: Dagster takes letters, digits and underscores alone.")

    @cached_property
    def checks_of_each(self) -> Checks:
        """The checks of a stream, read."""
        return Checks.of(self.checks)

    @property
    def is_deferred(self) -> bool:
        """Whether runs end before their syncs do."""
        return self.wait == "deferred"

    @property
    def has_sensor(self) -> bool:
        """Whether a sensor records syncs."""
        return self.is_deferred or bool(self.sync_sensor)
