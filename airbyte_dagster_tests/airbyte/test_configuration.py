"""Configurations: differences, patches and environment references."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.airbyte.configuration import difference, get_path, leaves, merged, only, resolve, without
from airbyte_dagster.airbyte.records import SECRET_MASK
from airbyte_dagster.errors import ConfigurationError

KEYS = st.text(min_size=1, max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
CONFIGURATIONS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(CONFIGURATIONS)
def test_nothing_differs_from_itself(configuration: dict[str, Any]) -> None:
    """Equal configurations need no update."""
    found = difference(configuration, configuration)

    assert [path for path in found.changed if get_path(configuration, path) is not None] == []
    assert all(SECRET_MASK in str(value) for value in found.masked.values())


@given(CONFIGURATIONS, CONFIGURATIONS)
def test_a_patch_of_the_changes_makes_it_equal(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """What `only` cuts out, laid over what is there, leaves no difference: updates are complete and stop."""
    patched = merged(found, only(wanted, difference(wanted, found).changed))

    assert [path for path in difference(wanted, patched).changed if get_path(wanted, path) is not None] == []


def test_keys_that_only_airbyte_has_are_left_alone() -> None:
    """A server adds defaults; they are no difference."""
    assert difference({"count": 1}, {"count": 1, "seed": -1}).changed == ()


@pytest.mark.parametrize("shown", [{"sourceType": "faker", "count": 1}, {"count": 1}])
def test_both_shapes_of_answers_are_equal(shown: dict[str, Any]) -> None:
    """With or without its type key, the configuration is the same."""
    assert difference({"sourceType": "faker", "count": 1}, shown).changed == ()


def test_masked_values_are_set_apart() -> None:
    """What Airbyte shows as its mask can't be compared, in a list neither."""
    found = difference(
        {"password": "a", "hosts": [{"token": "b"}], "port": 1},
        {"password": SECRET_MASK, "hosts": [{"token": SECRET_MASK}], "port": 2},
    )

    assert found.changed == (("port",),)
    assert found.masked == {("password",): "a", ("hosts",): [{"token": "b"}]}


def test_keys_with_dots_are_keys() -> None:
    """A dot in a key does not split it."""
    assert difference({"a.b": 1}, {"a.b": 1}).changed == ()
    assert only({"a.b": {"c": 1}}, [("a.b", "c")]) == {"a.b": {"c": 1}}


@given(CONFIGURATIONS)
def test_without_everything_leaves_no_leaf(configuration: dict[str, Any]) -> None:
    """Taking out all paths takes out all values, and the mappings that held them."""
    kept = without(configuration, [path for path, _ in leaves(configuration) if path])

    assert [value for path, value in leaves(kept) if path] == []


def test_missing_variable_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the variable and the dotted path."""
    monkeypatch.delenv("EXAMPLE_MISSING", raising=False)

    with pytest.raises(ConfigurationError, match=r"source\.auth\.0\.token is read from .* EXAMPLE_MISSING"):
        resolve({"auth": [{"token": dg.EnvVar("EXAMPLE_MISSING")}]}, {}, where="source")
