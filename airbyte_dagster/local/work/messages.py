"""What a line of a connector is.

Most lines are records, and those are not parsed here: which stream a record is of stands before its data, so that one
look at the beginning is enough, and DuckDB parses the line once. A line of which that can't be told is parsed.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from airbyte_dagster.local.work.reporting import StreamKey

# {"type":"RECORD","record":{ … "stream":"users" … "data":{   with only plain values in between
_HEAD = re.compile(
    rb'\s*\{\s*"type"\s*:\s*"RECORD"\s*,\s*"record"\s*:\s*\{'
    rb'((?:\s*"(?!data")[a-z_]+"\s*:\s*(?:"[^"\\]*"|null|-?\d+)\s*,)*)\s*"data"\s*:'
)
_STREAM = re.compile(rb'"stream"\s*:\s*"([^"]*)"')
_NAMESPACE = re.compile(rb'"namespace"\s*:\s*(?:"([^"]*)"|null)')


class RecordLine(NamedTuple):
    """A record.

    Attributes:
        key: Its stream.
        line: The line without its end, such that DuckDB can parse it.
    """

    key: StreamKey
    line: bytes


class Garbage(NamedTuple):
    """What is no message: connectors print other things, too."""

    text: str


Message = dict[str, Any]


def classify(line: bytes) -> RecordLine | Message | Garbage:
    """Return what a line is: a record, another message of Airbyte's protocol, or something else."""
    head = _HEAD.match(line)
    if head is None or b"\\ud" in line or b"\\uD" in line:
        return _parsed(line)
    stream, namespace = _STREAM.search(head[1]), _NAMESPACE.search(head[1])
    if stream is None or (namespace is None and line.find(b'"namespace"', head.end()) >= 0):
        return _parsed(line)
    return RecordLine(((namespace and namespace[1] and namespace[1].decode()) or None, stream[1].decode()), line)


def _parsed(line: bytes) -> RecordLine | Message | Garbage:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return Garbage(line.decode(errors="replace"))
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return Garbage(line.decode(errors="replace"))
    record = message.get("record")
    if message["type"] != "RECORD":
        return message
    if not isinstance(record, dict) or not isinstance(record.get("stream"), str):
        return Garbage(line.decode(errors="replace"))
    return RecordLine((record.get("namespace") or None, record["stream"]), _storable(line, message))


def _storable(line: bytes, message: Message) -> bytes:
    """The line, less what no text can hold: half of a surrogate pair, which is no character."""
    try:
        json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        record = message["record"]
        changes = [
            {"field": name, "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"}
            for name, value in record["data"].items()
            if not _encodable(value)
        ]
        lost = {change["field"] for change in changes}
        record["data"] = {name: None if name in lost else value for name, value in record["data"].items()}
        record["meta"] = {"changes": [*((record.get("meta") or {}).get("changes") or []), *changes]}
        return json.dumps(message).encode()
    return line


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
