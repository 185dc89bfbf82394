"""What pipelines, and the variables that stand for secrets, are called: the same whichever connections are exported."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import Path
from airbyte_dagster.airbyte.records import SECRET_MASK, ActorKind
from airbyte_dagster.export.contents import Contents
from airbyte_dagster.runs.keys import asset_key_part
from airbyte_dagster.workspaces.keys import connection_keys

_DIGITS = 8
#: Variables that mean something else already: to this package, to Dagster, to MotherDuck.
_TAKEN = re.compile(r"(AIRBYTE|DAGSTER)_|MOTHERDUCK_(APIKEY|TOKEN)$", re.IGNORECASE)


@dataclass(frozen=True)
class Variable:
    """A variable of the environment that stands for a secret.

    Attributes:
        actor: Name of the source or destination that has the secret.
        path: Where in its configuration, dotted.
    """

    name: str
    kind: ActorKind
    actor: str
    path: str

    def __str__(self) -> str:
        return f"{self.name}: {self.path} of the {self.kind} {self.actor!r}"


@dataclass(frozen=True)
class _Connection:
    id: str
    name: str
    created_at: int


def pipeline_names(connections: Iterable[records.Connection]) -> dict[str, str]:
    """Return a pipeline's name for each connection, by id: the same whichever of them are exported.

    It is the connection's key in `build_workspace_defs`, so that its assets keep their history.
    """
    dated = [_Connection(item.id, item.name, _epoch_seconds(item.raw.get("createdAt"))) for item in connections]
    return connection_keys(dated)


def _epoch_seconds(value: Any) -> int:
    return value if isinstance(value, int) else 0


def variables_of(contents: Contents) -> dict[tuple[str, Path], Variable]:
    """Return a variable for each secret of a workspace, by actor and path."""
    kinds: tuple[tuple[ActorKind, Sequence[records.Actor]], ...] = (
        ("source", contents.sources),
        ("destination", contents.destinations),
    )
    secrets = {
        (actor.id, path): (kind, actor)
        for kind, actors in kinds
        for actor in actors
        for path in masked_paths(actor.configuration)
    }
    plain = {
        (actor.id, path): asset_key_part("_".join([actor.name, *path])).upper()
        for (_, path), (_, actor) in secrets.items()
    }
    names = _distinct(plain)
    return {key: Variable(names[key], kind, actor.name, ".".join(key[1])) for key, (kind, actor) in secrets.items()}


def _distinct(plain: Mapping[tuple[str, Path], str]) -> dict[tuple[str, Path], str]:
    """Return the names of variables; behind those that occur twice, or are taken, is a digest of actor and path."""
    times = Counter(plain.values())
    return {
        key: _not_a_digit_first(f"{name}_{_digest(key)}" if times[name] > 1 or _TAKEN.match(name) else name)
        for key, name in plain.items()
    }


def _not_a_digit_first(name: str) -> str:
    return f"_{name}" if name[0].isdigit() else name


def _digest(key: tuple[str, Path]) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:_DIGITS].upper()


def masked_paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where secrets are that Airbyte masks; items of lists by their number."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from masked_paths(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from masked_paths(item, (*path, str(index)))
    elif value == SECRET_MASK:
        yield path
