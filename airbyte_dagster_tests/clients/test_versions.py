"""The table of clients in ``docs/local-airbyte.md``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airbyte_dagster_tests.clients.environments import PINS

PAGE = Path(__file__).parents[2] / "docs" / "local-airbyte.md"


def pinned(file: str, package: str) -> str:
    """The version of a package in a list of pins."""
    (found,) = re.findall(rf"^{re.escape(package)}==(\S+)", (PINS / file).read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize(
    ("client", "versions"),
    [
        (
            "Airbyte's Python SDK",
            [pinned("airbyte-api-1.0.1.txt", "airbyte-api"), pinned("airbyte-api-0.53.0.txt", "airbyte-api")],
        ),
        (
            "Airbyte's Java SDK",
            re.findall(r"<version>([\d.]+)</version>\s*</dependency>", (PINS / "java.xml").read_text()),
        ),
        ("the course as a notebook", ["nbclient " + pinned("notebook.txt", "nbclient")]),
        ("Postman's newman", list(json.loads((PINS / "newman.json").read_text())["dependencies"].values())),
        ("PyAirbyte's `CloudWorkspace`", [pinned("pyairbyte.txt", "airbyte")]),
        ("`dagster-airbyte`", [pinned("dagster-airbyte.txt", "dagster-airbyte")]),
        ("Airflow's provider", [pinned("airflow.txt", "apache-airflow-providers-airbyte")]),
    ],
)
def test_the_version_is_what_is_run(client: str, versions: list[str]) -> None:
    """The page names the versions that are pinned."""
    assert f"| {client} | {', '.join(versions)} |" in PAGE.read_text(encoding="utf-8")
