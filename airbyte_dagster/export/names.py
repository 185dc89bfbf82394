"""What pipelines, and the variables that stand for secrets, are called: the same whichever connections are exported."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import Path
from airbyte_dagster.airbyte.records import SECRET_MASK, ActorKind
from airbyte_dagster.export.contents import Contents

_DIGITS = 8
#: Letters of a pipeline's name, which is the name of a directory, too.
_LONGEST = 60
#: Variables that mean something else already: to this package, to Dagster, to MotherDuck.
_TAKEN = re.compile(r"(AIRBYTE|DAGSTER)_|MOTHERDUCK_(APIKEY|TOKEN)$", re.IGNORECASE)

_Key = TypeVar("_Key", bound=Hashable)


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


def pipeline_names(connections: Iterable[records.Connection]) -> dict[str, str]:
    """Return a pipeline's name for each connection, by id: the same whichever of them are exported."""
    return _told_apart({item.id: _slug(item.name).lower()[:_LONGEST] or "connection" for item in connections})


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
        (actor.id, path): _slug("_".join([_slug(actor.name) or kind, *path])).upper()
        for (_, path), (kind, actor) in secrets.items()
    }
    names = _told_apart(plain, taken=_TAKEN)
    return {
        key: Variable(names[key].upper(), kind, actor.name, ".".join(key[1])) for key, (kind, actor) in secrets.items()
    }


def _told_apart(plain: Mapping[_Key, str], *, taken: re.Pattern[str] | None = None) -> dict[_Key, str]:
    """Return names that begin with no digit; behind those that are there twice, or taken, is a digest of the key."""
    times = Counter(plain.values())
    names = {
        key: f"{name}_{_digest(key)}" if times[name] > 1 or (taken and taken.match(name)) else name
        for key, name in plain.items()
    }
    return {key: f"_{name}" if name[0].isdigit() else name for key, name in names.items()}


def _digest(key: Hashable) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:_DIGITS]


def _slug(text: str) -> str:
    """Return what is left of a text in ASCII letters and digits, joined by ``_``; accents are dropped."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "_".join(re.findall(r"[A-Za-z0-9]+", "".join(letters)))


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
