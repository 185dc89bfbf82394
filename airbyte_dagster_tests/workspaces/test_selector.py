"""Which connections fit."""

from __future__ import annotations

from typing import Any

import pytest

from airbyte_dagster import ConnectionSelector
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.workspaces.catalog import build_catalog
from airbyte_dagster.workspaces.snapshot import ActorRecord, ConnectionRecord
from airbyte_dagster_tests.workspaces.records import connection, snapshot

CONNECTIONS = (
    connection("shop_eu", tags=("nightly", "eu")),
    connection("shop_us", source=ActorRecord("s-2", "faker", "faker", {})),
    connection("crm", destination=ActorRecord("d-2", "pg", "postgres", {}), tags=("nightly",)),
    connection("old [1]", status="inactive"),
)


def selected(**given: Any) -> list[str]:
    return [one.name for one in CONNECTIONS if ConnectionSelector(**given)(one)]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["shop_eu", "shop_us", "crm"]),
        ({"name": "shop_*"}, ["shop_eu", "shop_us"]),
        ({"name": "SHOP_*"}, []),
        ({"name": ["*_eu", "crm"]}, ["shop_eu", "crm"]),
        ({"name": []}, []),
        ({"name": "old [[]1]", "status": None}, ["old [1]"]),
        ({"id": "id-crm"}, ["crm"]),
        ({"id": ("id-crm", "id-shop_us")}, ["shop_us", "crm"]),
        ({"tag": "nightly"}, ["shop_eu", "crm"]),
        ({"tag": ["eu", "us"]}, ["shop_eu"]),
        ({"source_type": "faker"}, ["shop_us"]),
        ({"destination_type": "postgres"}, ["crm"]),
        ({"destination_type": {"postgres", "duckdb"}, "tag": "nightly"}, ["shop_eu", "crm"]),
        ({"status": "inactive"}, ["old [1]"]),
        ({"status": None}, ["shop_eu", "shop_us", "crm", "old [1]"]),
        ({"name": "shop_*", "tag": "nightly", "source_type": "postgres"}, ["shop_eu"]),
    ],
)
def test_all_that_is_given_must_fit(given: dict[str, Any], names: list[str]) -> None:
    assert selected(**given) == names


def test_iterables_may_be_read_once_only() -> None:
    """They are asked of each connection."""
    selector = ConnectionSelector(name=(name for name in ["shop_*", "crm"]))

    assert [one.name for one in CONNECTIONS if selector(one)] == ["shop_eu", "shop_us", "crm"]


def test_a_status_that_there_is_not_is_refused() -> None:
    """It would select nothing."""
    with pytest.raises(ConfigurationError, match=r"'Active'.*active, inactive"):
        ConnectionSelector(status=["inactive", "Active"])


@pytest.mark.parametrize("wrong", ["shop_*", {"name": "shop_*"}])
def test_what_is_no_selector_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"selector is .*ConnectionSelector\(name='shop_\*'\)"):
        build_catalog(snapshot(*CONNECTIONS), wrong)


def test_a_selector_that_fails_names_the_connection() -> None:
    def wanted(one: ConnectionRecord) -> bool:
        return one.tags[0] == "nightly"

    with pytest.raises(ConfigurationError, match=r"selector fails on connection '.*' \(id-.*\): IndexError"):
        build_catalog(snapshot(*CONNECTIONS), wanted)


def test_equal_ones_are_equal() -> None:
    assert ConnectionSelector(name="a") == ConnectionSelector(name=["a"]) != ConnectionSelector(name="b")


def test_any_function_selects() -> None:
    """The catalog takes either; by default, the active connections."""

    def wanted(one: ConnectionRecord) -> bool:
        return one.status == "inactive" or "eu" in one.tags

    whole = snapshot(*CONNECTIONS)

    assert [asset.connection.name for asset in build_catalog(whole, wanted).assets] == ["shop_eu", "old [1]"]
    assert [asset.connection.name for asset in build_catalog(whole).assets] == ["shop_eu", "shop_us", "crm"]
    assert build_catalog(whole).of_connection("id-old [1]") == ()
