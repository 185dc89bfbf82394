"""A code location as a user would write it; Airbyte and the file are those of the environment."""

from __future__ import annotations

import dagster as dg

from airbyte_dagster import (
    AirbytePipeline,
    AirbyteResource,
    Connection,
    Destination,
    MotherDuckResource,
    Source,
    build_pipeline_defs,
)
from airbyte_dagster.paths import home_directory


@dg.asset(deps=[dg.AssetKey(["shop", "users"])], group_name="reports")
def report() -> None:
    """Stands for what people build on a stream."""


def definitions(airbyte: AirbyteResource, database: str) -> dg.Definitions:
    """The pipeline ``shop``: two streams of Faker's, into a DuckDB file; and an asset that is built on one of them."""
    pipeline = AirbytePipeline(
        name="shop",
        description="Everything in it is made up.",
        owners=("team:data",),
        tags={"tier": "gold"},
        source=Source(name="faker source", configuration={"sourceType": "faker", "count": 35}),
        destination=Destination(name="duck", configuration={"destinationType": "duckdb", "destination_path": database}),
        connection=Connection(name="faker to duck", streams=("users", "products")),
        schedule="0 6 * * *",
    )
    shop = build_pipeline_defs(pipeline, airbyte=airbyte, warehouse=MotherDuckResource(database=database))
    return dg.Definitions.merge(shop, dg.Definitions(assets=[report]))


defs = definitions(AirbyteResource.from_env(), str(home_directory() / "lms.duckdb"))
