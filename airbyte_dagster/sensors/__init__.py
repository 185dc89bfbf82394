"""Sensors that run a pipeline, or any job, when something outside of Dagster has changed.

Its modules build on each other in this order: `tick`, `target`, `cursor`, `watermark`, `databases`, `files`, then the
sensors; for the one that records Airbyte's own syncs `job_cursor`, `connection_book`, `row_chain`,
`job_facts`, `job_events` and `job_recorder` come before it.
"""

from airbyte_dagster.sensors.file_sensor import build_file_sensor
from airbyte_dagster.sensors.target import SensorTarget
from airbyte_dagster.sensors.watermark_sensor import build_watermark_sensor

__all__ = ["SensorTarget", "build_file_sensor", "build_watermark_sensor"]
