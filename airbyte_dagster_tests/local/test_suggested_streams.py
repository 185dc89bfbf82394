"""The course in the words of Airbyte's SDK: a connection that names no streams gets those that its source suggests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airbyte_api import AirbyteAPI, models

from airbyte_dagster.local import suggestions
from airbyte_dagster.local.environments import NAME
from airbyte_dagster_tests.local.configuration_client import Config
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte

COURSE = ["users", "products", "purchases"]


def connect(airbyte: RunningAirbyte) -> Any:
    """The course's requests with the SDK; its answer to the last of them."""
    sdk = AirbyteAPI(
        server_url=airbyte.server_url,
        security=models.Security(
            client_credentials=models.SchemeClientCredentials(
                client_id=airbyte.client_id,
                client_secret=airbyte.client_secret,
                token_url=f"{airbyte.server_url}/applications/token",
            )
        ),
        timeout_ms=300_000,
    )
    named = {"name": "course", "workspace_id": airbyte.workspace_id}
    source = sdk.sources.create_source(
        request=models.SourceCreateRequest(**named, configuration=models.SourceFaker(count=35))
    ).source_response
    configuration = models.DestinationDuckdb(destination_path="lms.duckdb")
    destination = sdk.destinations.create_destination(
        request=models.DestinationCreateRequest(**named, configuration=configuration)
    ).destination_response
    assert source is not None
    assert destination is not None
    return sdk.connections.create_connection(
        request=models.ConnectionCreateRequest(
            name="my_connection_using_api", source_id=source.source_id, destination_id=destination.destination_id
        )
    ).connection_response


def test_the_course_names_no_streams(airbyte: RunningAirbyte, api: Api) -> None:
    """``ConnectionCreateRequest(name, source_id, destination_id)`` of the SDK takes the three, and 105 rows arrive."""
    made = connect(airbyte)
    assert [stream.name for stream in made.configurations.streams] == COURSE
    assert api.finish(api.sync(made.connection_id))["rowsSynced"] == 105


@pytest.mark.real
def test_the_course_with_the_real_connector(real_airbyte: RunningAirbyte, real_home: Path) -> None:
    """The same with Faker itself, and the tables have the rows."""
    with real_airbyte.api() as api:
        made = connect(real_airbyte)
        job = api.finish(api.sync(made.connection_id))
        assert (job["status"], job["rowsSynced"]) == ("succeeded", 105)
    with duckdb.connect(str(real_airbyte.home.root / "lms.duckdb"), read_only=True) as warehouse:
        counts = [warehouse.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in COURSE]  # noqa: S608
    assert counts == [35, 35, 35]


def test_suggestions_that_the_source_does_not_have(airbyte: RunningAirbyte, api: Api) -> None:
    """Are left out: a version of the connector may lack one."""
    rows = [{"id": 1}]
    airbyte.engine.add("github", {"zen": rows, "users": rows, "issues": rows})
    made = api.ok("GET", f"/connections/{api.connection(api.source('github'), api.destination())}")
    assert [stream["name"] for stream in made["configurations"]["streams"]] == ["issues", "users"]


def test_what_a_discovery_shows_as_selected(airbyte: RunningAirbyte, api: Api) -> None:
    """The suggested streams, as in Airbyte; a marked one of a connector of one's own, too."""
    config = Config(airbyte, api)
    rows = [{"id": 1}]
    airbyte.engine.add("mine", {"a": rows, "b": rows}, suggested=["b"])
    airbyte.engine.add("hubspot", {"deals": rows, "forms": rows})
    for source, expected in (("mine", ["b"]), ("hubspot", ["deals"])):
        found = config.ok("sources/discover_schema", sourceId=api.source(source))["catalog"]["streams"]
        assert [item["stream"]["name"] for item in found if item["config"]["selected"]] == expected
        assert [item["stream"]["name"] for item in found if item["config"]["suggested"]] == expected


def test_the_table_of_suggestions() -> None:
    """Says where it is from; its names are connectors', and none suggests a stream twice."""
    table = json.loads(Path(suggestions.__file__).with_name("suggested_streams.json").read_text())
    assert "airbytehq/airbyte" in table["source"]
    assert table["streams"]["faker"] == COURSE
    for connector, streams in table["streams"].items():
        assert NAME.fullmatch(connector)
        assert streams
        assert len(set(streams)) == len(streams)
