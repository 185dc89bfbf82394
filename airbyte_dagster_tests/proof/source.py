"""What is in a source, and what becomes of it, for the script of `scripted_source`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.destinations.sync_modes import CDC_DELETED_AT

#: A key, the second part of which may be null.
Key = tuple[int, str | None]
FIELDS: dict[str, Any] = {
    "number": {"type": "integer"},
    "part": {"type": ["null", "string"]},
    "version": {"type": "integer"},
}


@dataclass
class SourceStream:
    """A stream of the source.

    Attributes:
        mode: How the connection syncs it.
        fields: Further fields, with their JSON schemas.
        tells_deletions: Whether the source reads a log, and so tells of rows that are deleted.
        primary_key: Fields of its key.
        rows: Further fields of each row that there is, with its version, which ascends with each change.
        deleted: Versions of the deletions of rows that there are no more.
    """

    name: str
    mode: str
    namespace: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    tells_deletions: bool = False
    primary_key: Sequence[str] = ("number", "part")
    rows: dict[Key, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    deleted: dict[Key, int] = field(default_factory=dict)
    version: int = 0

    @property
    def key(self) -> StreamKey:
        return StreamKey(self.namespace, self.name)

    def put(self, number: int, part: str | None, **values: Any) -> None:
        """Insert or update a row."""
        self.version += 1
        self.rows[number, part] = (self.version, values)
        self.deleted.pop((number, part), None)

    def delete(self, number: int, part: str | None) -> None:
        """Delete a row, if there is one."""
        if self.rows.pop((number, part), None) is not None:
            self.version += 1
            self.deleted[number, part] = self.version

    def script(self) -> dict[str, Any]:
        """What the source is to say of it."""
        own = {
            **FIELDS,
            **self.fields,
            **({CDC_DELETED_AT: {"type": ["null", "string"]}} if self.tells_deletions else {}),
        }
        entry = {
            "name": self.name,
            **({"namespace": self.namespace} if self.namespace else {}),
            "json_schema": {"type": "object", "properties": own},
            "supported_sync_modes": ["full_refresh", "incremental"],
            "source_defined_cursor": True,
            "default_cursor_field": ["version"],
            "source_defined_primary_key": [[name] for name in self.primary_key],
        }
        rows = [[version, _record(key, version, values)] for key, (version, values) in self.rows.items()]
        gone = [
            [version, {**_record(key, version, {}), CDC_DELETED_AT: "2026-01-01T00:00:00Z"}]
            for key, version in self.deleted.items()
            if self.tells_deletions
        ]
        return {"entry": entry, "rows": rows, "gone": gone}


def _record(key: Key, version: int, values: dict[str, Any]) -> dict[str, Any]:
    return {"number": key[0], "part": key[1], "version": version, **values}


def write_script(
    path: Path,
    streams: Sequence[SourceStream],
    now: float,
    failing: Sequence[StreamKey] = (),
    *,
    stop_after: int = 1,
    crash: bool = False,
) -> None:
    """Write what the source says from now on.

    Args:
        path: The file that its configuration names.
        streams: All of its streams.
        now: When it reads; epoch seconds.
        failing: Streams that break in their midst.
        stop_after: Records after which they do.
        crash: Whether the source then ends without a word.
    """
    broken = {"stop_after": stop_after, "crash": crash}
    told = [{**stream.script(), **(broken if stream.key in failing else {})} for stream in streams]
    path.write_text(json.dumps({"now": int(now * 1000), "streams": told}), encoding="utf-8")
