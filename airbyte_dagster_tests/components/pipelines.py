"""Pipelines of the components' tests."""

from __future__ import annotations

from airbyte_dagster import (
    AirbytePipelineComponent,
)
from airbyte_dagster_tests.dg_project import TYPE, Project

GOOD = f"""\
type: {TYPE}
attributes:
  name: NAME
  source: {{name: s, configuration: {{sourceType: faker}}}}
  destination: {{name: d, configuration: {{destinationType: duckdb, destination_path: /tmp/x.duckdb}}}}
  connection: {{name: c, streams: [users]}}
"""


def component_of(project: Project, name: str) -> AirbytePipelineComponent:
    component = project.component(name)
    assert isinstance(component, AirbytePipelineComponent)
    return component


SECRETS = f"""\
type: {TYPE}
attributes:
  name: example
  source:
    name: s
    configuration:
      sourceType: faker
      count: "{{{{ env.COUNT | int }}}}"
      api_key: "{{{{ env.API_KEY }}}}"
  destination:
    name: d
    configuration: {{destinationType: duckdb, destination_path: "{{{{ env('FOLDER') }}}}/x.duckdb"}}
    secrets: {{motherduck_api_key: "{{{{ env.TOKEN }}}}"}}
  connection: {{name: c, streams: [users]}}
  airbyte:
    server_url: "{{{{ env.AIRBYTE_SERVER_URL }}}}"
    client_id: "{{{{ env.AIRBYTE_CLIENT_ID }}}}"
    client_secret: "{{{{ env.AIRBYTE_CLIENT_SECRET }}}}"
    extra_headers: {{X-Gateway-Key: "{{{{ env.HEADER }}}}", X-Other: "Bearer {{{{ env.HEADER }}}}"}}
    request_timeout: "{{{{ env.SECONDS }}}}"
"""
