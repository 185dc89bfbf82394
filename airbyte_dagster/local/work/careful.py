"""Writing with a processor that mends what PyAirbyte's own gets wrong.

It merges what was read with what is there, but not the new rows with each other, so a key that comes twice in one
sync would be there twice; and it leaves some names unquoted, so streams and columns named like SQL's words fail.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROW_NUMBERS = {"duckdb": "rowid", "motherduck": "rowid", "postgres": "ctid"}
"""Per kind of warehouse, the column that says which row of a fresh table came later."""


@contextlib.contextmanager
def careful_processor(cache: Any, kind: str, group: dict[str, Any]) -> Iterator[None]:
    """Let the cache write with such a processor for the time of the block."""
    cursors = {entry["stream"]["name"]: entry["cursorField"] for entry in group["streams"]}
    number = ROW_NUMBERS[kind]
    base = type(cache)._sql_processor_class  # noqa: SLF001 - PyAirbyte's version is pinned

    class Careful(base):  # type: ignore[misc, unused-ignore, valid-type]
        def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
            table = str(super()._write_files_to_new_table(files, stream_name, batch_id))
            keys = self.catalog_provider.get_primary_keys(stream_name) if group["dedupe"] else []
            if keys:
                order = ["_airbyte_extracted_at DESC", f"{number} DESC"]
                if cursors[stream_name]:
                    cursor = self._quote_identifier(self.normalizer.normalize(cursors[stream_name][0]))
                    order.insert(0, f"{cursor} DESC NULLS LAST")
                name, partition = self._fully_qualified(table), ", ".join(self._quote_identifier(key) for key in keys)
                self._execute_sql(
                    f"DELETE FROM {name} WHERE {number} IN (SELECT {number} FROM (SELECT {number}, "  # noqa: S608 - quoted
                    f"row_number() OVER (PARTITION BY {partition} ORDER BY {', '.join(order)}) AS place FROM {name}) "
                    "AS numbered WHERE place > 1)"
                )
            return table

        def _swap_temp_table_with_final_table(
            self, stream_name: str, temp_table_name: str, final_table_name: str
        ) -> None:
            del stream_name  # PyAirbyte's signature
            final, temporary = self._fully_qualified(final_table_name), self._fully_qualified(temp_table_name)
            new_name = self._quote_identifier(final_table_name)
            self._execute_sql(f"DROP TABLE {final};\nALTER TABLE {temporary} RENAME TO {new_name};")

        def _add_column_to_table(self, table: Any, column_name: str, column_type: Any) -> None:
            name = self._quote_identifier(column_name)
            self._execute_sql(f"ALTER TABLE {self._fully_qualified(table.name)} ADD COLUMN {name} {column_type}")

    type(cache)._sql_processor_class = Careful  # noqa: SLF001
    try:
        yield
    finally:
        type(cache)._sql_processor_class = base  # noqa: SLF001
