"""The text of a pipeline's file, whatever Airbyte's records hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airbyte_dagster import MotherDuckResource, PostgresWarehouseResource
from airbyte_dagster.airbyte.records import SECRET_MASK, Destination, Source, Stream
from airbyte_dagster.components.templates import rendered
from airbyte_dagster.errors import SpecError
from airbyte_dagster_tests.export.records import (
    all_of,
    connection_record,
    contents_of,
    destination_record,
    loaded,
    plan_of,
    source_record,
)


@pytest.mark.parametrize(
    ("streams", "reason"),
    [
        ([], "none is selected"),
        (["upside down"], "'full_refresh_upside_down' is not known"),
    ],
)
def test_streams_that_cant_be_declared_are_one_asset(streams: list[str], reason: str) -> None:
    """None at all, or modes of a newer Airbyte: all are left as they are."""
    modes = {"upside down": "full_refresh_upside_down"}
    selected = [Stream(name, sync_mode=modes.get(name, "full_refresh_overwrite")) for name in streams]
    contents = contents_of([connection_record(streams=selected)])

    (exported,) = all_of(contents)

    assert "streams" not in yaml.safe_load(exported.text)["attributes"]["connection"]
    head = exported.text.partition("type:")[0].replace("\n#   ", " ")
    assert "# - the streams, which are one asset here: " in head
    assert reason in head
    assert plan_of(exported.text, contents).empty


def test_a_schedule_in_another_time_zone_is_left() -> None:
    """A declaration has no place for it."""
    contents = contents_of([connection_record(schedule="0 0 8 * * ? Europe/Berlin")])

    (exported,) = all_of(contents)

    assert yaml.safe_load(exported.text)["attributes"]["connection"]["schedule"] is None
    assert "'0 0 8 * * ? Europe/Berlin'" in exported.text
    assert plan_of(exported.text, contents).empty


def test_what_a_stream_has_besides_survives_a_change_of_another() -> None:
    """The set of streams is replaced as a whole, so what no declaration can say is said again."""
    raw = {"name": "orders", "syncMode": "full_refresh_overwrite", "includeFiles": True, "destinationObjectName": "o"}
    contents = contents_of([connection_record(streams=[Stream("orders", sync_mode="full_refresh_overwrite", raw=raw)])])
    (exported,) = all_of(contents)
    assert "# - the files (includeFiles) of 'orders'\n" in exported.text
    assert "# - the objects (destinationObjectName) of 'orders'\n" in exported.text

    payload = plan_of(exported.text.replace("- orders\n", "- orders\n      - people\n"), contents).connection.payload

    people = {"name": "people", "syncMode": "full_refresh_overwrite"}
    assert payload == {"configurations": {"streams": [raw, people]}}


AWKWARD = [
    *("{{", "}}", "{%", "%}", "{#", "'", '"', "\\", "\n", "\r\n", "\t", " ", ": ", " #", "- ", "*", "---"),
    *("é", "数", "🦆", "\x85", "\u2028", "\ufeff", "\x00", "\x1b"),
    *("env.X", "1e5", "0x1", "null", "yes", "~", "{{ 1 }}", "['a']"),
]
WORDS = ["2026-01-01", "12:30:45", "012", "1_000", ".inf", "<<", "=", "on", "No", "{{ env.HOME }}", '"{{ x }}"']
names = st.one_of(
    st.lists(st.sampled_from(AWKWARD), min_size=1, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.sampled_from(WORDS),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        names,
        st.just(SECRET_MASK),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    source=names,
    destination=names,
    connection=names,
    prefix=names,
    configuration=st.dictionaries(names, values, max_size=4),
    streams=st.lists(st.tuples(names, st.none() | names), max_size=3, unique=True),
)
def test_whatever_the_names_and_values(
    source: str,
    destination: str,
    connection: str,
    prefix: str,
    configuration: dict[str, Any],
    streams: list[tuple[str, str | None]],
) -> None:
    """Quotes, templates, what looks like a number, any letter: read back as it was, and nothing to change."""
    configuration = {key: value for key, value in configuration.items() if key != "sourceType"}
    contents = contents_of(
        [
            connection_record(
                connection,
                [Stream(name, namespace, "full_refresh_append") for name, namespace in streams],
                source_id=f"id of {source} as a source",
                destination_id=f"id of {destination} as a destination",
                prefix=prefix,
            )
        ],
        sources=[source_record(source, **{"kept": 1, **configuration})],
        destinations=[destination_record(destination, destination_path=source)],
    )

    (exported,) = all_of(contents)

    assert re.fullmatch(r"[A-Za-z0-9_]+", exported.name)
    pipeline = loaded(exported.text).pipeline
    assert (pipeline.source.name, pipeline.destination.name) == (source, destination)
    assert (pipeline.connection.name, pipeline.connection.prefix) == (connection, prefix)
    assert plan_of(exported.text, contents).empty


def test_quoted_text_in_a_template_is_that_text() -> None:
    """It is how the file writes text with braces; Python's own literals in it are text, too."""
    context = dg.ResolutionContext.default()
    for text in ("{{1}}", "'{{ x }}'", '["{{ x }}"]', "5", "{{ env.HOME }}"):
        for late in (False, True):
            assert rendered(context, f"{{{{ {text!r} }}}}", late=late) == text


