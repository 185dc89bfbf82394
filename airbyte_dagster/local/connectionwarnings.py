"""What a person who looks at a connection should know of it."""

from __future__ import annotations

from airbyte_dagster.local.deps import Context
from airbyte_dagster.local.records import Connection
from airbyte_dagster.local.schemachanges import schema_change


def warnings_of(context: Context, connection: Connection) -> list[str]:
    """Sentences, none if all is well: what has changed in its source, and which of its tables others write, too.

    Args:
        context: The parts of the server.
        connection: The connection.
    """
    said = []
    if connection.drift:
        kind = "a breaking change" if schema_change(connection) == "breaking" else "changes"
        said.append(f"The schema of the source has {kind}: {'; '.join(connection.drift['words'])}.")
    return [*said, *(str(sharing) for sharing in context.runner.beforehand.shared_tables(connection))]
