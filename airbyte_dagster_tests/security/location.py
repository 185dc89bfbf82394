"""A code location with secrets in each place that there is: plain text in the code, and variables of the environment.

Pipelines: ``good``, ``broken`` (its source fails, and quotes its key) and ``locked`` (its checks can't sign in).
The workspace ``others`` has the connection ``other``, and its state goes into a file. ``touch_all`` has every resource.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg

from airbyte_dagster import (
    AirbytePipeline,
    AirbyteResource,
    Connection,
    ConnectionSelector,
    Destination,
    PostgresWarehouseResource,
    Source,
    build_pipeline_defs,
    build_workspace_defs,
)
from airbyte_dagster.sensors import build_file_sensor, build_watermark_sensor
from airbyte_dagster_tests.security.fields import resource_classes, values_of
from airbyte_dagster_tests.security.looking import planted

ROOT_VARIABLE = "SECURITY_TEST_ROOT"
PORT_VARIABLE = "SECURITY_TEST_PORT"
#: Variables whose values are secrets: of the warehouse, of the sources, of a header.
PASSWORD_VARIABLE = "SECURITY_TEST_PASSWORD"
API_KEY_VARIABLE = "SECURITY_TEST_API_KEY"
HEADER_VARIABLE = "SECURITY_TEST_HEADER"
#: What stands in this code as it is.
IN_CODE = [
    planted(name) for name in ("header-in-code", "key-in-code", "wrong-password", "file-password", "file-header")
]
_HEADER, _KEY, _WRONG_PASSWORD, _FILE_PASSWORD, _FILE_HEADER = IN_CODE
PIPELINES = ("good", "broken", "locked")
#: The connection that is there before any definition is loaded.
OTHER = "other"


def gate_of(root: Path) -> Path:
    """The file that the source of ``good`` waits for after its first row."""
    return root / "go"


def destination_at(port: int) -> dict[str, Any]:
    """The configuration of a destination in PostgreSQL, without its password."""
    place = {"host": "127.0.0.1", "port": port, "database": "postgres", "schema": "raw", "username": "airbyte"}
    return {"destinationType": "postgres", **place, "ssl_mode": {"mode": "prefer"}}


def pipeline(name: str, root: Path, port: int) -> AirbytePipeline:
    """A pipeline from the tiny connector to PostgreSQL."""
    rows = {"items": [{"id": number, "name": f"Item {number}"} for number in range(3)]}
    key: Any = _KEY if name == "broken" else dg.EnvVar(API_KEY_VARIABLE)
    hows: dict[str, dict[str, Any]] = {
        "good": {"wait_for": str(gate_of(root))},
        "broken": {"fail_after": 1},
        "locked": {},
    }
    return AirbytePipeline(
        name=name,
        source=Source(
            name=f"{name} source", configuration={"sourceType": "tiny", "streams": rows, "api_key": key, **hows[name]}
        ),
        destination=Destination(
            name=f"{name} destination",
            configuration=destination_at(port),
            secrets={"password": dg.EnvVar(PASSWORD_VARIABLE)},
        ),
        connection=Connection(name=name, streams=("items",), prefix=f"{name}_"),
    )


@dg.op
def touch() -> None:
    """Do nothing."""


def sensors(port: int) -> list[dg.SensorDefinition]:
    """Sensors that are on, and can't reach what they watch: their ticks say why."""
    on: dict[str, Any] = {"target": "touch_all", "default_status": dg.DefaultSensorStatus.RUNNING}
    return [
        build_file_sensor(
            "files",
            f"http://someone:{_FILE_PASSWORD}@127.0.0.1:1/*.csv",
            storage_options={"headers": {"X-Key": _FILE_HEADER}},
            **on,
        ),
        build_watermark_sensor(
            "rows", "SELECT 1", url=f"postgresql+psycopg://airbyte:{_WRONG_PASSWORD}@127.0.0.1:{port}/postgres", **on
        ),
    ]


def build(root: Path, port: int) -> dg.Definitions:
    """All definitions."""
    airbyte = AirbyteResource.from_env(
        extra_headers={"X-Gateway": _HEADER, "X-Other": dg.EnvVar(HEADER_VARIABLE)}, poll_ceiling=0.5
    )
    place: dict[str, Any] = {"host": "127.0.0.1", "port": port, "database": "postgres", "username": "airbyte"}
    right = PostgresWarehouseResource(**place, password=dg.EnvVar(PASSWORD_VARIABLE))
    wrong = PostgresWarehouseResource(**place, password=_WRONG_PASSWORD)
    every = {f"every_{resource.__name__}": resource(**values_of(resource)) for resource in resource_classes()}

    @dg.job(resource_defs={**every})
    def touch_all() -> None:
        touch()

    return dg.Definitions.merge(
        *(
            build_pipeline_defs(
                pipeline(name, root, port),
                airbyte=airbyte,
                warehouse=wrong if name == "locked" else right,
                warehouse_key="wrong_warehouse" if name == "locked" else "warehouse",
            )
            for name in PIPELINES
        ),
        build_workspace_defs(
            airbyte,
            connection_selector=ConnectionSelector(name=OTHER),
            name="others",
            warehouse=right,
            warehouse_key="warehouse",
            state_path=root / "workspace.json",
            wait="deferred",
        ),
        dg.Definitions(jobs=[touch_all], resources=every, sensors=sensors(port)),
    )


if ROOT_VARIABLE in os.environ:
    defs = build(Path(os.environ[ROOT_VARIABLE]), int(os.environ[PORT_VARIABLE]))
