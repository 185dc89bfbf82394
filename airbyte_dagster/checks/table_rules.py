"""The rules of a table by itself: keys, nulls, age, columns, bounds, changed values. Pure functions."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from airbyte_dagster.checks.findings import Finding, Verdict, unverified
from airbyte_dagster.destinations.sync_modes import CDC_DELETED_AT
from airbyte_dagster.warehouse import Table

#: A clock may be wrong by so much; a time without a zone may be local, which is up to 14 hours ahead of UTC.
_CLOCKS_DIFFER, _ZONES_DIFFER = dt.timedelta(minutes=10), dt.timedelta(hours=14, minutes=10)
#: Names that a sentence has; the metadata has all.
_NAMED = 5


# unique_key, not_null


def unique_key(table: Table, key: tuple[str, ...]) -> Finding:
    """Whether no two rows have the same key; rows with a null in it are not compared."""
    if not key:
        return unverified(f"no primary key of {table.name} is known; declare it, or the check's columns.")
    counted = table.keys.get(key)
    if counted is None:
        return _missing_columns(table, key)
    twice = counted.complete - counted.distinct
    names = ", ".join(key)
    numbers = {"rows_in_warehouse": table.rows, "distinct_keys": counted.distinct, "duplicate_rows": twice}
    if twice:
        text = f"{table.name} has {twice:,} rows too many for {counted.distinct:,} distinct keys ({names})."
        return Finding(Verdict.FAILED, text, numbers)
    incomplete = table.rows - counted.complete
    rest = f"; {incomplete:,} more rows have a null in it" if incomplete else ""
    return Finding(Verdict.PASSED, f"All {counted.distinct:,} keys ({names}) are unique{rest}.", numbers)


def not_null(table: Table, columns: Sequence[str]) -> Finding:
    """Whether no row has a null in one of the columns."""
    if not columns:
        return unverified(f"no primary key of {table.name} is known; declare it, or the check's columns.")
    if any(name not in table.nulls for name in columns):
        return _missing_columns(table, columns)
    nulls = {name: table.nulls[name] for name in columns}
    numbers = {"rows_in_warehouse": table.rows, **{f"nulls_in_{name}": count for name, count in nulls.items()}}
    if any(nulls.values()):
        found = ", ".join(f"{count:,} in {name}" for name, count in nulls.items() if count)
        return Finding(Verdict.FAILED, f"{table.name} has nulls: {found}, of {table.rows:,} rows.", numbers)
    return Finding(Verdict.PASSED, f"{table.name} has no nulls in {', '.join(columns)}.", numbers)


def _missing_columns(table: Table, columns: Sequence[str]) -> Finding:
    missing = ", ".join(name for name in columns if not table.has(name))
    return Finding(Verdict.FAILED, f"{table.name} has no column {missing}.")


# fresh


def fresh(
    table: Table, column: str, within: dt.timedelta, now: dt.datetime, *, is_known_empty: bool = False
) -> Finding:
    """Whether the newest value of a column is no older than a window.

    Args:
        now: With a time zone.
        is_known_empty: Whether no rows are expected, by what the last job says.
    """
    found = table.column(column)
    if found is None:
        return _missing_columns(table, [column])
    if table.rows == 0:
        numbers = {"rows_in_warehouse": 0}
        if is_known_empty:
            return unverified(f"{table.name} has no rows, and no sync reports any: nothing has an age.", numbers)
        if table.column(CDC_DELETED_AT) is not None:
            return unverified(f"{table.name} has no rows, and the source deletes rows: nothing has an age.", numbers)
        return Finding(Verdict.FAILED, f"{table.name} has no rows.", numbers)
    if table.newest is None:
        why = f"{column} of {table.name} is {found[1]}, with no date or timestamp in it."
        if table.newest_text:
            why = f"the newest {column} of {table.name} is {table.newest_text}, whose age can't be told."
        return unverified(why, {"newest": table.newest_text})
    return _aged(table.name, found, table.newest, within, now)


def _aged(table: str, column: tuple[str, str], newest: dt.datetime, within: dt.timedelta, now: dt.datetime) -> Finding:
    name, type_ = column
    if newest - now > (_CLOCKS_DIFFER if _has_zone(type_) else _ZONES_DIFFER):
        seen = newest.isoformat(" ", "seconds")
        text = f"the newest {name} of {table} is {seen}, in the future: which row is the newest is not known."
        return unverified(text, {"newest": newest.isoformat()})
    age = now - newest
    numbers = {
        "newest": newest.isoformat(),
        "age_seconds": round(age.total_seconds(), 1),
        "within_seconds": within.total_seconds(),
    }
    text = f"The newest {name} of {table} is {_length(age)} old (limit: {_length(within)})."
    return Finding(Verdict.PASSED if age <= within else Verdict.FAILED, text, numbers)


def _has_zone(type_: str) -> bool:
    return "with time zone" in type_.lower() or "tz" in type_.lower()


def _length(time: dt.timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    parts = (
        (seconds // 86_400, "day" if seconds // 86_400 == 1 else "days"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


# schema


@dataclass(frozen=True)
class RecordedColumns:
    """The columns of a table at one time.

    Attributes:
        types: Name → type.
        valueless: Those in which all rows had NULL; ``None`` if that was not counted.
    """

    types: Mapping[str, str]
    valueless: frozenset[str] | None = None

    @classmethod
    def of(cls, table: Table) -> RecordedColumns:
        """Return those of a table as it is."""
        counted = table.values if table.rows else {}
        valueless = frozenset(name for name, count in counted.items() if not count)
        return cls(dict(table.columns), valueless if counted else None)


def schema(table: Table, recorded: Sequence[RecordedColumns], fields: Collection[str] = ()) -> Finding:
    """Whether the columns are those of the last materialization and of the source, and still have values.

    Args:
        recorded: Columns of the last two materializations, newest first. The newest may be of the very state that is
            checked; then it is held against the one before.
        fields: That the source has; none if they are not known.
    """
    if not recorded:
        return unverified(f"no materialization has recorded the columns of {table.name} yet.")
    now = RecordedColumns.of(table)
    baseline = next((item.types for item in recorded if dict(item.types) != now.types), now.types)
    added = sorted(set(now.types) - set(baseline))
    removed = sorted(set(baseline) - set(now.types))
    retyped = {name: f"{baseline[name]} → {type_}" for name, type_ in sorted(now.types.items()) if name in baseline}
    retyped = {name: change for name, change in retyped.items() if baseline[name] != now.types[name]}
    emptied, absent = _emptied(now, recorded), sorted(name for name in fields if not table.has(name))
    numbers = {"columns": len(now.types), "added": added, "removed": removed, "retyped": retyped, "emptied": emptied}
    numbers |= {"absent": absent} if fields else {}
    changes = [
        *(f"{name} is gone" for name in removed),
        *(f"{name} was {change.replace(' → ', ' and is ')}" for name, change in retyped.items()),
        *(f"{name} is new" for name in added),
        *(f"{name} had values and has only NULL now, as after a rename in the source" for name in emptied),
        *(f"the source's {name} is not there" for name in absent),
    ]
    if not changes:
        return Finding(Verdict.PASSED, f"{table.name} has the {len(now.types)} columns it had.", numbers)
    more = f"; and {len(changes) - _NAMED:,} more" if len(changes) > _NAMED else ""
    breaking = bool(removed or retyped)
    text = f"{table.name}: {'; '.join(changes[:_NAMED])}{more}."
    return Finding(Verdict.FAILED if breaking else Verdict.WARNED, text, numbers)


def _emptied(now: RecordedColumns, recorded: Sequence[RecordedColumns]) -> list[str]:
    """Return the columns that have lost all their values since the last materialization."""
    if now.valueless is None:
        return []
    before = next((item for item in recorded if item.valueless is not None and item.valueless != now.valueless), None)
    if before is None or before.valueless is None:
        return []
    return sorted(name for name in now.valueless - before.valueless if name in before.types)


# expected_range, sql, values_kept


def expected_range(table: Table, least: int | None, most: int | None) -> Finding:
    """Whether the number of rows lies within bounds, both included."""
    if most is None:
        bounds = f"at least {least:,} expected"
    elif least is None:
        bounds = f"at most {most:,} expected"
    else:
        bounds = f"{least:,} to {most:,} expected"
    numbers = {"rows_in_warehouse": table.rows, "min": least, "max": most}
    fits = (least is None or table.rows >= least) and (most is None or table.rows <= most)
    text = f"{table.name} has {table.rows:,} rows; {bounds}."
    return Finding(Verdict.PASSED if fits else Verdict.FAILED, text, numbers)


def no_rows(table: Table, found: int) -> Finding:
    """Whether a user's query returned no rows."""
    if found:
        text = f"The query returns {found:,} rows, of {table.rows:,} in {table.name}; none are expected."
        return Finding(Verdict.FAILED, text, {"violations": found})
    return Finding(Verdict.PASSED, "The query returns no rows.", {"violations": 0})


