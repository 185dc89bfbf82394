"""A sensor that runs something when files are new or were changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.sensors.cursor import SensorCursor
from airbyte_dagster.sensors.files import Files, Listing, file_name, is_known, shown
from airbyte_dagster.sensors.target import SensorTarget, check_declaration, target_arguments, target_name
from airbyte_dagster.sensors.tick import TimeLimitedCall

#: Tags of the runs.
FILE_COUNT = "airbyte_dagster/file_count"
FILES = "airbyte_dagster/files"

# PostgreSQL takes no more than about 2,700 bytes in the index that Dagster has over tags.
_LONGEST_TAG = 2000
_MOST_NAMED = 20


def build_file_sensor(
    name: str,
    glob: str | os.PathLike[str],
    *,
    target: SensorTarget,
    storage_options: Mapping[str, Any] | None = None,
    include_existing: bool = False,
    max_files: int = 10_000,
    minimum_interval_seconds: int = 60,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
) -> dg.SensorDefinition:
    """Build a sensor that requests a run when files that match a pattern are new or were changed.

    However many they are, it is one run. Changes are known by what the file system reports of each file: time, size,
    ETag, hash, version. A file that is gone is forgotten, and new if it comes back. A place that can't be reached is
    no reason for anything: the skip reason says why, and the next tick compares with the same files. A file that is
    still being written is new to one tick, and changed to a later one.

    The run has the tags ``airbyte_dagster/file_count`` and ``airbyte_dagster/files``: a JSON list of the first names,
    20 at most and as many as fit into 2,000 bytes.

    Args:
        name: Letters, digits and underscores.
        glob: A path or an address, with ``*``, ``**``, ``?``, ``[…]`` or none of them: ``/data/in/*.csv``,
            ``s3://bucket/orders/**/*.parquet``, ``gs://…``, ``https://example.com/prices.csv``. Whatever fsspec knows;
            for others than local files it needs a package: ``s3fs``, ``gcsfs``, ``adlfs``, ``aiohttp``.
        target: What to run: an `AirbytePipeline` (its ``sync_NAME``), a job, the name of a job, or an
            ``AssetSelection``.
        storage_options: Of fsspec's file system; secrets as ``EnvVar``, at any depth: ``{"key": EnvVar("S3_KEY")}``.
        include_existing: Whether files that exist at the first tick count as new. Otherwise it only records them.
        max_files: More than these are not compared: the tick says so, and nothing is lost.
        minimum_interval_seconds: Time between ticks.
        default_status: Whether the sensor is on from the start; by default it is to be turned on in Dagster.
        description: In place of one that names the files.

    Raises:
        ConfigurationError: Something of this is not valid.
    """
    check_declaration(name, minimum_interval_seconds)
    pattern = os.fspath(glob)
    _check_pattern(name, pattern)
    if max_files < 1:
        raise ConfigurationError(f"max_files of the sensor {name!r} is {max_files}.", guidance="Give at least 1.")
    files = Files(pattern, storage_options or {}, max_files)
    limited = TimeLimitedCall()

    @dg.sensor(
        name=name,
        **target_arguments(name, target),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or f"Runs {target_name(target)} when `{shown(pattern)}` is new or was changed.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            cursor = SensorCursor.of(context, pattern)
            options = files.options()
            listing = limited.call(lambda: files.listing(options))
        except AirbyteDagsterError as error:
            return dg.SkipReason(str(error))
        return _compared(name, pattern, cursor, listing, include_existing=include_existing)

    return evaluate


def _compared(
    name: str, pattern: str, cursor: SensorCursor, listing: Listing, *, include_existing: bool
) -> dg.SensorResult | dg.SkipReason:
    """Compare the files with those that the last tick saw."""
    files = listing.files
    if listing.missing and not cursor.is_new:
        return dg.SkipReason(f"{listing.missing} It is compared again when it is back.")
    if cursor.is_new and not (include_existing and files):
        found = listing.missing or f"Recorded {_count(len(files))}."
        return cursor.record(files, f"{found} A run is requested when some are new or changed.")
    seen: Mapping[str, str] = cursor.seen or {}
    new = [path for path in files if path not in seen]
    changed = [path for path in files if path in seen and seen[path] != files[path]]
    if not new and not changed:
        verb = "matches" if len(files) == 1 else "match"
        return cursor.record(files, f"{_count(len(files))} {verb}; none is new or changed.")
    names = [file_name(pattern, path) for path in [*new, *changed]]
    return cursor.request(name, files, {FILE_COUNT: str(len(names)), FILES: _named(names)})


def _count(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


def _named(names: Sequence[str]) -> str:
    """Return the first names as JSON, as many as a tag can hold."""
    text = "[]"
    for number in range(1, min(len(names), _MOST_NAMED) + 1):
        longer = json.dumps(names[:number], ensure_ascii=False)
        if len(longer.encode()) > _LONGEST_TAG:
            break
        text = longer
    return text


def _check_pattern(name: str, pattern: str) -> None:
    protocol, separator, rest = pattern.partition("://")
    if separator and not is_known(protocol):
        raise ConfigurationError(
            f"The sensor {name!r} is to watch {shown(pattern)}, but fsspec knows no {protocol!r}.",
            guidance="Such as /data/*.csv, s3://…, gs://…, abfs://…, https://….",
        )
    if not (rest if separator else pattern).strip("/ "):
        raise ConfigurationError(f"The sensor {name!r} has no files to watch: glob is {pattern!r}.")
