"""What every warehouse can do, however it is reached. Others may implement it, too."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from airbyte_dagster.destinations.tables import Place, TableRef
from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse.tables import FoundTable, Inspection, Sample, Table

_Name = TypeVar("_Name", bound=Hashable)


class QueryFailed(WarehouseError):
    """The warehouse refused a query that a user wrote, or took too long for it."""


class WarehouseSession(Protocol):
    """An open warehouse. Derive from it: what is not abstract rests on what is.

    Every method raises `WarehouseError`, with one plain sentence and no secret, if nothing can be asked any more.
    """

    @abstractmethod
    def find(self, places: Collection[Place]) -> Sequence[FoundTable]:
        """Return the tables and views at some places, with their columns; schemas and names compared without case.

        It may return others, too. A table that is there, but may not be read, is one of them.
        """

    @abstractmethod
    def measure(self, wanted: Mapping[_Name, tuple[FoundTable, TableRef]]) -> Mapping[_Name, Table | str]:
        """Return what each reference asks of its table; why not, where that can't be measured.

        Columns are found as `Table` says; what is asked of one that is not there is left out. Two values of a key are
        one only if their bytes are.
        """

    @abstractmethod
    def sample(self, query: str, limit: int) -> Sample:
        """Return the first rows of a query that a user wrote.

        Raises:
            QueryFailed: It is wrong, names what is not there, or takes too long.
        """

    def count(self, query: str) -> int:
        """Return how many rows a query returns.

        Raises:
            QueryFailed: As `sample`.
        """
        counted = f"SELECT count(*) AS n FROM (\n{query.strip().rstrip(';')}\n) AS violations"  # noqa: S608 - the user's
        return int(self.sample(counted, 1).rows[0][0])

    def changes(self, table: Table, limit: int) -> list[tuple[str, int]]:  # noqa: ARG002
        """Return what `META` says of rows with changed values, and of how many rows, the most frequent first."""
        return []

    def stop(self) -> None:
        """End early what runs, from another thread, if that can be done."""
        return

    def inspect(self, refs: Mapping[_Name, TableRef]) -> Inspection[_Name]:
        """Return the table of each reference; one that can't be measured stops no other."""
        tables = _Tables(self.find({place for ref in refs.values() for place in (*ref.places, *ref.shared)}))
        unknown: dict[_Name, str] = {}
        wanted: dict[_Name, tuple[FoundTable, TableRef]] = {}
        for name, ref in refs.items():
            found = tables.of(ref)
            if isinstance(found, str):
                unknown[name] = found
            elif found is not None:
                wanted[name] = (found, ref)
        measured = self.measure(wanted) if wanted else {}
        unknown |= {name: table for name, table in measured.items() if isinstance(table, str)}
        known = {name: table for name, table in measured.items() if isinstance(table, Table)}
        return Inspection({name: known.get(name) for name in refs}, unknown)


class Warehouse(Protocol):
    """A database that checks look into.

    Attributes:
        database: What it is called, for people.
    """

    database: str

    @abstractmethod
    def session(self) -> AbstractContextManager[WarehouseSession]:
        """Open the warehouse for several questions, read-only where that can be; closed at the end of the block.

        Raises:
            WarehouseError: It can't be opened, or fails while it is asked; one plain sentence without secrets.
            ConfigurationError: A setting or a package is missing.
        """

    def inspect(self, refs: Mapping[_Name, TableRef]) -> Inspection[_Name]:
        """Open the warehouse for one question: the table of each reference; see `WarehouseSession.inspect`.

        Raises:
            WarehouseError: As `session`.
        """
        if not refs:
            return Inspection({})
        with self.session() as session:
            return session.inspect(refs)


class _Tables:
    """The tables that are there, by their places with case and without."""

    def __init__(self, found: Sequence[FoundTable]) -> None:
        self._exact = {table.place: table for table in found}
        self._folded: dict[Place, list[FoundTable]] = defaultdict(list)
        for table in found:
            self._folded[table.place.folded].append(table)

    def of(self, ref: TableRef) -> FoundTable | str | None:
        """Return the table of a reference; why it can't be told which it is; or ``None`` if there is none."""
        if ref.unknown:
            return ref.unknown
        others = {place.folded for place in ref.shared}
        for place in ref.places:
            if place in self._exact:
                return self._exact[place]
            alike = self._folded.get(place.folded, []) if place.folded not in others else []
            if len(alike) > 1:
                return f"{' and '.join(str(table.place) for table in alike)} differ by case alone"
            if alike:
                return alike[0]
        theirs = next((place for place in ref.shared if place.folded in self._folded), None)
        return f"{theirs} may be the table of another stream of the connection" if theirs else None
