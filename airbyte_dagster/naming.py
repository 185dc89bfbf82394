"""Where Airbyte's destinations put a stream, and what Dagster calls it."""

from __future__ import annotations

import re

from airbyte_dagster import spec
from airbyte_dagster.configuration import declared_value, read_reference
from airbyte_dagster.warehouse import TableRef, normalised

_DEFAULT_SCHEMAS = {"postgres": "public"}
_DUCKDB_SCHEMA = "main"


def table_ref(pipeline: spec.AirbytePipeline, stream: spec.Stream) -> TableRef:
    """Return where the table of a stream is expected.

    Some destinations lower-case names and put ``_`` for what is no letter or digit; others keep them. So the plain
    name comes first, then the normalised one, then the table of raw records that Airbyte's destination-duckdb writes
    (``DestinationDuckdb.write``).
    """
    name = f"{pipeline.connection.prefix}{stream.name}"
    names = tuple(dict.fromkeys((name, normalised(name), f"_airbyte_raw_{name}")))
    return TableRef(_schema(pipeline, stream), names)


def key_columns(stream: spec.Stream) -> tuple[str, ...]:
    """Return the columns of the primary key; none if a part of it lies within a column."""
    paths = stream.primary_key
    return tuple(path[0] for path in paths) if all(len(path) == 1 for path in paths) else ()


def dagster_name(name: str) -> str:
    """Turn a stream's name into one that Dagster takes; ``_`` for what it does not."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"


def _schema(pipeline: spec.AirbytePipeline, stream: spec.Stream) -> str:
    connection = pipeline.connection
    usual = _DEFAULT_SCHEMAS.get(pipeline.destination.type, _DUCKDB_SCHEMA)
    default = str(read_reference(declared_value(pipeline.destination.configuration, "schema")) or usual)
    if connection.namespace_definition == "source":
        return stream.namespace or default
    if connection.namespace_definition == "custom_format" and connection.namespace_format:
        return connection.namespace_format.replace("${SOURCE_NAMESPACE}", stream.namespace or "") or default
    return default
