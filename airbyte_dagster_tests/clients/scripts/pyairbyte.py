"""PyAirbyte's way to a server: `airbyte.cloud.CloudWorkspace`."""

from __future__ import annotations

import os

import airbyte as ab
from airbyte import exceptions
from airbyte._util import api_util
from airbyte.cloud import CloudWorkspace
from speaking import CLIENT_ID, CLIENT_SECRET, SERVER_URL, WORKSPACE_ID, ask, report

api_util.JOB_WAIT_INTERVAL_SECS = 0.1  # of its polling, which is 2 s

workspace = CloudWorkspace(
    workspace_id=WORKSPACE_ID, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, api_root=SERVER_URL
)
workspace.connect()
organization = workspace.get_organization()
report(
    organization=[organization.organization_id, organization.organization_name],
    workspaces=[found.workspace_id for found in workspace.list_workspaces()],
)

faker = ab.get_source("source-faker", config={"count": 35}, local_executable=os.environ["FAKER"])
source = workspace.deploy_source("delete-me source", faker)
destination = workspace.deploy_destination(
    "delete-me duck", {"destinationType": "duckdb", "destination_path": "lms.duckdb"}
)
try:
    workspace.deploy_source("delete-me source", faker)
except exceptions.AirbyteDuplicateResourcesError:
    report(duplicate="refused")
report(checks=[bool(source.check(raise_on_error=False)), bool(destination.check(raise_on_error=False))])
connection = workspace.deploy_connection(
    "delete-me connection", source=source, destination=destination, selected_streams=["users", "products"]
)
report(source_id=source.connector_id, connection_id=connection.connection_id, streams=connection.stream_names)

result = connection.run_sync(wait=True, wait_timeout=60)
attempts = result.get_attempts()
report(
    job_id=result.job_id,
    status=result.get_job_status().value,
    records=result.records_synced,
    bytes=result.bytes_synced,
    started=result.start_time.isoformat(),
    attempts=[[attempt.status, attempt.records_synced, attempt.created_at.year] for attempt in attempts],
    log=attempts[0].get_full_log_text(),
    tables=result.stream_names,
)

# Its own way to deploy has full refreshes only; the catalog is where it changes that, and state is what follows.
catalog = connection.dump_raw_catalog(normalize=False)
for entry in catalog["streams"]:
    if entry["stream"]["name"] == "users":
        entry["config"] |= {"syncMode": "incremental", "destinationSyncMode": "append_dedup"}
connection.import_raw_catalog(catalog)
connection.run_sync(wait=True, wait_timeout=60)
protocol = connection.dump_raw_catalog()
report(
    modes={
        entry["stream"]["name"]: [entry["sync_mode"], entry["destination_sync_mode"]]
        for entry in protocol["streams"]
        if entry["selected"]
    },
    state=connection.dump_raw_state(),
    stream_state=connection.get_stream_state("users"),
)
connection.import_raw_catalog(protocol)
connection.set_stream_state("users", {"updated_at": "2026-02-01"})
after = connection.run_sync(wait=True, wait_timeout=60)
report(records_after_newer_state=after.records_synced, new_state=connection.get_stream_state("users"))

ask("hold")
running = connection.run_sync(wait=False)
report(complete=running.is_job_complete())
try:
    connection.set_stream_state("users", {"updated_at": "2026-03-01"})
except exceptions.AirbyteConnectionSyncActiveError:
    report(locked=True)
cancelled = connection.cancel_sync()
report(cancelled=[cancelled.job_id == running.job_id, running.wait_for_completion(wait_timeout=60).value])
ask("release")
history = connection.get_previous_sync_logs(limit=10)
report(history=[[entry.job_id, entry.get_job_status().value] for entry in history], latest=history[0].job_id)

connection.rename("delete-me renamed")
connection.set_table_prefix("p_")
connection.set_enabled(enabled=False)
connection.set_schedule("0 0 8 * * ?")
connection.set_selected_streams(["users"])
try:
    connection.run_sync()
except exceptions.PyAirbyteInputError as error:
    report(disabled=str(error))
found = workspace.list_connections(name="delete-me renamed")
report(found=[entry.connection_id for entry in found], enabled=connection.enabled, prefix=connection.table_prefix)

workspace.permanently_delete_connection(connection)
workspace.permanently_delete_source(source)
workspace.permanently_delete_destination(destination)
report(left=[len(workspace.list_connections()), len(workspace.list_sources()), len(workspace.list_destinations())])
