"""Where the table of a stream may be, and which streams of a connection fall into one table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol

from airbyte_dagster.destinations.kinds import CUSTOM, DestinationKind, kind_of
from airbyte_dagster.destinations.names import Normaliser

#: Columns of a key, by the names that the stream has for them.
Key = tuple[str, ...]


class Place(NamedTuple):
    """Where a table is within a database."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def folded(self) -> Place:
        """The same without case."""
        return Place(self.schema.casefold(), self.table.casefold())


@dataclass(frozen=True)
class TableRef:
    """Where a stream's table is expected, and what to measure of it besides its rows.

    Attributes:
        places: Where it may be, best first; compared with case, then without.
        shared: Where it may be as well, but so may the table of another stream of the connection: if there is a table
            there and none at `places`, it can't be told whose it is.
        unknown: Why nothing can be looked for.
        keys: Keys whose distinct values are to be counted.
        not_null: Columns whose nulls are to be counted.
        newest: A date or timestamp whose largest value is wanted.
        values: Whether the values of each column are to be counted.
        changes: Whether rows are to be counted whose ``_airbyte_meta`` lists changed values.
        generations: Whether the least and largest ``_airbyte_generation_id`` are wanted.
    """

    places: tuple[Place, ...]
    shared: tuple[Place, ...] = ()
    unknown: str | None = None
    keys: tuple[Key, ...] = ()
    not_null: tuple[str, ...] = ()
    newest: str | None = None
    values: bool = False
    changes: bool = False
    generations: bool = False


class NamedStream(Protocol):
    """What a table is named after."""

    @property
    def name(self) -> str:
        """As the source names it."""

    @property
    def namespace(self) -> str | None:
        """As the source names it."""


class NamespaceSettings(Protocol):
    """What a connection says about names: Airbyte's ``prefix``, ``namespaceDefinition`` and ``namespaceFormat``."""

    @property
    def prefix(self) -> str:
        """Put before each stream's name."""

    @property
    def namespace_definition(self) -> str:
        """``destination``, ``source`` or ``custom_format``."""

    @property
    def namespace_format(self) -> str | None:
        """Of ``custom_format``: text with ``${SOURCE_NAMESPACE}`` in it."""


class KeyedStream(Protocol):
    """What has a primary key."""

    @property
    def primary_key(self) -> tuple[tuple[str, ...], ...]:
        """One path for each part."""


#: How many of what may be thousands are named in a warning.
_MOST_NAMED = 5


class Collision(NamedTuple):
    """Streams that a destination writes into one table.

    Attributes:
        writers: The streams, each with its connection: no check of that table says anything about one of them.
    """

    place: Place
    writers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place} is written by {_enumerated(self.writers, ' and ')}"


def collisions_warning(found: Sequence[Collision]) -> str:
    """Say which tables several streams are written to, the first of them by name."""
    shared = _enumerated([str(collision) for collision in found], "; ")
    return f"Several streams have one table, which no check can tell apart: {shared}."


def _enumerated(items: Sequence[str], separator: str) -> str:
    more = f" and {len(items) - _MOST_NAMED:,} more" if len(items) > _MOST_NAMED else ""
    return separator.join(items[:_MOST_NAMED]) + more


