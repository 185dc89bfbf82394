"""Where the tables of streams are looked for, and which streams share one."""

from __future__ import annotations

from typing import Any

import pytest

from airbyte_dagster.airbyte.records import Stream
from airbyte_dagster.destinations.tables import Place, TablePlaces, TableRef, collisions
from airbyte_dagster.pipelines.spec import Connection
from airbyte_dagster_tests.destinations.test_names import CASES


def places(kind: str, *streams: Stream, schema: str | None = None, **connection: Any) -> TablePlaces:
    return TablePlaces.of(kind, {"schema": schema}, Connection(name="c", **connection), streams)


SOURCE: dict[str, Any] = {"namespace_definition": "source"}
ONE, TWO = (Stream(key.partition(".")[2], key.partition(".")[0]) for key in CASES["same_stream_in_two_namespaces"])


@pytest.mark.parametrize(
    ("kind", "settings", "stream", "first"),
    [
        ("duckdb", {}, Stream("My-Users"), "main.my_users"),
        ("duckdb", {"schema": "crm", "prefix": "raw_"}, Stream("Users", "eu"), "crm.raw_users"),
        ("duckdb", SOURCE, Stream("税率 2024", "sales-eu"), "sales_eu.税率_2024"),
        ("duckdb", {"namespace_definition": "custom_format", "namespace_format": "n_${SOURCE_NAMESPACE}"}, ONE, None),
        ("motherduck", SOURCE, ONE, "main.account"),
        ("postgres", {}, Stream("My-Users"), "public.My_Users"),
        ("postgres", SOURCE, Stream("orders", "sales-eu"), "sales_eu.orders"),
        ("snowflake", {"schema": "raw"}, Stream("open-orders"), "RAW.OPEN-ORDERS"),
        ("snowflake", SOURCE, Stream("orders", "sales-eu"), "SALES-EU.ORDERS"),
        ("redshift", {}, Stream("My-Users"), "public.my_users"),
        ("databricks", {}, Stream("2024"), "default._2024"),
        ("mssql", {"schema": "dbo"}, Stream("My-Users"), "dbo.My-Users"),
        ("clickhouse", SOURCE, Stream("orders", "sales-eu"), "sales_eu.orders"),
    ],
)
def test_the_name_that_the_destination_gives_comes_first(
    kind: str, settings: dict[str, Any], stream: Stream, first: str | None
) -> None:
    """It is the one that is shown."""
    found = places(kind, **settings)

    assert found.table_name(stream) == (first or "n_schema1.account")
    assert str(found.ref(stream).places[0]) == found.table_name(stream)


@pytest.mark.parametrize("namespace", CASES["namespaces"])
def test_local_airbyte_writes_namespaces_into_duckdb(namespace: str) -> None:
    """Its schema comes before the configured one, where Airbyte's own connector puts the table."""
    ref = places("duckdb", **SOURCE).ref(Stream("users", namespace))

    assert ref.places[0].schema in {"sales_eu", "_2024_q1", "SalesEU", "RAW"}
    assert Place("main", "users") in ref.places


@pytest.mark.parametrize("kind", ["duckdb", "motherduck", "postgres"])
def test_one_name_in_two_namespaces_is_two_tables_or_unknown(kind: str) -> None:
    """What both may have been written to is neither's."""
    found = places(kind, ONE, TWO, **SOURCE)
    first, second = found.ref(ONE), found.ref(TWO)

    assert not {place.folded for place in first.places} & {place.folded for place in second.places}
    assert {place.schema for place in first.places} == {"schema1"}
    assert (Place("main", "account") in first.shared) is (kind != "postgres")


def test_a_stream_that_is_declared_without_its_namespace_is_no_rival_of_itself() -> None:
    """The connection has the namespace, the declaration does not."""
    assert places("duckdb", Stream("account"), **SOURCE).ref(ONE).shared == ()


def test_a_name_that_is_anothers_own_is_no_second_best() -> None:
    """``Größe`` would be ``gr__e`` in local Airbyte, but that is what another stream is called."""
    found = places("duckdb", Stream("Größe"), Stream("gr__e"))

    assert Place("main", "gr__e") not in found.ref(Stream("Größe")).places
    assert found.ref(Stream("gr__e")).places[0] == Place("main", "gr__e")


def test_names_that_differ_by_case_are_two_tables_in_postgresql_alone() -> None:
    """DuckDB's names have no case."""
    streams = Stream("Users"), Stream("users")

    assert places("postgres", *streams).ref(streams[0]).places[0] == Place("public", "Users")
    assert Place("main", "users") not in places("duckdb", *streams).ref(streams[0]).places


@pytest.mark.parametrize("names", CASES["together_in_one_connection"])
def test_streams_that_fall_into_one_table_are_found(names: list[str]) -> None:
    """They are listed with their connections; no place is left for either."""
    streams = [Stream(name) for name in names]
    found = places("motherduck", *streams, Stream("other"))

    [collision] = collisions({"shop": found})
    assert collision.writers == tuple(f"shop: {name}" for name in names)
    own = [{place.folded for place in found.ref(stream).places} for stream in streams]
    assert collision.place.folded not in own[0] | own[1]


def test_two_connections_that_write_one_table_are_found() -> None:
    """Prefixes keep them apart."""
    one = places("postgres", Stream("users"))

    assert [str(found) for found in collisions({"a": one, "b": one})] == [
        "public.users is written by a: users and b: users"
    ]
    assert not collisions({"a": one, "b": places("postgres", Stream("users"), prefix="b_")})


def test_where_a_schema_is_the_database() -> None:
    """MySQL's and ClickHouse's databases, and BigQuery's datasets, each in its own setting; none is guessed."""
    connection = Connection(name="c")
    settings = {"mysql": {"database": "Raw"}, "clickhouse": {"database": "raw"}, "bigquery": {"dataset_id": "p:raw"}}
    found = {kind: TablePlaces.of(kind, given, connection) for kind, given in settings.items()}

    assert [item.table_name(Stream("Users")) for item in found.values()] == ["raw.users", "raw.Users", "raw.Users"]
    assert TablePlaces.of("bigquery", {}, connection).ref(Stream("users")) == TableRef(
        (), unknown="the destination's configuration does not say into which schema it writes"
    )


def test_a_destination_that_is_not_known_has_no_table() -> None:
    """It is said, not guessed; a connector without a type is looked for under any convention."""
    stream = Stream("My-Users")
    unknown, custom = places("elasticsearch"), places("")

    assert (unknown.table_name(stream), unknown.ref(stream).places) == (None, ())
    assert unknown.ref(stream).unknown == "it is not known where the destination elasticsearch writes"
    assert custom.table_name(stream) is None
    assert {place.table for place in custom.ref(stream).places} >= {"My-Users", "my_users", "My_Users"}
