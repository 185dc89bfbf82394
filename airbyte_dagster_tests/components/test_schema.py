"""What ``dg check yaml`` and ``dg check defs`` say of a wrong ``defs.yaml``, and the schema behind the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from airbyte_dagster.checks import specs
from airbyte_dagster.components import AirbytePipelineComponent
from airbyte_dagster.errors import SpecError
from airbyte_dagster.pipelines import spec
from airbyte_dagster.resources import (
    AirbyteResource,
    MotherDuckResource,
    PostgresWarehouseResource,
    SqlWarehouseResource,
)
from airbyte_dagster_tests.components.pipelines import GOOD as PIPELINE
from airbyte_dagster_tests.dg_project import TYPE, Project
from airbyte_dagster_tests.test_secrets import PLANTED

GOOD = PIPELINE.replace("NAME", "shop")
SOURCE = "source: {name: s, configuration: {sourceType: faker}}"
DESTINATION = "destination: {name: d, configuration: {destinationType: duckdb, destination_path: /tmp/x.duckdb}}"
POSTGRES = "destinationType: postgres, host: h, database: d, username: u"
CONNECTION = "connection: {name: c, streams: [users]}"


@dataclass(frozen=True)
class Wrong:
    """A mistake.

    Attributes:
        old: What it stands in place of; at the end, if empty.
        new: The mistake, in one line.
        defs: Words of ``dg check defs``.
    """

    old: str
    new: str
    defs: str


def stream(text: str) -> str:
    return f"connection: {{name: c, streams: [{{name: users, {text}}}]}}"


def check(text: str) -> str:
    return f"checks: {{{text}}}"


WRONG = {
    # Keys
    "no attributes key": Wrong("name: shop", "", "name: required, but missing"),
    "unknown key": Wrong("", "conection: {}", "did you mean 'connection'?"),
    "unknown key below": Wrong(CONNECTION, "connection: {name: c, strems: [a]}", "did you mean 'streams'?"),
    "missing key below": Wrong(SOURCE, "source: {configuration: {sourceType: x}}", "source.name: required"),
    "unknown key of a check": Wrong("", check("row_count: {blokcing: true}"), "'blocking'?"),
    # Types
    "no mapping": Wrong(SOURCE, "source: faker", "source: "),
    "no text": Wrong("name: shop", "name: 5", "name: Input should be a valid string"),
    "no list": Wrong("", "owners: me@example.com", "owners: "),
    "no truth": Wrong("", 'schedule: {cron: "@daily", running: perhaps}', "running: "),
    "no tag": Wrong("", "tags: {tier: 1}", "tags.tier: "),
    "no number": Wrong("", "airbyte: {max_attempts: many}", "airbyte.max_attempts: "),
    "number out of bounds": Wrong("", "airbyte: {sync_timeout: 0}", "greater than 0"),
    "no condition": Wrong("", "automation_condition: eager", "AutomationCondition, such as"),
    # Names
    "name": Wrong("name: shop", "name: my shop", "name: String should match pattern"),
    "empty name": Wrong(SOURCE, "source: {name: '', configuration: {sourceType: x}}", "at least 1 character"),
    "group": Wrong("", "group_name: a-b", "group_name: String should match pattern"),
    "resource key": Wrong("", "airbyte_key: a-b", "airbyte_key: String should match pattern"),
    # Actors
    "no connector": Wrong(
        SOURCE,
        "source: {name: s, configuration: {}}",
        "names no connector: add 'sourceType'",
    ),
    # Connections
    "sync mode": Wrong(
        CONNECTION,
        stream("sync_mode: incremental"),
        "did you mean 'incremental_append'?",
    ),
    "format without custom_format": Wrong(CONNECTION, "connection: {name: c, namespace_format: x}", "go together"),
    "format with another": Wrong(
        CONNECTION,
        "connection: {name: c, namespace_format: x, namespace_definition: source}",
        "go together",
    ),
    "custom_format without format": Wrong(
        CONNECTION,
        "connection: {name: c, namespace_definition: custom_format}",
        "go together",
    ),
    "Quartz": Wrong(CONNECTION, "connection: {name: c, schedule: 0 6 * * *}", "nor a Quartz cron"),
    "status": Wrong(CONNECTION, "connection: {name: c, status: locked}", "accepted: active, inactive"),
    "no streams": Wrong(CONNECTION, "connection: {name: c, streams: []}", "streams is empty"),
    "stream twice": Wrong(
        CONNECTION,
        "connection: {name: c, streams: [a, a]}",
        "streams names a more than once",
    ),
    "stream twice in two forms": Wrong(
        CONNECTION, "connection: {name: c, streams: [a, {name: a}]}", "streams names a more than once"
    ),
    "key not selected": Wrong(
        CONNECTION, stream("primary_key: id, selected_fields: [name]"), "selected_fields leaves out id"
    ),
    # Schedules
    "cron with four fields": Wrong("", "schedule: 0 6 * *", "is no cron expression of five"),
    "cron with six fields": Wrong("", "schedule: {cron: 0 0 6 * * *}", "is no cron expression of five"),
    "no such hour": Wrong("", "schedule: 0 25 * * *", "schedule.cron: '0 25 * * *' is no cron"),
    "time zone": Wrong("", 'schedule: {cron: "@daily", timezone: Mars/Base}', "'Mars/Base' is no time zone"),
    "on_running": Wrong("", 'schedule: {cron: "@daily", on_running: kill}', "skip, wait"),
    # Checks
    "length of time": Wrong("", check("fresh: {within: 36 hours}"), "is no length of time"),
    "no length of time": Wrong("", check("fresh: {within: 0h}"), "too short"),
    "fresh, but how": Wrong("", check("fresh: true"), "fresh.within: required"),
    "range without bounds": Wrong("", check("expected_range: {}"), "needs min, max or both"),
    "range, but which": Wrong("", check("expected_range: true"), "needs min, max or both"),
    "range the wrong way round": Wrong("", check("expected_range: {min: 5, max: 4}"), "min 5 is above max 4"),
    "warning that blocks": Wrong("", check("not_null: {severity: warn, blocking: true}"), "severity warn blocks"),
    "severity": Wrong("", check("not_null: {severity: fatal}"), "accepted: error, warn"),
    "check's name": Wrong("", check("sql: {'a b': select 1}"), "letters, digits"),
    "check's name taken": Wrong("", check("sql: {fresh: select 1}"), "name is taken"),
    "empty query": Wrong("", check("sql: {x: {query: ''}}"), "at least 1 character"),
    "stream's check": Wrong(CONNECTION, stream("checks: {fresh: {}}"), "fresh.within: required"),
    # Resources
    "setting": Wrong("", "airbyte: {sync_timout: 5}", "did you mean 'sync_timeout'?"),
    "two warehouses": Wrong(
        "",
        "warehouse: {database: x, postgres: {host: h, database: d, username: u}}",
        "database has no place beside",
    ),
    "no warehouse": Wrong("", "warehouse: {lock_timeout: 5}", "warehouse.database: required"),
    "half a warehouse": Wrong(
        "",
        "warehouse: {postgres: {host: h, username: u}}",
        "warehouse.postgres.database: required",
    ),
    "a warehouse that can't be told": Wrong(
        DESTINATION,
        "destination: {name: d, configuration: {destinationType: s3}}",
        "where it writes (s3) can't be told from it, so warehouse is required",
    ),
    "a connector known by its id alone": Wrong(
        DESTINATION,
        "destination: {name: d, definition_id: x, configuration: {}}",
        "where it writes (custom) can't be told from it",
    ),
    "a warehouse that is told wrongly": Wrong(
        DESTINATION,
        f"destination: {{name: d, configuration: {{{POSTGRES}, port: x}}}}",
        "destination: the warehouse can't be told from it: port: ",
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path / "project", monkeypatch)


def written(wrong: Wrong) -> str:
    """The file with the mistake."""
    if not wrong.old:
        return f"{GOOD}  {wrong.new}\n"
    return GOOD.replace(f"  {wrong.old}\n", f"  {wrong.new}\n" if wrong.new else "")


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_found(name: str, project: Project) -> None:
    """By ``dg check defs``, which loads the project: one problem, with its dotted path and what is accepted."""
    project.write("shop", written(WRONG[name]))

    (problem,) = project.problems()

    assert WRONG[name].defs in problem


def test_dg_check_yaml_finds_keys_and_types(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """With file and line of the value that a mistake is in, or of its outermost choice."""
    text = GOOD.replace("users", "{name: users, sync_mode: x}").replace("name: shop", "name: my shop")
    path = project.write("shop", f"{text}  conection: {{}}\n  owners: me@example.com\n")

    lines = {line.partition(" - ")[0] for line in project.yaml_problems(capsys)}

    assert {f"{path}:3", f"{path}:6", f"{path}:8"} <= lines
    assert len(project.problems()) == 4


def test_a_file_without_attributes(project: Project) -> None:
    """The keys that are missing are said, as for any other file."""
    project.write("shop", f"type: {TYPE}\n")

    assert [problem.partition(":")[0] for problem in project.problems()] == [
        "name",
        "source",
        "destination",
        "connection",
    ]


def test_attributes_that_are_in_no_file() -> None:
    """Have no line; the problems are the same."""
    with pytest.raises(SpecError) as caught:
        AirbytePipelineComponent.from_attributes_dict(attributes={"name": "my shop"})

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "name",
        "source",
        "destination",
        "connection",
    ]


def test_what_stands_around_a_mistake_is_not_repeated(project: Project) -> None:
    """It may be a secret, and definitions that do not load are shown in Dagster's UI."""
    text = GOOD.replace("faker}", f"faker, api_key: {PLANTED}}}, secrets: [{PLANTED}]")
    project.write("shop", text.replace("name: s,", "nme: s,"))

    problems = project.problems()

    assert len(problems) == 3
    assert PLANTED not in "".join(problems)


