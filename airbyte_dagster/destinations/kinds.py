"""What is known of each kind of destination. A further one is one more entry of `KINDS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from airbyte_dagster.destinations import names
from airbyte_dagster.destinations.names import Normaliser


@dataclass(frozen=True)
class DestinationKind:
    """How a kind of destination writes.

    Attributes:
        type: Airbyte's ``destinationType``.
        engine: What its tables are read with: ``duckdb`` (a file or MotherDuck) or ``postgres``.
        default_schema: Where its configuration names none.
        tables: What it makes of a stream's name, its own way first, then those of its older versions and of local
            Airbyte.
        schemas: The same for the schema of a namespace.
        namespaces: Whether it writes a stream into the schema of its namespace; ``mixed``: local Airbyte does, while
            Airbyte's own connector puts all tables into the configured schema.
        cdc_deletes: What becomes of a row that the source deleted, in deduped modes: ``soft`` keeps it and sets
            ``_ab_cdc_deleted_at``, ``hard`` removes it; ``None``: not known.
    """

    type: str
    engine: Literal["duckdb", "postgres"]
    default_schema: str
    tables: tuple[Normaliser, ...]
    schemas: tuple[Normaliser, ...]
    namespaces: Literal["yes", "no", "mixed"]
    cdc_deletes: Literal["soft", "hard"] | None


_DUCKDB_TABLES = (names.motherduck, names.pyairbyte, names.as_it_is, names.raw_records)
_LOCAL_SCHEMAS = (names.local_schema, names.as_it_is)
_POSTGRES_TABLES = (names.postgres, names.postgres_before_3, names.pyairbyte_in_postgres, names.as_it_is)

#: By ``destinationType``.
KINDS = {
    kind.type: kind
    for kind in (
        # destination-duckdb, and DuckDB files of local Airbyte, which merges a deletion as any other record.
        DestinationKind("duckdb", "duckdb", "main", _DUCKDB_TABLES, _LOCAL_SCHEMAS, "mixed", "soft"),
        # destination-motherduck: destination.py takes every table into `schema`; unit_tests/test_cdc_deletes.py.
        DestinationKind("motherduck", "duckdb", "main", _DUCKDB_TABLES, _LOCAL_SCHEMAS, "no", "soft"),
        # destination-postgres: PostgresTableSchemaMapper.kt (`desc.namespace ?: config.schema`); `cdc_deletion_mode`
        # of its PostgresSpecification.kt, whose default is a hard delete.
        DestinationKind(
            "postgres", "postgres", "public", _POSTGRES_TABLES, (names.postgres, *_LOCAL_SCHEMAS), "yes", "hard"
        ),
    )
}

#: A connector of one's own, which Airbyte gives no type: every convention is tried, and none is shown.
CUSTOM = DestinationKind(
    "", "duckdb", "main", (names.as_it_is, *_DUCKDB_TABLES, names.postgres), _LOCAL_SCHEMAS, "mixed", None
)


def engine_of(destination_type: str) -> str | None:
    """Return what reads the tables of a kind of destination, as `DestinationKind.engine`; ``None``: not known."""
    kind = KINDS.get(destination_type)
    return kind.engine if kind else None


def kind_of(destination_type: str) -> DestinationKind | None:
    """Return what is known of a kind of destination; ``None`` if nothing is, `CUSTOM` for a type of no name."""
    return KINDS.get(destination_type) if destination_type else CUSTOM
