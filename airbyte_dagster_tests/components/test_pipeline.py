"""A pipeline in a ``defs.yaml``: loaded, run, scaffolded, and seen by ``dg``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from dagster_shared.yaml_utils import safe_load_yaml

from airbyte_dagster import (
    AirbytePipeline,
    AirbytePipelineComponent,
    AirbyteResource,
    Connection,
    Destination,
    MotherDuckResource,
    PostgresWarehouseResource,
    Schedule,
    Source,
    SqlWarehouseResource,
    Stream,
)
from airbyte_dagster.airbyte.configuration import resolve
from airbyte_dagster.components.scaffold import ScaffoldParams
from airbyte_dagster.components.templates import LateTemplate, rendered
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources import plain
from airbyte_dagster_tests.dagster_runs import failures_of
from airbyte_dagster_tests.dg_project import TYPE, Project
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.test_secrets import PLANTED, assert_nowhere

GOOD = f"""\
type: {TYPE}
attributes:
  name: NAME
  source: {{name: s, configuration: {{sourceType: faker}}}}
  destination: {{name: d, configuration: {{destinationType: duckdb, destination_path: /tmp/x.duckdb}}}}
  connection: {{name: c, streams: [users]}}
"""


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AIRBYTE_", "MOTHERDUCK_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path / "project", monkeypatch)


@pytest.fixture
def environment(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> RunningAirbyte:
    """Local Airbyte, and the environment that leads to it."""
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    return airbyte


def component_of(project: Project, name: str) -> AirbytePipelineComponent:
    component = project.component(name)
    assert isinstance(component, AirbytePipelineComponent)
    return component


# ---------------------------------------------------------------------------------------------------- what it declares

EVERYTHING = """\
type: TYPE
attributes:
  name: shop
  description: All of it.
  group_name: sales
  owners: ["team:data", "me@example.com"]
  tags: {tier: gold}
  deps: [raw/orders]
  automation_condition: "{{ dg.AutomationCondition.eager() }}"
  source:
    name: s
    configuration: {sourceType: postgres, host: db, port: 5432, tunnel_method: {tunnel_method: NO_TUNNEL}}
    secrets: {password: "{{ env.ORDERS_PASSWORD }}"}
    definition_id: 00000000-0000-0000-0000-000000000001
  destination:
    name: d
    configuration: {destinationType: duckdb, destination_path: /tmp/x.duckdb, schema: raw}
    secrets: {motherduck_api_key: "{{ env('TOKEN') }}"}
    definition_id: 00000000-0000-0000-0000-000000000002
  connection:
    name: c
    namespace_definition: custom_format
    namespace_format: raw_${SOURCE_NAMESPACE}
    prefix: p_
    schedule: 0 0 6 * * ?
    status: inactive
    streams:
      - users
      - name: orders
        namespace: public
        sync_mode: incremental_deduped_history
        cursor_field: updated_at
        primary_key: [id, [place, country]]
        selected_fields: [id, place, updated_at]
        checks: {fresh: {within: 36h}, row_count: {severity: warn}}
  schedule: {cron: 0 6 * * *, timezone: Europe/Berlin, on_running: wait, running: true}
  checks:
    row_count: true
    moved_something: {min_rows: 5}
    unique_key: true
    not_null: {columns: email}
    fresh: {within: 1d, column: updated_at}
    schema: {blocking: true}
    expected_range: {min: 1, max: 9}
    sql: {none_paid_twice: "SELECT 1 FROM {table} WHERE paid > 1"}
  reconcile: if_missing
