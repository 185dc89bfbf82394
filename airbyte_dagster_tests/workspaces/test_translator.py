"""Keys are predictable, valid and never two things at once; translators see and change everything."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster import AirbyteStreamProps, AirbyteTranslator, ConnectionSelector
from airbyte_dagster.airbyte.records import Stream, StreamKey
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.runs.keys import asset_key_part, stream_paths
from airbyte_dagster.workspaces.catalog import build_catalog
from airbyte_dagster.workspaces.definitions import workspace_defs
from airbyte_dagster.workspaces.keys import connection_keys
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.snapshot import ActorRecord, ConnectionRecord
from airbyte_dagster_tests.workspaces.records import connection, snapshot, stream

# Keys


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("orders", "orders"),
        ("Orders_2", "Orders_2"),
        ("shop-eu.v2 (new)", "shop_eu_v2__new_"),
        ("Faker → DuckDB", "Faker___DuckDB"),
        ("Größe", "Gro_e"),
        ("café", "cafe"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "cafe"),
        ("ﬁne", "fine"),
        ("订单 eu", "___eu"),
        ("订单", "_3d5436ea"),
        ("用户", "_0d0e1a86"),
        ("--", "_d8156bae"),
        ("", "_e3b0c442"),
    ],
)
def test_names_map_predictably(name: str, part: str) -> None:
    """These are in people's code: they are not to change."""
    assert asset_key_part(name) == part


NAMES = st.one_of(
    st.text(max_size=6),
    st.text(alphabet="ab-._ é订", max_size=4),
    st.sampled_from(["a", "a_b", "a-b", "a b", "a.b", "订单", "用户", "a_b_9f86d081", "_3d5436ea"]),
)
STREAMS = st.builds(Stream, NAMES, st.none() | NAMES.filter(bool), st.just("full_refresh_append"))

SEVERAL_STREAMS = st.lists(STREAMS, max_size=6, unique_by=lambda item: item.key)


@st.composite
def connections(draw: st.DrawFn) -> list[ConnectionRecord]:
    ids = draw(st.lists(st.uuids().map(str), max_size=8, unique=True))
    return [
        connection(
            draw(NAMES),
            draw(SEVERAL_STREAMS),
            id=id_,
            created_at=draw(st.integers(0, 3)),
        )
        for id_ in ids
    ]


@given(connections())
def test_default_keys_are_valid_and_none_is_there_twice(several: list[ConnectionRecord]) -> None:
    """One asset for each stream, which Dagster takes; groups are those of the connections."""
    catalog = build_catalog(snapshot(*several))

    assert len(catalog.assets) == sum(len(one.streams) for one in several)
    assert len(catalog.by_key) == len(catalog.assets)
    groups = {asset.connection.id: asset.spec.group_name for asset in catalog.assets}
    assert len(set(groups.values())) == len(groups)
    for asset in catalog.assets:
        assert all(part and part.isascii() and part.replace("_", "x").isalnum() for part in asset.key.path)
        dg.AssetsDefinition(specs=[asset.spec])


@given(connections(), NAMES)
def test_a_later_connection_changes_no_key(several: list[ConnectionRecord], name: str) -> None:
    """Whatever it is called."""
    newer = connection(name, id="later", created_at=4)

    with_it = connection_keys([newer, *reversed(several)])

    assert {id_: key for id_, key in with_it.items() if id_ != "later"} == connection_keys(several)


@given(SEVERAL_STREAMS)
def test_the_order_of_streams_says_nothing(several: list[Stream]) -> None:
    """Airbyte's has none."""
    keys = [stream.key for stream in several]

    assert stream_paths(keys) == stream_paths(reversed(keys))


def test_the_oldest_keeps_the_plain_name() -> None:
    """Then the one with the lower id; the others are told apart by their ids."""
    keys = connection_keys(
        [
            connection("a-b", id="1", created_at=9),
            connection("a b", id="3", created_at=5),
            connection("a.b", id="2", created_at=5),
            connection("a_b", id="4", created_at=7),
        ]
    )

    assert keys == {"2": "a_b", "3": "a_b_4e074085", "4": "a_b_4b227777", "1": "a_b_6b86b273"}


def test_a_name_that_looks_like_another_key() -> None:
    """The short digest may be somebody's name."""
    keys = connection_keys(
        [
            connection("a", id="1", created_at=1),
            connection("a_4e074085", id="2", created_at=2),
            connection("a", id="3", created_at=3),
        ]
    )

    assert keys["3"].startswith("a_4e07408562bedb8b60ce05c1decfe3ad")


def test_keys_do_not_depend_on_the_selector() -> None:
    """One that is not selected keeps its name."""
    whole = snapshot(connection("a b", created_at=1, status="inactive"), connection("a-b", created_at=2))

    (asset,) = build_catalog(whole).assets
    both = build_catalog(whole, ConnectionSelector(status=None)).by_key

    assert asset.key in both
    assert asset.key.path[0].startswith("a_b_")


