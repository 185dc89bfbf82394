"""What pipelines and variables are called, and which connections are chosen."""

from __future__ import annotations

import re

import pytest

from airbyte_dagster.airbyte.records import SECRET_MASK, Source
from airbyte_dagster.errors import ConfigurationError, SpecError
from airbyte_dagster.export import choose, export
from airbyte_dagster_tests.export.records import (
    all_of,
    connection_record,
    contents_of,
    destination_record,
    source_record,
)


def test_a_pipeline_has_the_key_of_its_connection() -> None:
    """The same whichever connections are exported, also where it begins with a digit."""
    names = ["Shop → Duck", "Größe & Ärger", "a b", "a-b", "数据", "2nd shop"]
    contents = contents_of([connection_record(name, raw={"createdAt": at}) for at, name in enumerate(names)])

    exported = {one.connection.name: one.name for one in all_of(contents)}

    assert len(set(exported.values())) == len(names)
    assert (exported["Größe & Ärger"], exported["a b"]) == ("Gro_e___Arger", "a_b")
    assert re.fullmatch("a_b_[0-9a-f]{8}", exported["a-b"])
    assert exported["2nd shop"] == "2nd_shop"
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
    odd = [variable.name for variable in variables if variable.actor == "数据"]
    assert len(set(found)) == 8
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) for name in found)
    assert [re.sub(r"_[0-9A-F]{8}$", "_#", name) for name in found if name not in odd] == [
        "AIRBYTE_CLIENT_SECRET_#",
        "SHOP_DB_DB_PASSWORD_#",
        "SHOP_DB_DB_PASSWORD_#",
        "SHOP_DB_PASSWORD_#",
        "SHOP_DB_PASSWORD_#",
        "SHOP_DB_PASSWORD_#",
        "_1ST_PASSWORD",
    ]


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
        ("shpo", r"no connection 'shpo'. Did you mean 'shop'\? It has 3; '\*' means all. Nothing was written"),
        ("zzz", r"no connection 'zzz'. It has 3; '\*' means all"),
        ("zzz*", r"no connection 'zzz\*'"),
    ],
)
def test_a_connection_that_is_not_there(wanted: str, said: str) -> None:
    """The message has the nearest one."""
    contents = contents_of([connection_record(name) for name in ("shop", "Shop 2", "people")])

    with pytest.raises(ConfigurationError, match=said):
        choose(contents, ["shop", wanted])
    with pytest.raises(ConfigurationError, match="It has 0"):
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
