"""Connections that exist already, written as the ``defs.yaml`` of pipelines that find nothing to change in Airbyte.

Nothing here writes, to Airbyte or to disk. Its modules build on each other in this order: `contents`, `names`, `text`,
`settings`, `pipelines`.
"""

from airbyte_dagster.export.contents import Contents, choose, read_contents
from airbyte_dagster.export.names import Variable
from airbyte_dagster.export.pipelines import Exported, export

__all__ = ["Contents", "Exported", "Variable", "choose", "export", "read_contents"]