@dataclass(frozen=True)
class TablePlaces:
    """Where a destination puts the streams of a connection.

    Attributes:
        destination_type: Airbyte's ``destinationType``; ``""`` for a connector of one's own.
        configured_schema: ``schema`` of its configuration, if it has one.
        connection: How the connection names what it writes.
        streams: Namespace and name of its streams, as far as they are known; what one of them claims is no other's.
    """

    destination_type: str
    configured_schema: str | None
    connection: NamespaceSettings
    streams: tuple[tuple[str | None, str], ...] = ()

    @classmethod
    def of(
        cls,
        destination_type: str,
        configuration: Mapping[str, Any],
        connection: NamespaceSettings,
        streams: Iterable[NamedStream] = (),
    ) -> TablePlaces:
        """Return the places of a connection's tables, by the configuration of its destination."""
        kind = kind_of(destination_type)
        schema = configuration.get(kind.schema_setting if kind else "schema")
        names = tuple((stream.namespace, stream.name) for stream in streams)
        return cls(destination_type, str(schema) if schema else None, connection, names)

    def ref(self, stream: NamedStream) -> TableRef:
        """Return where the table of a stream is expected; never where one of its namesakes would be taken for it."""
        kind = self._kind
        if kind is None:
            return TableRef((), unknown=f"it is not known where the destination {self.destination_type} writes")
        key = (stream.namespace, stream.name)
        if not any(self._schemas(kind, stream.namespace)):
            return TableRef((), unknown="the destination's configuration does not say into which schema it writes")
        own, shared = list[Place](), list[Place]()
        for rank, place in enumerate(self._candidates(kind, *key)):
            rivals = [
                other
                for other_key, other_rank, other in self._claims.get(place.folded, ())
                if other_rank <= rank and not _may_be_one(key, other_key)
            ]
            shared += rivals
            if not rivals or (kind.tells_case and place not in rivals):
                own.append(place)
        return TableRef(tuple(own), tuple(dict.fromkeys(shared)))

    def table_name(self, stream: NamedStream) -> str | None:
        """Return ``schema.table`` as it is shown before the table is there; ``None`` if it is not known."""
        place = self.first(stream.namespace, stream.name)
        return str(place) if place and self._kind is not CUSTOM else None

    def first(self, namespace: str | None, name: str) -> Place | None:
        """Return where the destination itself puts a stream; ``None`` if that is not known."""
        kind = self._kind
        if kind is None:
            return None
        schema = self._schemas(kind, namespace)[0]
        if not schema:
            return None
        return Place(_normal(kind.schemas[0], schema), _normal(kind.tables[0], f"{self.connection.prefix}{name}"))

    @property
    def _kind(self) -> DestinationKind | None:
        return kind_of(self.destination_type)

    @cached_property
    def _claims(self) -> Mapping[Place, Sequence[tuple[tuple[str | None, str], int, Place]]]:
        """Folded place → which streams may be there, each with the rank that it gives the place."""
        claims = defaultdict(list)
        kind = self._kind
        for key in self.streams:
            for rank, place in enumerate(self._candidates(kind, *key) if kind else ()):
                claims[place.folded].append((key, rank, place))
        return claims

    def _candidates(self, kind: DestinationKind, namespace: str | None, name: str) -> Iterator[Place]:
        """Yield where a stream's table may be, each place once; `first` comes first."""
        tables = dict.fromkeys(_normal(normalise, f"{self.connection.prefix}{name}") for normalise in kind.tables)
        schemas = (_normal(normalise, text) for text in self._schemas(kind, namespace) for normalise in kind.schemas)
        for schema in dict.fromkeys(schemas):
            yield from (Place(schema, table) for table in tables)

    def _schemas(self, kind: DestinationKind, namespace: str | None) -> list[str]:
        configured = self.configured_schema or kind.default_schema
        chosen = self._namespace(namespace)
        if chosen is None:
            return [configured]
        return {"yes": [chosen], "mixed": [chosen, configured], "no": [configured, chosen]}[kind.namespaces]

    def _namespace(self, namespace: str | None) -> str | None:
        """Return the namespace that a stream of such a one is written to; ``None``: the configured schema."""
        settings = self.connection
        if settings.namespace_definition == "custom_format":
            return (settings.namespace_format or "").replace("${SOURCE_NAMESPACE}", namespace or "") or None
        return namespace or None if settings.namespace_definition == "source" else None


@lru_cache(maxsize=65536)
def _normal(normalise: Normaliser, name: str) -> str:
    """Return a normal form. Connections share schemas, often names of streams, and each is wanted several times."""
    return normalise(name)


def collisions(connections: Mapping[str, TablePlaces]) -> list[Collision]:
    """Return which streams of some connections, by their names, fall into one table of the one destination."""
    writers = defaultdict(list)
    for connection, places in connections.items():
        kind = kind_of(places.destination_type)
        for namespace, name in dict.fromkeys(places.streams):
            place = places.first(namespace, name)
            if place is not None:
                known = place if kind is not None and kind.tells_case else place.folded
                writers[known].append((place, connection, namespace, name))
    return [
        Collision(
            found[0][0],
            tuple(f"{connection}: {f'{space}.{name}' if space else name}" for _, connection, space, name in found),
        )
        for found in writers.values()
        if len(found) > 1
    ]


def apart(refs: Sequence[TableRef]) -> list[TableRef]:
    """Return the tables of different streams so that none may be taken for another's."""
    times = Counter(place.folded for ref in refs for place in {place.folded: place for place in ref.places}.values())
    found = []
    for ref in refs:
        shared = tuple(place for place in ref.places if times[place.folded] > 1)
        own = tuple(place for place in ref.places if place not in shared)
        found.append(replace(ref, places=own, shared=(*ref.shared, *shared)) if shared else ref)
    return found


def _may_be_one(one: tuple[str | None, str], other: tuple[str | None, str]) -> bool:
    """Whether two keys may be of one stream: a declaration need not give the namespace."""
    return one[1] == other[1] and (one[0] == other[0] or None in (one[0], other[0]))


def key_columns(stream: KeyedStream) -> tuple[str, ...]:
    """Return the columns of the primary key; none if a part of it lies within a column."""
    paths = stream.primary_key
    return tuple(path[0] for path in paths) if all(len(path) == 1 for path in paths) else ()
