"""What the credentials of a warehouse may do there: checks only read, so more than that is more than they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airbyte_dagster.errors import WarehouseError
from airbyte_dagster.warehouse.base import Warehouse
from airbyte_dagster.warehouse.driver_warehouse import DriverWarehouse
from airbyte_dagster.warehouse.sql_session import SqlSession, StatementFailed

_MOST_NAMED = 3
#: Every table, with what may be done with it, and whether Airbyte made it.
_TABLES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'),
       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = '_airbyte_extracted_at')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'
ORDER BY 1
"""
_SCHEMAS = """
SELECT quote_ident(nspname) FROM pg_namespace
WHERE left(nspname, 3) <> 'pg_' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'CREATE')
ORDER BY 1
"""
_USER = """
SELECT rolsuper, has_database_privilege(current_database(), 'CREATE') FROM pg_roles WHERE rolname = current_user
"""
_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON (?P<where>\S+) TO ", re.IGNORECASE)
_READING = frozenset({"USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "PROCESS", "REFERENCES", "PROXY"})


@dataclass(frozen=True)
class Rights:
    """What may be done with the tables of a database.

    Attributes:
        unreadable: Names of Airbyte's tables that may not be read.
        writing: What may be done besides reading, each as words that follow "may"; empty if nothing.
    """

    unreadable: tuple[str, ...]
    writing: tuple[str, ...]


def can_be_known(warehouse: Warehouse) -> bool:
    """Whether this kind of warehouse reports what its users may do."""
    return isinstance(warehouse, DriverWarehouse) and warehouse.dialect.product in _READERS


def rights_of(warehouse: Warehouse) -> Rights:
    """Return what the credentials of a warehouse may do; nothing is tried.

    Raises:
        ValueError: That can't be known: see `can_be_known`.
        WarehouseError: It can't be opened, or refuses to report it.
    """
    if not isinstance(warehouse, DriverWarehouse) or not can_be_known(warehouse):
        raise ValueError(f"{warehouse.database} reports no rights.")
    with warehouse.session() as session:
        try:
            return _READERS[warehouse.dialect.product](session)
        except StatementFailed as error:
            raise WarehouseError(f"{warehouse.where} does not report what its user may do: {error.said}") from None


def _of_postgres(session: SqlSession) -> Rights:
    ((is_superuser, may_create),) = session.run(_USER)
    tables = session.run(_TABLES)
    writable = [name for name, _, writes, _ in tables if writes]
    schemas = [name for (name,) in session.run(_SCHEMAS)]
    writing = {
        "do everything, as a superuser": is_superuser,
        f"change {named(writable, 'table')}": writable,
        f"create tables in {named(schemas, 'schema')}": schemas,
        "create schemas": may_create,
    }
    unreadable = tuple(name for name, reads, _, is_airbytes in tables if is_airbytes and not reads)
    return Rights(unreadable, tuple(words for words, holds in writing.items() if holds))


def _of_mysql(session: SqlSession) -> Rights:
    writing = []
    for (grant,) in session.run("SHOW GRANTS"):
        if found := _GRANT.match(grant):
            privileges = [item.strip().upper() for item in re.sub(r"\(.*?\)", "", found["privileges"]).split(",")]
            more = [item.lower() for item in privileges if item not in _READING]
            if more:
                writing.append(f"{', '.join(more)} on {found['where'].replace('`', '')}")
    # A table that may not be read is not even listed there.
    return Rights((), tuple(writing))


def named(names: Sequence[str], kind: str) -> str:
    """Return some names for people, the first few of many: ``the tables a, b, c and 4 more``."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"the {kind}{'s' if len(names) > 1 else ''} {', '.join(names[:_MOST_NAMED])}{more}"


_READERS: Mapping[str, Callable[[SqlSession], Rights]] = {
    "PostgreSQL": _of_postgres,
    "MySQL": _of_mysql,
    "MariaDB": _of_mysql,
}
