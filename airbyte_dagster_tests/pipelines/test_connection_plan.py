"""What a declared connection is to Airbyte, and which differences are some."""

from __future__ import annotations

from typing import Any

import pytest

from airbyte_dagster import Connection, Stream
from airbyte_dagster.airbyte import records
from airbyte_dagster.errors import SpecError
from airbyte_dagster.pipelines.connection_plan import connection_changes, resolve_streams, without_source_defined

USERS = {"name": "users", "syncMode": "full_refresh_overwrite"}


def existing(*streams: records.Stream, **settings: Any) -> records.Connection:
    defaults: dict[str, Any] = {
        "status": "active",
        "namespace_definition": "destination",
        "namespace_format": None,
        "prefix": "",
        "schedule": None,
    }
    return records.Connection("id", "c", "w", "s", "d", streams=streams, **{**defaults, **settings})


def stream(**settings: Any) -> records.Stream:
    return records.Stream("users", **settings)


def available(namespace: str | None = None, **settings: Any) -> records.AvailableStream:
    defaults: dict[str, Any] = {
        "sync_modes": ("full_refresh_overwrite",),
        "source_defined_cursor": False,
        "primary_key": (),
        "property_fields": (),
    }
    return records.AvailableStream("users", namespace, **{**defaults, **settings})


def test_a_name_in_several_namespaces_needs_one() -> None:
    """Which of the two would be synced is not for chance to say."""
    both = [available("sales"), available("crm")]

    with pytest.raises(
        SpecError, match=r"streams\.0\.namespace: .*'users' in several namespaces; accepted: crm, sales"
    ):
        resolve_streams(Connection(name="c", streams=("users",)), both)

    wanted = Connection(name="c", streams=(Stream(name="users", namespace="crm"),))
    assert [item.namespace for item in resolve_streams(wanted, both)] == ["crm"]


@pytest.mark.parametrize("wanted", ["sales_${SOURCE_NAMESPACE}", None])
def test_a_format_of_namespaces_that_is_declared_is_sent(wanted: str | None) -> None:
    """One that is not declared stays as somebody has set it in Airbyte."""
    declared = Connection(
        name="c",
        streams=None,
        namespace_definition="custom_format" if wanted else "destination",
        namespace_format=wanted,
    )

    changes, payload = connection_changes(
        declared, existing(namespace_definition="custom_format", namespace_format="other")
    )

    assert changes == ("namespaceDefinition",)
    assert payload.get("namespaceFormat") == wanted


def test_the_order_of_selected_fields_is_no_difference() -> None:
    """Another field is one."""
    there = existing(stream(selected_fields=("id", "name"), raw=USERS))
    declared = Connection(name="c", streams=(Stream(name="users", selected_fields=("name", "id")),))
    other = Connection(name="c", streams=(Stream(name="users", selected_fields=("name",)),))

    assert connection_changes(declared, there) == ((), {})
    assert connection_changes(other, there)[0] == ("streams.users.selectedFields",)


@pytest.mark.parametrize("key", [(), ("id",)])
def test_a_key_that_the_source_defines_is_sent_if_it_is_declared(key: tuple[str, ...]) -> None:
    """Else not: some servers refuse to have it sent back."""
    raw = {**USERS, "primaryKey": [["id"]]}
    declared = Connection(name="c", prefix="p_", streams=(Stream(name="users", primary_key=key), "new"))
    payload = connection_changes(declared, existing(stream(primary_key=(("id",),), raw=raw)))[1]

    sent = without_source_defined(declared, payload, [available(primary_key=(("id",),))])

    assert ("primaryKey" in sent[0]) == bool(key)
