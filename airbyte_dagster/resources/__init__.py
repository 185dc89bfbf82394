"""The Dagster resources: an authenticated Airbyte, and the warehouses that checks look into."""

from airbyte_dagster.resources.airbyte import AirbyteResource as AirbyteResource
from airbyte_dagster.resources.keys import keyed as keyed
from airbyte_dagster.resources.secret_fields import SecretFieldsResource as SecretFieldsResource
from airbyte_dagster.resources.secret_fields import plain as plain
from airbyte_dagster.resources.warehouses import AnyWarehouse as AnyWarehouse
from airbyte_dagster.resources.warehouses import MotherDuckResource as MotherDuckResource
from airbyte_dagster.resources.warehouses import PostgresWarehouseResource as PostgresWarehouseResource
from airbyte_dagster.resources.warehouses import SqlWarehouseResource as SqlWarehouseResource
from airbyte_dagster.resources.warehouses import WarehouseResource as WarehouseResource
from airbyte_dagster.resources.warehouses import is_elsewhere as is_elsewhere
