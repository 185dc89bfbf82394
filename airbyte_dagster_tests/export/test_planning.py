"""What is exported of a workspace is read by the real component, and finds nothing to change in Airbyte."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from airbyte_dagster.export import Exported
from airbyte_dagster_tests.export.shop import Shop, assert_changes_nothing

SECRET = "PLANTED-secret"


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


def test_planning_what_was_exported_finds_nothing(shop_of_both_shapes: Shop) -> None:
    """Whatever a connection is like; the file declares what is not Airbyte's default."""
    shop = shop_of_both_shapes
    sources = {kind: shop.source(kind, kind) for kind in ("shop", "places")}
    destination = shop.destination()
    for case, (kind, made, _) in CONNECTIONS.items():
        body = {key: value for key, value in made.items() if key != "streams"}
        shop.api.connection(sources[kind], destination, made["streams"], name=case, **body)

    exported = shop.export()

    assert len(exported) == len(CONNECTIONS)
    for one in exported:
        case = one.connection.name
        assert yaml.safe_load(one.text)["attributes"]["connection"] == {"name": case, **CONNECTIONS[case][2]}
        assert_changes_nothing(shop, one)


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


def test_what_cant_be_declared_is_listed_and_left(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
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
