"""What Dagster shows of the assets, as far as it is made without a browser."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import AirbytePipeline, Stream
from airbyte_dagster.airbyte.links import Links
from airbyte_dagster.checks.rules import ReportedStats
from airbyte_dagster.pipelines.asset_specs import asset_spec, stream_assets
from airbyte_dagster.runs.events import synced_metadata
from airbyte_dagster.warehouse import Table
from airbyte_dagster.workspaces.catalog import build_catalog
from airbyte_dagster_tests.dagster_runs import a_job
from airbyte_dagster_tests.workspaces.records import connection, snapshot

LINKS = Links("https://api.airbyte.com/v1", "w")


def pipeline_to(**destination: Any) -> AirbytePipeline:
    return AirbytePipeline(
        name="example",
        source={"name": "s", "definition_id": "0000", "configuration": {}},
        destination={"name": "d", "configuration": destination},
        connection={"name": "c", "streams": ["My-Users"], "prefix": "raw_"},
    )


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ({"destinationType": "duckdb", "destination_path": "md:lms"}, "lms.main.raw_my_users"),
        ({"destinationType": "duckdb", "destination_path": "/data/shop.eu.duckdb"}, "shop.main.raw_my_users"),
        ({"destinationType": "duckdb", "destination_path": dg.EnvVar("EXAMPLE_PATH")}, None),
        ({"destinationType": "duckdb", "schema": "crm"}, "crm.raw_my_users"),
        ({"destinationType": "postgres"}, "public.raw_My_Users"),
        ({"destinationType": "postgres", "database": "raw"}, "raw.public.raw_My_Users"),
        ({"destinationType": "duckdb", "schema": dg.EnvVar("EXAMPLE_SCHEMA")}, None),
    ],
)
def test_page_shows_where_the_table_is_to_be(destination: dict[str, Any], expected: str | None) -> None:
    """In the words of the destination; nothing is said where the environment decides."""
    pipeline = pipeline_to(**destination)

    assert asset_spec(pipeline, stream_assets(pipeline)[0]).metadata.get("dagster/table_name") == expected


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["Café", "caf-e"], {"Cafe", "caf_e"}),
        (["税率", "税金"], {"_9401d14f", "_fa0b5f18"}),
        (["заказы", "клиент"], {"_c359203e", "_e363c544"}),
        (["a_b", "a-b", "a.b"], {"a_b", "a_b_0e08d75d", "a_b_fc7d33be"}),
        ([{"name": "a-b", "namespace": "n é"}, "a-b"], {"n_e/a_b", "a_b"}),
    ],
)
def test_keys_are_those_of_a_workspace(names: list[Any], keys: set[str]) -> None:
    """A pipeline that is called like its connection goes on with the history of the workspace's assets.

    What is left of a name decides; of several that would be one, and of names without a letter, a digest is part.
    """
    streams = [Stream(name=name) if isinstance(name, str) else Stream(**name) for name in names]
    pipeline = pipeline_to(destinationType="duckdb")
    declared = pipeline.connection.model_copy(update={"streams": tuple(streams)})

    found = stream_assets(pipeline.model_copy(update={"connection": declared}))

    assert {"/".join(asset.key.path[1:]) for asset in found} == keys
    catalog = build_catalog(snapshot(connection("example", [stream.record() for stream in streams])))
    assert {asset.key: asset.streams[0].key for asset in found} == {
        asset.key: asset.stream.key for asset in catalog.assets
    }


def test_source_says_which_connector_it_is() -> None:
    """A custom connector has no type name; its definition is shown. Each stream's asset shows where it comes from."""
    pipeline = pipeline_to(destinationType="duckdb")
    shown = asset_spec(pipeline, stream_assets(pipeline)[0]).metadata

    assert shown["airbyte/source_name"] == "s"
    assert shown["airbyte/source_type"] == "custom, definition 0000"


def metadata_of(primary_key: tuple[str, ...], **more: Any) -> dict[str, Any]:
    columns = ("Region", "VARCHAR"), ("id", "BIGINT"), ("note", "VARCHAR"), ("_airbyte_extracted_at", "TIMESTAMP")
    report = ReportedStats("users", "full_refresh_overwrite", 2, primary_key=primary_key)
    return synced_metadata([report], [Table("lms", "main", "users", columns, 2)], a_job(7), LINKS, **more)


@pytest.mark.parametrize(
    ("key", "region", "id_"),
    [
        (("id",), None, "Primary key."),
        (("region", "id"), "Part of the primary key.", "Part of the primary key."),
        ((), None, None),
    ],
)
def test_columns_are_described(key: tuple[str, ...], region: str | None, id_: str | None) -> None:
    """Those of the primary key, found without case, and those that Airbyte adds."""
    columns = metadata_of(key)["dagster/column_schema"].columns

    assert [column.description for column in columns] == [region, id_, None, "When Airbyte read the record."]


def test_what_people_look_for_comes_first() -> None:
    """Dagster keeps the order: the rows and bytes, then the job with its link, and the raw reports at last."""
    names = list(metadata_of((), size=99))

    assert names[:3] == ["dagster/row_count", "airbyte/rows_reported", "airbyte/bytes_reported"]
    assert names.index("airbyte/job_id") < names.index("airbyte/job") < names.index("airbyte/streams")
    assert names[-1] == "airbyte/streams"


def test_a_part_is_not_shown_as_the_whole() -> None:
    """Of an asset that stands for two streams: a sum needs both."""
    known = ReportedStats("users", "full_refresh_overwrite", 2)
    unknown = ReportedStats("orders", "full_refresh_overwrite", None)
    table = Table("lms", "main", "users", (), 2)

    partly = synced_metadata([known, unknown], [table, None], a_job(7), LINKS)
    wholly = synced_metadata([known, known], [table, table], a_job(7), LINKS)

    assert not {"dagster/row_count", "airbyte/rows_reported"} & partly.keys()
    assert (wholly["dagster/row_count"], wholly["airbyte/rows_reported"]) == (4, 4)


def test_link_leads_to_the_logs_of_the_job() -> None:
    """The address that Airbyte's own pages give for a job."""
    assert metadata_of(())["airbyte/job"].url == (
        "https://cloud.airbyte.com/workspaces/w/connections/c/timeline?jobId=7&openLogs=true"
    )


@pytest.mark.parametrize(
    ("server_url", "root"),
    [
        ("https://api.airbyte.com/v1", "https://cloud.airbyte.com"),
        ("http://localhost:8000/api/public/v1", "http://localhost:8000"),
        ("https://tools.example.com/data/airbyte/api/public/v1", "https://tools.example.com/data/airbyte"),
        ("https://gateway.example.com/v1", "https://gateway.example.com"),
    ],
)
def test_pages_are_where_the_api_is(server_url: str, root: str) -> None:
    """Below a sub-path, too, which an ingress may have put before both."""
    assert Links(server_url, "w").source("s") == f"{root}/workspaces/w/source/s"


def test_bytes_are_left_out_where_they_are_not_known() -> None:
    """A server without numbers of single streams: no plot is better than one of zeros."""
    assert "airbyte/bytes_reported" not in metadata_of(())
