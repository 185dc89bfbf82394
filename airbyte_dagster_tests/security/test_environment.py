"""Commands with a secret in every variable that this package reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbyte_dagster_tests.command_line import Commands
from airbyte_dagster_tests.security.looking import assert_nowhere, planted

VARIABLES = {
    "AIRBYTE_SERVER_URL": "http://me:{}@127.0.0.1:1/api/public/v1",
    "AIRBYTE_CLIENT_ID": "some-id",
    "AIRBYTE_CLIENT_SECRET": "{}",
    "AIRBYTE_WORKSPACE_ID": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "MOTHERDUCK_APIKEY": "{}",
    "AIRBYTE_WEBHOOK_SECRET": "{}",
}
WITHOUT_PASSWORD = {**VARIABLES, "AIRBYTE_SERVER_URL": "http://127.0.0.1:1/api/public/v1"}


@pytest.mark.parametrize("variables", [VARIABLES, WITHOUT_PASSWORD], ids=["refused address", "nobody there"])
@pytest.mark.parametrize("command", ["run", "doctor", "export *", "refresh"])
def test_commands_show_and_keep_no_variable(command: str, variables: dict[str, str], tmp_path: Path) -> None:
    """An address with a password in it is refused; an Airbyte that can't be reached is an error: neither shows any."""
    values = {name: value.format(planted(name)) for name, value in variables.items()}
    commands = Commands(tmp_path / "home")

    status, said = commands.run(*command.split(), **values)

    assert status != 0
    assert "127.0.0.1:1" in said or "holds a user name or password" in said
    assert_nowhere([planted(name) for name in VARIABLES], tmp_path, said)
