"""The example's compose files, as Docker's own `compose` reads them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from airbyte_dagster_tests.production.image import APP, EXAMPLE
from airbyte_dagster_tests.production.tools import docker_compose

PLAIN = (EXAMPLE / "compose.yaml",)
STEPS = (*PLAIN, EXAMPLE / "celery" / "compose.yaml")
RUNS = (*PLAIN, EXAMPLE / "celery" / "compose-runs.yaml")
EVERY = [pytest.param(PLAIN, id="plain"), pytest.param(STEPS, id="steps"), pytest.param(RUNS, id="runs")]
#: What .env.example asks for.
ASKED = [line.partition("=")[0] for line in (EXAMPLE / ".env.example").read_text().splitlines() if line[:1].isalpha()]
FILLED = {name: f"given-{name.lower()}" for name in (*ASKED, "AIRBYTE_WEBHOOK_SECRET")}
OTHERS = {"database", "warehouse", "redis"}
ONE_OFF = {"migrate", "refresh"}


def run_compose(files: tuple[Path, ...], variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    named = [part for file in files for part in ("-f", str(file))]
    return subprocess.run(
        [str(docker_compose()), *named, "--env-file", os.devnull, "--profile", "*", "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": "/tmp", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def services(files: tuple[Path, ...]) -> dict[str, Any]:
    done = run_compose(files, FILLED)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["services"])


@pytest.mark.parametrize("files", EVERY)
def test_what_is_asked_for_is_all_that_is_needed(files: tuple[Path, ...]) -> None:
    """With the variables of .env.example, it is complete, and compose has nothing to warn of."""
    done = run_compose(files, FILLED)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET", "DAGSTER_POSTGRES_PASSWORD"])
def test_a_secret_that_is_missing_is_named(name: str) -> None:
    """Rather than a deployment that starts without it."""
    done = run_compose(PLAIN, {key: value for key, value in FILLED.items() if key != name})

    assert done.returncode != 0
    assert re.search(rf"{name} is missing a value: .*\.env", done.stderr)


def test_secrets_are_where_they_are_needed() -> None:
    """Web server and daemon know the database, neither Airbyte nor the warehouse; one has the notices' secret."""
    found = {
        name: {key for key, value in FILLED.items() if value in json.dumps(service.get("environment", {})) and value}
        for name, service in services(STEPS).items()
    }

    code = {name for name in ASKED if name.startswith(("AIRBYTE_", "WAREHOUSE_"))}
    database = {"DAGSTER_POSTGRES_PASSWORD"}
    assert {name: found[name] for name in ("database", "migrate", "webserver", "daemon")} == dict.fromkeys(
        ("database", "migrate", "webserver", "daemon"), database
    )
    for name in ("code-shop", "code-crm", "refresh", "worker"):
        assert found[name] == code | database, name
    assert found["webhook"] == code | database | {"AIRBYTE_WEBHOOK_SECRET"}
    assert found["redis"] == found["airbyte"] == set()
    assert found["warehouse"] == {"WAREHOUSE_DB", "WAREHOUSE_USER", "WAREHOUSE_PASSWORD"}


@pytest.mark.parametrize("files", EVERY)
def test_what_runs_is_watched_and_has_no_rights(files: tuple[Path, ...]) -> None:
    """A check and a restart for each that keeps running; no capability, no host's directory, no port for others."""
    for name, service in services(files).items():
        if name not in ONE_OFF:
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name
        if name not in OTHERS:
            assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"]), name
            assert service["image"] == "airbyte-dagster:latest", name
        assert not service.get("privileged"), name
        assert {volume["type"] for volume in service.get("volumes", [])} <= {"volume"}, name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name


@pytest.mark.parametrize("files", EVERY)
def test_nothing_of_dagsters_starts_before_the_database_is_migrated(files: tuple[Path, ...]) -> None:
    """The web server and the daemon wait for the code servers, those for the migration, that for the database."""
    found = services(files)

    def waits_for(name: str) -> dict[str, str]:
        return {one: how["condition"] for one, how in found[name].get("depends_on", {}).items()}

    healthy, done = "service_healthy", "service_completed_successfully"
    assert waits_for("migrate") == {"database": healthy}
    for name in ("code-shop", "code-crm"):
        assert waits_for(name).items() >= {"migrate": done}.items()
    for name in ("webserver", "daemon"):
        assert waits_for(name).items() >= {"code-shop": healthy, "code-crm": healthy}.items()
    if "worker" in found:
        assert waits_for("worker") == {"migrate": done, "redis": healthy}


