"""Names of Airbyte as parts of asset keys: predictable, the same in a pipeline and in a workspace.

A part has letters, digits and ``_`` alone. Accents are dropped (``é`` is ``e``), and whatever else Dagster's names
don't have becomes ``_``. A name of which no letter and no digit is left gets a digest: ``_`` and eight hex digits.

Of streams that would have one key, the one that is called so keeps it, and the others get a digest of their namespace
and name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable
from functools import lru_cache

from airbyte_dagster.airbyte.records import StreamKey

_OTHER = re.compile(r"[^A-Za-z0-9_]")
_SHORT = 8


@lru_cache(maxsize=65536)
def asset_key_part(name: str) -> str:
    """Return a name of Airbyte's as one that Dagster takes, as a part of an asset key or elsewhere."""
    if name.isascii():
        plain = _OTHER.sub("_", name)
    else:
        apart = unicodedata.normalize("NFKD", name)
        plain = _OTHER.sub("_", "".join(letter for letter in apart if not unicodedata.combining(letter)))
    return plain if plain.strip("_") else f"_{_digest(name)[:_SHORT]}"


def stream_paths(streams: Iterable[StreamKey]) -> dict[StreamKey, tuple[str, ...]]:
    """Return the key of each stream of a connection, after the connection's own: namespace, if it has one, and name."""
    plain = {stream: _plain_path(stream) for stream in streams}
    counts = Counter(plain.values())
    paths = {key: path for key, path in plain.items() if counts[path] == 1 or _is_plain(key, path)}
    taken = set(paths.values())
    for key in sorted(plain.keys() - paths.keys(), key=str):
        paths[key] = _told_apart_path(key, plain[key], taken)
        taken.add(paths[key])
    return paths


def free_stream_path(stream: StreamKey, taken: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """Return a key for a stream, after its connection's, that is not taken."""
    plain = _plain_path(stream)
    return plain if plain not in taken else _told_apart_path(stream, plain, taken)


def told_apart(plain: str, identity: str, taken: Container[str]) -> str:
    """Return a name with a digest of what it stands for, a long one where even that is taken."""
    digest = _digest(identity)
    short = f"{plain}_{digest[:_SHORT]}"
    return short if short not in taken else f"{plain}_{digest}"


def _plain_path(key: StreamKey) -> tuple[str, ...]:
    namespace, name = key
    return (asset_key_part(namespace), asset_key_part(name)) if namespace else (asset_key_part(name),)


def _told_apart_path(key: StreamKey, plain: tuple[str, ...], taken: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    *before, name = plain
    identity = "\0".join((key.namespace or "", key.name))
    beside = {path[-1] for path in taken if path[:-1] == plain[:-1]}
    return (*before, told_apart(name, identity, beside))


def _is_plain(key: StreamKey, path: tuple[str, ...]) -> bool:
    return tuple(part for part in key if part) == path


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
