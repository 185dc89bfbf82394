"""Rows that are wrong: the query that finds them, to be copied, and the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airbyte_dagster.checks import specs
from airbyte_dagster.checks.findings import Finding, Verdict
from airbyte_dagster.warehouse import QueryFailed, Table, WarehouseSession

#: Rows that a check shows.
_MOST = 10


def with_sample(
    finding: Finding,
    check: specs.UniqueKey | specs.NotNull | specs.CustomSQL,
    table: Table,
    key: Sequence[str],
    session: WarehouseSession,
) -> Finding:
    """Return a failure with the query that finds what is wrong, and some of it, as far as the check says.

    Args:
        finding: Of the check; one that did not fail is returned as it is.
        check: Which.
        table: The table.
        key: Columns that the check is about, and the primary key: what is shown of each row.
        session: An open warehouse.
    """
    if finding.verdict is not Verdict.FAILED:
        return finding
    query = _query(check, table, key)
    if query is None:
        return finding
    found = replace(finding, query=query)
    if check.samples == "none":
        return found
    shown = query
    if isinstance(check, specs.CustomSQL) and check.samples == "keys":
        columns = _columns(table, key)
        if not columns:
            return found
        shown = f"SELECT {', '.join(columns)} FROM (\n{query}\n) AS found"  # noqa: S608 - quoted, and the user's own
    try:
        return replace(found, sample=session.sample(shown, _MOST))
    except QueryFailed:  # a query of the user's need not return the key
        return found


def _query(check: specs.UniqueKey | specs.NotNull | specs.CustomSQL, table: Table, key: Sequence[str]) -> str | None:
    match check:
        case specs.UniqueKey():
            return _duplicates(table, check.columns or tuple(key), is_whole=check.samples == "rows")
        case specs.NotNull():
            nulls = [table.column_sql(name) for name, count in table.nulls.items() if count and name in key]
            if not nulls:
                return None
            shown = "*" if check.samples == "rows" else ", ".join(_columns(table, key))
            where = " OR ".join(f"{column} IS NULL" for column in nulls)
            return f"SELECT {shown} FROM {table.sql} WHERE {where}"  # noqa: S608 - quoted
        case specs.CustomSQL():
            return check.query.replace("{table}", table.sql).strip().rstrip(";")


def _duplicates(table: Table, key: Sequence[str], *, is_whole: bool) -> str | None:
    columns = [table.column_sql(name) for name in key]
    if not columns or not all(columns):
        return None
    quoted = table.dialect.name
    names = [f"{column} AS {quoted(name)}" for column, name in zip(columns, key, strict=True)]
    complete = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    group = ", ".join(str(column) for column in columns)
    twice = (
        f"SELECT {', '.join(names)}, count(*) AS {quoted('rows')} FROM {table.sql} WHERE {complete} "  # noqa: S608
        f"GROUP BY {group} HAVING count(*) > 1"
    )
    if not is_whole:
        return twice
    same = " AND ".join(f"{column} = twice.{quoted(f'key {place}')}" for place, column in enumerate(columns))
    named = ", ".join(f"{quoted(name)} AS {quoted(f'key {place}')}" for place, name in enumerate(key))
    return (
        f"SELECT whole.* FROM {table.sql} AS whole "  # noqa: S608 - quoted
        f"JOIN (SELECT {named} FROM ({twice}) AS keys) AS twice ON {same}"
    )


def _columns(table: Table, key: Sequence[str]) -> list[str]:
    found = [(name, table.column_sql(name)) for name in dict.fromkeys(key)]
    return [f"{column} AS {table.dialect.name(name)}" for name, column in found if column]
