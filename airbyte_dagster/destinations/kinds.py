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
        cdc_deletes: What becomes of a row that the source deleted, in deduped modes: ``soft`` keeps it and sets
            ``_ab_cdc_deleted_at``, ``hard`` removes it; ``None``: not known.
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
    cdc_deletes: Literal["soft", "hard"] | None
    schema_setting: str = "schema"
    database_setting: str | None = "database"
    tells_case: bool = False


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
            "postgres",
            "postgres",
            "public",
            _POSTGRES_TABLES,
            (names.postgres, *_LOCAL_SCHEMAS),
            "yes",
            "hard",
            tells_case=True,
        ),
        # destination-snowflake: SnowflakeTableSchemaMapper.kt (toFinalTableName); SnowflakeSpecification.kt, whose
        # `cdc_deletion_mode` has a hard delete as its default..
        DestinationKind("snowflake", "snowflake", "", (names.snowflake,), (names.snowflake,), "yes", "hard"),
        # destination-bigquery: BigqueryNameGenerators.kt; BigquerySpecification.kt (`dataset_id`, `project_id`,
        # `cdc_deletion_mode`). Datasets and tables are case-sensitive, columns are not.
        DestinationKind(
            "bigquery",
            "bigquery",
            "",
            (names.bigquery,),
            (names.bigquery_dataset,),
            "yes",
            "hard",
            schema_setting="dataset_id",
            database_setting="project_id",
            tells_case=True,
        ),
        # destination-redshift: RedshiftTableSchemaMapper.kt; RedshiftSpecification.kt has no deletion mode.
        DestinationKind(
            "redshift",
            "redshift",
            "public",
            (names.redshift, names.alphanumeric_lower),
            (names.redshift, names.alphanumeric_lower),
            "yes",
            None,
        ),
        # destination-databricks: DatabricksTableSchemaMapper.kt; DatabricksSpecification.kt (`database` is the catalog,
        # `cdc_deletion_mode`).
        DestinationKind(
            "databricks",
            "databricks",
            "default",
            (names.databricks, names.alphanumeric_lower),
            (names.databricks, names.alphanumeric_lower),
            "yes",
            "hard",
        ),
        # destination-mysql: MysqlSqlGenerator.kt (buildStreamId, cdcDeletedAtNotNullCondition).
        DestinationKind(
            "mysql",
            "mysql",
            "",
            (names.mysql,),
            (names.mysql,),
            "yes",
            "hard",
            schema_setting="database",
            database_setting=None,
        ),
        # destination-mssql: MSSQLQueryBuilder.kt (outputSchema and tableName as they are, deleteCdc);
        # MSSQLSpecification.kt.
        DestinationKind("mssql", "mssql", "public", (names.as_it_is,), (names.as_it_is,), "yes", "hard"),
        # destination-clickhouse: ClickhouseTableSchemaMapper.kt; ClickhouseSpecification.kt has no deletion mode, and
        # its ReplacingMergeTree keeps a deletion as any other record.
        DestinationKind(
            "clickhouse",
            "clickhouse",
            "default",
            (names.bigquery,),
            (names.bigquery,),
            "yes",
            "soft",
            schema_setting="database",
            database_setting=None,
            tells_case=True,
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
