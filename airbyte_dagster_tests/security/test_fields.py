"""No field that may hold a secret is shown or stored, whichever there are: the models themselves are looked through."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_representation.external_data import JobDataSnap, RepositorySnap
from dagster._serdes import serialize_value

from airbyte_dagster import AirbytePipeline, AirbyteResource, MotherDuckResource, build_pipeline_defs
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.resources import SecretFieldsResource
from airbyte_dagster_tests.conftest import pipeline_of, resource_of, warehouse_of
from airbyte_dagster_tests.dg_project import TYPE, Project
from airbyte_dagster_tests.local.fakes import RunningAirbyte
from airbyte_dagster_tests.security.fields import (
    NEEDED,
    SHOWN,
    declarations,
    holds_text,
    place_of,
    resource_classes,
    secret_fields,
    secrets_of,
    text_fields,
    values_of,
)
from airbyte_dagster_tests.security.looking import assert_nowhere, found_in, planted

RESOURCES = pytest.mark.parametrize("resource", resource_classes(), ids=lambda resource: resource.__name__)
#: Fields of declarations that may hold anything, and are shown: by their purpose, or as conditions have no texts.
OPEN_BUT_SHOWN = {"automation_condition", "metadata", "sql", "tags", "translation"}


def snapshots_of(definitions: dg.Definitions) -> str:
    """All that Dagster stores of definitions."""
    repository = definitions.get_repository_def()
    jobs = [JobDataSnap.from_job_def(job, include_parent_snapshot=True) for job in repository.get_all_jobs()]
    return serialize_value([RepositorySnap.from_def(repository), *jobs])


def with_a_job(resource: Any) -> dg.Definitions:
    @dg.op(required_resource_keys={"it"})
    def use(context) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - Dagster reads the annotation

    @dg.job(resource_defs={"it": resource})
    def using() -> None:
        use()

    return dg.Definitions(jobs=[using], resources={"it": resource})


def test_the_models_are_looked_through() -> None:
    """What a new field would be is known to be found: a text, a choice of texts, texts in a mapping."""
    assert {item.__name__ for item in resource_classes()} == set(SHOWN)
    assert all(holds_text(kind) for kind in (str, str | None, dict[str, Any], dict[str, str], Any))
    assert not any(holds_text(kind) for kind in (int, float | None, bool))

    class WithAnother(MotherDuckResource):
        refresh_token: str | None = None

    assert "refresh_token" in list(text_fields(WithAnother))


@RESOURCES
def test_a_field_is_said_to_be_shown_or_is_a_secret(resource: type[SecretFieldsResource]) -> None:
    """A text field that nobody classified fails here: name it in `_secret_fields`, or in these tests' list."""
    assert SHOWN[resource.__name__] <= set(text_fields(resource))
    assert secret_fields(resource) == [name for name in resource.model_fields if name in resource._secret_fields]
    assert [name for name in secret_fields(resource) if resource.model_fields[name].repr] == []


@RESOURCES
@pytest.mark.parametrize("late", [False, True], ids=["made", "configured at launch"])
def test_secrets_of_resources_are_on_the_object_alone(resource: type[SecretFieldsResource], *, late: bool) -> None:
    """Every secret field at once: not in its text, in a copy's, nor in what Dagster stores of the definitions."""
    values = values_of(resource)
    made: Any = resource.configure_at_launch(**values) if late else resource(**values)
    texts = [repr(made), str(made), snapshots_of(with_a_job(made))]
    if not late:
        copy = made.model_copy(update={})
        assert all(getattr(copy, name) == values[name] for name in secret_fields(resource))
        texts += [repr(copy), snapshots_of(with_a_job(copy))]

    assert found_in((("text", text) for text in texts), secrets_of(resource)) == set()


@RESOURCES
def test_wrong_values_are_not_repeated(resource: type[SecretFieldsResource]) -> None:
    """Where each secret is of a wrong type, the error names the fields alone."""
    values = {**values_of(resource), **{name: [planted(name)] for name in secret_fields(resource)}}
    with pytest.raises(Exception, match=r".") as caught:
        resource(**values)

    assert "PLANTED" not in f"{caught.value!s}{caught.value!r}"


@pytest.mark.parametrize(
    "name", sorted({name for fields in SHOWN.values() for name in fields} - {"on_running", "ssl_mode"})
)
@pytest.mark.parametrize(
    "address", ["https://me:{}@host/api", "md:shop?motherduck_token={}", "https://host/?a=b&apiKey={}"]
)
def test_a_secret_in_an_address_is_refused_where_dagster_would_store_it(name: str, address: str) -> None:
    """At once, before any definition is stored; the message has the fields that are for it, and not the secret."""
    (resource, *_) = (item for item in resource_classes() if name in SHOWN[item.__name__])
    values = {**NEEDED.get(resource.__name__, {}), name: address.format(planted(name))}
    with pytest.raises(ConfigurationError, match="holds a password or a token") as caught:
        resource(**values)
    with pytest.raises(ConfigurationError):
        with_a_job(resource.configure_at_launch(**values))

    assert resource._secret_fields[0] in str(caught.value)
    assert "PLANTED" not in str(caught.value)


