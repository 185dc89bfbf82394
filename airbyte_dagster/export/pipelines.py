"""Connections → the texts of their files. Each is planned against what was read before it is returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from airbyte_dagster.airbyte import records
from airbyte_dagster.airbyte.configuration import Path, has_mask
from airbyte_dagster.airbyte.records import SECRET_MASK
from airbyte_dagster.destinations.databases import is_motherduck
from airbyte_dagster.destinations.kinds import engine_of
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError, SpecError
from airbyte_dagster.export.contents import Contents
from airbyte_dagster.export.names import Variable, masked_paths, pipeline_names, variables_of
from airbyte_dagster.export.settings import (
    actor_of,
    connection_settings,
    declared_actor,
    declared_streams,
    settings_left,
)
from airbyte_dagster.export.text import comment, dumped, escaped, indented
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore
from airbyte_dagster.pipelines.plan import ActorAction, ConnectionAction, Plan, plan
from airbyte_dagster.resources import PostgresWarehouseResource

_RELATIVE = (
    "The checks look for {!r} from where Dagster runs. If Airbyte's is elsewhere, give its path: "
    "warehouse: {{database: …}}"
)
_FOR_POSTGRES = ("host", "port", "database", "username", "password")
_TYPE = "airbyte_dagster.AirbytePipelineComponent"


@dataclass(frozen=True)
class Exported:
    """A connection as a ``defs.yaml``.

    Attributes:
        name: The pipeline's, which no other connection of the workspace would get.
        text: What the file holds.
        variables: Those that it names for secrets.
    """

    connection: records.Connection
    name: str
    text: str
    variables: tuple[Variable, ...]


def export(
    contents: Contents, connections: Sequence[records.Connection], *, workspace_id: str | None = None
) -> list[Exported]:
    """Write connections as pipelines.

    Args:
        contents: The whole workspace: names are chosen so that no two connections, and no two secrets, of it get one.
        connections: Those of it to write.
        workspace_id: Written into the file, for workspaces that the environment does not name.

    Raises:
        SpecError: Some can't be declared: names that are there twice, connectors that are not known. All are listed.
    """
    variables = variables_of(contents)
    names = pipeline_names(contents.connections)
    written: list[Exported] = []
    problems: list[str] = []
    for connection in connections:
        try:
            one = _Export(contents, connection, names[connection.id], variables, workspace_id)
            written.append(Exported(connection, one.name, one.text(), one.variables()))
        except AirbyteDagsterError as error:
            reason = "; ".join(error.problems) if isinstance(error, SpecError) and error.problems else str(error)
            problems.append(f"{connection.name!r} ({connection.id}): {reason}")
    if problems:
        raise SpecError("Not every connection can be declared; nothing was written:", problems=tuple(problems))
    return written


class _Export:
    """One connection on its way into a file."""

    def __init__(
        self,
        contents: Contents,
        connection: records.Connection,
        name: str,
        variables: Mapping[tuple[str, Path], Variable],
        workspace_id: str | None,
    ) -> None:
        self.name = name
        self._contents = contents
        self._connection = connection
        self._source = actor_of(contents.sources, connection.source_id, "source")
        self._destination = actor_of(contents.destinations, connection.destination_id, "destination")
        self._variables = variables
        self._workspace_id = workspace_id
        self._left: list[str] = []
        """What is not declared, and left as Airbyte has it."""

    def variables(self) -> tuple[Variable, ...]:
        return tuple(
            self._variables[actor.id, path]
            for actor in (self._source, self._destination)
            for path in masked_paths(actor.configuration)
        )

    def text(self) -> str:
        source, destination = declared_actor("source", self._source), declared_actor("destination", self._destination)
        connection = self._declared_connection(source, destination)
        self._left += settings_left(self._connection)
        sections: list[dict[str, Any]] = [
            {"name": self.name},
            {"source": self._with_references(source, self._source)},
            {"destination": self._with_references(destination, self._destination)},
            {"connection": escaped(connection)},
        ]
        if self._workspace_id:
            sections.append({"airbyte": {"workspace_id": self._workspace_id}})
        blocks = [indented(dumped(section)) for section in sections]
        blocks += self._warehouse()
        return f"{self._header()}type: {_TYPE}\n\nattributes:\n" + "\n".join(blocks)

    def _header(self) -> str:
        workspace = self._contents.workspace.name
        text = f"The connection {self._connection.name!r} of Airbyte's workspace {workspace!r}, as it was found there:"
        header = comment(f"{text} planning it changes nothing.")
        variables = self.variables()
        if variables:
            header += "#\n" + comment(
                "Airbyte does not show secrets. Each is read from a variable of the environment. While that is not "
                "set, the secret stays as Airbyte has it; once it is set, it is sent, and again whenever it changes."
            )
            header += "".join(comment(f"- {variable}") for variable in variables)
        if self._left:
            header += "#\n" + comment("Not declared here, and left as Airbyte has it:")
            header += "".join(comment(f"- {item}") for item in self._left)
        return header

    def _declared_connection(self, source: Any, destination: Any) -> dict[str, Any]:
        """Return what declares the connection: its streams, too, unless only Airbyte can have them so."""
        streams, nested = declared_streams(self._connection)
        settings, left = connection_settings(self._connection)
        whole = {"name": self._connection.name, **({"streams": streams} if streams else {}), **settings}
        problem = self._problem(source, destination, whole) if streams else "none is selected"
        if problem:
            whole.pop("streams", None)
            self._left.append(f"the streams, which are one asset here: {problem}")
            problem = self._problem(source, destination, whole)
            if problem:
                raise ConfigurationError(problem)
        else:
            self._left += nested
        self._left += left
        return whole

    def _problem(self, source: Any, destination: Any, connection: Any) -> str:
        """Plan it; return what does not fit, or would change.

        Raises:
            AmbiguousName: Airbyte has a name twice.
        """
        try:
            pipeline = spec.AirbytePipeline(
                name=self.name, source=source, destination=destination, connection=connection
            )
        except SpecError as error:
            return "; ".join(error.problems) or str(error)
        todo = plan(
            pipeline,
            self._contents.workspace,
            sources=self._contents.sources,
            destinations=self._contents.destinations,
            connections=self._contents.connections,
            applied=InMemoryAppliedStore(),
            key="",
        )
        return "" if todo.empty else f"planning them would change {', '.join(_changes(todo))}"

    def _with_references(self, declared: Mapping[str, Any], actor: records.Actor) -> Any:
        """Return a declared source or destination with variables in place of secrets."""

        def written(value: Any, path: Path) -> Any:
            if isinstance(value, Mapping):
                return {key: written(item, (*path, str(key))) for key, item in value.items()}
            if isinstance(value, list):
                return [written(item, (*path, str(index))) for index, item in enumerate(value)]
            if value == SECRET_MASK:
                return f"{{{{ env('{self._variables[actor.id, path].name}', '{SECRET_MASK}') }}}}"
            return escaped(value)

        configuration = written(declared["configuration"], ())
        return {**escaped(dict(declared)), "configuration": configuration}

    def _warehouse(self) -> list[str]:
        """Return where the checks count, unless the destination shows it without a secret."""
        shown = self._destination.configuration
        path = shown.get("destination_path")
        engine = engine_of(self._destination.type)
        if engine == "duckdb" and isinstance(path, str) and path:
            if not has_mask(shown.get("motherduck_api_key")):
                return [indented(comment(_RELATIVE.format(path)))] if _is_relative(path) else []
            token = {"motherduck_token": self._reference("motherduck_api_key")}
            return self._counted_in({"database": escaped(path), **(token if is_motherduck(path) else {})})
        if engine == "postgres" and all(shown.get(key) for key in ("host", "database", "username")):
            given = {key: shown[key] for key in _FOR_POSTGRES if shown.get(key)}
            settings = {
                key: self._reference(key) if has_mask(value) else escaped(value) for key, value in given.items()
            }
            ssl_mode = shown.get("ssl_mode")
            mode = ssl_mode.get("mode") if isinstance(ssl_mode, Mapping) else None
            if mode in get_args(PostgresWarehouseResource.model_fields["ssl_mode"].annotation):
                settings["ssl_mode"] = mode
            return self._counted_in({"postgres": settings})
        kind = self._destination.type or "a custom connector"
        advice = (
            f"The destination ({kind}) does not show where the checks count: give the settings of the warehouse "
            "here, or the key of a resource of the project. As it is, nothing is checked."
        )
        return [indented(comment(advice) + "warehouse: null\n")]

    def _counted_in(self, warehouse: Mapping[str, Any]) -> list[str]:
        return [indented(comment("Where the checks count.") + dumped({"warehouse": warehouse}))]

    def _reference(self, key: str) -> str:
        return f"{{{{ env.{self._variables[self._destination.id, (key,)].name} }}}}"


def _is_relative(path: str) -> bool:
    return not (path.startswith(("/", "~")) or is_motherduck(path))


def _changes(todo: Plan) -> list[str]:
    actions: list[ActorAction | ConnectionAction] = [todo.source, todo.destination, todo.connection]
    return [change for action in actions for change in (action.changes or (action.verb,)) if action.verb != "none"]
