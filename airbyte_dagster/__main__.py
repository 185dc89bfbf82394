"""``python -m airbyte_dagster`` is ``airbyte-dagster``."""

from airbyte_dagster.cli import main

main()
