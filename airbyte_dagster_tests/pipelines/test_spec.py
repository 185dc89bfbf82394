"""Declarations: what is taken, and how mistakes are reported."""

from __future__ import annotations

import dagster as dg
import pytest
from airbyte_api.models import DestinationDuckdb, SourceFaker, SourcePostgres
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster import AirbytePipeline, Connection, Destination, Source, Stream
from airbyte_dagster.airbyte.configuration import resolve
from airbyte_dagster.errors import SpecError


def problems_of(**declaration: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        AirbytePipeline(**declaration)
    return list(caught.value.problems)


def declaration(**changes: object) -> dict[str, object]:
    return {
        "name": "example",
        "source": {"name": "faker", "configuration": {"sourceType": "faker", "count": 35}},
        "destination": {"name": "duck", "configuration": {"destinationType": "duckdb", "destination_path": "md:lms"}},
        "connection": {"name": "faker to duck", "streams": ["users"]},
        **changes,
    }


def test_sdk_models_and_mappings_declare_the_same() -> None:
    """`SourceFaker(count=35)` and a mapping with `sourceType` resolve to the same where they set the same."""
    model = Source(name="s", configuration=SourceFaker(count=35))
    mapping = Source(name="s", configuration={"sourceType": "faker", "count": 35})

    assert model.type == mapping.type == "faker"
    assert (
        resolve(model.configuration, {}, where="source").items()
        >= resolve(mapping.configuration, {}, where="source").items()
    )


def test_names_of_streams_are_enough() -> None:
    """A stream given as text is a stream with Airbyte's default sync mode."""
    assert Connection(name="c", streams=["users"]).streams == (Stream(name="users"),)
    assert Stream(name="users").sync_mode == "full_refresh_overwrite"


@pytest.mark.parametrize(
    ("given_key", "paths"),
    [("id", (("id",),)), (["id", "region"], (("id",), ("region",))), ([["address", "zip"]], (("address", "zip"),))],
)
def test_primary_keys_as_people_write_them(given_key: object, paths: object) -> None:
    """A name, names, or paths: each becomes a list of paths."""
    assert Stream(name="users", primary_key=given_key).primary_key == paths


def test_unknown_key_is_refused_with_path_and_nearest_match() -> None:
    """The dotted path, every accepted key and the nearest one are in the message."""
    (problem,) = problems_of(**declaration(connection={"name": "c", "strems": ["users"]}))

    assert problem.startswith("connection.strems: unknown key; did you mean 'streams'? accepted: name, streams,")


def test_unknown_sync_mode_is_refused_within_a_list() -> None:
    """Positions in lists are part of the path."""
    (problem,) = problems_of(
        **declaration(connection={"name": "c", "streams": ["a", {"name": "b", "sync_mode": "full_refresh_overwite"}]})
    )

    assert problem.startswith("connection.streams.1.sync_mode: 'full_refresh_overwite' is not known")
    assert "did you mean 'full_refresh_overwrite'?" in problem
    assert "incremental_deduped_history" in problem


def test_every_problem_is_reported_at_once() -> None:
    """A person mends all of it in one go."""
    found = problems_of(name="not a name", source={"name": ""}, destination=5, connection={})

    assert {problem.split(":")[0] for problem in found} == {
        "name",
        "source.name",
        "source.configuration",
        "destination",
        "connection.name",
    }


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"streams": []}, "streams is empty"),
        ({"schedule": "0 6 * * *"}, "goes to build_pipeline_defs"),
        ({"schedule": "every day"}, "neither 'manual' nor a Quartz cron"),
        ({"streams": ["a", "b", "a"]}, "names a more than once"),
        ({"namespace_definition": "custom_format"}, "namespace_format go together"),
        ({"namespace_format": "x"}, "namespace_format go together"),
        ({"streams": [{"name": "a", "primary_key": "id", "selected_fields": ["x"]}]}, "leaves out id"),
    ],
)
def test_contradictions_are_refused(connection: dict[str, object], words: str) -> None:
    """Settings that contradict each other are reported before Airbyte sees them."""
    (problem,) = problems_of(**declaration(connection={"name": "c", **connection}))

    assert words in problem


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"owners": ["team:data", "bob"]}, "owners: 'bob' is neither an e-mail address nor team:NAME"),
        ({"tags": {"a b": "x"}}, r"tags: Found invalid tag keys: \['a b'\]"),
        ({"reconcile": "if_mising"}, "reconcile: 'if_mising' is not known; did you mean 'if_missing'"),
    ],
)
def test_what_dagster_would_refuse_is_refused_here(settings: dict[str, object], words: str) -> None:
    """With the setting's name, where it is declared, and not when definitions are built."""
    with pytest.raises(SpecError, match=words):
        AirbytePipeline(
            name="example",
            source={"name": "s", "configuration": {"sourceType": "faker"}},
            destination={"name": "d", "configuration": {"destinationType": "duckdb"}},
            connection={"name": "c"},
            **settings,
        )


