#!/usr/bin/env python3
"""A tiny Airbyte source for fast tests with the real engine. Standard library only; speaks the Airbyte protocol.

Configuration:
    streams: rows per stream, or the path of a JSON file that has them.
    cursor: the field that incremental reads go by.
    primary_key: the field that identifies a row.
    api_key: a secret; printed to stderr, so that tests can see that it does not reach a log.
    fail_after: fail with an error after this many rows.
    crash_after: end with exit code 7, without a word, after this many rows.
    hang: after the first row of all, wait for ever.
    wait_for: after the first row of all, wait until there is this file.
    state: ``STREAM`` (default), or ``GLOBAL`` or ``LEGACY`` for one state of all streams.
    ignore_sigterm: do not end on SIGTERM.
"""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

SPEC = {
    "type": "object",
    "required": ["streams"],
    "properties": {
        "streams": {"type": ["object", "string"]},
        "cursor": {"type": "string"},
        "primary_key": {"type": "string"},
        "api_key": {"type": "string", "airbyte_secret": True},
        "fail_after": {"type": "integer"},
        "crash_after": {"type": "integer"},
        "hang": {"type": "boolean"},
        "wait_for": {"type": "string"},
        "state": {"enum": ["STREAM", "GLOBAL", "LEGACY"]},
        "ignore_sigterm": {"type": "boolean"},
    },
}
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}


def say(kind: str, **content: Any) -> None:
    print(json.dumps({"type": kind, **content}), flush=True)  # noqa: T201 - the protocol is stdout


def now() -> int:
    return int(time.time() * 1000)


def trace(kind: str, **content: Any) -> None:
    say("TRACE", trace={"type": kind, "emitted_at": now(), **content})


def status(name: str, value: str) -> None:
    trace("STREAM_STATUS", stream_status={"stream_descriptor": {"name": name}, "status": value})


def streams_of(config: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    streams = config["streams"]
    if isinstance(streams, str):
        streams = json.loads(Path(streams).read_text(encoding="utf-8"))
    return dict(streams)


def discover(config: dict[str, Any]) -> None:
    found = []
    for name, rows in streams_of(config).items():
        fields = {key: value for row in rows for key, value in row.items() if value is not None}
        properties = {key: {"type": ["null", TYPES[type(value)]]} for key, value in fields.items()}
        stream: dict[str, Any] = {
            "name": name,
            "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh"],
        }
        if config.get("primary_key"):
            stream["source_defined_primary_key"] = [[config["primary_key"]]]
        if config.get("cursor"):
            stream["supported_sync_modes"].append("incremental")
            stream["default_cursor_field"] = [config["cursor"]]
        found.append(stream)
    say("CATALOG", catalog={"streams": found})


def known_states(states: Any) -> dict[str, Any]:
    """The state per stream, of whichever kind what was given is."""
    if isinstance(states, dict):
        return states
    streams = [state["stream"] for state in states if state["type"] == "STREAM"]
    for state in states:
        if state["type"] == "GLOBAL":
            assert state["global"]["shared_state"] == {"position": None}
            streams += state["global"]["stream_states"]
    return {stream["stream_descriptor"]["name"]: stream.get("stream_state") or {} for stream in streams}


def read(config: dict[str, Any], catalog: dict[str, Any], states: Any) -> None:
    known = known_states(states)
    kind = config.get("state", "STREAM")
    data, sent = streams_of(config), 0
    for configured in catalog["streams"]:
        name, incremental = configured["stream"]["name"], configured["sync_mode"] == "incremental"
        cursor = str(configured["cursor_field"][0]) if incremental else ""
        last = known.get(name, {}).get("cursor") if cursor else None
        print("not a message, as connectors print at times", flush=True)  # noqa: T201
        status(name, "STARTED")
        for row in data.get(name, []):
            if last is not None and row[cursor] <= last:
                continue
            if config.get("fail_after") is not None and sent >= config["fail_after"]:
                error = {
                    "message": "The tiny source broke",
                    "internal_message": f"with {config.get('api_key')}",
                    "failure_type": "config_error",
                }
                trace("ERROR", error=error)
                sys.exit(1)
            if config.get("crash_after") is not None and sent >= config["crash_after"]:
                sys.exit(7)
            say("RECORD", record={"stream": name, "data": row, "emitted_at": now()})
            sent += 1
            while config.get("wait_for") and not Path(config["wait_for"]).exists():
                time.sleep(0.02)
            if config.get("hang"):
                while True:
                    time.sleep(60)
        if cursor:
            values = [row[cursor] for row in data.get(name, [])]
            state = {"cursor": max([*values, *([last] if last is not None else [])])} if values or last else {}
            descriptor = {"stream_descriptor": {"name": name}, "stream_state": state}
            known[name] = state
            streams = [{"stream_descriptor": {"name": key}, "stream_state": value} for key, value in known.items()]
            content: dict[str, dict[str, Any]] = {
                "STREAM": {"stream": descriptor},
                "GLOBAL": {"global": {"shared_state": {"position": None}, "stream_states": streams}},
                "LEGACY": {"data": known},
            }
            say("STATE", state={"type": kind, **content[kind]})
        status(name, "COMPLETE")


def main(arguments: list[str]) -> None:
    command, options = arguments[0], dict(zip(arguments[1::2], arguments[2::2], strict=True))
    files = {key: json.loads(Path(path).read_text(encoding="utf-8")) for key, path in options.items()}
    config = files.get("--config", {})
    if config.get("ignore_sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if config.get("api_key"):
        print(f"signing in with {config['api_key']}", file=sys.stderr, flush=True)  # noqa: T201
    if command == "spec":
        say("SPEC", spec={"connectionSpecification": SPEC})
    elif command == "check":
        say("CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
    elif command == "discover":
        discover(config)
    else:
        read(config, files["--catalog"], files.get("--state", []))


if __name__ == "__main__":
    main(sys.argv[1:])
