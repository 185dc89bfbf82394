"""What a workspace has, and which of its connections are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase

from airbyte_dagster.airbyte import AirbyteClient, records
from airbyte_dagster.declaration import did_you_mean
from airbyte_dagster.errors import ConfigurationError


@dataclass(frozen=True)
class Contents:
    """What a workspace has."""

    workspace: records.Workspace
    sources: Sequence[records.Actor]
    destinations: Sequence[records.Actor]
    connections: Sequence[records.Connection]


def read_contents(client: AirbyteClient, workspace: records.Workspace) -> Contents:
    """Read the three lists of a workspace, side by side.

    Raises:
        AirbyteError: One of them can't be read.
    """
    with ThreadPoolExecutor(3) as pool:
        sources = pool.submit(client.actors, "source", workspace.id)
        destinations = pool.submit(client.actors, "destination", workspace.id)
        connections = client.connections(workspace.id)
    return Contents(workspace, sources.result(), destinations.result(), connections)


def choose(contents: Contents, wanted: Iterable[str]) -> list[records.Connection]:
    """Return the connections that are meant, each once, by name.

    Args:
        wanted: Names, ids, or globs of names.

    Raises:
        ConfigurationError: Nothing fits one of them; the message has the name that is nearest.
    """
    chosen: dict[str, records.Connection] = {}
    for text in wanted:
        found = [item for item in contents.connections if text in (item.name, item.id)] or [
            item for item in contents.connections if fnmatchcase(item.name, text)
        ]
        if not found:
            names = [item.name for item in contents.connections]
            near = did_you_mean(text, names)
            raise ConfigurationError(
                f"The workspace {contents.workspace.name!r} has no connection {text!r}.",
                guidance=f"{near[:1].upper()}{near[1:]}It has {len(names)}; '*' means all. Nothing was written.",
            )
        chosen |= {item.id: item for item in found}
    return sorted(chosen.values(), key=lambda item: (item.name, item.id))
