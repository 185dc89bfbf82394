"""What the code server loads; the test that starts it says through the environment where everything is."""

from __future__ import annotations

from airbyte_dagster import AirbyteResource
from airbyte_dagster_tests.daemon.definitions import Places, definitions_at

defs = definitions_at(Places.from_env(), AirbyteResource.from_env())