def test_streams_of_one_name() -> None:
    """The one that is called so keeps the plain name."""
    names = ("a-b", "a_b", "a.b", "x-y")
    paths = stream_paths([StreamKey("n", "a-b"), *(StreamKey(None, name) for name in names)])

    assert paths[StreamKey(None, "a_b")] == ("a_b",)
    assert paths[StreamKey("n", "a-b")] == ("n", "a_b")
    assert paths[StreamKey(None, "x-y")] == ("x_y",)
    assert {len(paths[StreamKey(None, name)][0]) for name in ("a-b", "a.b")} == {len("a_b_12345678")}
    assert paths[StreamKey(None, "a-b")] != paths[StreamKey(None, "a.b")]


# What there is by default


def only_spec(one: ConnectionRecord, translator: AirbyteTranslator | None = None) -> dg.AssetSpec:
    (asset,) = build_catalog(snapshot(one), translator=translator).assets
    return asset.spec


def test_an_asset_as_it_is_by_default() -> None:
    spec = only_spec(connection("shop EU", [stream("orders", "sales", "incremental_append")], prefix="p_"))

    assert spec.key == dg.AssetKey(["shop_EU", "sales", "orders"])
    assert spec.group_name == "shop_EU"
    assert spec.kinds == {"airbyte", "postgres", "duckdb"}
    assert spec.description == "Stream 'orders' of 'orders database', brought to 'duck' by Airbyte."
    assert list(spec.deps) == []
    assert dict(spec.metadata) == {
        "airbyte/connection_id": "id-shop EU",
        "airbyte/connection_name": "shop EU",
        "airbyte/sync_mode": "incremental_append",
        "airbyte/connection": dg.MetadataValue.url("http://airbyte.test/workspaces/w-1/connections/id-shop EU/status"),
        "dagster/table_name": "lake.main.p_orders",
    }


@pytest.mark.parametrize(
    ("destination", "kind", "table"),
    [
        (
            ActorRecord("d", "d", "duckdb", {"destination_path": "md:lms", "schema": "raw"}),
            "motherduck",
            "lms.raw.my_users",
        ),
        (ActorRecord("d", "d", "motherduck", {}), "motherduck", "main.my_users"),
        (ActorRecord("d", "d", "postgres", {}), "postgres", "public.My_Users"),
        (ActorRecord("d", "d", "s3-glue", {}), "s3_glue", None),
        (ActorRecord("d", "d", "", {}), None, None),
    ],
)
def test_destinations(destination: ActorRecord, kind: str | None, table: str | None) -> None:
    """Their kind is shown, and where the table will be, if that is known."""
    spec = only_spec(connection("c", ["My-Users"], destination=destination))

    assert spec.kinds == {"airbyte", "postgres", *([kind] if kind else [])}
    assert spec.metadata.get("dagster/table_name") == table


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        ({"namespace_definition": "source"}, "lake.sales.orders"),
        (
            {"namespace_definition": "custom_format", "namespace_format": "raw_${SOURCE_NAMESPACE}"},
            "lake.raw_sales.orders",
        ),
        ({"prefix": "p_"}, "lake.main.p_orders"),
    ],
)
def test_namespaces_decide_the_schema(settings: dict[str, str], table: str) -> None:
    spec = only_spec(connection("c", [stream("orders", "sales")], **settings))

    assert spec.metadata["dagster/table_name"] == table


def test_a_large_workspace_is_all_there() -> None:
    """Each asset is found by its key and by its connection."""
    whole = snapshot(*(connection(f"c {n}", [f"s {m}" for m in range(10)]) for n in range(200)))

    catalog = build_catalog(whole)

    assert len(catalog.assets) == 2000
    assert catalog.by_key[dg.AssetKey(["c_7", "s_3"])].stream.name == "s 3"
    assert [asset.stream.name for asset in catalog.of_connection("id-c 9")] == [f"s {m}" for m in range(10)]


# Translators


class Mine(AirbyteTranslator):
    """Changes all that there is."""

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        spec = super().get_asset_spec(props)
        return spec.replace_attributes(
            key=spec.key.with_prefix(["airbyte", props.source.type]),
            group_name=props.connection.tags[0],
            owners=["team:data"],
            deps=[dg.AssetKey(["raw", props.stream.name])],
            automation_condition=dg.AutomationCondition.eager(),
        ).merge_attributes(
            tags={"table": props.table_name or ""},
            metadata={"url": props.connection_url},
            kinds={props.destination.type, "mine"},
        )


