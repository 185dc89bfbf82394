"""What the code server and each run load."""

from __future__ import annotations

from airbyte_dagster_tests.acceptance.definitions import definitions_at_airbyte

defs = definitions_at_airbyte()
