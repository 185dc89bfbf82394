"""The course as a notebook, ``docs/course.ipynb``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster_tests.clients.environments import python_environment
from airbyte_dagster_tests.clients.running import SCRIPTS, run_client, variables_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.processes import ServerProcess

NOTEBOOK = Path(__file__).parents[2] / "docs" / "course.ipynb"

#: A stand-in for Colab's module, which gives secrets out of variables that the notebook does not read.
COLAB = """
import os

class SecretNotFoundError(Exception):
    pass

def get(name):
    if f"COLAB_{name}" not in os.environ:
        raise SecretNotFoundError(name)
    return os.environ[f"COLAB_{name}"]
"""


def run(variables: dict[str, str], until: str = "") -> str:
    """Run its cells in order, up to the heading that begins so if one is given; what they printed."""
    command = [str(python_environment("notebook")), str(SCRIPTS / "notebook.py")]
    return str(run_client(command, {**variables, "NOTEBOOK": str(NOTEBOOK), "UNTIL": until})["printed"])


def code() -> list[dict[str, Any]]:
    """Its cells of code."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs() -> None:
    """What a run printed is no part of the page."""
    assert {(len(cell["outputs"]), cell["execution_count"]) for cell in code()} == {(0, None)}


@pytest.mark.clients
@pytest.mark.real
def test_every_cell(real_server: ServerProcess, tmp_path: Path) -> None:
    """Against local Airbyte: the rows arrive, are cleared, arrive again and are shown."""
    printed = run(variables_of(real_server, tmp_path / "client"))

    assert f"Airbyte is at {real_server.url}" in printed
    assert printed.count("The sync succeeded: 105 rows") == 2
    assert printed.count("The reset succeeded: 0 rows") == 1
    assert "users 35\nproducts 35\npurchases 35\n" in printed
    assert "occupation" in printed
    assert "bought" in printed


@pytest.mark.clients
def test_in_colab_up_to_the_connection(airbyte: RunningAirbyte, api: Api, tmp_path: Path) -> None:
    """Colab's secrets are what counts there; with a token of MotherDuck's, that is the destination."""
    variables = variables_of(airbyte, tmp_path / "client")
    module = tmp_path / "path" / "google" / "colab"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "userdata.py").write_text(COLAB)
    names = ("AIRBYTE_SERVER_URL", "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET")
    secrets = {f"COLAB_{name}": variables.pop(name) for name in names}
    del variables["AIRBYTE_DAGSTER_HOME"]

    run({**variables, **secrets, "COLAB_MOTHERDUCK_APIKEY": "a-token", "PYTHONPATH": str(tmp_path / "path")}, "## 6")

    (destination,) = api.ok("GET", "/destinations")["data"]
    (connection,) = api.ok("GET", "/connections")["data"]
    assert destination["destinationType"] == "motherduck"
    assert destination["configuration"]["destination_path"] == "md:lms"
    assert airbyte.store.actor("destination", destination["destinationId"]).configuration["motherduck_api_key"] == (
        "a-token"
    )
    assert [stream["name"] for stream in connection["configurations"]["streams"]] == ["users", "products", "purchases"]


@pytest.mark.clients
def test_without_settings(tmp_path: Path, airbyte: RunningAirbyte) -> None:
    """It says which are missing, before anything is sent."""
    variables = variables_of(airbyte, tmp_path / "client")
    del variables["AIRBYTE_CLIENT_SECRET"]

    with pytest.raises(AssertionError, match="Set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET"):
        run(variables)
