"""What the columns of a table are called, and those that Airbyte adds to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from airbyte_dagster.destinations.names import Normaliser, digested

#: Of each row: its id, when the connector read it, what became of its values, and the refresh that it belongs to.
RAW_ID = "_airbyte_raw_id"
EXTRACTED_AT = "_airbyte_extracted_at"
META = "_airbyte_meta"
GENERATION_ID = "_airbyte_generation_id"


def distinct_columns(
    names: Iterable[str], normalise: Normaliser, fold: Callable[[str], str] = str.casefold
) -> dict[str, str]:
    """Return the column of each name, no two of them the same, in the order of the names.

    Of names that a destination takes for one (``userId`` and ``userid``), the one that it leaves as it is keeps its
    name and each of the others gets a digest of its own, which depends on nothing but that name.

    Args:
        names: The names that the source has, none of them twice.
        normalise: What the destination makes of a name.
        fold: Makes those names equal that are one to the database: DuckDB does not look at case, PostgreSQL does.
    """
    plain = {name: normalise(name) for name in names}
    times = Counter(map(fold, plain.values()))
    return {
        name: column if times[fold(column)] == 1 or column == name else digested(name, normalise)
        for name, column in plain.items()
    }
