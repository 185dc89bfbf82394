"""``airbyte-dagster export``: what is written is read by the real component, and finds nothing to change in Airbyte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result
from dagster_shared.yaml_utils import safe_load_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airbyte_dagster import AirbytePipelineComponent, MotherDuckResource, PostgresWarehouseResource
from airbyte_dagster.airbyte.records import SECRET_MASK, Connection, Destination, Source, Stream, Workspace
from airbyte_dagster.cli.main import commands
from airbyte_dagster.components.templates import rendered
from airbyte_dagster.errors import ConfigurationError, SpecError
from airbyte_dagster.export import Contents, Exported, choose, export, read_contents
from airbyte_dagster.pipelines.apply import Reconciler
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore
from airbyte_dagster.pipelines.plan import Plan, plan
from airbyte_dagster_tests.conftest import RecordingTransport, client_of
from airbyte_dagster_tests.dg_project import TYPE, Project
from airbyte_dagster_tests.local.fakes import RunningAirbyte

SECRET = "PLANTED-secret"
SHOP_SPEC = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "password": {"type": "string", "airbyte_secret": True},
        "credentials": {
            "oneOf": [
                {"type": "object", "properties": {"auth": {"const": "token"}, "token": {"airbyte_secret": True}}},
                {"type": "object", "properties": {"auth": {"const": "none"}}},
            ]
        },
        "headers": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {}, "value": {"airbyte_secret": True}}},
        },
    },
}
ROWS = [{"id": 1, "region": "eu", "name": "One", "updated_at": "2026-01-01"}]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AIRBYTE_", "MOTHERDUCK_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path / "project", monkeypatch)


class Shop:
    """A workspace that somebody has set up by hand, what is exported of it, and what comes of that."""

    def __init__(self, server: RunningAirbyte, transport: RecordingTransport, project: Project) -> None:
        server.engine.add("shop", {"orders": ROWS, "people": ROWS}, spec=SHOP_SPEC, primary_key=None, cursor=None)
        server.engine.add(
            "places",
            {"cities": ROWS},
            spec=SHOP_SPEC,
            namespaces={"cities": "public"},
            cursor="updated_at",
        )
        self.server = server
        self.transport = transport
        self.project = project
        self.api = server.api()
        self.client = client_of(server, transport)
        self.workspace = self.client.find_workspace()
        self.applied = InMemoryAppliedStore()
        self.reconciler = Reconciler(self.client, self.applied, key="a key")

    def source(self, name: str = "shop db", kind: str = "shop", **configuration: Any) -> str:
        body = {"name": name, "workspaceId": self.workspace.id}
        configuration = {"sourceType": kind, **configuration}
        return str(self.api.ok("POST", "/sources", json={**body, "configuration": configuration})["sourceId"])

    def destination(self, name: str = "duck", **configuration: Any) -> str:
        body = {"name": name, "workspaceId": self.workspace.id}
        configuration = {"destinationType": "duckdb", "destination_path": "lms.duckdb", **configuration}
        return str(self.api.ok("POST", "/destinations", json={**body, "configuration": configuration})["destinationId"])

    def export(self, *wanted: str) -> list[Exported]:
        contents = read_contents(self.client, self.workspace)
        return export(contents, choose(contents, wanted or ["*"]))

    def component(self, exported: Exported) -> AirbytePipelineComponent:
        """What `dg` makes of the file."""
        self.project.write(exported.name, exported.text)
        component = self.project.component(exported.name)
        assert isinstance(component, AirbytePipelineComponent)
        return component

    def plan(self, exported: Exported) -> Plan:
        return self.reconciler.plan(self.component(exported).pipeline, self.workspace)

    def apply(self, exported: Exported) -> list[tuple[str, str]]:
        """Reconcile; the writes that it took."""
        before = len(self.transport.writes)
        self.reconciler.reconcile(self.component(exported).pipeline, self.workspace)
        return self.transport.writes[before:]

    def stored(self, source_id: str) -> Mapping[str, Any]:
        """A source's configuration in the server itself, secrets and all."""
        configuration: Mapping[str, Any] = self.server.store.actor("source", source_id).configuration
        return configuration


