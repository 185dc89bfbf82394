"""What the commands print, and what they say when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from airbyte_dagster.cli.webhook import webhook
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster_tests.conftest import client_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.webhook.receiving import SECRET

NO_SENSOR = """
import dagster as dg
from airbyte_dagster import AirbyteResource
defs = dg.Definitions(resources={"airbyte": AirbyteResource.from_env()})
"""
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def environment(airbyte: RunningAirbyte, tmp_path: Path, bare_environment: None) -> dict[str, str]:
    return {**airbyte.environment, "AIRBYTE_WEBHOOK_SECRET": SECRET, "AIRBYTE_DAGSTER_HOME": str(tmp_path / "home")}


def set_url(airbyte: RunningAirbyte, event: str, url: str) -> None:
    with client_of(airbyte) as client:
        client.set_notifications(airbyte.workspace_id, {event: {"webhook": {"enabled": True, "url": url}}})


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (["serve", "-f", "no_sensor.py"], {}, "no sensor that records Airbyte's syncs. Add build_airbyte_sync_sensor"),
        (["serve"], {"AIRBYTE_WEBHOOK_SECRET": ""}, "AIRBYTE_WEBHOOK_SECRET is not set"),
        (
            ["serve"],
            {"AIRBYTE_SERVER_URL": "", "AIRBYTE_CLIENT_ID": "", "AIRBYTE_CLIENT_SECRET": ""},
            "names no Airbyte, and no local Airbyte runs",
        ),
        (["serve", "-f", "no_job.py"], {}, "Dagster does not accept no_job.py"),
        (["register", f"{NOWHERE}/{SECRET}"], {}, "without the secret"),
        (["register", NOWHERE], {}, "go to https://slack.example/… already"),
        (["register", NOWHERE], {"AIRBYTE_SERVER_URL": f"{NOWHERE}/api/public/v1"}, "127.0.0.1:1 can't be reached"),
        (["status", "-f", "no_sensor.py"], {"AIRBYTE_WORKSPACE_ID": "11111111-0000-4000-8000-000000000000"}, "no work"),
        (["status", "-f", "no_airbyte.py"], {}, "no AirbyteResource among their resources"),
    ],
)
def test_what_is_wrong(
    arguments: list[str],
    variables: dict[str, str],
    expected: str,
    environment: dict[str, str],
    airbyte: RunningAirbyte,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sentence, with what to do, and no secret."""
    monkeypatch.chdir(tmp_path)
    Path("no_sensor.py").write_text(NO_SENSOR)
    Path("no_job.py").write_text(
        NO_SENSOR.replace(")})", ")}, schedules=[dg.ScheduleDefinition(job_name='x', cron_schedule='@daily')])")
    )
    Path("no_airbyte.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    set_url(airbyte, "success", "https://slack.example/planted")

    result = CliRunner().invoke(webhook, arguments, env={**environment, **variables})

    assert isinstance(result.exception, AirbyteDagsterError), result.output
    assert expected in str(result.exception)
    assert "planted" not in f"{result.exception} {result.output}"
    assert SECRET not in f"{result.exception} {result.output}"


def test_a_module_and_a_file(tmp_path: Path) -> None:
    """One is enough."""
    file = tmp_path / "a.py"
    file.touch()

    result = CliRunner().invoke(webhook, ["status", "-m", "a", "-f", str(file)])

    assert "Give a module or a file, not both." in result.output


def test_status(environment: dict[str, str], airbyte: RunningAirbyte, api: Api) -> None:
    """For people and for programs; without a secret that is given it can't be said whose receiver it is."""
    set_url(airbyte, "failure", f"https://x/notices/{SECRET}?forward=https%3A%2F%2Fslack.example%2Fplanted")

    printed = CliRunner().invoke(webhook, ["status", "--json"], env=environment)
    shown = CliRunner().invoke(webhook, ["status"], env={**environment, "AIRBYTE_WEBHOOK_SECRET": ""})

    none = {"event": "success", "receiver": "none", "address": None, "forwardsTo": None}
    ours = {"event": "failure", "receiver": "this", "address": "https://x", "forwardsTo": "https://slack.example/…"}
    assert json.loads(printed.output) == {"workspaces": [{"workspaceId": api.workspace_id, "events": [none, ours]}]}
    assert "success: nowhere" in shown.output
    assert (
        "to a receiver at https://x; whether its secret is yours is seen if you give that, which hands" in shown.output
    )
    assert "planted" not in printed.output + shown.output


def test_register_from_where_the_receiver_is_out_of_reach(environment: dict[str, str]) -> None:
    """It is registered, with a warning; and it can be taken out again."""
    registered = CliRunner().invoke(webhook, ["register", NOWHERE], env=environment)
    removed = [CliRunner().invoke(webhook, ["unregister"], env=environment).output for _ in range(2)]

    assert f"success: to the receiver at {NOWHERE}" in registered.output
    assert "can't be tried from here" in registered.output
    assert "failure: nowhere" in removed[0]
    assert "no notices go to a receiver with this secret" in removed[1]
