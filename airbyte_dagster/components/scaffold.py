"""What ``dg scaffold defs`` writes: an example that runs as it stands, and says what to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from string import Template
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
from pydantic import BaseModel, Field

from airbyte_dagster.destinations.databases import is_motherduck
from airbyte_dagster.paths import HOME_VARIABLE
from airbyte_dagster.runs.keys import asset_key_part

if TYPE_CHECKING:
    from dagster.components.scaffold.scaffold import ScaffoldRequest

_Params = TypeVar("_Params", bound=BaseModel)

#: Local Airbyte writes to files in its home, which is here unless the variable says otherwise.
_HOME = "~/.airbyte-dagster"

_YAML = Template(
    """\
# A source, a destination and the connection between them: created in Airbyte, synced, and counted in the warehouse.
# Local Airbyte, which runs on this machine, does it with:
#
#   airbyte-dagster local serve              in a terminal of its own; then
#   eval "$$(airbyte-dagster local env)"
#   dg launch --job sync_$name
#
# All that may stand here: dg utils inspect-component $type
type: $type

attributes:
  name: $name

  source:
    name: $name source
    configuration:
      sourceType: $source_type
$source
      # A secret: "{{ env.NAME }}". It is read when it is sent to Airbyte, and kept nowhere.

  destination:
    name: $name destination
    configuration:
      destinationType: duckdb
      destination_path: $database
$destination

  connection:
    name: $name
$streams

$schedule

  # Without these, it is the Airbyte that AIRBYTE_SERVER_URL, AIRBYTE_CLIENT_ID, … name, and the checks count in the
  # database that the destination writes to.
  # airbyte:
  #   server_url: https://airbyte.example.com/api/public/v1
  #   client_id: "{{ env.AIRBYTE_CLIENT_ID }}"
  #   client_secret: "{{ env.AIRBYTE_CLIENT_SECRET }}"
  # warehouse:
  #   database: md:lms
  #   motherduck_token: "{{ env.MOTHERDUCK_APIKEY }}"
"""
)

_FAKER = """\
      count: 100"""
_OTHER_SOURCE = """\
      # Its own settings: see the page of this source in Airbyte's documentation."""
_FILE = """\
      # MotherDuck: destination_path: md:NAME, and
      # motherduck_api_key: "{{ env.MOTHERDUCK_APIKEY }}\""""
_MOTHERDUCK = """\
      motherduck_api_key: "{{ env.MOTHERDUCK_APIKEY }}\""""
_FAKER_STREAMS = """\
    # An asset for each. Left out: all that the source has, as one asset.
    streams:
      - users
      - name: products
        sync_mode: full_refresh_overwrite_deduped
        primary_key: id
        checks:
          unique_key: true"""
_NO_STREAMS = """\
    # All that the source has, as one asset. For an asset each:
    # streams: [users, {name: products, sync_mode: incremental_deduped_history, primary_key: id}]"""

_PYTHON = Template(
    """\
${imports}import dagster as dg
from airbyte_dagster import (
    AirbytePipeline,
    AirbytePipelineComponent,
    AirbyteResource,
    Connection,
    Destination,
    MotherDuckResource,
    Source,
)


@dg.component_instance
def load(context: dg.ComponentLoadContext) -> AirbytePipelineComponent:
    database = $database
    return AirbytePipelineComponent(
        pipeline=AirbytePipeline(
            name="$name",
            source=Source(name="$name source", configuration={"sourceType": $source_type}),
            destination=Destination(
                name="$name destination", configuration={"destinationType": "duckdb", "destination_path": database}
            ),
            connection=Connection(name="$name"),
            schedule=$schedule,
        ),
        airbyte=AirbyteResource.from_env(),
        warehouse=MotherDuckResource(database=database),
    )
"""
)


class ScaffoldParams(BaseModel):
    """Options of ``dg scaffold defs``."""

    source_type: str = Field(default="faker", description="Airbyte's name of the source's connector.")
    database: str = Field(
        default="", description="DuckDB file or md:NAME to write to; by default a file where local Airbyte may."
    )
    schedule: str = Field(default="", description="Cron expression in UTC; none by default.")


class PipelineScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes a ``defs.yaml`` for a pipeline from Faker into DuckDB, or from another source."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the options."""
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file, or add to one."""
        write_scaffold(request, _yaml, _python)


def write_scaffold(
    request: ScaffoldRequest[_Params],
    yaml: Callable[[ScaffoldRequest[_Params]], str],
    python: Callable[[ScaffoldRequest[_Params]], str],
) -> None:
    """Write what was requested: a ``component.py``, or a ``defs.yaml``, or what is added to one."""
    if request.scaffold_format == "python":
        (request.target_path / "component.py").write_text(python(request), encoding="utf-8")
    elif request.append:
        with request.target_path.open("a", encoding="utf-8") as file:
            file.write(f"---\n{yaml(request)}")
    else:
        (request.target_path / "defs.yaml").write_text(yaml(request), encoding="utf-8")


def name_of(request: ScaffoldRequest[_Params]) -> str:
    """Return the name of what is scaffolded: that of its folder, as far as Dagster takes it."""
    path = request.target_path
    return asset_key_part(path.parent.name if request.append else path.name)


def _yaml(request: ScaffoldRequest[ScaffoldParams]) -> str:
    params, name = request.params, name_of(request)
    faker = params.source_type == "faker"
    database = params.database or f"{{{{ env('{HOME_VARIABLE}', '{_HOME}') }}}}/{name}.duckdb"
    # JSON is YAML: quoted, whatever stands in it.
    return _YAML.substitute(
        type=request.type_name,
        name=name,
        source_type=json.dumps(params.source_type) if not faker else "faker",
        source=_FAKER if faker else _OTHER_SOURCE,
        database=json.dumps(database),
        destination=_MOTHERDUCK if is_motherduck(database) else _FILE,
        streams=_FAKER_STREAMS if faker else _NO_STREAMS,
        schedule=f"  schedule: {json.dumps(params.schedule)}" if params.schedule else "  # schedule: 0 6 * * *",
    )


def _python(request: ScaffoldRequest[ScaffoldParams]) -> str:
    params, name = request.params, name_of(request)
    in_home = f'str(Path(os.environ.get("{HOME_VARIABLE}", "{_HOME}"), "{name}.duckdb"))'
    return _PYTHON.substitute(
        name=name,
        imports="" if params.database else "import os\nfrom pathlib import Path\n\n",
        source_type=repr(params.source_type),
        database=repr(params.database) if params.database else in_home,
        schedule=repr(params.schedule or None),
    )
