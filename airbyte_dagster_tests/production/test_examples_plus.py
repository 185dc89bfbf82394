"""The example for Dagster+: by Dagster's own command line, and in a full and in a branch deployment."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_cloud_cli.commands.ci.checks import check_dagster_cloud_yaml
from dagster_cloud_cli.config.models import load_dagster_cloud_yaml

from airbyte_dagster import AirbyteResource
from airbyte_dagster.cli.code_location import load_definitions
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.production.dockerfile import Stage
from airbyte_dagster_tests.production.image import APP, EXAMPLE
from airbyte_dagster_tests.production.manifests import launched_job

PLUS = EXAMPLE / "dagster-plus"
FILE = PLUS / "definitions" / "shop.py"
INSTANCE = yaml.safe_load((EXAMPLE / "dagster.yaml").read_text())


@pytest.fixture
def environment(airbyte: RunningAirbyte, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """That of a code server: two workspaces of one Airbyte. Gives the id of the second."""
    other = api.ok("POST", "/workspaces", json={"name": "branches"})["workspaceId"]
    (tmp_path / "dagster").mkdir()
    variables = {
        "AIRBYTE_SERVER_URL": airbyte.server_url,
        "AIRBYTE_CLIENT_ID": airbyte.client_id,
        "AIRBYTE_CLIENT_SECRET": airbyte.client_secret,
        "AIRBYTE_WORKSPACE_ID": airbyte.workspace_id,
        "AIRBYTE_BRANCH_WORKSPACE_ID": other,
        "WAREHOUSE_HOST": "warehouse",
        "WAREHOUSE_DB": "lms",
        "WAREHOUSE_BRANCH_DB": "branches",
        "WAREHOUSE_USER": "reader",
        "WAREHOUSE_PASSWORD": "secret",
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return str(other)


def loaded() -> dg.Definitions:
    sys.modules.pop(FILE.stem, None)  # Dagster takes a file that this process has loaded from there
    return load_definitions(None, FILE)


def workspace_of(definitions: dg.Definitions) -> str:
    airbyte = (definitions.resources or {})["airbyte"]
    assert isinstance(airbyte, AirbyteResource)
    resolved = airbyte.process_config_and_initialize()
    return str(resolved.find_workspace(resolved.client()).id)


def test_full_deployment_has_its_schedule_on(environment: str, airbyte: RunningAirbyte) -> None:
    """And the workspace that the secret names."""
    definitions = loaded()

    (schedule,) = definitions.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert workspace_of(definitions) == airbyte.workspace_id


def test_branch_deployment_has_another_workspace_and_starts_nothing(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No schedule is on, and there is no sensor; the checks read another database."""
    monkeypatch.setenv("DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT", "1")

    definitions = loaded()

    (schedule,) = definitions.schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert not definitions.sensors
    assert workspace_of(definitions) == environment
    warehouse = (definitions.resources or {})["warehouse"].process_config_and_initialize()
    assert warehouse.database == "branches"


@pytest.mark.parametrize("missing", ["AIRBYTE_BRANCH_WORKSPACE_ID", "WAREHOUSE_BRANCH_DB"])
def test_branch_deployment_without_variables_of_its_own_fails(
    environment: str, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Rather than reach the full deployment's, and though the credentials reach one workspace only."""
    monkeypatch.setenv("DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT", "1")
    monkeypatch.delenv(missing)

    with pytest.raises(ConfigurationError, match=missing):
        loaded()


def test_locations_are_as_dagster_plus_wants_them() -> None:
    """What `dagster-cloud ci check` looks at, without its connection; the code is where the image has it."""
    checked = check_dagster_cloud_yaml(PLUS / "dagster_cloud.yaml")

    assert checked.errors == []
    (location,) = load_dagster_cloud_yaml((PLUS / "dagster_cloud.yaml").read_text()).locations
    assert location.code_source is not None
    assert location.code_source.python_file == f"{APP}/{FILE.relative_to(EXAMPLE)}"
    assert location.build is not None
    assert (PLUS / (location.build.directory or "") / "pyproject.toml").is_file()


def test_run_pod_of_a_location_is_what_it_says(image: Stage) -> None:
    """Dagster's launcher takes its container context: the secrets of the namespace, and bounds."""
    (location,) = load_dagster_cloud_yaml((PLUS / "dagster_cloud.yaml").read_text()).locations
    context = dict(location.container_context or {})
    launcher = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {"service_account_name": "agent", "instance_config_map": "agent", "dagster_home": "/tmp"},
    }

    job = launched_job(image, launcher, "image:tag", context)

    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert [one["secretRef"]["name"] for one in container["envFrom"]] == ["airbyte", "warehouse"]
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400


def test_settings_say_what_dagster_yaml_says() -> None:
    """The full deployment's, where the instance is Dagster's own."""
    settings = yaml.safe_load((PLUS / "deployment-settings.yaml").read_text())

    assert settings["concurrency"] == INSTANCE["concurrency"]
    assert settings["run_retries"].items() <= INSTANCE["run_retries"].items()
    monitoring = {**INSTANCE["run_monitoring"], "start_timeout_seconds": 600}
    assert settings["run_monitoring"].items() <= monitoring.items()


def test_only_one_agent_serves_branches() -> None:
    """It serves nothing else, and its secrets are others."""
    served = [
        yaml.safe_load((PLUS / name).read_text())["dagsterCloud"] for name in ("agent.yaml", "agent-branches.yaml")
    ]

    assert served == [{"deployments": ["prod"], "branchDeployments": False}, {"branchDeployments": True}]
