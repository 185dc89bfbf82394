"""What ``dg scaffold defs`` writes for a workspace."""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import BaseModel, Field

from airbyte_dagster.components.scaffold import name_of, write_scaffold
from airbyte_dagster.destinations.databases import is_motherduck

if TYPE_CHECKING:
    from dagster.components.scaffold.scaffold import ScaffoldRequest

_YAML = Template(
    """\
# The connections that a workspace of Airbyte has already: an asset for each of their streams. What the workspace has is
# read, with AIRBYTE_SERVER_URL, AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET set, by
#
#   dg utils refresh-defs-state
#   dg launch --job sync_$name              then syncs all of them
#
# All that may stand here: dg utils inspect-component $type
type: $type

attributes:
  name: $name

  # Which connections; all active ones if left out.
  # connection_selector:
  #   name: shop_*
  #   tag: nightly

  # What differs from the assets as they are by default.
  # translation:
  #   key_prefix: airbyte
  #   group_name: "{{ source.type }}"
  #   owners: ["team:data"]

  # The Airbyte that the environment names, unless it is said here.
  # airbyte:
  #   server_url: https://airbyte.example.com/api/public/v1
  #   client_id: "{{ env.AIRBYTE_CLIENT_ID }}"
  #   client_secret: "{{ env.AIRBYTE_CLIENT_SECRET }}"
  #   workspace_id: "{{ env.AIRBYTE_WORKSPACE_ID }}"

  # Where the destinations write: tables are counted there. Without it, nothing is checked.
$warehouse
"""
)

_MOTHERDUCK = """
    motherduck_token: "{{ env.MOTHERDUCK_APIKEY }}\""""
_NO_WAREHOUSE = """\
  # warehouse:
  #   database: md:lms
  #   motherduck_token: "{{ env.MOTHERDUCK_APIKEY }}\""""

_PYTHON = Template(
    """\
import dagster as dg
from airbyte_dagster import AirbyteResource, AirbyteWorkspaceComponent$imports


@dg.component_instance
def load(context: dg.ComponentLoadContext) -> AirbyteWorkspaceComponent:
    return AirbyteWorkspaceComponent(
        name="$name",
        airbyte=AirbyteResource.from_env(),$warehouse
    )
"""
)


class WorkspaceScaffoldParams(BaseModel):
    """Options of ``dg scaffold defs``."""

    database: str = Field(
        default="", description="DuckDB file or md:NAME that the destinations write to; nothing is checked without it."
    )


class WorkspaceScaffolder(dg.Scaffolder[WorkspaceScaffoldParams]):
    """Writes a ``defs.yaml`` for the workspace that the environment names."""

    @classmethod
    def get_scaffold_params(cls) -> type[WorkspaceScaffoldParams]:
        """Return the options."""
        return WorkspaceScaffoldParams

    def scaffold(self, request: ScaffoldRequest[WorkspaceScaffoldParams]) -> None:
        """Write the file, or add to one."""
        write_scaffold(request, _yaml, _python)


def _yaml(request: ScaffoldRequest[WorkspaceScaffoldParams]) -> str:
    database = request.params.database
    if database:
        # JSON is YAML: quoted, whatever stands in it.
        token = _MOTHERDUCK if is_motherduck(database) else ""
        warehouse = f"  warehouse:\n    database: {json.dumps(database)}{token}"
    else:
        warehouse = _NO_WAREHOUSE
    return _YAML.substitute(type=request.type_name, name=name_of(request), warehouse=warehouse)


def _python(request: ScaffoldRequest[WorkspaceScaffoldParams]) -> str:
    database = request.params.database
    token = ', motherduck_token=dg.EnvVar("MOTHERDUCK_APIKEY")' if is_motherduck(database) else ""
    warehouse = f"\n        warehouse=MotherDuckResource(database={json.dumps(database)}{token})," if database else ""
    imports = ", MotherDuckResource" if database else ""
    return _PYTHON.substitute(name=name_of(request), imports=imports, warehouse=warehouse)
