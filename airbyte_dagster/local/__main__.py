"""``python -m airbyte_dagster.local`` is the ``local`` command group."""

from airbyte_dagster.local.cli import local

if __name__ == "__main__":
    local(prog_name="airbyte-dagster local")