@pytest.fixture
def shop(both_shapes: RunningAirbyte, transport: RecordingTransport, project: Project) -> Iterator[Shop]:
    made = Shop(both_shapes, transport, project)
    yield made
    made.client.close()
    made.api.close()


def assert_changes_nothing(shop: Shop, exported: Exported) -> None:
    """Planning and applying: before anything is recorded, and after."""
    assert shop.plan(exported).empty
    assert shop.apply(exported) == []
    assert shop.apply(exported) == []


def stream(name: str = "orders", **settings: Any) -> dict[str, Any]:
    return {"name": name, **settings}


KEYED = {"syncMode": "full_refresh_overwrite_deduped"}
CONNECTIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # Source, what somebody made in Airbyte, what the file declares of it
    "all defaults": ("shop", {"streams": [stream()]}, {"streams": ["orders"]}),
    "mode": (
        "shop",
        {"streams": [stream(syncMode="full_refresh_append"), stream("people")]},
        {"streams": [{"name": "orders", "sync_mode": "full_refresh_append"}, "people"]},
    ),
    "key": (
        "shop",
        {"streams": [stream(**KEYED, primaryKey=[["id"]])]},
        {"streams": [{"name": "orders", "sync_mode": KEYED["syncMode"], "primary_key": "id"}]},
    ),
    "composite key": (
        "shop",
        {"streams": [stream(**KEYED, primaryKey=[["id"], ["region"]])]},
        {"streams": [{"name": "orders", "sync_mode": KEYED["syncMode"], "primary_key": ["id", "region"]}]},
    ),
    "selected fields": (
        "shop",
        {"streams": [stream(selectedFields=[{"fieldPath": ["name"]}, {"fieldPath": ["id"]}])]},
        {"streams": [{"name": "orders", "selected_fields": ["name", "id"]}]},
    ),
    "namespace, cursor and key that the source defines": (
        "places",
        {"streams": [stream("cities", namespace="public", syncMode="incremental_deduped_history")]},
        {
            "streams": [
                {
                    "name": "cities",
                    "namespace": "public",
                    "sync_mode": "incremental_deduped_history",
                    "cursor_field": "updated_at",
                    "primary_key": "id",
                }
            ]
        },
    ),
    "prefix": ("shop", {"streams": [stream()], "prefix": "raw "}, {"streams": ["orders"], "prefix": "raw "}),
    "namespace of the source": (
        "shop",
        {"streams": [stream()], "namespaceDefinition": "source"},
        {"streams": ["orders"], "namespace_definition": "source"},
    ),
    "namespace format": (
        "shop",
        {"streams": [stream()], "namespaceDefinition": "custom_format", "namespaceFormat": "raw_${SOURCE_NAMESPACE}"},
        {
            "streams": ["orders"],
            "namespace_definition": "custom_format",
            "namespace_format": "raw_${SOURCE_NAMESPACE}",
        },
    ),
    "cron": (
        "shop",
        {"streams": [stream()], "schedule": {"scheduleType": "cron", "cronExpression": "0 0 8 * * ?"}},
        {"streams": ["orders"], "schedule": "0 0 8 * * ?"},
    ),
    "inactive": (
        "shop",
        {"streams": [stream()], "status": "inactive"},
        {"streams": ["orders"], "status": "inactive"},
    ),
}


@pytest.mark.parametrize("case", CONNECTIONS)
def test_planning_what_was_exported_finds_nothing(case: str, shop: Shop) -> None:
    """Whatever a connection is like; the file declares what is not Airbyte's default."""
    kind, made, declared = CONNECTIONS[case]
    body = {key: value for key, value in made.items() if key != "streams"}
    shop.api.connection(shop.source(kind=kind), shop.destination(), made["streams"], name="orders to duck", **body)

    (exported,) = shop.export()

    assert exported.name == "orders_to_duck"
    assert yaml.safe_load(exported.text)["attributes"]["connection"] == {"name": "orders to duck", **declared}
    assert_changes_nothing(shop, exported)


