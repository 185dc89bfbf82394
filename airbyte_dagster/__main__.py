"""``python -m airbyte_dagster`` is ``airbyte-dagster``."""

from airbyte_dagster.cli.main import main

main()
