"""In what the SQL of warehouses differs: names, texts, types, times, and where each lists its columns.

Each entry says what the statements of `finding` and `measuring` need; all else is written so that every one of them
takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from airbyte_dagster.destinations.names import column_names, distinct_column_names

#: Name and type of a column, in the warehouse's own words.
Column = tuple[str, str]

#: When a record was read, and what destinations of the first generation call that.
EXTRACTED_AT = "_airbyte_extracted_at"
_SYNONYMS = {EXTRACTED_AT: "_airbyte_emitted_at"}
_RAW_DATA = "_airbyte_data"
_HAS_A_TIME = re.compile(r"(nullable\(|lowcardinality\()*(date|timestamp|smalldatetime)")
_IS_WHOLE = re.compile(r"(nullable\()?u?(big)?int(eger|64)?\b|number\b")
_IS_TEXT = re.compile(r"n?(var)?char|\w*text|enum|set\b|string")


@dataclass(frozen=True)
class Dialect:
    """The SQL of one kind of warehouse.

    Attributes:
        product: What it is called, for people.
        quotes: What stands before and after a name; the latter is doubled within one, or has a backslash before it
            where `backslashes` is set.
        backslashes: Whether a backslash escapes in texts (and in names, where `escapes_names` is set).
        escapes_names: Whether it does in names, too.
        whole: Type of a count.
        real: Type of seconds.
        text: Type to cast a value to that is to be shown.
        epoch: Seconds since 1970 of the time ``{value}``; without a time zone as if it were UTC.
        catalog: How the current database is called by a query; its names have no such part if it is ``''``.
        columns: What has a row for each column: relation and condition, and how it calls schema, table, name, type and
            position.
        each_schema: Whether each schema has a relation of its own for that, ``{schema}`` in `columns`.
        lower: Name of the function that makes letters lower.
        bytes_of: Makes texts differ where their bytes do, for a warehouse that else takes ``A`` for ``a``.
        field_of: A field of a table of raw records: of the JSON ``{column}``, the one of the name ``{name}``; ``None``
            if that is not known.
        first: The first ``{limit}`` rows of ``{query}``.
        exact_rows: Relation that has exact counts of rows of all tables, with a condition, and how it calls schema,
            table and count; ``None`` if every table is to be counted.
        settings: Statements that begin a session: nothing may be written, times are in UTC.
        timeouts: Statements of which the first that is taken limits the time of the following ones; with ``{seconds}``
            or ``{milliseconds}``.
        autocommit: Whether a connection must be told to open no transaction, in which one failure ends all.
        each_select: Put after each SELECT from a stream's table.
        most_names: Of tables, in one query.
    """

    product: str
    quotes: tuple[str, str] = ('"', '"')
    backslashes: bool = False
    escapes_names: bool = False
    whole: str = "BIGINT"
    real: str = "DOUBLE PRECISION"
    text: str = "VARCHAR"
    epoch: str = "extract(epoch FROM {value})"
    catalog: str = "current_database()"
    columns: tuple[str, str, str, str, str, str, str] = (
        "information_schema.columns",
        "table_catalog = current_database()",
        "table_schema",
        "table_name",
        "column_name",
        "data_type",
        "ordinal_position",
    )
    each_schema: bool = False
    lower: str = "lower"
    bytes_of: str = "{value}"
    field_of: str | None = None
    first: str = "SELECT * FROM (\n{query}\n) AS found LIMIT {limit}"
    exact_rows: tuple[str, str, str, str, str] | None = None
    settings: tuple[str, ...] = ()
    timeouts: tuple[str, ...] = ()
    autocommit: bool = False
    each_select: str = ""
    most_names: int = 5000

    def name(self, *parts: str) -> str:
        """Quote a name of some parts, of which those that are empty are left out."""
        before, after = self.quotes
        return ".".join(f"{before}{self._escaped(part, after)}{after}" for part in parts if part)

    def _escaped(self, part: str, mark: str) -> str:
        if self.escapes_names:
            return part.replace("\\", "\\\\").replace(mark, f"\\{mark}")
        return part.replace(mark, mark * 2)

    def literal(self, text: str) -> str:
        """Quote a text."""
        if self.backslashes:
            return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return "'" + text.replace("'", "''") + "'"

    def literals(self, texts: Iterable[str]) -> str:
        """Quote texts, for ``IN (…)``."""
        return ", ".join(map(self.literal, texts))

    def column(self, columns: tuple[Column, ...], name: str) -> str | None:
        """Return what selects a column, or ``None`` if there is none such.

        In a table of raw records (destination-duckdb of Airbyte writes such) a field is a part of the JSON.
        """
        own = find_column(columns, name)
        if own is not None:
            return self.name(own[0])
        data = find_column(columns, _RAW_DATA)
        if data is None or self.field_of is None:
            return None
        return self.field_of.format(column=self.name(data[0]), name=self.literal(name))

    def key(self, columns: tuple[Column, ...], name: str) -> str | None:
        """Return what selects a column such that two of its values are one only if their bytes are."""
        own = find_column(columns, name)
        if own is not None and _IS_TEXT.match(own[1].lower()):
            return self.bytes_of.format(value=self.name(own[0]))
        return self.column(columns, name)

    def seconds(self, columns: tuple[Column, ...], name: str) -> tuple[str, str] | None:
        """Return a column, and what selects the seconds since 1970 of its largest value; ``None`` if it has no time."""
        own = find_column(columns, name)
        if own is None:
            return None
        column, kind = self.name(own[0]), own[1].lower()
        if _HAS_A_TIME.match(kind):
            return column, self.epoch.format(value=f"max({column})")
        if own[0].lower() == EXTRACTED_AT and _IS_WHOLE.match(kind):
            # destination-mssql: milliseconds (MSSQLQueryBuilder.kt has it as IntegerType).
            return column, f"max({column}) / 1000.0"
        return None

    def lists_changes(self, column: str) -> str:
        """Return what is true for an ``_airbyte_meta`` that lists changed values, be it JSON, text or a struct."""
        text = f"CAST({column} AS {self.text})"
        json, struct = self.literal('%"change"%'), self.literal("%'change'%")
        return f"({text} LIKE {json} OR {text} LIKE {struct})"


def find_column(columns: tuple[Column, ...], name: str) -> Column | None:
    """Return the own name and type of a field's column.

    First comes what can be no other field's, then the name itself, then what destinations would make of it.
    """
    by_name = {column.lower(): (column, type_) for column, type_ in reversed(columns)}

    def first(names: Iterable[str]) -> Column | None:
        return next((by_name[known.lower()] for known in names if known.lower() in by_name), None)

    own = next((column for column in columns if column[0] == name), None)
    return first(distinct_column_names(name)) or own or first((*column_names(name), _SYNONYMS.get(name.lower(), "")))


def _standard(relation: str, catalog: str) -> tuple[str, str, str, str, str, str, str]:
    names = ("table_schema", "table_name", "column_name", "data_type", "ordinal_position")
    return (relation, f"table_catalog = {catalog}" if catalog else "1 = 1", *names)


_ARROW = "({column} ->> {name})"

DUCKDB = Dialect("DuckDB", field_of=_ARROW)

_POSTGRES_COLUMNS = (
    "pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid "
    "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
)

# information_schema hides what a role may not read, so that it looks missing; the catalog does not.
POSTGRESQL = Dialect(
    "PostgreSQL",
    columns=(
        _POSTGRES_COLUMNS,
        "a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        "n.nspname",
        "c.relname",
        "a.attname",
        "pg_catalog.format_type(a.atttypid, NULL)",
        "a.attnum",
    ),
    field_of=_ARROW,
    settings=("SET default_transaction_read_only = on",),
    timeouts=("SET statement_timeout = {milliseconds}",),
    autocommit=True,
)

REDSHIFT = Dialect(
    "Redshift",
    columns=_standard("svv_columns", "current_database()"),
    timeouts=("SET statement_timeout = {milliseconds}",),
    autocommit=True,
)

# Its information_schema.tables has exact counts of rows.
SNOWFLAKE = Dialect(
    "Snowflake",
    backslashes=True,
    epoch="date_part(epoch_microsecond, {value}) / 1000000",
    field_of="get({column}, {name})",
    exact_rows=(
        "information_schema.tables",
        "table_catalog = current_database() AND table_type = 'BASE TABLE' AND row_count IS NOT NULL",
        "table_schema",
        "table_name",
        "row_count",
    ),
    timeouts=("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = {seconds}",),
)

BIGQUERY = Dialect(
    "BigQuery",
    quotes=("`", "`"),
    backslashes=True,
    escapes_names=True,
    whole="INT64",
    real="FLOAT64",
    text="STRING",
    epoch="unix_micros(CAST({value} AS TIMESTAMP)) / 1000000",
    catalog="table_catalog",
    columns=_standard("{schema}.INFORMATION_SCHEMA.COLUMNS", ""),
    each_schema=True,
)

DATABRICKS = Dialect(
    "Databricks",
    quotes=("`", "`"),
    backslashes=True,
    real="DOUBLE",
    text="STRING",
    epoch="unix_micros(CAST({value} AS TIMESTAMP)) / 1000000",
    catalog="current_catalog()",
    columns=_standard("information_schema.columns", "current_catalog()"),
    settings=("SET TIME ZONE 'UTC'",),
    timeouts=("SET STATEMENT_TIMEOUT = {seconds}",),
)

# A schema of MySQL is a database of its own, and none is above it. MariaDB has a timeout of another name.
MYSQL = Dialect(
    "MySQL",
    quotes=("`", "`"),
    backslashes=True,
    whole="SIGNED",
    real="DOUBLE",
    text="CHAR",
    epoch="timestampdiff(MICROSECOND, '1970-01-01', {value}) / 1000000",
    catalog="''",
    columns=_standard("information_schema.columns", ""),
    bytes_of="CAST({value} AS BINARY)",
    settings=("SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'"),
    timeouts=("SET SESSION max_execution_time = {milliseconds}", "SET SESSION max_statement_time = {seconds}"),
    autocommit=True,
)

MSSQL = Dialect(
    "SQL Server",
    quotes=("[", "]"),
    real="FLOAT",
    text="NVARCHAR(MAX)",
    epoch="datediff_big(MICROSECOND, '1970-01-01T00:00:00+00:00', {value}) / 1000000.0",
    catalog="db_name()",
    columns=_standard("INFORMATION_SCHEMA.COLUMNS", ""),
    bytes_of="CAST({value} AS VARBINARY(MAX))",
    first="SELECT TOP ({limit}) * FROM (\n{query}\n) AS found",
    autocommit=True,
    most_names=1000,
)

# ReplacingMergeTree, which Airbyte dedupes with, has old rows until they are merged; FINAL leaves them out.
CLICKHOUSE = Dialect(
    "ClickHouse",
    quotes=("`", "`"),
    backslashes=True,
    escapes_names=True,
    whole="Nullable(Int64)",
    real="Nullable(Float64)",
    text="String",
    epoch="toUnixTimestamp64Micro(toDateTime64({value}, 6, 'UTC')) / 1000000",
    catalog="''",
    columns=("system.columns", "1 = 1", "database", "table", "name", "type", "position"),
    lower="lowerUTF8",
    each_select=" SETTINGS final = 1",
)

SQLITE = Dialect(
    "SQLite",
    whole="INTEGER",
    real="REAL",
    text="TEXT",
    epoch="CAST(strftime('%s', {value}) AS REAL)",
    catalog="''",
    columns=(
        "sqlite_master AS m JOIN pragma_table_info(m.name) AS p",
        # One view over what is gone would have the query fail.
        "m.type = 'table'",
        "'main'",
        "m.name",
        "p.name",
        "p.type",
        "p.cid",
    ),
    field_of=_ARROW,
    settings=("PRAGMA query_only = ON",),
)

#: By what SQLAlchemy calls the kind of database in an address.
DIALECTS: Mapping[str, Dialect] = {
    "bigquery": BIGQUERY,
    "clickhouse": CLICKHOUSE,
    "clickhousedb": CLICKHOUSE,
    "databricks": DATABRICKS,
    "duckdb": DUCKDB,
    "mariadb": replace(MYSQL, product="MariaDB"),
    "mssql": MSSQL,
    "mysql": MYSQL,
    "postgresql": POSTGRESQL,
    "redshift": REDSHIFT,
    "snowflake": SNOWFLAKE,
    "sqlite": SQLITE,
}