def test_a_custom_connector_is_known_by_its_definition() -> None:
    """Airbyte has no type for it; one that has neither is refused."""
    source = Source("id of shop as a source", "shop", "w", "", "d-1", {"a": 1})
    contents = contents_of(sources=[source])

    (exported,) = all_of(contents)

    written = yaml.safe_load(exported.text)["attributes"]["source"]
    assert written == {"name": "shop", "configuration": {"a": 1}, "definition_id": "d-1"}
    assert plan_of(exported.text, contents).empty
    with pytest.raises(
        SpecError, match=r"'orders' \(id of orders\): .*neither type nor definition of the source 'shop'"
    ):
        all_of(contents_of(sources=[Source("id of shop as a source", "shop", "w", "", None, {})]))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (Stream("s", sync_mode="incremental_append", cursor_field=("at",)), {"cursor_field": "at"}),
        (Stream("s", sync_mode="incremental_append", cursor_field=("meta", "at")), {"cursor_field": ["meta", "at"]}),
        (
            Stream("s", sync_mode="incremental_deduped_history", primary_key=(("a", "b"),)),
            {"primary_key": [["a", "b"]]},
        ),
        (
            Stream("s", sync_mode="incremental_deduped_history", primary_key=(("a", "b"), ("c",))),
            {"primary_key": [["a", "b"], "c"]},
        ),
        # What it does not make use of is the source's business, and what is not selected can't be declared.
        (Stream("s", sync_mode="full_refresh_append", primary_key=(("id",),), cursor_field=("at",)), {}),
        (
            Stream("s", sync_mode="incremental_append", primary_key=(("id",),), selected_fields=("a",)),
            {"selected_fields": ["a"]},
        ),
        (
            Stream(
                "s",
                sync_mode="full_refresh_append",
                selected_fields=("a",),
                raw={"selectedFields": [{"fieldPath": ["a", "b"]}]},
            ),
            {},
        ),
    ],
)
def test_settings_of_streams(stream: Stream, expected: dict[str, Any]) -> None:
    """In the short form where there is one."""
    contents = contents_of([connection_record(streams=[stream])])

    (exported,) = all_of(contents)

    written = yaml.safe_load(exported.text)["attributes"]["connection"]["streams"]
    assert written == [{"name": "s", "sync_mode": stream.sync_mode, **expected}]
    assert plan_of(exported.text, contents).empty
    assert ("some are nested" in exported.text) == bool(stream.raw)


@pytest.mark.parametrize(
    ("destination", "expected", "secrets"),
    [
        (destination_record(destination_path="~/x.duckdb"), MotherDuckResource(database="~/x.duckdb"), ()),
        (
            destination_record(destination_path="md:lms", motherduck_api_key=SECRET_MASK),
            MotherDuckResource(database="md:lms", motherduck_token=dg.EnvVar("DUCK_MOTHERDUCK_API_KEY")),
            ("DUCK_MOTHERDUCK_API_KEY",),
        ),
        (
            destination_record(destination_path="/x.duckdb", motherduck_api_key=SECRET_MASK),
            MotherDuckResource(database="/x.duckdb"),
            ("DUCK_MOTHERDUCK_API_KEY",),
        ),
        (
            destination_record(
                kind="postgres",
                host="h",
                port=5433,
                database="d",
                username="u",
                password=SECRET_MASK,
                ssl_mode={"mode": "require"},
            ),
            PostgresWarehouseResource(
                host="h", port=5433, database="d", username="u", password=dg.EnvVar("DUCK_PASSWORD"), ssl_mode="require"
            ),
            ("DUCK_PASSWORD",),
        ),
        (destination_record(kind="snowflake", password=SECRET_MASK), None, ("DUCK_PASSWORD",)),
    ],
)
def test_where_the_checks_count(
    destination: Destination, expected: dg.ConfigurableResource[Any] | None, secrets: Sequence[str]
) -> None:
    """As far as the destination tells, with its secret by reference; else the project has to say."""
    contents = contents_of(destinations=[destination])

    (exported,) = all_of(contents)

    assert loaded(exported.text).warehouse == expected
    assert tuple(variable.name for variable in exported.variables) == tuple(secrets)
    assert plan_of(exported.text, contents).empty
    assert ("The destination (snowflake) does not show where the checks count" in exported.text) == (expected is None)


def test_values_that_only_the_server_has_are_taken_over() -> None:
    """Defaults that it filled in; a key without a value is none."""
    contents = contents_of(sources=[source_record(count=5, filled_in={"a": None, "b": [], "c": {}}, empty=None)])

    (exported,) = all_of(contents)

    configuration = yaml.safe_load(exported.text)["attributes"]["source"]["configuration"]
    assert configuration == {"sourceType": "shop", "count": 5, "filled_in": {"b": [], "c": {}}}
    assert plan_of(exported.text, contents).empty


def test_a_name_can_write_no_yaml() -> None:
    """Comments quote names on one line."""
    contents = contents_of([connection_record("a\n\nattributes: x\x85y\u2028z")])

    (exported,) = all_of(contents)

    assert all(line.startswith("#") for line in exported.text.partition("type:")[0].splitlines())
    assert plan_of(exported.text, contents).empty
