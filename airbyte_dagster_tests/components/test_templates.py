"""Templates of a ``defs.yaml`` that are rendered when they are needed, and the secrets in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from airbyte_dagster import (
    AirbyteResource,
)
from airbyte_dagster.airbyte.configuration import resolve
from airbyte_dagster.components.templates import LateTemplate, rendered
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources import plain
from airbyte_dagster_tests.components.pipelines import GOOD, SECRETS, component_of
from airbyte_dagster_tests.dagster_runs import failures_of
from airbyte_dagster_tests.dg_project import Project
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.security.looking import assert_nowhere
from airbyte_dagster_tests.test_secrets import PLANTED


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