def test_addresses_without_a_secret_are_taken() -> None:
    """A path with an @, a question mark, a port."""
    for url in ("https://host:8000/api/public/v1", "http://[::1]:8006/api/public/v1"):
        assert AirbyteResource(server_url=url).client().settings.server_url.startswith(url.rstrip("/"))
    for database in ("md:shop", "/data/a@b:c/x.duckdb", "C:/data?/x.duckdb"):
        assert MotherDuckResource(database=database).database == database


@pytest.mark.parametrize("declaration", sorted(declarations(), key=str), ids=str)
def test_what_is_declared_shows_no_field_that_may_hold_anything(declaration: Any) -> None:
    """A configuration, secrets, headers: whatever takes any value is left out of the text of what is declared."""
    takes_anything = [
        name
        for name, field in declaration.model_fields.items()
        if field.annotation is Any or any(word in str(field.annotation) for word in ("Mapping[", "dict[", "typing.Any"))
    ]
    shown = [name for name in takes_anything if declaration.model_fields[name].repr]
    assert set(shown) <= OPEN_BUT_SHOWN


def test_a_declared_pipeline_keeps_every_value_of_its_configurations(
    airbyte: RunningAirbyte, instance: dg.DagsterInstance, tmp_path: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a key is called: in definitions, in provisioning, in a sync, in what Dagster keeps of them."""
    airbyte.engine.sources["faker"].spec = {
        "type": "object",
        "properties": {name: {"type": "string", "airbyte_secret": True} for name in ("password", "plain_name")},
    }
    names = ("password", "plain_name")
    pipeline = pipeline_of(airbyte, source={name: planted(name) for name in names}, streams=("users",))
    with_secrets = AirbytePipeline(
        **{
            **{name: getattr(pipeline, name) for name in type(pipeline).model_fields},
            "source": pipeline.source.model_copy(update={"secrets": {"account.pin": planted("pin")}}),
        }
    )
    definitions = build_pipeline_defs(with_secrets, airbyte=resource_of(airbyte), warehouse=warehouse_of(airbyte))
    for job in ("provision_example", "sync_example"):
        assert definitions.resolve_job_def(job).execute_in_process(instance=instance).success
    said = capfd.readouterr()

    sent = airbyte.engine.requests[0].source_config
    assert [sent["password"], sent["plain_name"], sent["account"]["pin"]] == [planted(name) for name in (*names, "pin")]
    secrets = [planted(name) for name in (*names, "pin")]
    texts = (said.out, said.err, repr(with_secrets), snapshots_of(definitions))
    assert_nowhere(secrets, tmp_path / "dagster", *texts)


@RESOURCES
@pytest.mark.parametrize("reference", [False, True], ids=["plain text", "of the environment"])
def test_components_store_no_secret(
    resource: type[SecretFieldsResource], project: Project, monkeypatch: pytest.MonkeyPatch, *, reference: bool
) -> None:
    """Each secret field of the settings in a defs.yaml, and of a source's configuration: none is in what is stored."""
    values, settings = values_of(resource), {}
    for name, value in values.items():
        is_secret = name in secret_fields(resource)
        secret = value["x"] if isinstance(value, dict) else value
        if reference and is_secret:
            monkeypatch.setenv(f"SECRET_{name.upper()}", secret)
            secret = f"{{{{ env.SECRET_{name.upper()} }}}}"
        settings[name] = {"x": secret} if isinstance(value, dict) else secret
    monkeypatch.setenv("SOURCE_KEY", planted("source"))
    key = "{{ env.SOURCE_KEY }}" if reference else planted("source")
    at = {"AirbyteResource": "airbyte", "MotherDuckResource": "warehouse"}.get(resource.__name__)
    kind = {"PostgresWarehouseResource": "postgres", "SqlWarehouseResource": "sql"}.get(resource.__name__)
    attributes = {
        "name": "shop",
        "source": {"name": "s", "configuration": {"sourceType": "faker", "api_key": key}, "secrets": {"a.b": key}},
        "destination": {"name": "d", "configuration": {"destinationType": "duckdb", "destination_path": "/x.duckdb"}},
        "connection": {"name": "c", "streams": ["users"]},
        at or "warehouse": {kind: settings} if kind else settings,
    }
    project.write("shop", yaml.safe_dump({"type": TYPE, "attributes": attributes}))
    component: Any = project.component("shop")
    definitions = project.load()

    made = component.airbyte if at == "airbyte" else component.warehouse
    assert {place_of(resource, name) for name in secret_fields(resource)}
    assert isinstance(made, resource)
    texts = (repr(component), snapshots_of(definitions), snapshots_of(with_a_job(made)))
    assert found_in((("text", text) for text in texts), [*secrets_of(resource), planted("source")]) == set()