""".replace("TYPE", TYPE)


def everything() -> AirbytePipeline:
    return AirbytePipeline(
        name="shop",
        description="All of it.",
        group_name="sales",
        owners=("team:data", "me@example.com"),
        tags={"tier": "gold"},
        deps=["raw/orders"],
        automation_condition=dg.AutomationCondition.eager(),
        source=Source(
            name="s",
            configuration={
                "sourceType": "postgres",
                "host": "db",
                "port": 5432,
                "tunnel_method": {"tunnel_method": "NO_TUNNEL"},
            },
            secrets={"password": dg.EnvVar("ORDERS_PASSWORD")},
            definition_id="00000000-0000-0000-0000-000000000001",
        ),
        destination=Destination(
            name="d",
            configuration={"destinationType": "duckdb", "destination_path": "/tmp/x.duckdb", "schema": "raw"},
            secrets={"motherduck_api_key": dg.EnvVar("TOKEN")},
            definition_id="00000000-0000-0000-0000-000000000002",
        ),
        connection=Connection(
            name="c",
            namespace_definition="custom_format",
            namespace_format="raw_${SOURCE_NAMESPACE}",
            prefix="p_",
            schedule="0 0 6 * * ?",
            status="inactive",
            streams=[
                "users",
                Stream(
                    name="orders",
                    namespace="public",
                    sync_mode="incremental_deduped_history",
                    cursor_field="updated_at",
                    primary_key=["id", ["place", "country"]],
                    selected_fields=["id", "place", "updated_at"],
                    checks={"fresh": {"within": "36h"}, "row_count": {"severity": "warn"}},
                ),
            ],
        ),
        schedule=Schedule(cron="0 6 * * *", timezone="Europe/Berlin", on_running="wait", running=True),
        checks={
            "row_count": True,
            "moved_something": {"min_rows": 5},
            "unique_key": True,
            "not_null": {"columns": "email"},
            "fresh": {"within": "1d", "column": "updated_at"},
            "schema": {"blocking": True},
            "expected_range": {"min": 1, "max": 9},
            "sql": {"none_paid_twice": "SELECT 1 FROM {table} WHERE paid > 1"},
        },
        reconcile="if_missing",
    )


def test_all_that_python_declares_yaml_declares(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing in the environment; what ``dg check yaml`` takes is what loads."""
    project.write("shop", EVERYTHING)

    assert project.yaml_problems(capsys) == []
    assert component_of(project, "shop").pipeline == everything()
    assert project.load().get_repository_def().has_job("sync_shop")


def test_nothing_is_left_out_above() -> None:
    """A new field of a declaration has to be put there."""

    def left_out(declaration: Declaration) -> Iterator[str]:
        yield from type(declaration).model_fields.keys() - declaration.model_fields_set
        for name in declaration.model_fields_set:
            value = getattr(declaration, name)
            yield from left_out(value) if isinstance(value, Source | Destination | Connection | Schedule) else ()

    pipeline = everything()
    assert pipeline.connection.streams
    orders = pipeline.connection.streams[1]

    assert [*left_out(pipeline), *(type(orders).model_fields.keys() - orders.model_fields_set)] == []
    assert type(pipeline.checks).model_fields.keys() == pipeline.checks.model_fields_set


def test_text_that_is_no_template_stays_text(project: Project) -> None:
    """Dagster's own rendering would make a number of it."""
    project.write("shop", GOOD.replace("NAME", "shop").replace("name: s,", 'name: "2030",'))

    assert component_of(project, "shop").pipeline.source.name == "2030"