def test_connector_must_be_named() -> None:
    """Without a type and without a definition id, Airbyte could not know the connector."""
    (problem,) = problems_of(**declaration(source={"name": "s", "configuration": {"count": 1}}))

    assert "'sourceType'" in problem
    assert "definition_id" in problem
    assert Source(name="s", configuration={"count": 1}, definition_id="b76be0a6").type == ""


def test_values_of_configurations_are_in_no_repr_and_no_error() -> None:
    """A repr, or an error about something else, must not show what is configured."""
    source = {"name": "s", "configuration": {"sourceType": "x", "password": "PLANTED"}, "secrets": {"a": "PLANTED"}}

    assert "PLANTED" not in repr(Source(**source))
    assert "PLANTED" not in "".join(problems_of(**declaration(source={**source, "oops": 1})))


def test_env_var_in_a_mapping_is_read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable need not be set when the pipeline is declared; its value is read when it is applied."""
    source = Source(name="s", configuration={"sourceType": "x", "auth": [{"token": dg.EnvVar("EXAMPLE_TOKEN")}]})
    monkeypatch.setenv("EXAMPLE_TOKEN", "value")

    assert resolve(source.configuration, source.secrets, where="source")["auth"] == [{"token": "value"}]


def test_env_var_inside_an_sdk_model_is_refused() -> None:
    """Pydantic would keep the variable's name as the secret: the message shows what to write instead."""
    with pytest.raises(SpecError) as caught:
        Destination(
            name="d",
            configuration=DestinationDuckdb(
                destination_path="md:lms", motherduck_api_key=dg.EnvVar("MOTHERDUCK_APIKEY")
            ),
        )

    assert "secrets={'motherduck_api_key': EnvVar('MOTHERDUCK_APIKEY')}" in str(caught.value)


@pytest.mark.parametrize("name", ["PGPASSWORD", "PW", "PG_PASSWORD", "pg_password"])
def test_env_var_of_any_usual_name_is_refused_in_a_secret_field(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Capitals are enough; a name in small letters is known by its being set."""
    monkeypatch.setenv("pg_password", "x")

    with pytest.raises(SpecError, match="looks like an EnvVar"):
        Source(name="s", configuration=SourcePostgres(database="d", host="h", username="u", password=dg.EnvVar(name)))


def test_secrets_are_laid_over_an_sdk_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`secrets` gives a model its environment references, at any depth."""
    monkeypatch.setenv("EXAMPLE_PASSWORD", "value")
    source = Source(
        name="s",
        configuration=SourcePostgres(database="d", host="h", username="u", password="-"),
        secrets={"password": dg.EnvVar("EXAMPLE_PASSWORD"), "tunnel_method.tunnel_user": "someone"},
    )

    resolved = resolve(source.configuration, source.secrets, where="source")

    assert resolved["password"] == "value"
    assert resolved["tunnel_method"]["tunnel_user"] == "someone"


@given(st.dictionaries(st.text(), st.text(), min_size=1))
def test_any_junk_is_a_spec_error(junk: dict[str, str]) -> None:
    """Whatever keys and values are given, the answer is a SpecError, never another exception."""
    with pytest.raises(SpecError):
        AirbytePipeline(**junk)
