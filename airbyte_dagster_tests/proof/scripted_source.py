#!/usr/bin/env -S python3 -IS
"""An Airbyte source that says what a script says. Standard library only, as little of it as a fast start needs.

Configuration: ``{"script": PATH}``, a JSON file with ``now``, epoch milliseconds, and ``streams``, each of which has

    entry: the stream, as discovery tells of it.
    rows: what there is now, as ``[VERSION, RECORD]``; what changed later has a greater version.
    gone: records that tell of deletions, in the same way. An incremental read that goes on has them.
    stop_after: the stream breaks after this many records of a read; the others go on.
    crash: the whole connector then ends without a word.
"""

# ruff: noqa: PTH123 - a module more takes as long to load as all else here

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def say(kind: str, **content: Any) -> None:
    sys.stdout.write(json.dumps({"type": kind, **content}) + "\n")


def trace(kind: str, now: int, **content: Any) -> None:
    say("TRACE", trace={"type": kind, "emitted_at": now, **content})


def descriptor_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("name", "namespace") if entry.get(key)}


def read_stream(stream: dict[str, Any], since: int, now: int, *, is_incremental: bool) -> bool:
    """Write the records; whether they are complete."""
    entry, descriptor = stream["entry"], descriptor_of(stream["entry"])
    namespace = {"namespace": entry["namespace"]} if entry.get("namespace") else {}
    found = [*stream["rows"], *(stream["gone"] if since else [])]
    found = sorted((item for item in found if not is_incremental or item[0] > since), key=lambda item: item[0])
    stop = stream.get("stop_after")
    for version, record in found if stop is None else found[:stop]:
        say("RECORD", record={"stream": entry["name"], **namespace, "emitted_at": now, "data": record})
        since = max(since, version)
    if is_incremental:
        say(
            "STATE",
            state={"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": {"at": since}}},
        )
    return stop is None


def read(script: dict[str, Any], catalog: dict[str, Any], states: list[Any]) -> None:
    known: dict[Any, int] = {}
    broken: list[dict[str, Any]] = []
    now = script["now"]
    for state in states:
        of = state["stream"]["stream_descriptor"]
        known[of.get("namespace"), of["name"]] = (state["stream"].get("stream_state") or {}).get("at", 0)
    streams = {(item["entry"].get("namespace"), item["entry"]["name"]): item for item in script["streams"]}
    for configured in catalog["streams"]:
        key = (configured["stream"].get("namespace"), configured["stream"]["name"])
        stream, is_incremental = streams[key], configured["sync_mode"] == "incremental"
        descriptor = descriptor_of(stream["entry"])
        trace("STREAM_STATUS", now, stream_status={"stream_descriptor": descriptor, "status": "STARTED"})
        since = known.get(key, 0) if is_incremental else 0
        is_complete = read_stream(stream, since, now, is_incremental=is_incremental)
        if not is_complete and stream.get("crash"):
            sys.stdout.flush()
            sys.exit(7)
        status = "COMPLETE" if is_complete else "INCOMPLETE"
        trace("STREAM_STATUS", now, stream_status={"stream_descriptor": descriptor, "status": status})
        if not is_complete:
            broken.append(descriptor)
    for descriptor in broken:
        error = {"message": f"{descriptor['name']} broke", "failure_type": "transient_error"}
        trace("ERROR", now, error={**error, "stream_descriptor": descriptor})
    if broken:
        sys.stdout.flush()
        sys.exit(1)


def load(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main(arguments: list[str]) -> None:
    command, options = arguments[0], dict(zip(arguments[1::2], arguments[2::2], strict=True))
    if command == "spec":
        properties = {"script": {"type": "string"}}
        say("SPEC", spec={"connectionSpecification": {"type": "object", "properties": properties}})
    elif command == "check":
        say("CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
    else:
        script = load(load(options["--config"])["script"])
        if command == "discover":
            say("CATALOG", catalog={"streams": [stream["entry"] for stream in script["streams"]]})
        else:
            states = load(options["--state"]) if "--state" in options else []
            read(script, load(options["--catalog"]), states)


if __name__ == "__main__":
    main(sys.argv[1:])
