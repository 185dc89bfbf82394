"""The resources of pipelines in ``defs.yaml`` files."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import (
    AirbyteResource,
    MotherDuckResource,
    PostgresWarehouseResource,
    SqlWarehouseResource,
)
from airbyte_dagster_tests.components.pipelines import GOOD, component_of
from airbyte_dagster_tests.dg_project import Project


def resources_of(definitions: dg.Definitions) -> dict[str, Any]:
    return dict(definitions.resources or {})


def test_several_pipelines_are_one_code_location(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share the Airbyte of the environment; each has the warehouse behind its destination."""
    monkeypatch.setenv("AIRBYTE_SERVER_URL", "http://127.0.0.1:1/api/public/v1")
    for name in ("shop", "orders"):
        project.write(name, GOOD.replace("NAME", name).replace("x.duckdb", f"{name}.duckdb"))

    resources = resources_of(project.load())

    assert set(resources) == {"airbyte", "shop_warehouse", "orders_warehouse"}
    assert resources["airbyte"].server_url == dg.EnvVar("AIRBYTE_SERVER_URL")
    assert resources["orders_warehouse"].database == "/tmp/orders.duckdb"


def test_pipelines_of_several_airbytes_are_one_code_location(project: Project) -> None:
    """Each Airbyte that is given has a key of its own."""
    for name in ("shop", "orders"):
        text = GOOD.replace("NAME", name) + f"  airbyte: {{server_url: 'http://{name}.example.com'}}\n"
        project.write(name, text)

    resources = resources_of(project.load())

    assert {key: found.server_url for key, found in resources.items() if "airbyte" in key} == {
        "shop_airbyte": "http://shop.example.com",
        "orders_airbyte": "http://orders.example.com",
    }


def test_a_name_that_begins_with_a_digit(project: Project) -> None:
    """Names of pipelines may, keys of resources may not, which Dagster says of ``2nd_shop_warehouse``."""
    text = GOOD.replace("NAME", "2nd_shop") + "  airbyte: {server_url: 'http://a.example.com'}\n"
    project.write("shop", text)

    definitions = project.load()

    assert set(resources_of(definitions)) == {"_2nd_shop_airbyte", "_2nd_shop_warehouse"}
    repository = definitions.get_repository_def()
    assert repository.has_job("sync_2nd_shop")
    assert dg.AssetKey(["2nd_shop", "users"]) in repository.asset_graph.get_all_asset_keys()


def test_equal_resources_under_one_key_are_one(project: Project) -> None:
    """In YAML and in Python; Dagster merges only what is the same object."""
    more = "  airbyte: {server_url: 'http://eu.example.com', bearer_token: '{{ env.TOKEN }}'}\n  airbyte_key: eu\n"
    for name in ("shop", "orders"):
        project.write(name, GOOD.replace("NAME", name) + f"{more}  warehouse_key: duck\n")
    project.python(
        "people",
        """\
import dagster as dg
from airbyte_dagster import AirbytePipeline, AirbytePipelineComponent, AirbyteResource, MotherDuckResource


@dg.component_instance
def load(context: dg.ComponentLoadContext) -> AirbytePipelineComponent:
    return AirbytePipelineComponent(
        AirbytePipeline(
            name="people",
            source={"name": "s", "configuration": {"sourceType": "faker"}},
            destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
            connection={"name": "p", "streams": ["users"]},
        ),
        airbyte=AirbyteResource(server_url="http://eu.example.com", bearer_token=dg.EnvVar("TOKEN")),
        warehouse=MotherDuckResource(database="/tmp/x.duckdb"),
        airbyte_key="eu",
        warehouse_key="duck",
    )
""",
    )

    definitions = project.load()

    assert set(resources_of(definitions)) == {"eu", "duck"}
    assert definitions.get_repository_def().has_job("sync_people")


def test_text_and_the_variable_of_that_name_are_two(project: Project) -> None:
    """To Python an ``EnvVar`` equals the text that is its name; as settings they differ."""
    project.write("shop", GOOD.replace("NAME", "shop") + "  airbyte: {workspace_id: '{{ env.ID }}'}\n")
    project.write("orders", GOOD.replace("NAME", "orders") + "  airbyte: {workspace_id: ID}\n")

    resources = resources_of(project.load())

    assert isinstance(resources["shop_airbyte"].workspace_id, dg.EnvVar)
    assert not isinstance(resources["orders_airbyte"].workspace_id, dg.EnvVar)


