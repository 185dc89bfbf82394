"""Where Airbyte's destinations put a stream, and what Dagster calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airbyte_dagster.airbyte.records import Stream

MOTHERDUCK_PREFIXES = ("md:", "motherduck:")

#: Columns of a key, by the names that the stream has for them.
Key = tuple[str, ...]

_DEFAULT_SCHEMAS = {"postgres": "public"}
_DUCKDB_SCHEMA = "main"
#: Destinations that lower-case the names of tables, see `TablePlaces.ref`.
_NORMALISING = frozenset({"duckdb", "motherduck"})


@dataclass(frozen=True)
class TableRef:
    """Where a stream's table is expected, and what to measure of it besides its rows.

    Attributes:
        schema: Schema, compared without case.
        names: Names that the destination may have given it, best first, compared without case.
        keys: Keys whose distinct values are to be counted.
        not_null: Columns whose nulls are to be counted.
        newest: A date or timestamp whose largest value is wanted.
    """

    schema: str
    names: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    not_null: tuple[str, ...] = ()
    newest: str | None = None


class NamedStream(Protocol):
    """What a table is named after: a `records.Stream`, or another record of a stream."""

    @property
    def name(self) -> str:
        """As the source names it."""

    @property
    def namespace(self) -> str | None:
        """As the source names it."""


@dataclass(frozen=True)
class TablePlaces:
    """Where a destination puts the streams of a connection.

    Attributes:
        prefix: Put before each stream's name.
        schema: Of the destination, where the namespace decides nothing.
        namespace_definition: ``destination``, ``source`` or ``custom_format``.
        namespace_format: Of the last.
    """

    prefix: str
    schema: str
    namespace_definition: str
    namespace_format: str | None

    def ref(self, stream: NamedStream) -> TableRef:
        """Return where the table of a stream is expected.

        Some destinations lower-case names and put ``_`` for what is no letter or digit; others keep them. So the plain
        name comes first, then the normalised one, then the table of raw records that Airbyte's destination-duckdb
        writes (``DestinationDuckdb.write``).
        """
        name = f"{self.prefix}{stream.name}"
        names = tuple(dict.fromkeys((name, normalised(name), f"_airbyte_raw_{name}")))
        return TableRef(self._schema_of(stream.namespace), names)

    def _schema_of(self, namespace: str | None) -> str:
        if self.namespace_definition == "source":
            return namespace or self.schema
        if self.namespace_definition == "custom_format" and self.namespace_format:
            return self.namespace_format.replace("${SOURCE_NAMESPACE}", namespace or "") or self.schema
        return self.schema


def default_schema(destination_type: str, configured: str | None) -> str:
    """Return the schema that a destination writes to.

    Args:
        destination_type: Airbyte's ``destinationType``.
        configured: Its own setting, if it has one.
    """
    return configured or _DEFAULT_SCHEMAS.get(destination_type, _DUCKDB_SCHEMA)


def table_name(ref: TableRef, destination_type: str) -> str:
    """Return ``schema.table`` as it is shown before the table is there.

    Args:
        ref: Where it is expected.
        destination_type: Airbyte's ``destinationType``.
    """
    name = normalised(ref.names[0]) if destination_type in _NORMALISING else ref.names[0]
    return f"{ref.schema}.{name}"


def writes_to_motherduck(destination_type: str, destination_path: object) -> bool:
    """Whether a destination of this type and with this path writes to MotherDuck."""
    is_its_path = isinstance(destination_path, str) and destination_path.startswith(MOTHERDUCK_PREFIXES)
    return destination_type == "motherduck" or is_its_path


def key_columns(stream: Stream) -> tuple[str, ...]:
    """Return the columns of the primary key; none if a part of it lies within a column."""
    paths = stream.primary_key
    return tuple(path[0] for path in paths) if all(len(path) == 1 for path in paths) else ()


def normalised(name: str) -> str:
    """Lower-case, with ``_`` for everything that is no letter, digit or underscore."""
    return "".join(char if char in _KEPT else "_" for char in name.lower())


_KEPT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
