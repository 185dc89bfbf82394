"""PostgreSQL, with what PyAirbyte's own writing to it gets wrong.

Its address breaks on a password with special characters; it loads rows through pandas, which turns texts like ``007``
into numbers; and its merge overwrites row by row. Here rows are copied as they are, and a merge replaces whole rows.
"""

# PyAirbyte is imported where it is used, since that takes seconds.
# ruff: noqa: PLC0415

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

_SECONDS_TO_CONNECT = 15
_LONGEST_NAME = 63


def open_postgres(destination: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """Open a ``postgres`` destination as a PyAirbyte cache; ``destination`` has the parts of its address."""
    from airbyte._processors.sql.postgres import PostgresSqlProcessor
    from airbyte.caches import PostgresCache
    from airbyte.secrets import SecretString
    from sqlalchemy.engine import URL  # type: ignore[import-not-found, unused-ignore]

    class Processor(PostgresSqlProcessor):  # type: ignore[misc, unused-ignore]
        def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
            table = str(self._create_table_for_loading(stream_name, batch_id))
            columns = list(self._get_sql_column_definitions(stream_name))
            names = ", ".join(self._quote_identifier(column) for column in columns)
            for file in files:
                copy_rows(self, file, columns, f"COPY {self._fully_qualified(table)} ({names}) FROM STDIN (FORMAT csv)")
            return table

        def _emulated_merge_temp_table_to_final_table(
            self, stream_name: str, temp_table_name: str, final_table_name: str
        ) -> None:
            final, new = self._fully_qualified(final_table_name), self._fully_qualified(temp_table_name)
            names = ", ".join(self._quote_identifier(c) for c in self._get_sql_column_definitions(stream_name))
            same = " AND ".join(
                f"old.{name} = new.{name}"
                for name in map(self._quote_identifier, self.catalog_provider.get_primary_keys(stream_name))
            )
            self._execute_sql(
                f"DELETE FROM {final} AS old USING {new} AS new WHERE {same};\n"  # noqa: S608 - quoted
                f"INSERT INTO {final} ({names}) SELECT {names} FROM {new};"
            )

    class Cache(PostgresCache):  # type: ignore[misc, unused-ignore]
        _sql_processor_class = Processor

        def get_sql_alchemy_url(self) -> Any:
            address = URL.create(
                "postgresql",
                username=self.username,
                password=str(self.password) or None,
                host=self.host,
                port=self.port,
                database=self.database,
            )
            return SecretString(address.render_as_string(hide_password=False))

        def get_sql_alchemy_connect_args(self) -> dict[str, Any]:
            mode = {"sslmode": destination["sslMode"]} if destination["sslMode"] else {}
            return {"connect_timeout": _SECONDS_TO_CONNECT, **mode}

    return Cache(
        host=destination["host"],
        port=destination["port"],
        database=destination["database"],
        username=destination["username"],
        password=SecretString(destination["password"]),
        **arguments,
    )


def copy_rows(processor: Any, file: Path, columns: list[str], statement: str) -> None:
    """Load a gzipped file of JSON lines with PostgreSQL's COPY."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="", dir=file.parent) as rows:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                # The processor shortens names to what PostgreSQL takes; the file has them whole.
                row = {key[:_LONGEST_NAME]: value for key, value in json.loads(line).items()}
                rows.write(",".join(map(_field, map(row.get, columns))) + "\n")
        rows.seek(0)
        with processor.get_sql_connection() as connection, connection.connection.cursor() as cursor:
            cursor.copy_expert(statement, rows)


def _field(value: Any) -> str:
    """A field of COPY's CSV: nothing for NULL, everything else in quotes, so that an empty text is a text."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return '"' + text.replace("\0", "").replace('"', '""') + '"'  # PostgreSQL has no such character as NUL
