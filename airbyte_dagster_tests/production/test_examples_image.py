"""The example's image: its Dockerfile is carried out here, and what it made is used as its user would."""

from __future__ import annotations

import os
import re
import socket
import zipfile
from pathlib import Path

import psutil
import pytest
from uv import find_uv_bin

from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.production.dockerfile import Stage, instructions
from airbyte_dagster_tests.production.image import APP, EXAMPLE, HOME, REPOSITORY
from airbyte_dagster_tests.production.network import eventually
from airbyte_dagster_tests.production.tools import judge, python_tool

DOCKERFILE = EXAMPLE / "Dockerfile"
DEFINITIONS = ("definitions/shop.py", "definitions/crm.py", "celery/crm.py", "dagster-plus/definitions/shop.py")


@pytest.fixture
def variables(airbyte: RunningAirbyte, api: Api) -> dict[str, str]:
    """What a code server has, and an Airbyte with a connection for each code location; an empty Dagster's home."""
    for tag in ("shop", "crm"):
        connection = api.connection(api.source(count=3), api.destination(), ["users"], name=tag)
        made = api.ok("POST", "/tags", json={"workspaceId": airbyte.workspace_id, "name": tag, "color": "0000FF"})
        api.ok("PATCH", f"/connections/{connection}", json={"tags": [made]})
    return {
        "AIRBYTE_SERVER_URL": airbyte.server_url,
        "AIRBYTE_CLIENT_ID": airbyte.client_id,
        "AIRBYTE_CLIENT_SECRET": airbyte.client_secret,
        "AIRBYTE_WORKSPACE_ID": airbyte.workspace_id,
        "WAREHOUSE_HOST": "warehouse",
        "WAREHOUSE_DB": "warehouse",
        "WAREHOUSE_USER": "reader",
        "WAREHOUSE_PASSWORD": "secret",
        "CELERY_BROKER_URL": "redis://redis:6379/0",
        "CELERY_RESULT_BACKEND": "redis://redis:6379/1",
        "DAGSTER_HOME": "/tmp",
        "DO_NOT_TRACK": "1",
    }


def test_hadolint_finds_nothing() -> None:
    """Neither in the Dockerfile nor in the shell commands of it."""
    assert judge([python_tool("hadolint"), "--failure-threshold", "style", DOCKERFILE]) == ""


def test_dockerfile_ends_as_a_user_with_a_number_and_says_how_it_is() -> None:
    """Kubernetes can't see of a name that it is not root; without a check, a hung server is as good as another."""
    names = [one.name for one in instructions(DOCKERFILE)]
    (user,) = (one.text for one in instructions(DOCKERFILE) if one.name == "USER")

    assert user == "10001:10001"
    assert {"HEALTHCHECK", "CMD"} <= set(names[names.index("USER") :])


def test_image_has_what_the_package_needs_and_no_more_rights(image: Stage) -> None:
    """The pinned packages are complete and fit together; the user may write Dagster's homes and no code."""
    assert "No broken requirements" in image.run("pip", "check")
    assert image.run("id", "-u").strip() == "10001"
    assert "airbyte-dagster, version" in image.run("airbyte-dagster", "--version")
    writable = "for path in {}; do if [ -w $path ]; then echo $path; fi; done"
    places = (HOME, "/opt/dagster/celery_home", "/var/lib/airbyte-dagster", APP, f"{APP}/definitions", "/opt/venv")
    assert image.run("sh", "-c", writable.format(" ".join(places))).split() == list(places[:3])


def test_image_has_no_secret_and_nothing_of_tests(image: Stage) -> None:
    """Only what the .dockerignore leaves came in."""
    listed = image.run(
        "find", "/opt/dagster", "/opt/venv/lib", "-name", ".env*", "-o", "-name", "airbyte_dagster_tests"
    )

    assert listed == ""


@pytest.mark.parametrize("file", DEFINITIONS)
def test_definitions_of_the_image_load(image: Stage, variables: dict[str, str], file: str) -> None:
    """With the packages of the image: Celery's executor, PostgreSQL's driver."""
    with_home = {**variables, "DAGSTER_HOME": f"/tmp/home-{Path(file).parts[0]}-{Path(file).stem}"}
    image.run("mkdir", with_home["DAGSTER_HOME"])

    printed = image.run("dagster", "definitions", "validate", "-f", file, "-d", APP, variables=with_home)

    assert "Validation successful" in printed


def test_code_server_of_the_image_passes_its_health_check(image: Stage, variables: dict[str, str]) -> None:
    """`CMD` serves, and `HEALTHCHECK` sees it; before, it does not. On another port: this machine's may be taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    serve, check = ([word.replace("4000", port) for word in command] for command in (image.command, image.health))

    def health() -> int:
        with image.start(*check, variables=variables) as process:
            process.communicate()
            return int(process.returncode)

    assert port in serve
    assert health() != 0
    with image.start(*serve, variables=variables) as server:
        try:
            eventually(lambda: health() == 0, "the code server's health check", 180.0)
        finally:
            # By themselves: that they end with `unshare` is forgotten as they become another user.
            for process in psutil.Process(server.pid).children(recursive=True):
                process.kill()
            server.kill()


def test_refresh_reads_the_workspace_for_all_code_locations(image: Stage, variables: dict[str, str]) -> None:
    """The script of the cron job reads what belongs to another file's definitions, too: they have one workspace."""
    printed = image.run("./refresh.sh", "definitions/shop.py", variables=variables)

    assert "2 connections, 2 streams" in printed, printed


def test_wheel_has_no_example(tmp_path: Path) -> None:
    """The examples are files of the repository."""
    judge([find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", tmp_path, REPOSITORY], os.environ)
    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"airbyte_dagster"}


@pytest.mark.parametrize("file", ["requirements.txt", "dagster-plus/requirements.txt"])
def test_image_has_the_versions_that_the_project_is_tested_with(file: str) -> None:
    """Each with its hashes. `make production-pins` makes them so."""
    text = (EXAMPLE / file).read_text()
    own, tested = (_versions(found) for found in (text, (REPOSITORY / "requirements.txt").read_text()))

    assert len(own) > 100
    assert {name: own[name] for name in own.keys() & tested} == {name: tested[name] for name in own.keys() & tested}
    assert len(re.findall(r"(?m)^\S+==.* \\\n    --hash=sha256:", text)) == len(re.findall(r"(?m)^\S+==", text))


def _versions(text: str) -> dict[str, set[str]]:
    """Of a list of pins: a package may have a version for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"(?m)^([\w.-]+)(?:\[.*\])?==([^ \n]+)", text):
        found.setdefault(name, set()).add(version)
    return found
