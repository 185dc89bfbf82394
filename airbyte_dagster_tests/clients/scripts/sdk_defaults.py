"""The course in the fewest words of Airbyte's SDK, 1.0.1 and 0.53.0: a connection that names no streams."""

from __future__ import annotations

import os
import time

from airbyte_api import AirbyteAPI, api, models
from speaking import CLIENT_ID, CLIENT_SECRET, SERVER_URL, WORKSPACE_ID, report

airbyte = AirbyteAPI(
    server_url=SERVER_URL,
    security=models.Security(
        client_credentials=models.SchemeClientCredentials(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, token_url=os.environ["TOKEN_URL"]
        )
    ),
)
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
connection = airbyte.connections.create_connection(
    request=models.ConnectionCreateRequest(
        name="my_connection_using_api", source_id=source.source_id, destination_id=destination.destination_id
    )
).connection_response
job = airbyte.jobs.create_job(
    request=models.JobCreateRequest(connection_id=connection.connection_id, job_type=models.JobTypeEnum.SYNC)
).job_response
while job.status.value not in {"succeeded", "failed", "cancelled"}:
    time.sleep(0.05)
    job = airbyte.jobs.get_job(request=api.GetJobRequest(job_id=job.job_id)).job_response
report(
    streams=[stream.name for stream in connection.configurations.streams],
    status=job.status.value,
    rows=job.rows_synced,
)