@pytest.mark.parametrize("files", EVERY)
def test_instance_file_of_each_service_finds_its_variables(files: tuple[Path, ...]) -> None:
    """Whatever a dagster.yaml or a worker's file takes of the environment, each service that reads it has."""
    for name, service in services(files).items():
        if name in OTHERS | {"airbyte"}:
            continue
        is_celery = service["environment"].get("DAGSTER_HOME") == "/opt/dagster/celery_home"
        assert is_celery is (files == RUNS), name
        text = (EXAMPLE / ("celery/dagster.yaml" if is_celery else "dagster.yaml")).read_text()
        assert set(re.findall(r"\{env: (\w+)\}", text)) <= service["environment"].keys(), name


def test_instance_files_are_one_but_for_the_launcher() -> None:
    """What was found out for one of them holds for the other."""
    plain, celery = (yaml.safe_load((EXAMPLE / name).read_text()) for name in ("dagster.yaml", "celery/dagster.yaml"))

    launcher, attempts = celery.pop("run_launcher"), celery["run_monitoring"].pop("max_resume_run_attempts")

    assert (launcher["class"], attempts) == ("CeleryRunLauncher", 0)
    assert celery == plain


@pytest.mark.parametrize("files", EVERY)
def test_commands_name_files_of_the_image(files: tuple[Path, ...]) -> None:
    """And code servers are where workspace.yaml has them."""
    found = services(files)
    for name, service in found.items():
        for word in service.get("command") or []:
            if word.startswith(f"{APP}/"):
                assert (EXAMPLE / word.removeprefix(f"{APP}/")).is_file(), (name, word)
            elif word.endswith(".py"):
                assert (EXAMPLE / word).is_file(), (name, word)

    workspace = (EXAMPLE / "workspace.yaml").read_text()
    servers = re.findall(r"host: (\S+), port: (\d+), location_name: (\S+)\}", workspace)
    assert len(servers) == 2
    for host, port, location in servers:
        command = found[host]["command"]
        assert command[command.index("-p") + 1] == port
        assert command[command.index("--location-name") + 1] == location


def test_steps_or_runs_are_on_celery_and_not_both() -> None:
    """A task can't wait for others. Runs that wait for a worker count as not started after a while."""
    steps, runs = services(STEPS), services(RUNS)

    def after(command: list[str], option: str) -> str:
        return command[command.index(option) + 1]

    assert after(steps["worker"]["command"], "-q") == "dagster"
    assert after(steps["code-crm"]["command"], "-f") == f"{APP}/celery/crm.py"
    assert after(runs["worker"]["command"], "-q") == "runs"
    assert after(runs["code-crm"]["command"], "-f") == f"{APP}/definitions/crm.py"
    most = re.search(r"max_concurrent_runs: (\d+)", (EXAMPLE / "celery" / "dagster.yaml").read_text())
    assert most
    assert int(after(runs["worker"]["command"], "--concurrency")) >= int(most[1])


def test_readme_names_services_and_files_that_are_there() -> None:
    """What it says to run is about services of these files, and about files of the example."""
    commands = "\n".join(re.findall(r"```(?:sh)?\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL))
    told = re.findall(r"docker compose (?:run|exec)((?: -\S+)*) (\S+)", commands)
    files = re.findall(r"-f (\S+\.(?:yaml|py))|(?:set-from-file|--from-file) (\S+\.yaml)", commands)

    assert {service for _, service in told} == {"refresh", "airbyte", "webhook", "code-shop"}
    assert {service for _, service in told} <= services(PLAIN).keys()
    assert len(files) > 8
    for names in files:
        name = "".join(names).removeprefix("examples/production/")
        assert (EXAMPLE / name).is_file(), name


def test_the_list_of_variables_has_all() -> None:
    """What the files of compose read is in ``.env.example``; what is there is read, or compose's own."""
    files = [EXAMPLE / name for name in ("compose.yaml", "celery/compose.yaml", "celery/compose-runs.yaml")]
    read = set(re.findall(r"\$\{(\w+)", "".join(file.read_text() for file in files)))
    listed = set(re.findall(r"(?m)^#?(\w+)=", (EXAMPLE / ".env.example").read_text()))

    assert listed - {"COMPOSE_FILE", "COMPOSE_PROFILES"} == read
