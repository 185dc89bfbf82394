"""The course in the words of Airbyte's SDK. The same program runs with the versions 1.0.1 and 0.53.0."""

from __future__ import annotations

import os
import time
from typing import Any

from airbyte_api import AirbyteAPI, api, models
from speaking import CLIENT_ID, CLIENT_SECRET, SERVER_URL, WORKSPACE_ID, ask, report

FINAL = {"succeeded", "failed", "cancelled"}
# The newer version has one name for what is sent and what comes, the older one two.
Streams = getattr(models, "StreamConfigurationsInput", None) or models.StreamConfigurations

airbyte = AirbyteAPI(
    server_url=SERVER_URL,
    security=models.Security(
        client_credentials=models.SchemeClientCredentials(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, token_url=os.environ["TOKEN_URL"]
        )
    ),
)


def finish(job_id: int) -> Any:
    while True:
        job = airbyte.jobs.get_job(request=api.GetJobRequest(job_id=job_id)).job_response
        if job.status.value in FINAL:
            return job
        time.sleep(0.05)


def sync(connection_id: str, kind: models.JobTypeEnum = models.JobTypeEnum.SYNC) -> Any:
    request = models.JobCreateRequest(connection_id=connection_id, job_type=kind)
    return airbyte.jobs.create_job(request=request).job_response


workspaces = airbyte.workspaces.list_workspaces(request=api.ListWorkspacesRequest()).workspaces_response.data
report(health=airbyte.health.get_health_check().status_code, workspaces=[item.workspace_id for item in workspaces])

source = airbyte.sources.create_source(
    request=models.SourceCreateRequest(
        name="my_source_faker_using_api", workspace_id=WORKSPACE_ID, configuration=models.SourceFaker(count=35)
    )
).source_response
destination = airbyte.destinations.create_destination(
    request=models.DestinationCreateRequest(
        name="my_duck_using_api",
        workspace_id=WORKSPACE_ID,
        configuration=models.DestinationDuckdb(destination_path="lms.duckdb"),
    )
).destination_response
streams = airbyte.streams.get_stream_properties(
    request=api.GetStreamPropertiesRequest(source_id=source.source_id, destination_id=destination.destination_id)
).stream_properties_response
# The newer SDK gives an object around the list, the older one too, by other names.
streams = getattr(streams, "data", None) or getattr(streams, "root", None) or streams
connection = airbyte.connections.create_connection(
    request=models.ConnectionCreateRequest(
        name="my_connection_using_api",
        source_id=source.source_id,
        destination_id=destination.destination_id,
        configurations=Streams(
            streams=[
                models.StreamConfiguration(name=name, sync_mode=models.ConnectionSyncModeEnum.FULL_REFRESH_OVERWRITE)
                for name in ("users", "products", "purchases")
            ]
        ),
        schedule=models.AirbyteAPIConnectionSchedule(schedule_type=models.ScheduleTypeEnum.MANUAL),
    )
).connection_response
report(
    source_id=source.source_id,
    destination_id=destination.destination_id,
    connection_id=connection.connection_id,
    streams=sorted(stream.stream_name for stream in streams),
    connection_streams=[stream.name for stream in connection.configurations.streams],
)

started = sync(connection.connection_id)
finished = finish(started.job_id)
report(started=started.status.value, job=finished.job_id, status=finished.status.value, rows=finished.rows_synced)
emptied = finish(sync(connection.connection_id, models.JobTypeEnum.RESET).job_id)
report(reset=[emptied.status.value, emptied.job_type.value])

ask("hold")
running = sync(connection.connection_id)
cancelled = airbyte.jobs.cancel_job(request=api.CancelJobRequest(job_id=running.job_id)).job_response
report(cancelled=cancelled.status.value)
ask("release")

listed = airbyte.jobs.list_jobs(
    request=api.ListJobsRequest(
        connection_id=connection.connection_id, order_by="createdAt|DESC", status=models.JobStatusEnum.SUCCEEDED
    )
).jobs_response.data
report(
    jobs=[job.job_id for job in listed],
    sources=[
        item.source_id
        for item in airbyte.sources.list_sources(
            request=api.ListSourcesRequest(workspace_ids=[WORKSPACE_ID])
        ).sources_response.data
    ],
    destinations=[
        item.destination_id
        for item in airbyte.destinations.list_destinations(
            request=api.ListDestinationsRequest(workspace_ids=[WORKSPACE_ID])
        ).destinations_response.data
    ],
    connections=[
        item.connection_id
        for item in airbyte.connections.list_connections(
            request=api.ListConnectionsRequest(workspace_ids=[WORKSPACE_ID])
        ).connections_response.data
    ],
)

got = airbyte.sources.get_source(request=api.GetSourceRequest(source_id=source.source_id)).source_response
patched = airbyte.sources.patch_source(
    request=api.PatchSourceRequest(
        source_id=source.source_id,
        source_patch_request=models.SourcePatchRequest(name="patched", configuration=models.SourceFaker(count=36)),
    )
).source_response
put = airbyte.sources.put_source(
    request=api.PutSourceRequest(
        source_id=source.source_id,
        source_put_request=models.SourcePutRequest(name="put", configuration=models.SourceFaker(count=37)),
    )
).source_response
report(got=got.name, patched=patched.name, put=put.name)
got = airbyte.destinations.get_destination(
    request=api.GetDestinationRequest(destination_id=destination.destination_id)
).destination_response
patched = airbyte.destinations.patch_destination(
    request=api.PatchDestinationRequest(
        destination_id=destination.destination_id,
        destination_patch_request=models.DestinationPatchRequest(name="patched duck"),
    )
).destination_response
put = airbyte.destinations.put_destination(
    request=api.PutDestinationRequest(
        destination_id=destination.destination_id,
        destination_put_request=models.DestinationPutRequest(
            name="put duck", configuration=models.DestinationDuckdb(destination_path="other.duckdb")
        ),
    )
).destination_response
report(got_destination=[got.name, got.destination_type], patched_destination=patched.name, put_destination=put.name)
renamed = airbyte.connections.patch_connection(
    request=api.PatchConnectionRequest(
        connection_id=connection.connection_id,
        connection_patch_request=models.ConnectionPatchRequest(
            name="renamed", status=models.ConnectionStatusEnum.INACTIVE
        ),
    )
).connection_response
report(renamed=[renamed.name, renamed.status.value])

deleted = [
    airbyte.connections.delete_connection(
        request=api.DeleteConnectionRequest(connection_id=connection.connection_id)
    ).status_code,
    airbyte.sources.delete_source(request=api.DeleteSourceRequest(source_id=source.source_id)).status_code,
    airbyte.destinations.delete_destination(
        request=api.DeleteDestinationRequest(destination_id=destination.destination_id)
    ).status_code,
]
gone = airbyte.connections.get_connection(
    request=api.GetConnectionRequest(connection_id=connection.connection_id)
).connection_response
report(deleted=deleted, gone=gone.status.value)