def test_the_file_reads_as_the_docs_do(shop: Shop) -> None:
    """Block style, in the order of the docs, nothing that is a default, and a head that tells what is not in it."""
    source = shop.source(password=SECRET, count=3)
    shop.api.connection(source, shop.destination(), [stream(**KEYED, primaryKey=[["id"], ["region"]])], name="orders")

    (exported,) = shop.export()

    assert exported.text == (
        """\
# The connection 'orders' of Airbyte's workspace 'Default Workspace', as it was found there: planning it changes
# nothing.
#
# Airbyte does not show secrets. Each is read from a variable of the environment. While that is not set, the secret
# stays as Airbyte has it; once it is set, it is sent, and again whenever it changes.
# - SHOP_DB_PASSWORD: password of the source 'shop db'
type: airbyte_dagster.AirbytePipelineComponent

attributes:
  name: orders

  source:
    name: shop db
    configuration:
      sourceType: shop
      password: "{{ env('SHOP_DB_PASSWORD', '**********') }}"
      count: 3

  destination:
    name: duck
    configuration:
      destinationType: duckdb
      destination_path: lms.duckdb

  connection:
    name: orders
    streams:
      - name: orders
        sync_mode: full_refresh_overwrite_deduped
        primary_key:
          - id
          - region

  # The checks look for 'lms.duckdb' from where Dagster runs. If Airbyte's is elsewhere, give its path: warehouse:
  # {database: …}
"""
    )


# ------------------------------------------------------------------------------------------------------------- secrets


