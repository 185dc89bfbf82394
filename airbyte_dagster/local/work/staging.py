"""Records on their way: typed by DuckDB in tables of the job's own, until they are committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from airbyte_dagster.destinations.types import DUCKDB_TYPES, AirbyteType
from airbyte_dagster.local.engine import Failure
from airbyte_dagster.local.work.reporting import Failed
from airbyte_dagster.local.work.tables import AIRBYTE_COLUMNS, EXACT, Column, Part, StreamTable

#: Bytes that DuckDB may use, which bounds the worker's memory; the rest goes to files of the job. A wide table takes
#: more, for each of its columns; thousands of streams and records of megabytes do, too: then it is doubled.
MEMORY = 64_000_000
MEMORY_OF_A_COLUMN = 1_200_000
MOST_MEMORY = 4_000_000_000
_LINE = 1 << 20
_BUFFER = 4 << 20
#: The lines of a file. Read as CSV of one column, whose separator no JSON can have in it: DuckDB's reader of JSON lines
#: takes 32 MB for each thread. A line that is not UTF-8 is missing, which is noticed.
_LINES = r"""read_csv($file, columns = {'json': 'VARCHAR'}, header = false, auto_detect = false, delim = '\x01',
    quote = '', escape = '', comment = '', nullstr = '\x02', max_line_size = $line, buffer_size = $buffer,
    strict_mode = false, ignore_errors = true)"""


class Staging:
    """Tables ``s0``, ``s1``, …, one for each stream that has records.

    Their columns are ``ordinal`` (which record of the stream it is), Airbyte's own ``a0``… and the stream's ``c0``….

    Args:
        scratch: Where files are put that memory has no room for.
        job_id: Goes into each row's ``_airbyte_meta``.
        most_columns: Of any table.
        text_holds_zero: Whether a text may have the character U+0000 in it; PostgreSQL's may not.
    """

    def __init__(self, scratch: Path, job_id: int, *, most_columns: int, text_holds_zero: bool) -> None:
        # Not in a file, as nothing of it is wanted after a crash; in small blocks, since many are nearly empty.
        self.connection = duckdb.connect(config={"default_block_size": "16384"})
        self._job_id = job_id
        self._text_holds_zero = text_holds_zero
        self._loaded: dict[int, int] = {}
        self._memory = max(MEMORY, most_columns * MEMORY_OF_A_COLUMN)
        # One thread of its own: more would take cores from the connector, and memory.
        for setting in (
            f"memory_limit='{self._memory}B'",
            "threads=1",
            f"temp_directory={literal(str(scratch))}",
            "TimeZone='UTC'",
            "enable_progress_bar=false",
        ):
            self.connection.execute(f"SET {setting}")

    def load(self, index: int, table: StreamTable, file: Path, lines: int, longest: int) -> None:
        """Type the records of a file, one per line, and put them after those that are there.

        Raises:
            Failed: A line is no JSON.
        """
        first = self._loaded.get(index)
        if first is None:
            self._create(index, table)
            first = 0
        line = max(longest + 1, _LINE)
        parameters = {"file": str(file), "line": line, "buffer": max(line + 1, _BUFFER)}
        statement = self._insert(index, table, first)
        self.with_enough_memory(lambda: self._execute(statement, parameters))
        loaded = self._one(f"SELECT count(*) FROM s{index} WHERE ordinal > {first}")  # noqa: S608
        if loaded != lines:
            message = f"{lines - loaded:,} records of the stream {table.key[1]} are no valid JSON"
            raise Failed(Failure(message, origin="source", stream=table.key))
        self._loaded[index] = first + lines

    def with_enough_memory(self, work: Callable[[], None]) -> None:
        """Do something that changes all or nothing; if memory is too little for it, do it again with more."""
        while True:
            try:
                work()
            except duckdb.OutOfMemoryException:
                if self._memory >= MOST_MEMORY:
                    raise
                self._memory *= 2
                self.connection.execute(f"SET memory_limit='{self._memory}B'")
            else:
                return

    def keep_last(self, index: int, table: StreamTable, upto: int) -> None:
        """Of the records up to one, delete those that a later one of the same key replaces.

        The last is the one with the greatest cursor, then the one that was extracted last, then the one that came last.
        A key with a null part is no key: its records stay.
        """
        parts = [part_of(part, f"c{part.column}", nested_duckdb) for part in table.primary_key]
        cursor = ""
        if table.cursor is not None:
            cursor = f"{part_of(table.cursor, f'c{table.cursor.column}', nested_duckdb)} DESC NULLS LAST, "
        keyed = " AND ".join(f"{part} IS NOT NULL" for part in parts)
        sql = f"""
            DELETE FROM s{index} WHERE ordinal <= {upto} AND {keyed} AND ordinal NOT IN (
                SELECT ordinal FROM s{index} WHERE ordinal <= {upto} AND {keyed}
                QUALIFY row_number() OVER (PARTITION BY {", ".join(parts)} ORDER BY {cursor}a1 DESC, ordinal DESC) = 1
            )"""  # noqa: S608 - names of our own and quoted ones
        self.with_enough_memory(lambda: self._execute(sql))

    def ensure(self, index: int, table: StreamTable) -> None:
        """Make a stream's staging table if it has had no record, so that it can be committed as others."""
        if index not in self._loaded:
            self._create(index, table)
            self._loaded[index] = 0

    def discard(self, index: int, upto: int) -> None:
        """Delete the records up to one: they are committed."""
        sql = f"DELETE FROM s{index} WHERE ordinal <= {upto}"  # noqa: S608
        self.with_enough_memory(lambda: self._execute(sql))

    def _create(self, index: int, table: StreamTable) -> None:
        own = [f"a{i} {DUCKDB_TYPES[kind]}" for i, (_, kind) in enumerate(AIRBYTE_COLUMNS)]
        theirs = [f"c{i} {DUCKDB_TYPES[column.stored]}" for i, column in enumerate(table.columns)]
        sql = f"CREATE TABLE s{index} (ordinal BIGINT, {', '.join([*own, *theirs])})"
        self.with_enough_memory(lambda: self._execute(sql))

    def _insert(self, index: int, table: StreamTable, first: int) -> str:
        """The statement that types a file: DuckDB parses each line once for all texts and once for all JSON."""
        texts, documents = ["/record/emitted_at"], ["/record/meta/changes"]
        raw, typed, changes, losses = [], [], [], []
        for i, column in enumerate(table.columns):
            is_json = column.stored == "json"
            paths = documents if is_json else texts
            paths.append(f"/record/data/{column.field.replace('~', '~0').replace('/', '~1')}")
            raw.append(f"nullif(d[{len(paths)}]::VARCHAR, 'null') AS r{i}" if is_json else f"t[{len(paths)}] AS r{i}")
            typed.append(f"{self._typed(column, f'r{i}')} AS c{i}")
            if (column.stored != "string" and not is_json) or not self._text_holds_zero:
                is_lost = f"r{i} IS NOT NULL AND c{i} IS NULL"
                losses.append(f"({is_lost})")
                changes.append(f"CASE WHEN {is_lost} THEN {_change(column.field)} END")
        own = f"[]::{_CHANGES}[]"
        if changes:  # the list is made only for rows that need one, which are few
            listed = f"list_filter([{', '.join(changes)}], lambda x: x IS NOT NULL)"
            own = f"CASE WHEN {' OR '.join(losses)} THEN {listed} ELSE {own} END"
        meta = f"""CASE WHEN changes = [] THEN '{{"sync_id":{self._job_id},"changes":[]}}'
            ELSE to_json(struct_pack(sync_id := {self._job_id}, changes := changes)) END"""
        columns = "".join(f", c{i}" for i in range(len(table.columns)))
        return f"""
            INSERT INTO s{index}
            SELECT {first} + row_number() OVER (), uuid()::VARCHAR, make_timestamptz(emitted * 1000), {meta},
                {table.generation_id}{columns}
            FROM (
                SELECT *, list_concat(coalesce(from_json(given, '{_CHANGES_JSON}'), []), {own}) AS changes
                FROM (
                    SELECT *{"".join(f", {column}" for column in typed)}
                    FROM (
                        SELECT TRY_CAST(t[1] AS BIGINT) AS emitted, d[1] AS given{"".join(f", {r}" for r in raw)}
                        FROM (
                            SELECT TRY(json_extract_string(json, {_list(texts)})) AS t,
                                TRY(json_extract(json, {_list(documents)})) AS d
                            FROM {_LINES}
                        ) WHERE t IS NOT NULL
                    )
                )
            )"""  # noqa: S608 - literals are quoted

    def _typed(self, column: Column, value: str) -> str:
        if column.stored in {"string", "json"}:
            if self._text_holds_zero:
                return value
            zero = "chr(0)" if column.stored == "string" else r"'\u0000'"
            return f"CASE WHEN instr({value}, {zero}) = 0 THEN {value} END"
        return _typed(column.declared, column.stored, value)

    def _execute(self, sql: str, parameters: dict[str, object] | None = None) -> None:
        self.connection.execute(sql, parameters)

    def _one(self, sql: str) -> int:
        row = self.connection.execute(sql).fetchone()
        return int(row[0]) if row else 0