def values_kept(table: Table, changes: Sequence[tuple[str, int]]) -> Finding | None:
    """Whether no row lists values that its destination had to change; ``None`` if the table has no such list.

    Args:
        changes: What ``_airbyte_meta`` says, as text, and of how many rows.
    """
    if table.changed_rows is None:
        return None
    numbers = {"rows_in_warehouse": table.rows, "rows_with_changed_values": table.changed_rows}
    if not table.changed_rows:
        text = f"No row of {table.name} lists values that the destination had to change."
        return Finding(Verdict.PASSED, text, numbers)
    fields = _by_field(changes)
    some = ", ".join(f"{name} ({rows:,})" for name, rows in fields.most_common(_NAMED))
    more = f" and {len(fields) - _NAMED:,} more" if len(fields) > _NAMED else ""
    named = f": {some}{more}" if fields else ""
    text = f"{table.changed_rows:,} of {table.rows:,} rows of {table.name} list values that were nulled or cut{named}."
    return Finding(Verdict.FAILED, text, {**numbers, **{f"changed: {name}": rows for name, rows in fields.items()}})


def _by_field(changes: Sequence[tuple[str, int]]) -> Counter[str]:
    """Count rows by field, change and reason; nothing of a text that is no JSON."""
    found: Counter[str] = Counter()
    for text, rows in changes:
        try:
            listed = json.loads(text)["changes"]
            names = {" ".join(str(item.get(key, "")) for key in ("field", "change", "reason")) for item in listed}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found.update(dict.fromkeys((" ".join(name.split()) for name in names), rows))
    return found
