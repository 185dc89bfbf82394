"""What the columns of a table are called, and those that Airbyte adds to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from airbyte_dagster.destinations.names import Normaliser, digested

#: Of each row: its id, when the connector read it, what became of its values, and the refresh that it belongs to.
RAW_ID = "_airbyte_raw_id"
EXTRACTED_AT = "_airbyte_extracted_at"
META = "_airbyte_meta"
GENERATION_ID = "_airbyte_generation_id"


def distinct_columns(
    names: Iterable[str],
    normalise: Normaliser,
    fold: Callable[[str], str] = str.casefold,
    existing: Mapping[str, str | None] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the column of each name, no two of them the same, in the order of the names.

    Of names that a destination takes for one (``userId`` and ``userid``), the one that it leaves as it is keeps its
    name and each of the others gets a digest of its own, which depends on nothing but that name. In a table that is
    there, a column stays the column of the name that it was made for.

    Args:
        names: The names that the source has, none of them twice.
        normalise: What the destination makes of a name.
        fold: Makes those names equal that are one to the database: DuckDB does not look at case, PostgreSQL does.
        existing: Columns of the table, folded, each with the name that it was made for; ``None`` if that is not known.
    """
    plain = {name: normalise(name) for name in names}
    times = Counter(map(fold, plain.values()))

    def column_of(name: str) -> str:
        column, own = plain[name], digested(name, normalise)
        made_for = existing.get(fold(column))
        if made_for == name:
            return column
        if made_for in plain or fold(own) in existing:
            return own
        return column if times[fold(column)] == 1 or column == name else own

    return {name: column_of(name) for name in plain}
