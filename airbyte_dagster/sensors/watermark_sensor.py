"""A sensor that runs something when the value of a query grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError
from airbyte_dagster.sensors.cursor import SensorCursor
from airbyte_dagster.sensors.databases import DatabaseQuery, Query, WarehouseQuery, database_url, shown
from airbyte_dagster.sensors.target import SensorTarget, check_declaration, target_arguments, target_name
from airbyte_dagster.sensors.tick import SkipTick, TimeLimitedCall
from airbyte_dagster.sensors.watermark import Watermark
from airbyte_dagster.warehouse import warehouse_of

#: Tags of the runs.
WATERMARK = "airbyte_dagster/watermark"
WATERMARK_BEFORE = "airbyte_dagster/watermark_before"


def build_watermark_sensor(
    name: str,
    query: str,
    *,
    target: SensorTarget,
    warehouse_key: str | None = None,
    url: str | dg.EnvVar | None = None,
    minimum_interval_seconds: int = 60,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
    description: str | None = None,
) -> dg.SensorDefinition:
    """Build a sensor that requests a run when the value of a query grows, such as the newest id of a table.

    The first tick only records the value. A value that fell is recorded, and requests nothing; nor does NULL, no row,
    or a database that can't be queried: then the skip reason says why, and the next tick compares with the
    same value. A query that returned NULL or no row from the start has a value to grow from: none.

    The run has the tags ``airbyte_dagster/watermark`` and ``airbyte_dagster/watermark_before``.

    Args:
        name: Letters, digits and underscores.
        query: Returns one number, date, timestamp or text: ``SELECT max(id) FROM orders``. Texts are compared character
            by character. It should be cheap: it may take 40 s, and runs again with every tick.
        target: What to run: an `AirbytePipeline` (its ``sync_NAME``), a job, the name of a job, or an
            ``AssetSelection``.
        warehouse_key: Key of the warehouse to query; ``"motherduck"`` by default.
        url: A database to query in place of the warehouse, as SQLAlchemy's address, from an ``EnvVar`` if it holds a
            password: ``postgresql+psycopg://…``. The driver's package has to be installed.
        minimum_interval_seconds: Time between ticks.
        default_status: Whether the sensor is on from the start; by default it is to be turned on in Dagster.
        description: In place of one that names the query.

    Raises:
        ConfigurationError: Something of this is not valid.
    """
    check_declaration(name, minimum_interval_seconds)
    if not query.strip():
        raise ConfigurationError(f"The sensor {name!r} has no query.")
    if url is not None and warehouse_key is not None:
        raise ConfigurationError(f"The sensor {name!r} can query url or the warehouse of warehouse_key, not both.")
    key = warehouse_key or "motherduck"
    where = f"the warehouse {key!r}" if url is None else _where(url)
    limited = TimeLimitedCall()

    @dg.sensor(
        name=name,
        **target_arguments(name, target),
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys={key} if url is None else None,
        description=description or _description(query, where, target),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            cursor = SensorCursor.of(context, query)
            running = _query(query, url, context.resources, key)
            return _compared(name, cursor, limited.call(running.rows, on_timeout=running.stop))
        except AirbyteDagsterError as error:
            return dg.SkipReason(str(error))

    return evaluate


def _query(text: str, url: str | dg.EnvVar | None, resources: Any, warehouse_key: str) -> Query:
    if url is not None:
        return DatabaseQuery(database_url(url), text)
    return WarehouseQuery(warehouse_of(getattr(resources, warehouse_key)), text)


def _compared(name: str, cursor: SensorCursor, rows: Sequence[Sequence[Any]]) -> dg.SensorResult | dg.SkipReason:
    """Compare what the query returned with what the last tick saw."""
    value = _single(rows)
    before = None if cursor.seen is None else Watermark.from_json(cursor.seen)
    if value is None:
        nothing = f"The query returned {'NULL' if rows else 'no row'}"
        if cursor.is_new:
            return cursor.record(None, f"{nothing}; a run is requested when it returns a value.")
        return dg.SkipReason(f"{nothing}; the last value was {before}." if before else f"{nothing}, as before.")
    now = Watermark.of(value)
    if cursor.is_new:
        return cursor.record(now.to_json(), f"Recorded the first value, {now}; a run is requested when it grows.")
    if before is not None:
        if now.kind != before.kind:
            raise SkipTick(
                f"The query returned {now}, a {now.kind}; the last value was {before}, a {before.kind}. These can't be "
                "compared.",
                guidance="Cast it in the query; or clear the cursor in Dagster to start again.",
            )
        if now.value == before.value:
            return dg.SkipReason(f"The value is still {now}.")
        if now.value < before.value:
            return cursor.record(
                now.to_json(), f"The value fell from {before} to {now}; a run is requested when it grows."
            )
    return cursor.request(
        name, now.to_json(), {WATERMARK: str(now), **({WATERMARK_BEFORE: str(before)} if before else {})}
    )


def _single(rows: Sequence[Sequence[Any]]) -> Any:
    """Return the one value of a result, ``None`` for NULL or no row."""
    if not rows:
        return None
    if len(rows) > 1 or len(rows[0]) != 1:
        many = "more than one row" if len(rows) > 1 else f"{len(rows[0])} columns"
        raise SkipTick(
            f"The query returned {many}; it must return one value.", guidance="Such as SELECT max(id) FROM orders."
        )
    return rows[0][0]


def _where(url: str | dg.EnvVar) -> str:
    return f"the database of {url.env_var_name}" if isinstance(url, dg.EnvVar) else shown(database_url(url))


def _description(query: str, where: str, target: SensorTarget) -> str:
    return f"Runs {target_name(target)} when the value of this query of {where} grows:\n\n    {query.strip()}"
