"""The SQL of warehouses that no test can reach: as it is meant, and taken by a parser of each dialect."""

from __future__ import annotations

import pytest
import sqlglot

from airbyte_dagster.destinations.tables import Place, TableRef
from airbyte_dagster.warehouse import DIALECTS
from airbyte_dagster.warehouse.finding import find_queries
from airbyte_dagster.warehouse.measuring import Measures, measuring_query
from airbyte_dagster.warehouse.tables import FoundTable

#: What the parser calls the dialects.
PARSERS = {"mssql": "tsql", "postgresql": "postgres", "clickhousedb": "clickhouse", "mariadb": "mysql"}
TYPES = {"bigquery": "TIMESTAMP", "clickhouse": "Nullable(DateTime64(3))", "mssql": "datetimeoffset"}


def measured(kind: str) -> str:
    """Everything that can be asked of two tables, of odd names."""
    columns = (("id", "bigint"), ("o'k", "varchar"), ("at", TYPES.get(kind, "timestamp")), ("_airbyte_meta", "varchar"))
    table = FoundTable("db", Place("s", "t's"), (*columns, ("_airbyte_generation_id", "bigint")))
    everything = TableRef(
        (), keys=(("id",), ("id", "o'k")), not_null=("o'k",), newest="at", values=True, changes=True, generations=True
    )
    dialect = DIALECTS[kind]
    return measuring_query([Measures(dialect, table, everything), Measures(dialect, table, TableRef(()))])


@pytest.mark.parametrize("kind", sorted(DIALECTS))
def test_every_statement_is_sql_of_its_dialect(kind: str) -> None:
    """A parser of the dialect takes what finds and what measures tables, whatever their names."""
    dialect = DIALECTS[kind]
    places = {Place("s", "t's"), Place("Größe", "back\\slash"), Place("s", 'a"b`c]d')}
    queries = [*find_queries(dialect, places, lambda: ["s", "Größe", "other"]), measured(kind)]
    queries.append(dialect.first.format(query="SELECT 1 AS a", limit=3))

    for query in queries:
        # SQL Server's names end with a doubled bracket, which the parser does not know.
        readable = query.replace("]]", "") if kind == "mssql" else query
        assert sqlglot.parse_one(readable, read=PARSERS.get(kind, kind)), query


def finding(catalog: str, source: str, condition: str, schema: bool = True) -> str:
    """What finds the table ``users`` in a standard information schema."""
    schemas = "lower(table_schema) IN ('nope', 'raw', 'raw_2') AND " if schema else ""
    return (
        f"SELECT {catalog} AS db, table_schema AS sch, table_name AS tab, column_name AS col, data_type AS typ, "  # noqa: S608
        f"ordinal_position AS pos FROM {source} WHERE {condition} AND {schemas}lower(table_name) IN ('users')"
    )


def datasets(*names: str) -> str:
    sources = (f"`{name}`.INFORMATION_SCHEMA.COLUMNS" for name in names)
    return "\nUNION ALL\n".join(finding("table_catalog", source, "1 = 1", schema=False) for source in sources)


IN_CLICKHOUSE = (
    "SELECT '' AS db, database AS sch, table AS tab, name AS col, type AS typ, position AS pos FROM system.columns "
    "WHERE 1 = 1 AND lowerUTF8(database) IN ('nope', 'raw', 'raw_2') AND lowerUTF8(table) IN ('users')"
)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bigquery", datasets("raw", "raw_2")),
        ("redshift", finding("current_database()", "svv_columns", "table_catalog = current_database()")),
        (
            "databricks",
            finding("current_catalog()", "information_schema.columns", "table_catalog = current_catalog()"),
        ),
        ("mssql", finding("db_name()", "INFORMATION_SCHEMA.COLUMNS", "1 = 1")),
        ("clickhouse", IN_CLICKHOUSE),
    ],
)
def test_how_tables_are_found(kind: str, expected: str) -> None:
    """One query for all; of BigQuery's datasets, those that there are, since one that is missing fails the query."""
    places = {Place("raw", "Users"), Place("RAW_2", "users"), Place("nope", "users")}
    [query] = find_queries(DIALECTS[kind], places, lambda: ["raw", "raw_2", "else"])

    assert query == expected


@pytest.mark.parametrize(
    ("kind", "newest", "distinct", "source"),
    [
        ("bigquery", "unix_micros(CAST(max(`at`) AS TIMESTAMP)) / 1000000", "count(DISTINCT `id`)", "`db`.`s`.`t\\'s`"),
        ("redshift", 'extract(epoch FROM max("at"))', 'count(DISTINCT "id")', '"db"."s"."t\'s"'),
        ("databricks", "unix_micros(CAST(max(`at`) AS TIMESTAMP)) / 1000000", "count(DISTINCT `id`)", "`db`.`s`.`t's`"),
        (
            "mssql",
            "datediff_big(MICROSECOND, '1970-01-01T00:00:00+00:00', max([at])) / 1000000.0",
            "SELECT DISTINCT [id] AS k0, CAST([o'k] AS VARBINARY(MAX)) AS k1",
            "[db].[s].[t's]",
        ),
        (
            "clickhouse",
            "toUnixTimestamp64Micro(toDateTime64(max(`at`), 6, 'UTC')) / 1000000",
            "count(DISTINCT `id`)",
            "`db`.`s`.`t's` SETTINGS final = 1",
        ),
    ],
)
def test_how_tables_are_measured(kind: str, newest: str, distinct: str, source: str) -> None:
    """Times in UTC, keys by their bytes, ClickHouse's rows as they are once they are merged."""
    query = measured(kind)

    assert newest in query
    assert distinct in query
    assert f"FROM {source.replace(chr(92), '')}" in query


def test_rows_alone_cost_no_scan_of_a_column() -> None:
    """What is only counted is asked nothing else, so that a warehouse that bills by bytes answers from its metadata."""
    table = FoundTable("p", Place("raw", "users"), (("id", "INT64"),))

    assert measuring_query([Measures(DIALECTS["bigquery"], table, TableRef(()))]) == (
        "SELECT 0 AS number, CAST(NULL AS FLOAT64) AS newest, CAST(count(*) AS INT64) AS c0 FROM `p`.`raw`.`users`"
    )


def test_milliseconds_of_sql_server() -> None:
    """destination-mssql has the time of extraction as a number."""
    columns = (("_airbyte_extracted_at", "bigint"), ("n", "bigint"))

    assert DIALECTS["mssql"].seconds(columns, "_airbyte_extracted_at") == (
        "[_airbyte_extracted_at]",
        "max([_airbyte_extracted_at]) / 1000.0",
    )
    assert DIALECTS["mssql"].seconds(columns, "n") is None