def test_what_is_right_is_accepted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """By both."""
    project.write("shop", GOOD)

    assert project.yaml_problems(capsys) == []
    assert project.problems() == []


@pytest.mark.parametrize(
    "text",
    [
        "schedule: '@daily'",
        "schedule: {cron: 0 6 * * *, timezone: Europe/Berlin}",
        "checks: {fresh: {within: 1d 12h}, unique_key: true, not_null: false, row_count: null}",
        "checks: {fresh: {within: P1DT12H}, expected_range: {max: 3}, sql: {a: select 1, b: {query: select 1}}}",
        "checks: {not_null: {severity: warn, blocking: false, columns: a}}",
        "airbyte: eu",
        "warehouse: null",
        "warehouse: motherduck",
        "warehouse: {database: x.duckdb}",
        "warehouse: {postgres: {host: h, database: d, username: u}}",
        "automation_condition: '{{ dg.AutomationCondition.eager() }}'",
        "checks: '{{ dict(fresh=dict(within=\"1d\")) }}'",
        "owners: '{{ [\"team:a\"] }}'",
        "tags: {}",
        "description: null",
    ],
)
def test_short_forms_and_templates_are_accepted(
    text: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schema refuses nothing that loads."""
    project.write("shop", f"{GOOD}  {text}\n")

    assert project.yaml_problems(capsys) == []
    assert project.problems() == []


@pytest.mark.parametrize(
    "text",
    [
        "{name: c, schedule: '0 0 6 * * ?'}",
        "{name: c, schedule: '0 0 6 * * ? 2030 UTC'}",
        "{name: c, schedule: manual}",
        "{name: c, namespace_definition: custom_format, namespace_format: x}",
        "{name: c, namespace_definition: '{{ \"custom\" }}_format', namespace_format: x}",
        "{name: c, streams: [{name: a, sync_mode: '{{ \"incremental\" }}_append', primary_key: [[a, b], c]}]}",
        '{name: c, streams: \'{{ ["a", "b"] }}\'}',
    ],
)
def test_connections_are_accepted(text: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The schema refuses nothing that loads."""
    project.write("shop", GOOD.replace(CONNECTION, f"connection: {text}"))

    assert project.yaml_problems(capsys) == []
    assert project.problems() == []


def test_an_unknown_name_in_a_template_is_said_with_its_line(project: Project) -> None:
    """By Dagster, wherever the template is rendered at once."""
    path = project.write("shop", GOOD.replace("name: shop", 'name: "{{ nme }}"'))

    with pytest.raises(Exception, match="shop") as caught:
        project.load()

    assert f"{path}:3 - attributes.name" in str(caught.value.__cause__)
    assert "'nme' not found in scope" in str(caught.value.__cause__)


def test_an_unknown_name_in_a_late_template_is_found(project: Project) -> None:
    """When it is loaded, not when it is rendered."""
    project.write("shop", GOOD.replace("sourceType: faker", "sourceType: faker, x: '{{ env.A ~ nme }}'"))

    (problem,) = project.problems()

    assert problem.startswith("source.configuration.x: nme is not known; known: ")


def schema() -> dict[str, Any]:
    model = AirbytePipelineComponent.get_model_cls()
    assert model is not None
    return model.model_json_schema()


def properties_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property below a schema, with its path."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}{name}", inner
        yield from properties_of(inner, f"{path}{name}.")
    for option in [*schema.get("anyOf", []), *([schema["else"]] if "else" in schema else [])]:
        yield from properties_of(option, path)
    if isinstance(schema.get("items"), dict):
        yield from properties_of(schema["items"], f"{path}*.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from properties_of(schema["additionalProperties"], f"{path}*.")


def test_the_schema_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It is valid, and refers to nothing outside of itself: Dagster puts it into one schema of all components."""
    Draft202012Validator.check_schema(schema())
    assert "$ref" not in str(schema())


def test_every_property_is_described() -> None:
    """For editors, and for ``dg utils inspect-component``."""
    assert [path for path, inner in properties_of(schema()) if not inner.get("description")] == []


MODELS: dict[str, type[BaseModel]] = {
    "": spec.AirbytePipeline,
    "source.": spec.Source,
    "destination.": spec.Destination,
    "connection.": spec.Connection,
    "connection.streams.*.": spec.Stream,
    "connection.streams.*.checks.": specs.Checks,
    "schedule.": spec.Schedule,
    "checks.": specs.Checks,
    "checks.sql.*.": specs.CustomSQL,
    "airbyte.": AirbyteResource,
    "warehouse.": MotherDuckResource,
    "warehouse.postgres.": PostgresWarehouseResource,
    "warehouse.sql.": SqlWarehouseResource,
}


@pytest.mark.parametrize("path", MODELS)
def test_every_field_is_there(path: str) -> None:
    """What can be declared in Python can be declared in YAML."""
    there = {name for name, _ in properties_of(schema())}

    assert {path + (field.alias or name) for name, field in MODELS[path].model_fields.items()} <= there


def test_every_check_takes_what_it_does_in_python() -> None:
    """Named and nested as in `Checks`."""
    there = {name for name, _ in properties_of(schema())}

    for name, check_ in specs.Checks(
        row_count=True,
        moved_something=True,
        unique_key=True,
        not_null=True,
        fresh={"within": "1d"},
        schema=True,
        expected_range={"min": 1},
    ).named():
        assert {f"checks.{name}.{field}" for field in type(check_).model_fields} <= there