def test_the_project_may_have_the_resources(project: Project) -> None:
    """Then their keys stand in the file."""
    project.write("shop", GOOD.replace("NAME", "shop") + "  airbyte: airbyte\n  warehouse: motherduck\n")
    project.write("orders", GOOD.replace("NAME", "orders") + "  airbyte: eu\n")
    project.python(
        "resources",
        """\
import dagster as dg
from airbyte_dagster import AirbyteResource, MotherDuckResource

defs = dg.Definitions(
    resources={
        "airbyte": AirbyteResource(server_url="http://a.example.com"),
        "eu": AirbyteResource(server_url="http://eu.example.com"),
        "motherduck": MotherDuckResource(database="/tmp/x.duckdb"),
    },
    executor=dg.multiprocess_executor,
)
""",
    )

    definitions = project.load()

    assert set(resources_of(definitions)) == {"airbyte", "eu", "motherduck", "orders_warehouse"}
    # The project's executor stays; the pipelines' own jobs run in one process, as they do anywhere else.
    assert definitions.executor is dg.multiprocess_executor
    assert definitions.resolve_job_def("sync_shop").executor_def is dg.in_process_executor
    dg.Definitions.validate_loadable(definitions)


def test_a_resource_that_is_nowhere_is_missed(project: Project) -> None:
    """By Dagster, before anything runs."""
    project.write("shop", GOOD.replace("NAME", "shop") + "  airbyte: airbyte\n")

    with pytest.raises(dg.DagsterInvalidDefinitionError, match="'airbyte'"):
        dg.Definitions.validate_loadable(project.load())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{sync_timeout: 60}", {"client_id": dg.EnvVar("AIRBYTE_CLIENT_ID"), "bearer_token": None}),
        ("{bearer_token: '{{ env.T }}'}", {"client_id": None, "client_secret": None, "bearer_token": dg.EnvVar("T")}),
        ("{username: me, password: '{{ env.P }}'}", {"client_secret": None, "password": dg.EnvVar("P")}),
    ],
)
def test_what_is_left_out_is_taken_from_the_environment(
    given: str, expected: dict[str, Any], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for its credentials where there are others."""
    for name in ("SERVER_URL", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AIRBYTE_{name}", "set")
    project.write("shop", GOOD.replace("NAME", "shop") + f"  airbyte: {given}\n")

    airbyte = component_of(project, "shop").airbyte

    assert airbyte is not None
    assert isinstance(airbyte, AirbyteResource)
    assert airbyte.server_url == dg.EnvVar("AIRBYTE_SERVER_URL")
    assert {name: getattr(airbyte, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (
            "{destinationType: duckdb, destination_path: 'md:lms', motherduck_api_key: '{{ env.T }}'}",
            MotherDuckResource(database="md:lms", motherduck_token=dg.EnvVar("T")),
        ),
        ("{destinationType: motherduck, destination_path: md:lms}", MotherDuckResource(database="md:lms")),
        (
            "{destinationType: postgres, host: h, port: 5433, database: d, username: u, ssl_mode: {mode: require}}",
            PostgresWarehouseResource(host="h", port=5433, database="d", username="u", ssl_mode="require"),
        ),
    ],
)
def test_the_warehouse_is_the_one_behind_the_destination(
    destination: str, expected: dg.ConfigurableResource[Any], project: Project
) -> None:
    """Unless another is given."""
    _, _, rest = GOOD.partition("  destination: ")
    line = rest.splitlines()[0]
    project.write("shop", GOOD.replace("NAME", "shop").replace(line, f"{{name: d, configuration: {destination}}}"))

    assert component_of(project, "shop").warehouse == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{database: other.duckdb, lock_timeout: 5}", MotherDuckResource(database="other.duckdb", lock_timeout=5)),
        (
            "{postgres: {host: '{{ env.H }}', database: d, username: u}}",
            PostgresWarehouseResource(host=dg.EnvVar("H"), database="d", username="u"),
        ),
        (
            "{sql: {url: 'snowflake://u@a/RAW', query_timeout: 5}}",
            SqlWarehouseResource(url="snowflake://u@a/RAW", query_timeout=5),
        ),
    ],
)
def test_another_warehouse_can_be_given(given: str, expected: dg.ConfigurableResource[Any], project: Project) -> None:
    """For destinations in another network, or of types that can't be told."""
    project.write("shop", GOOD.replace("NAME", "shop") + f"  warehouse: {given}\n")

    assert component_of(project, "shop").warehouse == expected
