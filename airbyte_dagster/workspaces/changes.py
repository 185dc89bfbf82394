"""What differs between two snapshots of a workspace, in words for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.workspaces.keys import connection_keys
from airbyte_dagster.workspaces.snapshot import ConnectionRecord, WorkspaceSnapshot


@dataclass(frozen=True)
class ConnectionChange:
    """A connection that two snapshots have, and that is not the same in them.

    Attributes:
        old_key: First part of its assets' keys, unless a translator says otherwise.
    """

    old: ConnectionRecord
    new: ConnectionRecord
    old_key: str
    new_key: str

    @property
    def renamed(self) -> bool:
        """Whether its name is another."""
        return self.old.name != self.new.name

    @property
    def streams_added(self) -> tuple[str, ...]:
        """Streams that only the new one has, by their names with namespaces."""
        return _only_in(self.new.streams, self.old.streams)

    @property
    def streams_removed(self) -> tuple[str, ...]:
        """Streams that only the old one has."""
        return _only_in(self.old.streams, self.new.streams)

    @property
    def streams_changed(self) -> tuple[str, ...]:
        """Streams with another sync mode, primary key, selection of fields, or columns."""
        before = {stream.key: stream for stream in self.old.streams}
        return tuple(_named(stream) for stream in self.new.streams if before.get(stream.key, stream) != stream)

    def __str__(self) -> str:
        parts = [f"is now {self.new.name!r}"] if self.renamed else []
        if self.old.status != self.new.status:
            parts.append(f"is now {self.new.status}")
        for what, names in (
            ("added", self.streams_added),
            ("removed", self.streams_removed),
            ("changed", self.streams_changed),
        ):
            if names:
                parts.append(f"{counted(len(names), 'stream')} {what} ({_listed(names)})")
        old = replace(self.old, name=self.new.name, status=self.new.status, streams=self.new.streams)
        if old != self.new:
            parts.append("other settings")
        if self.old_key != self.new_key:
            parts.append(f"key {self.old_key} → {self.new_key}")
        return f"~ {self.old.name!r}: {', '.join(parts)}"


@dataclass(frozen=True)
class WorkspaceChanges:
    """How a workspace differs from what it was.

    Attributes:
        changed: What both have, and is not the same.
    """

    added: tuple[ConnectionRecord, ...]
    removed: tuple[ConnectionRecord, ...]
    changed: tuple[ConnectionChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        if not self:
            return "nothing changed"
        renamed = sum(change.renamed for change in self.changed)
        counts = ((self.added, "added"), (self.removed, "removed"), (self.changed, "changed"))
        words = [f"{counted(len(several), 'connection')} {what}" for several, what in counts if several]
        return ", ".join(words) + (f" ({renamed} renamed)" if renamed else "")

    def lines(self) -> Iterator[str]:
        """Yield a line for each connection: ``+`` for a new one, ``-`` for one that is gone, ``~`` for a changed."""
        for connection in self.added:
            yield f"+ {connection.name!r}: {counted(len(connection.streams), 'stream')}"
        for connection in self.removed:
            yield f"- {connection.name!r}"
        yield from map(str, self.changed)


def diff(old: WorkspaceSnapshot | None, new: WorkspaceSnapshot) -> WorkspaceChanges:
    """Compare a workspace with what it was; all is new if there is nothing to compare with."""
    before = {connection.id: connection for connection in old.connections} if old else {}
    after = {connection.id: connection for connection in new.connections}
    old_keys, new_keys = connection_keys(before.values()), connection_keys(after.values())
    return WorkspaceChanges(
        added=tuple(after[id_] for id_ in after if id_ not in before),
        removed=tuple(before[id_] for id_ in before if id_ not in after),
        changed=tuple(
            ConnectionChange(before[id_], after[id_], old_keys[id_], new_keys[id_])
            for id_ in after
            if id_ in before
            and (before[id_] != _in_order_of(before[id_], after[id_]) or old_keys[id_] != new_keys[id_])
        ),
    )


def _in_order_of(old: ConnectionRecord, new: ConnectionRecord) -> ConnectionRecord:
    """Return the new one with its streams in the old one's order, which means nothing."""
    place = {stream.key: index for index, stream in enumerate(old.streams)}
    streams = sorted(new.streams, key=lambda stream: place.get(stream.key, len(place)))
    return replace(new, streams=tuple(streams))


def _only_in(streams: Sequence[Stream], others: Sequence[Stream]) -> tuple[str, ...]:
    known = {stream.key for stream in others}
    return tuple(_named(stream) for stream in streams if stream.key not in known)


def _named(stream: Stream) -> str:
    return f"{stream.namespace}.{stream.name}" if stream.namespace else stream.name


def counted(number: int, what: str) -> str:
    """Return a number of things, in words: ``1 stream``, ``2,000 streams``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _listed(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown}, …" if len(names) > most else shown