def test_a_secret_stays_until_its_variable_is_set(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset, it is nobody's to change; set, it is sent once, and again only when it changes."""
    source = shop.source(password=SECRET, count=3)
    shop.api.connection(source, shop.destination(), ["orders"], name="orders")
    (exported,) = shop.export()
    assert_changes_nothing(shop, exported)
    assert shop.stored(source)["password"] == SECRET

    (variable,) = exported.variables
    assert (variable.name, variable.path, variable.actor) == ("SHOP_DB_PASSWORD", "password", "shop db")
    monkeypatch.setenv("SHOP_DB_PASSWORD", "second")
    assert shop.plan(exported).source.changes == ("password",)
    assert shop.apply(exported) == [("PATCH", f"/sources/{source}")]
    assert shop.stored(source) == {"password": "second", "count": 3}
    assert shop.apply(exported) == []

    monkeypatch.setenv("SHOP_DB_PASSWORD", "third")
    assert shop.apply(exported) == [("PATCH", f"/sources/{source}")]
    assert shop.stored(source)["password"] == "third"

    # Another machine, which does not know it: what is there stays, and is not taken for changed afterwards.
    monkeypatch.delenv("SHOP_DB_PASSWORD")
    assert shop.apply(exported) == []
    monkeypatch.setenv("SHOP_DB_PASSWORD", "third")
    assert shop.apply(exported) == []
    monkeypatch.setenv("SHOP_DB_PASSWORD", "fourth")
    assert shop.plan(exported).source.changes == ("password",)


def test_another_change_leaves_an_unknown_secret_alone(shop: Shop) -> None:
    """A changed value is patched, a removed key is taken out with a PUT: the secret that is stored survives both."""
    source = shop.source(password=SECRET, count=3, credentials={"auth": "token", "token": SECRET})
    shop.api.connection(source, shop.destination(), ["orders"], name="orders")
    (exported,) = shop.export()
    shop.apply(exported)

    changed = Exported(exported.connection, exported.name, exported.text.replace("count: 3", "count: 4"), ())
    assert shop.apply(changed) == [("PATCH", f"/sources/{source}")]
    assert shop.stored(source)["count"] == 4
    without = Exported(exported.connection, exported.name, exported.text.replace("      count: 3\n", ""), ())
    assert shop.apply(without) == [("PUT", f"/sources/{source}")]

    assert shop.stored(source) == {"password": SECRET, "credentials": {"auth": "token", "token": SECRET}}


def test_secrets_anywhere_in_a_configuration(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In mappings, in one of several shapes, in lists: each has a variable of its own."""
    headers = [{"name": "a", "value": SECRET}, {"name": "b", "value": f"{SECRET}-2"}]
    configuration: dict[str, Any] = {
        "password": SECRET,
        "credentials": {"auth": "token", "token": SECRET},
        "headers": headers,
    }
    source = shop.source(**configuration)
    shop.api.connection(source, shop.destination(), ["orders"], name="orders")

    (exported,) = shop.export()

    assert SECRET not in exported.text
    assert {variable.name: variable.path for variable in exported.variables} == {
        "SHOP_DB_PASSWORD": "password",
        "SHOP_DB_CREDENTIALS_TOKEN": "credentials.token",
        "SHOP_DB_HEADERS_0_VALUE": "headers.0.value",
        "SHOP_DB_HEADERS_1_VALUE": "headers.1.value",
    }
    assert_changes_nothing(shop, exported)
    for number, variable in enumerate(exported.variables):
        monkeypatch.setenv(variable.name, f"new {number}")
    assert shop.apply(exported) == [("PATCH", f"/sources/{source}")]
    assert shop.apply(exported) == []
    assert SECRET not in json.dumps(shop.stored(source))


def test_a_mask_is_never_sent_as_a_secret(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """To an Airbyte that has none stored, or within a list, which is replaced as a whole: refused, by path."""
    source = shop.source(headers=[{"name": "a", "value": SECRET}], password=SECRET)
    shop.api.connection(source, shop.destination(), ["orders"], name="orders")
    (exported,) = shop.export()

    renamed = Exported(exported.connection, exported.name, exported.text.replace("shop db", "another"), ())
    with pytest.raises(ConfigurationError, match=r"'another' would be sent with headers, password.* environment"):
        shop.plan(renamed)
    changed = Exported(exported.connection, exported.name, exported.text.replace("name: a\n", "name: z\n"), ())
    with pytest.raises(ConfigurationError, match=r"'shop db' would be sent with headers, but"):
        shop.plan(changed)
    shop.api.ok("PUT", f"/sources/{source}", json={"name": "shop db", "configuration": {"sourceType": "shop"}})
    with pytest.raises(ConfigurationError, match=r"would be sent with headers, password"):
        shop.plan(exported)

    for variable in exported.variables:
        monkeypatch.setenv(variable.name, "known")
    assert shop.apply(exported) == [("PATCH", f"/sources/{source}")]


def test_connections_that_share_a_source_and_a_destination(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both plan empty, and name the same variables: a secret that one has sent is none that the other has to."""
    source, destination = shop.source(password=SECRET), shop.destination()
    shop.api.connection(source, destination, ["orders"], name="one")
    shop.api.connection(source, destination, ["people"], name="two")

    one, two = shop.export()

    assert one.variables == two.variables
    assert_changes_nothing(shop, one)
    assert_changes_nothing(shop, two)
    monkeypatch.setenv("SHOP_DB_PASSWORD", "new")
    assert len(shop.apply(one)) == 1
    assert shop.apply(two) == []


# -------------------------------------------------------------------------------------------- what can't be declared


def test_what_cant_be_declared_is_said_and_left(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Also when something else of the connection is changed from here."""
    mapper = {"type": "hashing", "mapperConfiguration": {"targetField": "name"}}
    tag = shop.api.ok("POST", "/tags", json={"workspaceId": shop.workspace.id, "name": "gold", "color": "FFD700"})
    connection = shop.api.connection(
        shop.source(),
        shop.destination(),
        [stream(mappers=[mapper]), "people"],
        name="orders",
        nonBreakingSchemaUpdatesBehavior="propagate_columns",
        tags=[tag],
    )
    basic = {"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}
    shop.server.store.change_connection(connection, schedule=basic, status="locked")

    (exported,) = shop.export()

    head = exported.text.partition("type:")[0]
    assert "# Not declared here, and left as Airbyte has it:" in head
    assert "# - its schedule, 'Every 24 HOURS', which only Airbyte's own pages can set\n" in head
    assert "# - its status, 'locked'\n" in head
    assert "# - what happens when the source's schema changes: propagate_columns\n" in head
    assert "# - its tags: gold\n" in head
    assert "# - the mappers (mappers) of 'orders'\n" in head
    assert_changes_nothing(shop, exported)
    assert shop.project.yaml_problems(capsys) == []
    text = exported.text.replace("      - people\n", "").replace(
        "  name: orders\n    streams", "  name: orders\n    prefix: p_\n    streams"
    )
    assert shop.apply(Exported(exported.connection, exported.name, text, ())) == [
        ("PATCH", f"/connections/{connection}")
    ]
    now = shop.api.ok("GET", f"/connections/{connection}")
    assert (now["schedule"], now["status"], now["prefix"]) == (basic, "locked", "p_")
    assert now["nonBreakingSchemaUpdatesBehavior"] == "propagate_columns"
    assert [item["name"] for item in now["tags"]] == ["gold"]
    assert [item["mappers"] for item in now["configurations"]["streams"]] == [[mapper]]


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


def test_a_schedule_in_another_time_zone_is_left(shop: Shop) -> None:
    """A declaration has no place for it."""
    connection = shop.api.connection(shop.source(), shop.destination(), ["orders"], name="orders")
    schedule = {"scheduleType": "cron", "cronExpression": "0 0 8 * * ? Europe/Berlin"}
    shop.server.store.change_connection(connection, schedule=schedule)

    (exported,) = shop.export()

    assert yaml.safe_load(exported.text)["attributes"]["connection"]["schedule"] is None
    assert "'0 0 8 * * ? Europe/Berlin'" in exported.text
    assert_changes_nothing(shop, exported)


@pytest.mark.parametrize(
    ("streams", "reason"),
    [
        ([], "none is selected"),
        ([stream("a-b", syncMode="full_refresh_upside_down")], "'full_refresh_upside_down' is not known"),
    ],
)
def test_streams_that_cant_be_declared_are_one_asset(streams: list[dict[str, Any]], reason: str, shop: Shop) -> None:
    """None at all, or modes of a newer Airbyte: all are left as they are."""
    shop.server.engine.add("odd", {"a-b": ROWS, "a_b": ROWS})
    connection = shop.api.connection(shop.source(kind="odd"), shop.destination(), ["a-b", "a_b"], name="orders")
    shop.server.store.change_connection(
        connection, streams=[{"syncMode": "full_refresh_overwrite", **item} for item in streams]
    )

    (exported,) = shop.export()

    assert "streams" not in yaml.safe_load(exported.text)["attributes"]["connection"]
    head = exported.text.partition("type:")[0].replace("\n#   ", " ")
    assert "# - the streams, which are one asset here: " in head
    assert reason in head
    assert_changes_nothing(shop, exported)


# ----------------------------------------------------------------------------- of records: whatever Airbyte may answer

WORKSPACE = Workspace("w", "Default Workspace")


def source_record(name: str = "shop", kind: str = "shop", **configuration: Any) -> Source:
    return Source(f"id of {name} as a source", name, "w", kind, None, configuration)


def destination_record(name: str = "duck", kind: str = "duckdb", **configuration: Any) -> Destination:
    where = {"destination_path": "/tmp/x.duckdb"} if kind == "duckdb" else {}
    return Destination(f"id of {name} as a destination", name, "w", kind, None, {**where, **configuration})


def connection_record(
    name: str = "orders",
    streams: Sequence[Stream] = (Stream("orders", sync_mode="full_refresh_overwrite"),),
    **more: Any,
) -> Connection:
    given: dict[str, Any] = {
        "id": f"id of {name}",
        "source_id": "id of shop as a source",
        "destination_id": "id of duck as a destination",
        "status": "active",
        "namespace_definition": "destination",
        "namespace_format": None,
        "prefix": "",
        "schedule": None,
        **more,
    }
    return Connection(name=name, workspace_id="w", streams=tuple(streams), **given)


def contents_of(
    connections: Sequence[Connection] = (connection_record(),),
    *,
    sources: Sequence[Source] = (source_record(),),
    destinations: Sequence[Destination] = (destination_record(),),
) -> Contents:
    return Contents(WORKSPACE, sources, destinations, connections)


def all_of(contents: Contents) -> list[Exported]:
    return export(contents, contents.connections)


def loaded(text: str) -> AirbytePipelineComponent:
    """What the component makes of a file, without a project around it."""
    return AirbytePipelineComponent.from_attributes_dict(attributes=safe_load_yaml(text)["attributes"])


def plan_of(text: str, contents: Contents) -> Plan:
    return plan(
        loaded(text).pipeline,
        WORKSPACE,
        sources=contents.sources,
        destinations=contents.destinations,
        connections=contents.connections,
        applied=InMemoryAppliedStore(),
        key="",
    )


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


@settings(deadline=None, max_examples=150)
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

    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", exported.name)
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


def test_pipelines_have_names_of_their_own() -> None:
    """Valid, telling, and the same whichever connections are exported."""
    expected = {
        "Shop → Duck": "shop_duck",
        "Größe & Ärger": "gro_e_arger",
        "2nd shop": "_2nd_shop",
        "  ": "connection_",
        "数据": "connection_",
        "a b": "a_b_",
        "A-B": "a_b_",
        "n" * 200: "n" * 60,
    }
    contents = contents_of([connection_record(name) for name in expected])

    exported = {one.connection.name: one.name for one in all_of(contents)}

    assert len(set(exported.values())) == len(expected)
    for name, begin in expected.items():
        assert re.fullmatch(re.escape(begin) + ("[0-9a-f]{8}" if begin.endswith("_") else ""), exported[name]), name
    for connection in contents.connections:
        (alone,) = export(contents, [connection])
        assert alone.name == exported[connection.name]


def test_variables_have_names_of_their_own() -> None:
    """No two secrets share one, and none is one that means something else already."""
    secret = {"password": SECRET_MASK}
    contents = contents_of(
        sources=[
            source_record(),
            source_record("shop db", **secret, db={"password": SECRET_MASK}, db_password=SECRET_MASK),
            source_record("shop-db", **secret),
            source_record("airbyte", client={"secret": SECRET_MASK}),
            source_record("1st", **secret),
            source_record("数据", **secret),
        ],
        destinations=[destination_record(), destination_record("shop_db", **secret)],
        connections=[
            connection_record(
                f"c{index}", source_id=f"id of {name} as a source", destination_id=f"id of {other} as a destination"
            )
            for index, (name, other) in enumerate(
                [("shop db", "duck"), ("shop-db", "shop_db"), ("airbyte", "duck"), ("1st", "duck"), ("数据", "duck")]
            )
        ],
    )

    variables = {variable for one in all_of(contents) for variable in one.variables}

    found = sorted(variable.name for variable in variables)
    assert len(set(found)) == 8
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) for name in found)
    assert [re.sub(r"_[0-9A-F]{8}$", "_#", name) for name in found] == [
        "AIRBYTE_CLIENT_SECRET_#",
        "SHOP_DB_DB_PASSWORD_#",
        "SHOP_DB_DB_PASSWORD_#",
        "SHOP_DB_PASSWORD_#",
        "SHOP_DB_PASSWORD_#",
        "SHOP_DB_PASSWORD_#",
        "SOURCE_PASSWORD",
        "_1ST_PASSWORD",
    ]


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
    assert ("can't be told from the destination (snowflake)" in exported.text) == (expected is None)


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


# ------------------------------------------------------------------------------------------------- which connections


def test_connections_are_chosen_by_name_glob_and_id() -> None:
    """Each once, by name; a name is itself before it is a glob."""
    contents = contents_of([connection_record(name) for name in ("b", "a 1", "a 2", "a*", "[x]")])

    def chosen(*wanted: str) -> list[str]:
        return [connection.name for connection in choose(contents, wanted)]

    assert chosen("b", "id of a 1", "b") == ["a 1", "b"]
    assert chosen("a ?") == ["a 1", "a 2"]
    assert chosen("a*") == ["a*"]
    assert chosen("[x]") == ["[x]"]
    assert chosen("*") == ["[x]", "a 1", "a 2", "a*", "b"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("Shpo", r"no connection 'Shpo'. Near that: 'shop', 'Shop 2'. Nothing was written"),
        ("zzz", r"no connection 'zzz'. It has 3; '\*' means all"),
        ("zzz*", r"no connection 'zzz\*'"),
    ],
)
def test_a_connection_that_is_not_there(wanted: str, said: str) -> None:
    """The message has those that are near, by letters; case does not count."""
    contents = contents_of([connection_record(name) for name in ("shop", "Shop 2", "people")])

    with pytest.raises(ConfigurationError, match=said):
        choose(contents, ["shop", wanted])
    with pytest.raises(ConfigurationError, match="It has none at all"):
        choose(contents_of([]), ["x"])


def test_names_that_are_there_twice() -> None:
    """A pipeline knows all by name: connections, sources and destinations; every one is listed, with ids."""
    twins = [connection_record("twin", id="c-1"), connection_record("twin", id="c-2"), connection_record("fine")]
    with pytest.raises(SpecError) as caught:
        export(contents_of(twins), choose(contents_of(twins), ["*"]))
    assert len(caught.value.problems) == 2
    assert "2 connections named 'twin': c-1, c-2" in caught.value.problems[0]

    sources = [source_record(), Source("s-2", "shop", "w", "shop", None, {})]
    with pytest.raises(SpecError, match="2 sources named 'shop': id of shop as a source, s-2"):
        all_of(contents_of(sources=sources))
    with pytest.raises(SpecError, match="its source id of shop as a source is not among"):
        all_of(contents_of(sources=[]))


# --------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def environment(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> RunningAirbyte:
    """Local Airbyte with two connections, and the environment that leads to it."""
    for name, value in airbyte.environment.items():
        monkeypatch.setenv(name, value)
    with airbyte.api() as api:
        source, destination = api.source(api_key=SECRET), api.destination(str(airbyte.home.warehouse))
        api.connection(source, destination, ["users"], name="shop users")
        api.connection(source, destination, ["products"], name="shop products")
    return airbyte


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands, ["export", *map(str, arguments)])


def test_files_are_yaml_on_the_standard_output(environment: RunningAirbyte, project: Project) -> None:
    """All else goes to stderr; several are one file of several documents, which Dagster reads."""
    result = run("shop *")

    assert result.exit_code == 0, result.output
    assert [document["attributes"]["name"] for document in yaml.safe_load_all(result.stdout)] == [
        "shop_products",
        "shop_users",
    ]
    assert "Reading the workspace 'Default Workspace'" in result.stderr
    assert "2 of 2 connections exported." in result.stderr
    assert "  FAKER_SOURCE_API_KEY: api_key of the source 'faker source'\n" in result.stderr
    assert result.stderr.count("FAKER_SOURCE_API_KEY") == 1
    assert SECRET not in result.output
    project.write("shop", result.stdout)
    assert {"sync_shop_users", "sync_shop_products"} <= set(project.load().get_repository_def().job_names)


def test_files_are_written_and_never_lost(
    environment: RunningAirbyte, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory each, as a project of ``dg`` has them; what is there is replaced only with --force, all or none."""
    result = run("*", "--output", project.defs)
    assert result.exit_code == 0, result.output
    users, products = (project.defs / f"shop_{name}" / "defs.yaml" for name in ("users", "products"))
    assert result.stdout == ""
    assert f"Wrote {users}\n" in result.stderr
    assert f"Wrote {products}\n" in result.stderr
    assert project.yaml_problems(capsys) == []
    dg.Definitions.validate_loadable(project.load())

    users.write_text("mine")
    products.unlink()
    refused = run("*", "--output", project.defs)
    assert isinstance(refused.exception, ConfigurationError)
    assert str(refused.exception) == f"There already: {users}. --force replaces them. Nothing was written."
    assert users.read_text() == "mine"
    assert not products.exists()

    monkeypatch.setenv("FAKER_SOURCE_API_KEY", SECRET)
    forced = run("*", "--output", project.defs, "--force")
    assert f"Replaced {users}\n" in forced.stderr
    assert f"Wrote {products}\n" in forced.stderr
    assert "'faker source' (set here: its value will be sent)\n" in forced.stderr
    assert users.read_text().endswith("- users\n")
    assert SECRET not in forced.output + users.read_text()


def test_nothing_is_written_if_one_is_not_there(environment: RunningAirbyte, tmp_path: Path) -> None:
    """The message has what is near."""
    result = run("shop users", "shop product", "--output", tmp_path / "defs")

    assert isinstance(result.exception, ConfigurationError)
    assert "'shop products'" in str(result.exception)
    assert result.stdout == ""
    assert not (tmp_path / "defs").exists()


def test_another_workspace_is_kept_in_the_file(
    environment: RunningAirbyte, project: Project, instance: dg.DagsterInstance
) -> None:
    """By id or by name; applying the file works there, and writes nothing."""
    with environment.api() as api:
        workspace = api.ok("POST", "/workspaces", json={"name": "second"})["workspaceId"]
        api.workspace_id = workspace
        api.connection(api.source(), api.destination(), ["users"], name="second users")

    by_name, by_id = run("*", "--workspace", "second"), run("*", "--workspace", workspace)

    assert by_name.stdout == by_id.stdout
    assert yaml.safe_load(by_name.stdout)["attributes"]["airbyte"] == {"workspace_id": workspace}
    project.write("second", by_name.stdout)
    result = project.load().resolve_job_def("provision_second_users").execute_in_process(instance=instance)
    assert result.success
    with environment.api() as api:
        assert len(api.ok("GET", "/sources", params={"workspaceIds": workspace})["data"]) == 1


def test_the_job_of_an_exported_file_changes_nothing(
    environment: RunningAirbyte, project: Project, instance: dg.DagsterInstance
) -> None:
    """The whole way, in a real run: the same ids, nothing updated, and its rows are checked."""
    with environment.api() as api:
        before = [api.ok("GET", path) for path in ("/sources", "/destinations", "/connections")]
        assert run("shop users", "-o", project.defs).exit_code == 0

        result = project.load().resolve_job_def("sync_shop_users").execute_in_process(instance=instance)

        assert result.success
        assert all(check.passed for check in result.get_asset_check_evaluations())
        assert [api.ok("GET", path) for path in ("/sources", "/destinations", "/connections")] == before


def test_local_airbyte_is_found_by_its_home(airbyte: RunningAirbyte, tmp_path: Path) -> None:
    """Where the environment names none; without one, what to do is said."""
    with airbyte.api() as api:
        api.connection(api.source(), api.destination(), ["users"], name="users")
    missing = run("*", "--home", tmp_path / "nowhere")
    assert "no local Airbyte runs for" in str(missing.exception)
    assert "airbyte-dagster local serve" in str(missing.exception)

    record_server(airbyte)
    found = run("*", "--home", airbyte.home.root)

    assert found.exit_code == 0, found.exception
    assert f" at {airbyte.server_url} …" in found.stderr
    assert yaml.safe_load(found.stdout)["type"] == TYPE


def record_server(airbyte: RunningAirbyte) -> None:
    (airbyte.home.state_dir / "server.json").write_text(json.dumps({"url": airbyte.url, "pid": os.getpid()}))


def test_it_ends_as_the_other_commands_do(environment: RunningAirbyte) -> None:
    """In a process of its own: 0 with YAML alone on the standard output, 2 with one sentence."""

    def process(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "airbyte_dagster", "export", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done, failed, helped = process("shop users"), process("nothing like it"), process("--help")

    assert (done.returncode, yaml.safe_load(done.stdout)["attributes"]["name"]) == (0, "shop_users"), done.stderr
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.splitlines()[-1].startswith("Error: The workspace 'Default Workspace' has no connection")
    assert "Traceback" not in failed.stderr
    assert helped.returncode == 0
    for words in ("CONNECTION...", "glob", "--output", "--force", "--workspace", "--home"):
        assert words in helped.stdout
    assert process().returncode == 2
