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
        engine: What its tables are read with: ``duckdb`` (a file or MotherDuck), ``postgres``, ``snowflake`` …
        default_schema: Where its configuration names none.
        tables: What it makes of a stream's name, its own way first, then those of its older versions and of local
            Airbyte.
        schemas: The same for the schema of a namespace.
        namespaces: Whether it writes a stream into the schema of its namespace; ``mixed``: local Airbyte does, while
            Airbyte's own connector puts all tables into the configured schema.
        schema_setting: Key of the configuration that has the schema.
        database_setting: Key of the configuration that has the database; ``None`` where the schemas of a server are all
            that it has.
        tells_case: Whether names that differ by case alone are two.
    """

    type: str
    engine: str
    default_schema: str
    tables: tuple[Normaliser, ...]
    schemas: tuple[Normaliser, ...]
    namespaces: Literal["yes", "no", "mixed"]
    schema_setting: str = "schema"
    database_setting: str | None = "database"
    tells_case: bool = False


_DUCKDB_TABLES = (names.motherduck, names.as_it_is, names.raw_records)
_LOCAL_SCHEMAS = (names.local_schema, names.as_it_is)
_POSTGRES_TABLES = (names.postgres, names.postgres_before_3, names.as_it_is)

#: By ``destinationType``.
KINDS = {
    kind.type: kind
    for kind in (
        # destination-duckdb, and DuckDB files of local Airbyte.
        DestinationKind("duckdb", "duckdb", "main", _DUCKDB_TABLES, _LOCAL_SCHEMAS, "mixed"),
        # destination-motherduck: destination.py takes every table into `schema`.
        DestinationKind("motherduck", "duckdb", "main", _DUCKDB_TABLES, _LOCAL_SCHEMAS, "no"),
        # destination-postgres: PostgresTableSchemaMapper.kt (`desc.namespace ?: config.schema`).
        DestinationKind(
            "postgres",
            "postgres",
            "public",
            _POSTGRES_TABLES,
            (names.postgres, *_LOCAL_SCHEMAS),
            "yes",
            tells_case=True,
        ),
        # destination-snowflake: SnowflakeTableSchemaMapper.kt (toFinalTableName).
        DestinationKind("snowflake", "snowflake", "", (names.snowflake,), (names.snowflake,), "yes"),
        # destination-bigquery: BigqueryNameGenerators.kt; BigquerySpecification.kt (`dataset_id`, `project_id`).
        # Datasets and tables are case-sensitive, columns are not.
        DestinationKind(
            "bigquery",
            "bigquery",
            "",
            (names.bigquery,),
            (names.bigquery_dataset,),
            "yes",
            schema_setting="dataset_id",
            database_setting="project_id",
            tells_case=True,
        ),
        # destination-redshift: RedshiftTableSchemaMapper.kt.
        DestinationKind(
            "redshift",
            "redshift",
            "public",
            (names.redshift, names.alphanumeric_lower),
            (names.redshift, names.alphanumeric_lower),
            "yes",
        ),
        # destination-databricks: DatabricksTableSchemaMapper.kt; DatabricksSpecification.kt (its `database`).
        DestinationKind(
            "databricks",
            "databricks",
            "default",
            (names.databricks, names.alphanumeric_lower),
            (names.databricks, names.alphanumeric_lower),
            "yes",
        ),
        # destination-mysql: MysqlSqlGenerator.kt (buildStreamId).
        DestinationKind(
            "mysql",
            "mysql",
            "",
            (names.mysql,),
            (names.mysql,),
            "yes",
            schema_setting="database",
            database_setting=None,
        ),
        # destination-mssql: MSSQLQueryBuilder.kt (outputSchema and tableName as they are).
        DestinationKind("mssql", "mssql", "public", (names.as_it_is,), (names.as_it_is,), "yes"),
        # destination-clickhouse: ClickhouseTableSchemaMapper.kt.
        DestinationKind(
            "clickhouse",
            "clickhouse",
            "default",
            (names.bigquery,),
            (names.bigquery,),
            "yes",
            schema_setting="database",
            database_setting=None,
            tells_case=True,
        ),
    )
}

#: A connector of one's own, which Airbyte gives no type: every convention is tried, and none is shown.
CUSTOM = DestinationKind(
    "", "duckdb", "main", (names.as_it_is, *_DUCKDB_TABLES, names.postgres), _LOCAL_SCHEMAS, "mixed"
)


def engine_of(destination_type: str) -> str | None:
    """Return what reads the tables of a kind of destination, as `DestinationKind.engine`; ``None``: not known."""
    kind = KINDS.get(destination_type)
    return kind.engine if kind else None


def kind_of(destination_type: str) -> DestinationKind | None:
    """Return what is known of a kind of destination; ``None`` if nothing is, `CUSTOM` for a type of no name."""
    return KINDS.get(destination_type) if destination_type else CUSTOM