def test_nothing_is_collected_while_a_large_workspace_is_made() -> None:
    """Looking for garbage again and again would take as long as making it; afterwards all is as it was."""
    several = snapshot(*(connection(f"c {number}", [f"s {n}" for n in range(10)]) for number in range(100)))
    collected_at: list[int] = []
    made: list[dg.AssetSpec] = []

    class Counting(AirbyteTranslator):
        def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
            made.append(super().get_asset_spec(props))
            return made[-1]

    def note(_phase: str, _info: dict[str, int]) -> None:
        collected_at.append(len(made))

    gc.callbacks.append(note)
    try:
        workspace_defs(several, WorkspaceOptions(None, translator=Counting()))
        with pytest.raises(ConfigurationError):
            workspace_defs(several, WorkspaceOptions(None, translator=_AllOneKey()))
    finally:
        gc.callbacks.remove(note)

    assert len(made) == 1000
    assert [number for number in collected_at if 0 < number < 1000] == []
    assert gc.isenabled()


class _AllOneKey(AirbyteTranslator):
    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        return super().get_asset_spec(props).replace_attributes(key="one")


def test_a_translator_changes_what_it_wants() -> None:
    spec = only_spec(connection("shop", tags=("nightly",)), Mine())

    assert spec.key == dg.AssetKey(["airbyte", "postgres", "shop", "users"])
    assert (spec.group_name, list(spec.owners)) == ("nightly", ["team:data"])
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey(["raw", "users"])]
    assert spec.automation_condition == dg.AutomationCondition.eager()
    assert spec.tags["table"] == "lake.main.users"
    assert "mine" in spec.kinds
    assert spec.metadata["airbyte/connection_name"] == "shop"


class ByStream(AirbyteTranslator):
    """Forgets the connection."""

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        return super().get_asset_spec(props).replace_attributes(key=dg.AssetKey(["lake", props.stream.name]))


def test_a_collision_names_both() -> None:
    """Streams and connections, and the key that they would share."""
    whole = snapshot(connection("one", [stream("users", "eu")]), connection("two", ["users"]))

    with pytest.raises(ConfigurationError) as caught:
        build_catalog(whole, translator=ByStream())

    for words in (
        "stream 'eu.users' of connection 'one' (id-one)",
        "stream 'users' of connection 'two' (id-two)",
        "'lake/users'",
    ):
        assert words in str(caught.value)


# Streams and connections that appear after the definitions were loaded


def key_in(catalog_of: Callable[..., dg.AssetSpec], one: ConnectionRecord, name: str) -> str:
    return catalog_of(one, stream(name)).key.to_user_string()


class Wrong(AirbyteTranslator):
    """Gives what it is told to."""

    def __init__(self, give: Callable[[dg.AssetSpec], Any]) -> None:
        self.give = give

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        return self.give(super().get_asset_spec(props))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda _: None, "gives None for {}, no AssetSpec"),
        (lambda spec: spec.owners[0], "fails on {}: IndexError"),
        (
            lambda spec: spec.replace_attributes(partitions_def=dg.DailyPartitionsDefinition("2026-01-01")),
            "gives partitions to {}",
        ),
    ],
)
def test_what_a_translator_must_not_do_names_the_stream(give: Callable[[dg.AssetSpec], Any], words: str) -> None:
    named = "stream 'users' of connection 'shop' (id-shop)"
    with pytest.raises(ConfigurationError, match=re.escape(words.format(named))):
        build_catalog(snapshot(connection("shop")), None, Wrong(give))


def test_a_class_is_no_translator() -> None:
    with pytest.raises(ConfigurationError, match=r"translator is .*Mine.*object of a subclass"):
        build_catalog(snapshot(connection("shop")), None, Mine)  # type: ignore[arg-type]


def test_what_appears_later_takes_nobodys_key() -> None:
    """A connection that was renamed meanwhile keeps the key that it was loaded with."""
    shop = connection("shop", ["a-b"])
    catalog = build_catalog(snapshot(shop, connection("crm", status="inactive")))
    renamed = replace(shop, name="store")

    assert key_in(catalog.spec_of, renamed, "a-b") == "shop/a_b"
    assert key_in(catalog.spec_of, renamed, "new one") == "shop/new_one"
    assert key_in(catalog.spec_of, renamed, "a.b").startswith("shop/a_b_")
    assert catalog.spec_of(renamed, stream("x")).metadata["airbyte/connection_name"] == "store"
    assert key_in(catalog.spec_of, connection("other"), "x") == "other/x"
    assert key_in(catalog.spec_of, connection("shop", id="new"), "x").startswith("shop_")
    assert key_in(catalog.spec_of, connection("crm", id="new"), "x").startswith("crm_")


def test_the_translator_is_asked_for_what_appears_later_too() -> None:
    catalog = build_catalog(snapshot(connection("shop")), translator=ByStream())

    assert key_in(catalog.spec_of, connection("shop"), "more") == "lake/more"
