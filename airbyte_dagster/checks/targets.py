"""The checks of assets, one by one, and how Dagster shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks import specs
from airbyte_dagster.checks.specs import Check
from airbyte_dagster.destinations.tables import TableRef

_RULES: dict[type[Check], str] = {
    specs.RowCount: "Rows in the warehouse against the records that Airbyte reports, by the stream's sync mode.",
    specs.MovedSomething: "The last sync brought records.",
    specs.UniqueKey: "No two rows have the same key.",
    specs.NotNull: "No nulls in the primary key and the declared columns.",
    specs.Fresh: "The newest row is no older than the declared window.",
    specs.Schema: "Columns are those of the last materialization: removed or retyped ones fail, added ones warn, "
    "and so do columns that have lost all their values.",
    specs.ValuesKept: "No row lists values that the destination had to null or cut.",
    specs.ExpectedRange: "The number of rows lies within the declared bounds.",
    specs.CustomSQL: "The declared query returns no rows.",
}


@dataclass(frozen=True)
class CheckedAsset:
    """What checks need to know of an asset.

    Attributes:
        streams: That it stands for; empty where that is known only from its last job.
        checks: Its checks.
        table_ref: Tells where the table of a stream is.
        connection: Whatever is the same for the assets of one connection.
        streams_of_connection: How many the connection has; ``None`` if those of the last job are all.
        fields: Those that the source has of each stream; nothing where they are not known.
    """

    key: dg.AssetKey
    streams: tuple[records.Stream, ...]
    checks: specs.Checks
    table_ref: Callable[[records.Stream], TableRef]
    connection: str
    streams_of_connection: int | None
    fields: Mapping[StreamKey, Sequence[str]] = field(default_factory=dict)

    def fields_of(self, stream: records.Stream) -> tuple[str, ...]:
        """Return the fields that a stream brings; none if they are not known."""
        known = records.of_stream(stream.key, self.fields) or ()
        return tuple(name for name in known if not stream.selected_fields or name in stream.selected_fields)


@dataclass(frozen=True)
class CheckTarget:
    """One check of one asset."""

    asset: CheckedAsset
    name: str
    check: Check

    @property
    def key(self) -> dg.AssetCheckKey:
        """The asset's key and the check's name."""
        return dg.AssetCheckKey(self.asset.key, self.name)

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """How Dagster shows it."""
        return dg.AssetCheckSpec(
            self.name,
            asset=self.asset.key,
            blocking=self.check.blocking,
            description=_described(self.check),
        )


def checks_of(assets: Sequence[CheckedAsset]) -> list[CheckTarget]:
    """Return the checks of some assets, one by one."""
    return [CheckTarget(asset, name, check) for asset in assets for name, check in asset.checks.named()]


def _described(check: Check) -> str:
    settings = check.model_dump(mode="json", exclude_defaults=True, exclude={"blocking", "severity", "samples"})
    told = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"{_RULES[type(check)]}{f' ({told})' if told else ''}"
