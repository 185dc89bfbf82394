"""A connection in Dagster, as far as checks see it: syncs are counted, recorded and checked as a run does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg
import pytest

from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.checks.evaluation import Evaluation
from airbyte_dagster.checks.specs import Checks
from airbyte_dagster.checks.targets import checks_of
from airbyte_dagster.destinations.tables import TablePlaces
from airbyte_dagster.pipelines.spec import Connection
from airbyte_dagster.runs.events import InstanceHistory, emptied
from airbyte_dagster.runs.recording import Recorder, SyncedConnection, checked_asset
from airbyte_dagster.runs.reported import needs_count, nothing_reported, reported_stats, rows_before
from airbyte_dagster.runs.targets import AssetTarget
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster_tests.proof.writer import Outcome, SourceStream, Writer

LINKS = Links("https://airbyte.test/api/public/v1", "w")


@dataclass
class Watched:
    """The assets of a connection.

    Attributes:
        checks: Of each stream.
        seen: All results so far, as ``STREAM:CHECK`` and the result.
    """

    instance: dg.DagsterInstance
    writer: Writer
    streams: Sequence[SourceStream]
    checks: Mapping[StreamKey, Checks]
    seen: list[tuple[str, dg.AssetCheckResult]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.warehouse = DuckDBWarehouse(str(self.writer.database))

    @property
    def targets(self) -> list[AssetTarget]:
        """The assets, with the streams as the connection has them now."""
        known = [source.stream for source in self.streams]
        places = TablePlaces.of("duckdb", {}, Connection(name="c"), known)
        return [
            AssetTarget(dg.AssetKey(["a", str(number)]), (stream,), {stream.key: places.ref(stream)})
            for number, stream in enumerate(known)
        ]

    def count(self) -> dict[StreamKey, int]:
        """Count the rows before a sync, of the streams whose rule needs it."""
        refs = {
            stream.key: target.tables[stream.key]
            for target in self.targets
            for stream in target.streams
            if needs_count(stream)
        }
        return rows_before(self.warehouse, refs, warn=pytest.fail) if refs else {}

    def record(self, outcome: Outcome, before: Mapping[StreamKey, int]) -> dict[str, dg.AssetCheckResult]:
        """Record and check what a sync brought; of one that failed, the complete streams."""
        targets = self.targets
        if outcome.job.status == "failed":
            targets = [target for target in targets if target.streams[0].key in outcome.complete]
        if not targets:
            return {}
        by_key = {target.key: self.checks[target.streams[0].key] for target in targets}
        recorder = Recorder(
            self.warehouse,
            InstanceHistory(self.instance),
            LINKS,
            set(by_key),
            {dg.AssetCheckKey(key, name) for key, checks in by_key.items() for name, _ in checks.named()},
            by_key.__getitem__,
            pytest.fail,
            lambda: self.writer.now,
        )
        part = SyncedConnection("c", "C", len(self.streams), tuple(targets), outcome.job, outcome.details, before)
        ((_, events),) = recorder.events([part])
        found: list[dg.AssetCheckResult] = []
        for event in events:
            result = cast("dg.MaterializeResult[Any]", event)
            assert result.asset_key is not None
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(result.asset_key, metadata=result.metadata)
            )
            found += result.check_results or ()
        return self._noted(found)

    def record_reset(self, outcome: Outcome) -> None:
        """Record that the tables were emptied."""
        for target in self.targets:
            nothing = nothing_reported(target.streams)
            reports = reported_stats(target.streams, nothing, dict.fromkeys(nothing, 0))
            self.instance.report_runless_asset_event(emptied(target.key, reports, outcome.job, LINKS))

    def look(self) -> dict[str, dg.AssetCheckResult]:
        """Evaluate all checks by themselves."""
        checked = [
            checked_asset(target, self.checks[target.streams[0].key], "c", len(self.streams)) for target in self.targets
        ]
        evaluation = Evaluation(InstanceHistory(self.instance), checks_of(checked), self.writer.now)
        return self._noted(list(evaluation.run(self.warehouse)))

    def _noted(self, results: Sequence[dg.AssetCheckResult]) -> dict[str, dg.AssetCheckResult]:
        names = {target.key: target.streams[0].name for target in self.targets}
        found = {
            f"{names[result.asset_key]}:{result.check_name}": result for result in results if result.asset_key in names
        }
        self.seen += found.items()
        return found


def red(results: Mapping[str, dg.AssetCheckResult]) -> dict[str, str]:
    """The checks that failed as errors, with what they say."""
    return {
        name: str(result.description)
        for name, result in results.items()
        if not result.passed and result.severity is dg.AssetCheckSeverity.ERROR
    }


def green(results: Mapping[str, dg.AssetCheckResult]) -> set[str]:
    """The checks that passed."""
    return {name for name, result in results.items() if result.passed}
