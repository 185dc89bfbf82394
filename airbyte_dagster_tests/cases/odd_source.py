#!/usr/bin/env python3
"""An Airbyte source with odd streams, from a JSON file. Configuration: {"file": PATH}.

The file is a list of {name, namespace?, json_schema?, primary_key?, cursor?, rows, modes?}. Standard library only.
"""

import json
import sys
import time
from pathlib import Path

TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}


def say(kind, **content):
    print(json.dumps({"type": kind, **content}), flush=True)


def now():
    return int(time.time() * 1000)


def schema_of(stream):
    if "json_schema" in stream:
        return stream["json_schema"]
    fields = {}
    for row in stream["rows"]:
        for key, value in row.items():
            fields.setdefault(
                key,
                {"type": ["null", TYPES.get(type(value), "string")]}
                if value is not None
                else {"type": ["null", "string"]},
            )
    return {"type": "object", "properties": fields}


def discover(streams):
    found = []
    for stream in streams:
        entry = {"name": stream["name"], "json_schema": schema_of(stream), "supported_sync_modes": ["full_refresh"]}
        if stream.get("namespace"):
            entry["namespace"] = stream["namespace"]
        if stream.get("primary_key"):
            entry["source_defined_primary_key"] = stream["primary_key"]
        if stream.get("cursor"):
            entry["supported_sync_modes"].append("incremental")
            entry["default_cursor_field"] = [stream["cursor"]]
        found.append(entry)
    say("CATALOG", catalog={"streams": found})


def status(stream, value):
    descriptor = {"name": stream["name"], **({"namespace": stream["namespace"]} if stream.get("namespace") else {})}
    say(
        "TRACE",
        trace={
            "type": "STREAM_STATUS",
            "emitted_at": now(),
            "stream_status": {"stream_descriptor": descriptor, "status": value},
        },
    )


def read(streams, catalog, states):
    known = {}
    for state in states if isinstance(states, list) else []:
        d = state["stream"]["stream_descriptor"]
        known[(d.get("namespace"), d["name"])] = state["stream"].get("stream_state") or {}
    by_key = {(s.get("namespace"), s["name"]): s for s in streams}
    for configured in catalog["streams"]:
        key = (configured["stream"].get("namespace"), configured["stream"]["name"])
        stream, incremental = by_key[key], configured["sync_mode"] == "incremental"
        cursor = configured["cursor_field"][0] if incremental else None
        last = known.get(key, {}).get("cursor") if cursor else None
        status(stream, "STARTED")
        values = [last] if last is not None else []
        for row in stream["rows"]:
            if last is not None and row.get(cursor) is not None and row[cursor] <= last:
                continue
            if cursor and row.get(cursor) is not None:
                values.append(row[cursor])
            ns = {"namespace": stream["namespace"]} if stream.get("namespace") else {}
            say("RECORD", record={"stream": stream["name"], "data": row, "emitted_at": now(), **ns})
        if cursor:
            descriptor = {
                "name": stream["name"],
                **({"namespace": stream["namespace"]} if stream.get("namespace") else {}),
            }
            say(
                "STATE",
                state={
                    "type": "STREAM",
                    "stream": {
                        "stream_descriptor": descriptor,
                        "stream_state": {"cursor": max(values)} if values else {},
                    },
                },
            )
        status(stream, "COMPLETE")


def main(arguments):
    command, options = arguments[0], dict(zip(arguments[1::2], arguments[2::2]))
    files = {key: json.loads(Path(path).read_text(encoding="utf-8")) for key, path in options.items()}
    if command == "spec":
        say(
            "SPEC",
            spec={
                "connectionSpecification": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string"}, "n": {"type": "integer"}},
                }
            },
        )
        return
    if command == "check":
        say("CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
        return
    streams = json.loads(Path(files["--config"]["file"]).read_text(encoding="utf-8"))
    if command == "discover":
        discover(streams)
    else:
        read(streams, files["--catalog"], files.get("--state", []))


main(sys.argv[1:])