def test_dagster_renders_what_is_no_secret(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, and what stands around the configurations, with all that Dagster offers."""
    monkeypatch.setenv("STAGE", "test")
    text = GOOD.replace("NAME", "shop_{{ env.STAGE }}").replace("/tmp", "{{ context.project_root }}")
    project.write("shop", text.replace("destination_path: ", "destination_path: '").replace("duckdb}", "duckdb'}"))

    component = component_of(project, "shop")

    assert component.pipeline.name == "shop_test"
    assert component.pipeline.destination.configuration["destination_path"] == f"{project.root}/x.duckdb"


def test_template_variables_of_the_project(project: Project) -> None:
    """May be whole configurations, with ``EnvVar`` in them, and resources."""
    project.write(
        "shop",
        f"""\
type: {TYPE}
template_vars_module: .template_vars
attributes:
  name: shop
  source: {{name: s, configuration: "{{{{ faker }}}}"}}
  destination: {{name: d, configuration: {{destinationType: duckdb, destination_path: x.duckdb}}}}
  connection: {{name: c, streams: "{{{{ streams }}}}"}}
  airbyte: "{{{{ eu }}}}"
""",
    )
    (project.defs / "shop" / "template_vars.py").write_text(
        """\
import dagster as dg
from airbyte_dagster import AirbyteResource


@dg.template_var
def faker():
    return {"sourceType": "faker", "api_key": dg.EnvVar("API_KEY")}


@dg.template_var
def streams():
    return ["users", {"name": "products"}]


@dg.template_var
def eu():
    return AirbyteResource(server_url="https://eu.example.com")
"""
    )

    component = component_of(project, "shop")

    assert component.pipeline.source.configuration["api_key"] == dg.EnvVar("API_KEY")
    assert isinstance(component.pipeline.source.configuration["api_key"], dg.EnvVar)
    assert [stream.name for stream in component.pipeline.connection.streams or ()] == ["users", "products"]
    assert component.airbyte is not None
    assert isinstance(component.airbyte, AirbyteResource)
    assert component.airbyte.server_url == "https://eu.example.com"


PAGE = Path(__file__).parents[2] / "docs" / "components.md"


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
def test_examples_of_the_page_are_right(text: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing in the environment."""
    project.write("example", text)

    assert project.yaml_problems(capsys) == []
    dg.Definitions.validate_loadable(project.load())


# ------------------------------------------------------------------------------------------------------ late templates


def late(text: str) -> Any:
    context = dg.ResolutionContext.default().at_path("attributes")
    return rendered(context, {"x": [text]}, late=True)["x"][0]


@pytest.mark.parametrize("text", ["{{ env.A }}", "{{env('A')}}"])
def test_a_variable_alone_is_an_envvar(text: str) -> None:
    """As it would be in Python."""
    reference = late(text)

    assert isinstance(reference, dg.EnvVar)
    assert reference.env_var_name == "A"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ env.A | int }}", 12),
        ("{{ env.ZERO | int }}", 0),
        ("{{ env.A == '13' }}", False),
        ("{{ env.A }}{{ env.B }}", "12b"),
        ("postgres://{{ env.B }}:5432", "postgres://b:5432"),
        ("{{ env('UNSET', 'c') }}", "c"),
        ("{{ env.UNSET or 'c' }}", "c"),
        ("{{ env.UNSET | default('c') }}", "c"),
        ("{% if env.UNSET %}x{% else %}y{% endif %}", "y"),
        ("{{ env.UNSET }}", None),
        ("a{{ env.UNSET }}", None),
        ("{{ 'a' ~ env.UNSET }}", None),
        ("{{ env.UNSET | int }}", None),
        ("{{ env('UNSET') | upper }}", None),
    ],
)
def test_templates_are_rendered_when_they_are_needed(text: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To what they yield, or to nothing if a variable is missing in it; not to a number because it looks like one."""
    reference = late(text)
    for name, content in {"A": "12", "B": "b", "ZERO": "0"}.items():
        monkeypatch.setenv(name, content)

    if value is None:
        with pytest.raises(ConfigurationError, match="environment variable UNSET, which is not set"):
            resolve({"x": reference}, {}, where="source")
    else:
        assert resolve({"x": reference}, {}, where="source") == {"x": value}


def test_what_a_filter_says_of_a_value_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the secret itself."""
    monkeypatch.setenv("A", PLANTED)

    with pytest.raises(ConfigurationError, match=r"can't be rendered .* \(TypeError\)") as caught:
        late("{{ env.A / 2 }}").get_value()

    assert PLANTED not in str(caught.value)
    assert caught.value.__cause__ is None
    assert PLANTED not in repr(late("{{ env.A ~ 'x' }}"))


def test_several_variables_are_named() -> None:
    """In the message for one that is missing."""
    reference = late("{{ env.A }}@{{ env('B', 'x') }}")

    assert isinstance(reference, LateTemplate)
    assert reference.env_var_name == "A or B"


def test_the_type_of_a_connector_is_needed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster shows it."""
    monkeypatch.setenv("KIND", "faker")
    context = dg.ResolutionContext.default()

    assert rendered(context, {"sourceType": "{{ env.KIND }}"}, late=True) == {"sourceType": "faker"}


# ------------------------------------------------------------------------------------------------------------- secrets

SECRETS = f"""\
type: {TYPE}
attributes:
  name: example
  source:
    name: s
    configuration:
      sourceType: faker
      count: "{{{{ env.COUNT | int }}}}"
      api_key: "{{{{ env.API_KEY }}}}"
  destination:
    name: d
    configuration: {{destinationType: duckdb, destination_path: "{{{{ env('FOLDER') }}}}/x.duckdb"}}
    secrets: {{motherduck_api_key: "{{{{ env.TOKEN }}}}"}}
  connection: {{name: c, streams: [users]}}
  airbyte:
    server_url: "{{{{ env.AIRBYTE_SERVER_URL }}}}"
    client_id: "{{{{ env.AIRBYTE_CLIENT_ID }}}}"
    client_secret: "{{{{ env.AIRBYTE_CLIENT_SECRET }}}}"
    extra_headers: {{X-Gateway-Key: "{{{{ env.HEADER }}}}", X-Other: "Bearer {{{{ env.HEADER }}}}"}}
    request_timeout: "{{{{ env.SECONDS }}}}"
"""


def test_secrets_are_in_nothing_that_is_stored(
    project: Project,
    environment: RunningAirbyte,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """They are set while it loads, and reach Airbyte, but neither definitions, snapshots, events nor logs."""
    for name in ("API_KEY", "TOKEN", "HEADER"):
        monkeypatch.setenv(name, f"{PLANTED}-{name}")
    for name, value in {"COUNT": "7", "SECONDS": "20", "FOLDER": str(environment.home.root)}.items():
        monkeypatch.setenv(name, value)
    project.write("example", SECRETS)

    definitions = project.load()
    for job in ("provision_example", "sync_example"):
        assert definitions.resolve_job_def(job).execute_in_process(instance=instance).success
    environment.engine.fail_next(f"refused {PLANTED[:7]}")
    definitions.resolve_job_def("sync_example").execute_in_process(instance=instance, raise_on_error=False)

    assert environment.engine.requests[0].source_config["api_key"] == f"{PLANTED}-API_KEY"
    assert environment.engine.requests[0].source_config["count"] == 7
    with duckdb.connect(str(environment.home.root / "x.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(7,)]
    component = component_of(project, "example")
    assert component.airbyte is not None
    assert isinstance(component.airbyte, AirbyteResource)
    assert component.airbyte.request_timeout == 20
    headers = {name: plain(value) for name, value in component.airbyte.extra_headers.items()}
    assert headers == {"X-Gateway-Key": f"{PLANTED}-HEADER", "X-Other": f"Bearer {PLANTED}-HEADER"}
    captured = capfd.readouterr()
    assert_nowhere(
        [PLANTED, environment.client_secret], tmp_path / "dagster", captured.out, captured.err, repr(component)
    )


def test_a_variable_that_is_not_set_is_said_when_it_is_needed(
    project: Project, environment: RunningAirbyte, instance: dg.DagsterInstance
) -> None:
    """Definitions load without it; the run says which, and where it stands."""
    text = GOOD.replace("NAME", "example").replace("faker", "faker, api_key: '{{ env.API_KEY }}'")
    project.write("example", text)

    result = project.load().resolve_job_def("sync_example").execute_in_process(instance=instance, raise_on_error=False)

    assert "source.api_key is read from the environment variable API_KEY, which is not set" in failures_of(result)[0]


def test_a_setting_that_is_read_at_once_needs_its_variable(project: Project) -> None:
    """A number can't be a reference."""
    project.write("shop", GOOD.replace("NAME", "shop") + "  airbyte: {sync_timeout: '{{ env.SECONDS }}'}\n")

    assert project.problems() == ["airbyte.sync_timeout: SECONDS is not set in the environment"]


# ----------------------------------------------------------------------------------------------------------- resources


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


# ----------------------------------------------------------------------------------------------- scaffolding, and runs


def scaffolded(params: dict[str, Any] | None = None, **options: Any) -> tuple[str, AirbytePipelineComponent]:
    """What is written, and what loads of it."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=AirbytePipelineComponent, defs_path="my shop", scaffold_params=params, **options
        )
        text = next(path.iterdir()).read_text()
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, _):
            # A folder with a component in Python is a folder to Dagster.
            for inner in (component, *getattr(component, "iterate_components", list)()):
                if isinstance(inner, AirbytePipelineComponent):
                    return text, inner
    raise AssertionError(text)


def test_a_scaffold_loads() -> None:
    """As it stands, and its commented lines, too."""
    text, component = scaffolded()

    assert component.pipeline.name == "my_shop"
    assert component.pipeline.source.type == "faker"
    assert isinstance(component.warehouse, MotherDuckResource)
    assert component.warehouse.database == "~/.airbyte-dagster/my_shop.duckdb"
    commented = text.replace("  # schedule: ", "  schedule: ")
    for line in ("airbyte:", "  server_url:", "  client_id:", "  client_secret:", "warehouse:", "  database:"):
        assert f"  # {line}" in commented
        commented = commented.replace(f"  # {line}", f"  {line}")
    attributes = safe_load_yaml(commented)["attributes"]
    whole = AirbytePipelineComponent.from_attributes_dict(attributes=attributes)
    assert whole.pipeline.schedule == Schedule(cron="0 6 * * *")
    assert whole.airbyte is not None
    assert isinstance(whole.airbyte, AirbyteResource)
    assert whole.airbyte.client_secret == dg.EnvVar("AIRBYTE_CLIENT_SECRET")


def test_a_scaffold_takes_parameters() -> None:
    """Another source, another database, a schedule."""
    _, component = scaffolded({"source_type": "postgres", "database": "md:lms", "schedule": "@daily"})

    assert component.pipeline.source.type == "postgres"
    assert component.pipeline.connection.streams is None
    assert component.pipeline.destination.configuration["motherduck_api_key"] == dg.EnvVar("MOTHERDUCK_APIKEY")
    assert component.pipeline.schedule == Schedule(cron="@daily")
    assert all(field.description for field in ScaffoldParams.model_fields.values())


def test_a_scaffold_in_python_loads() -> None:
    """The same in Python."""
    text, component = scaffolded({"schedule": "@daily"}, scaffold_format="python")

    assert "@dg.component_instance" in text
    assert component.pipeline.name == "my_shop"
    assert component.pipeline.schedule == Schedule(cron="@daily")


def test_a_scaffold_runs(project: Project, environment: RunningAirbyte, instance: dg.DagsterInstance) -> None:
    """Against local Airbyte; post-processing changes its assets, and they still run."""
    status, output = project.dg("scaffold", "defs", TYPE, "shop")
    assert status == 0, output
    path = project.defs / "shop" / "defs.yaml"
    path.write_text(
        f"{path.read_text()}\npost_processing:\n  assets:\n"
        "    - {target: 'key:shop/users', attributes: {tags: {tier: gold}, group_name: people}}\n"
        "    - {attributes: {owners: ['team:data'], metadata: {cost_center: 7}}}\n"
    )

    definitions = project.load()
    result = definitions.resolve_job_def("sync_shop").execute_in_process(instance=instance)

    assert result.success
    assert {check.check_name for check in result.get_asset_check_evaluations() if check.passed} == {
        "row_count",
        "unique_key",
    }
    with duckdb.connect(str(environment.home.root / "shop.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchall() == [(100,)]
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert specs["shop/users"].tags["tier"] == "gold"
    assert specs["shop/users"].group_name == "people"
    assert "tier" not in specs["shop/products"].tags
    assert specs["shop/products"].group_name == "shop"
    assert all(spec.owners == ["team:data"] for spec in specs.values())
    assert all(spec.metadata["cost_center"] == 7 for spec in specs.values())


def test_dg_lists_checks_and_shows_it(project: Project, tmp_path: Path) -> None:
    """In processes of its own; secrets are set, and said nowhere."""
    status, listed = project.dg("list", "components", "--json")
    assert status == 0, listed
    ours = {item["key"]: item["summary"] for item in json.loads(listed)["items"]}
    assert ours[TYPE].startswith("An Airbyte pipeline")
    assert "workspace" in ours["airbyte_dagster.AirbyteWorkspaceComponent"]

    for name in ("shop", "example"):
        project.write(name, SECRETS.replace("name: example", f"name: {name}"))
    environment = {
        **{name: f"{PLANTED}-{name}" for name in ("API_KEY", "TOKEN", "HEADER", "AIRBYTE_CLIENT_SECRET")},
        "AIRBYTE_SERVER_URL": "http://127.0.0.1:1",
        "AIRBYTE_CLIENT_ID": "id",
        "COUNT": "7",
        "SECONDS": "20",
        "FOLDER": str(tmp_path),
    }
    status, checked = project.dg("check", "defs", environment=environment)
    assert status == 0, checked
    assert "All component YAML validated" in checked
    assert "All definitions loaded" in checked

    status, shown = project.dg("list", "defs", "--json", environment=environment)
    assert status == 0, shown
    assert {asset["asset_key"] for asset in json.loads(shown)["assets"]} >= {"shop/users", "example/users"}
    assert PLANTED not in checked + shown

    path = project.write("shop", project.write("shop", SECRETS).read_text().replace("{name: c,", "{nme: c,"))
    status, said = project.dg("check", "yaml", str(path.parent), environment=environment)
    line = path.read_text().splitlines().index("  connection: {nme: c, streams: [users]}") + 1
    assert status == 1
    assert f"{path}:{line} - {TYPE} attributes.connection.nme Additional properties are not allowed" in said
    status, said_by_defs = project.dg("check", "defs", "--no-check-yaml", environment=environment)
    assert status == 1
    assert "connection.nme: unknown key; did you mean 'name'?" in said_by_defs
    assert PLANTED not in said + said_by_defs
