"""Airbyte shows no secrets: they stay as they are until the variables that stand for them are set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.export import Exported
from airbyte_dagster_tests.export.shop import Shop, assert_changes_nothing

SECRET = "PLANTED-secret"


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
