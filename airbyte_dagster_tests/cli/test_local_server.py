"""Local Airbyte, started for a command."""

from __future__ import annotations

from pathlib import Path

import click
from click.testing import CliRunner

from airbyte_dagster.cli.local_server import local_server
from airbyte_dagster.local import settings
from airbyte_dagster.local.options import LocalOptions
from airbyte_dagster_tests.local.client import Api


def test_its_messages_name_the_command_that_started_it(tmp_path: Path) -> None:
    """A path outside of the home says which option of the command that the user typed permits it."""
    home = settings.resolve_home(tmp_path)

    @click.group()
    def program() -> None: ...

    @program.command()
    def dev() -> None:
        running = local_server(home.root, options=LocalOptions(port=0), say=click.echo)
        with running as url, Api(url, settings.ensure_credentials(home)) as api:
            config = {"destinationType": "duckdb", "destination_path": "/data/x.duckdb"}
            body = {"name": "d", "workspaceId": api.workspace_id, "configuration": config}
            click.echo(api.post("/destinations", json=body).json()["data"]["message"])

    result = CliRunner().invoke(program, ["dev"], prog_name="airbyte-dagster", catch_exceptions=False)
    assert "`airbyte-dagster dev --allow-path /data` permits its directory" in result.output
