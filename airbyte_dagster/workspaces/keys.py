"""Names of connections and streams as parts of asset keys: predictable, and never two things of one key.

A part has letters, digits and ``_`` alone. Accents are dropped (``é`` is ``e``), and whatever else Dagster's names
don't have becomes ``_``. A name of which no letter and no digit is left gets a digest: ``_`` and eight hex digits.

Where connections would have one name, the oldest keeps it, and the others get a digest of their id: those that are
made later change nothing. Streams have no age: of those that would have one name, the one that is called so keeps it,
and the others get a digest of their namespace and name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable
from functools import lru_cache
from typing import Protocol

from airbyte_dagster.airbyte.records import Stream, StreamKey

_OTHER = re.compile(r"[^A-Za-z0-9_]")
_SHORT = 8


class DatedConnection(Protocol):
    """What a connection's key depends on."""

    @property
    def id(self) -> str:
        """Airbyte's id."""

    @property
    def name(self) -> str:
        """Airbyte's name, which others may have, too."""

    @property
    def created_at(self) -> int:
        """Epoch seconds; 0 where the server does not say."""


@lru_cache(maxsize=65536)
def key_part(name: str) -> str:
    """Return a name as a part of an asset key."""
    if name.isascii():
        plain = _OTHER.sub("_", name)
    else:
        apart = unicodedata.normalize("NFKD", name)
        plain = _OTHER.sub("_", "".join(letter for letter in apart if not unicodedata.combining(letter)))
    return plain if plain.strip("_") else f"_{_digest(name)[:_SHORT]}"


def connection_keys(connections: Iterable[DatedConnection]) -> dict[str, str]:
    """Return the key of each connection, by its id."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for connection in sorted(connections, key=lambda connection: (connection.created_at, connection.id)):
        key = free_connection_key(connection, taken)
        keys[connection.id] = key
        taken.add(key)
    return keys


def free_connection_key(connection: DatedConnection, taken: Container[str]) -> str:
    """Return a key for a connection that is not taken."""
    plain = key_part(connection.name)
    return plain if plain not in taken else _told_apart(plain, connection.id, taken)


def stream_paths(streams: Iterable[Stream]) -> dict[StreamKey, tuple[str, ...]]:
    """Return the key of each stream of a connection, after the connection's own: namespace, if it has one, and name."""
    plain = {stream.key: _plain_path(stream.key) for stream in streams}
    counts = Counter(plain.values())
    paths = {key: path for key, path in plain.items() if counts[path] == 1 or _is_plain(key, path)}
    taken = set(paths.values())
    for key in sorted(plain.keys() - paths.keys(), key=str):
        paths[key] = _told_apart_path(key, plain[key], taken)
        taken.add(paths[key])
    return paths


def free_stream_path(stream: Stream, taken: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """Return a key for a stream, after its connection's, that is not taken."""
    plain = _plain_path(stream.key)
    return plain if plain not in taken else _told_apart_path(stream.key, plain, taken)


def _plain_path(key: StreamKey) -> tuple[str, ...]:
    namespace, name = key
    return (key_part(namespace), key_part(name)) if namespace else (key_part(name),)


def _told_apart_path(key: StreamKey, plain: tuple[str, ...], taken: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    *before, name = plain
    identity = "\0".join((key[0] or "", key[1]))
    beside = {path[-1] for path in taken if path[:-1] == plain[:-1]}
    return (*before, _told_apart(name, identity, beside))


def _told_apart(plain: str, identity: str, taken: Container[str]) -> str:
    """Return a name with a digest of what it stands for, a long one where even that is taken."""
    digest = _digest(identity)
    short = f"{plain}_{digest[:_SHORT]}"
    return short if short not in taken else f"{plain}_{digest}"


def _is_plain(key: StreamKey, path: tuple[str, ...]) -> bool:
    return tuple(part for part in key if part) == path


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
