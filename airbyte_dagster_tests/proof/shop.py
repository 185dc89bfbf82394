"""What is lost in the tests of losses: orders and refunds, which local Airbyte has brought in each sync mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import dagster as dg

from airbyte_dagster import Checks
from airbyte_dagster_tests.proof.source import SourceStream
from airbyte_dagster_tests.proof.world import Place, World, red

ROWS = 20
OVERWRITE, APPEND, ADD, MERGE = (
    "full_refresh_overwrite",
    "full_refresh_append",
    "incremental_append",
    "incremental_deduped_history",
)
MODES = (OVERWRITE, APPEND, ADD, MERGE)
APPENDING = (APPEND, ADD)


def of_all(*checks: str, but: Mapping[str, set[str]] | None = None) -> dict[str, set[str]]:
    """What is red in each sync mode: the same checks, with the exceptions that are given."""
    return {mode: set(checks) for mode in MODES} | dict(but or {})


def checks_of(stream: SourceStream) -> Checks:
    """All there are; one that holds values to the stream that they are of."""
    query = f"SELECT * FROM {{table}} WHERE value NOT LIKE '{stream.name} %'"  # noqa: S608
    declared = {"preset": "strict", "fresh": {"within": "12h"}, "expected_range": {"max": 1000}}
    return Checks.of({**declared, "values_kept": {"severity": "error"}, "sql": {"values_are_of_their_stream": query}})


class Shop:
    """Orders and refunds in each sync mode, synced some times, and checked.

    Attributes:
        first: The checks right after the last of these syncs.
    """

    def __init__(self, make: Callable[..., World], place: Place, *, syncs: int = 2) -> None:
        self.streams = {
            (name, mode): SourceStream(
                f"{name}_{mode}",
                mode,
                fields={"value": {"type": ["null", "string"]}, "amount": {"type": "integer"}},
                primary_key=["number"],
            )
            for mode in MODES
            for name in ("orders", "refunds")
        }
        self.add(ROWS)
        checks = {stream.key: checks_of(stream) for stream in self.streams.values()}
        self.world = make(f"shop_{place.configuration['destinationType']}", list(self.streams.values()), checks, place)
        self.first = self.world.sync()
        for _ in range(syncs - 1):
            self.add(ROWS)
            self.world.script()
            self.first = self.world.sync()

    def add(self, rows: int) -> None:
        """Put further rows into the source."""
        for (name, mode), stream in self.streams.items():
            for number in range(len(stream.rows), len(stream.rows) + rows):
                stream.put(number, "a", value=f"{name}_{mode} {number}", amount=number)

    def sync(self) -> dict[str, set[str]]:
        """Sync once more; what is red."""
        self.world.script()
        return by_mode(red(self.world.sync()))

    def found(self) -> dict[str, set[str]]:
        """What is red by now."""
        return by_mode(red(self.world.look()))

    def look(self) -> dict[str, dg.AssetCheckEvaluation]:
        """All checks."""
        return self.world.look()


def by_mode(checks: Iterable[str]) -> dict[str, set[str]]:
    """Checks as ``orders:NAME``, by sync mode."""
    found: dict[str, set[str]] = {mode: set() for mode in MODES}
    for name in checks:
        stream, check = name.split(":")
        kind, mode = stream.split("_", 1)
        found[mode].add(f"{kind}:{check}")
    return found