_CHANGES = "STRUCT(field VARCHAR, change VARCHAR, reason VARCHAR)"
_CHANGES_JSON = '[{"field":"VARCHAR","change":"VARCHAR","reason":"VARCHAR"}]'


def _typed(declared: AirbyteType, stored: AirbyteType, value: str) -> str:
    """The SQL that makes a value of a text, or NULL if the text is none of the type's."""
    cast = f"TRY_CAST({value} AS {DUCKDB_TYPES[stored]})"
    if stored == "integer":
        number = f"TRY_CAST({value} AS DOUBLE)"
        whole = f"{number} = trunc({number}) AND abs({number}) < {EXACT}"
        # DuckDB would round what has a fraction; 5.0 and 1e3 are whole.
        return (
            f"CASE WHEN instr({value}, '.') = 0 AND instr(lower({value}), 'e') = 0 THEN {cast} "
            f"WHEN {whole} THEN {number}::BIGINT END"
        )
    if stored == "number":
        exact = f" AND abs({cast}) < {EXACT}" if declared == "integer" else ""
        return f"CASE WHEN isfinite({cast}){exact} THEN {cast} END"
    if stored in {"date", "timestamp_with_timezone", "timestamp_without_timezone"}:
        return f"CASE WHEN isfinite({cast}) THEN {cast} END"
    if stored == "time_with_timezone":
        return f"TRY_CAST(regexp_replace({value}, '[Zz]$', '+00') AS {DUCKDB_TYPES[stored]})"
    return cast


def _change(field: str) -> str:
    return f"struct_pack(field := {literal(field)}, change := 'NULLED', reason := 'DESTINATION_TYPECAST_ERROR')"


def _list(paths: Sequence[str]) -> str:
    return f"[{', '.join(literal(path) for path in paths)}]"


def literal(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


#: Makes the SQL of what lies within a column of JSON: column, keys, type.
Nested = Callable[[str, Sequence[str], AirbyteType], str]


def part_of(part: Part, column: str, nested: Nested) -> str:
    """Return the SQL of a part of a key, given the SQL of its column."""
    return nested(column, part.path, part.type) if part.path else column


def nested_duckdb(column: str, path: Sequence[str], kind: AirbyteType) -> str:
    """Return the SQL of what lies within a column of JSON, as DuckDB says it."""
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
    value = f"json_extract_string({column}, {literal(pointer)})"
    return value if kind in {"string", "json"} else f"TRY_CAST({value} AS {DUCKDB_TYPES[kind]})"
