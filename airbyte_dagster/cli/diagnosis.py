"""The steps of ``airbyte-dagster doctor``. Nothing is changed, except for the trial of writing.

Errors of this package say what is wrong and what to do, so a step calls what a run calls, and lets them through.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg

from airbyte_dagster.airbyte.configuration import merged
from airbyte_dagster.airbyte.roles import Right
from airbyte_dagster.cli.airbyte_access import examine_airbyte
from airbyte_dagster.cli.code_location import load_valid_definitions
from airbyte_dagster.cli.environment import names_an_airbyte
from airbyte_dagster.cli.findings import NeedsAttention, Report
from airbyte_dagster.cli.local_server import running_local_environment
from airbyte_dagster.cli.warehouse_access import examine_rights
from airbyte_dagster.destinations.databases import is_motherduck
from airbyte_dagster.errors import (
    ConfigurationError,
    WarehouseMissing,
)
from airbyte_dagster.export import Contents
from airbyte_dagster.paths import HOME_VARIABLE
from airbyte_dagster.pipelines import spec
from airbyte_dagster.pipelines.declared import DeclaredPipeline, DeclaredWorkspace, declared_in
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore, LastAppliedConfiguration
from airbyte_dagster.pipelines.plan import ActorAction, ConnectionAction, Plan, plan
from airbyte_dagster.resources import AirbyteResource, AnyWarehouse, WarehouseResource, is_elsewhere, plain
from airbyte_dagster.warehouse import DuckDBWarehouse, kind_of_resource, warehouse_of
from airbyte_dagster.warehouse.motherduck_errors import CLIENT_VERSIONS, NEWEST_CLIENT, OLDEST_CLIENT, is_supported

_OWN_MODULE = "airbyte_dagster.definitions"
_VARIABLES = (
    *("AIRBYTE_SERVER_URL", "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET", "AIRBYTE_WORKSPACE_ID"),
    "MOTHERDUCK_APIKEY",
)
_PACKAGES = ("airbyte-dagster", "dagster", "duckdb", "airbyte-api")
_ODD = re.compile(r"\s|^['\"`].*['\"`]$")


class _SecretsUnchanged(LastAppliedConfiguration):
    """Airbyte masks secrets, so a changed one can't be seen: here all count as unchanged."""

    def has_same_secrets(self, secrets: object, *, key: str) -> bool:  # noqa: ARG002 - whatever they are
        return True


def diagnose(report: Report, home: Path, *, module: str | None, file: Path | None, write: bool) -> None:
    """Check the environment or a code location, then its Airbyte, its warehouse, and its pipelines against both."""
    report.about = "Environment"
    report.step("versions", lambda: [f"{name} {version(name)}" for name in _PACKAGES], ", ".join)
    is_own = module is None and file is None
    has_airbyte = _environment(report, home) if is_own else True
    report.about = "Code location"
    definitions = report.step(
        "definitions", lambda: load_valid_definitions(_OWN_MODULE if is_own else module, file), _overview
    )
    if definitions is None:
        return
    reached: dict[str, tuple[Contents, bool]] = {}
    warehouses: dict[str, AnyWarehouse] = {}
    for key, resource in (definitions.resources or {}).items():
        if isinstance(resource, AirbyteResource) and has_airbyte:
            report.about = f"Airbyte {key!r}"
            if _settings(report, resource) and (
                found := examine_airbyte(report, resource, write=write, needed=_needed(definitions, key))
            ):
                reached[key] = found
        elif _is_warehouse(resource):
            report.about = f"Warehouse {key!r}"
            if _settings(report, resource):
                warehouses[key] = resource
                if report.step("connection", partial(open_warehouse, resource), "{} can be read".format):
                    examine_rights(report, warehouse_of(resource))
    for declared in declared_in(definitions, DeclaredPipeline):
        if airbyte := reached.get(declared.airbyte_key):
            report.about = f"Pipeline {declared.name}"
            contents, is_local = airbyte
            warehouse = warehouses.get(declared.warehouse_key or "")
            _pipeline(report, declared.pipeline, contents, warehouse, is_local=is_local)


def _environment(report: Report, home: Path) -> bool:
    """Check the variables, and set those of the local Airbyte that runs; return whether there is an Airbyte."""
    os.environ[HOME_VARIABLE] = str(home)
    unset = [name for name in _VARIABLES if not os.environ.get(name)]
    warehouse = "a DuckDB file" if "MOTHERDUCK_APIKEY" in unset else "MotherDuck"
    names_one = report.step(
        "variables",
        lambda: names_an_airbyte(os.environ),
        lambda it: f"{'your' if it else 'local'} Airbyte and {warehouse}; not set: {', '.join(unset) or 'none'}",
    )
    if names_one is not False:
        return bool(names_one)
    local = report.step("local Airbyte", partial(running_local_environment, home), _local_address)
    os.environ.update(local or {})
    return local is not None


def _local_address(found: Mapping[str, str] | None) -> str:
    if found is None:
        raise NeedsAttention(
            "None runs, and this command starts none.",
            guidance="`airbyte-dagster run` and `airbyte-dagster dev` start it; or set the variables of your own.",
        )
    return f"runs at {found['AIRBYTE_SERVER_URL']}"


def _overview(definitions: dg.Definitions) -> str:
    resources = definitions.resources or {}
    names = [key for key, item in resources.items() if isinstance(item, AirbyteResource) or _is_warehouse(item)]
    if not names:
        raise ConfigurationError(
            "There is no AirbyteResource and no warehouse among the resources.",
            guidance="Give the module or file whose `defs` has the resources of your pipelines.",
        )
    there = {"resources": names}
    there["pipelines"] = [declared.name for declared in declared_in(definitions, DeclaredPipeline)]
    there["workspaces"] = [declared.name for declared in declared_in(definitions, DeclaredWorkspace)]
    said = [f"{what}: {', '.join(found)}" for what, found in there.items() if found]
    return "; ".join([*said, f"assets: {len(definitions.resolve_asset_graph().materializable_asset_keys)}"])


def _needed(definitions: dg.Definitions, key: str) -> Right:
    """Return the most that definitions do in the Airbyte of a key."""
    pipelines = [declared for declared in declared_in(definitions, DeclaredPipeline) if declared.airbyte_key == key]
    return Right.EDIT if any(declared.pipeline.reconcile != "never" for declared in pipelines) else Right.RUN


def _is_warehouse(resource: object) -> bool:
    return isinstance(resource, WarehouseResource) or kind_of_resource(resource) is not None


def _settings(report: Report, resource: AnyWarehouse) -> bool:
    """Check the variables that a resource is configured with; return whether all are set."""
    variables: dict[str, dg.EnvVar] = {}
    for name, field in type(resource).model_fields.items():
        value = getattr(resource, name)
        items = {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
        variables |= {path: item for path, item in items.items() if isinstance(item, dg.EnvVar)}
        if not field.repr:
            report.hide(*(str(plain(item)) for item in items.values() if item))

    unset = [f"{path} ({item.env_var_name})" for path, item in variables.items() if not item.get_value()]
    odd = [item.env_var_name for item in variables.values() if _ODD.search(item.get_value() or "")]
    report.step("settings", partial(_judge_settings, unset, odd), str)
    return not unset


def _judge_settings(unset: Sequence[str], odd: Sequence[str]) -> str:
    if unset:
        raise ConfigurationError(
            f"Read from environment variables that are not set: {', '.join(unset)}.",
            guidance="Set them where Dagster runs, and where this command runs.",
        )
    if odd:
        raise NeedsAttention(
            f"White space or quotes belong to the value of {', '.join(odd)}.",
            guidance="Set it again without them; a line break counts, too, and env files may take quotes as they are.",
        )
    return "complete"


def open_warehouse(resource: AnyWarehouse) -> str:
    """Open a warehouse and query it; return what it is called.

    Raises:
        NeedsAttention: There is no file yet, or MotherDuck is not known to take the installed DuckDB.
        AirbyteDagsterError: It can't be read.
    """
    warehouse = warehouse_of(resource)
    is_file = isinstance(warehouse, DuckDBWarehouse) and not warehouse.is_motherduck
    if isinstance(warehouse, DuckDBWarehouse):
        warehouse = replace(warehouse, lock_timeout=0.0)  # who holds it is reported at once
    try:
        with warehouse.session() as session:
            session.count("SELECT 1 AS one")
    except WarehouseMissing as error:
        if is_file:  # the first sync makes it
            raise NeedsAttention(error.message, guidance=error.guidance) from None
        raise
    if isinstance(warehouse, DuckDBWarehouse) and warehouse.is_motherduck and not is_supported(version("duckdb")):
        raise NeedsAttention(
            f"{warehouse.database} can be read, but MotherDuck is known to take DuckDB {OLDEST_CLIENT} to "
            f"{NEWEST_CLIENT}, and {version('duckdb')} is installed.",
            guidance=f"See {CLIENT_VERSIONS}; if it is not listed there, install one that is.",
        )
    return warehouse.database


def _pipeline(
    report: Report,
    pipeline: spec.AirbytePipeline,
    contents: Contents,
    warehouse: AnyWarehouse | None,
    *,
    is_local: bool,
) -> None:
    """Check what a run would change in Airbyte, and whether its destination is the warehouse."""
    applied = InMemoryAppliedStore()
    for actor in (*contents.sources, *contents.destinations):
        applied.put(actor.id, _SecretsUnchanged(salt="", digest="", paths=()))
    todo = report.step(
        "plan",
        lambda: plan(
            pipeline,
            contents.workspace,
            sources=contents.sources,
            destinations=contents.destinations,
            connections=contents.connections,
            applied=applied,
            key="",
        ),
        _changes,
    )
    if todo is None:
        return
    if warehouse:
        existing = {item.id: item.configuration for item in contents.destinations}
        configuration = merged(
            existing.get(todo.destination.actor_id or "", {}), todo.destination.declared.configuration
        )
        same = partial(same_database, pipeline.destination.type, configuration, warehouse, is_local=is_local)
        report.step("same database", same, "Airbyte writes to {}, where the checks look".format)


def _changes(todo: Plan) -> str:
    actions: Sequence[tuple[str, ActorAction | ConnectionAction]] = (
        ("source", todo.source),
        ("destination", todo.destination),
        ("connection", todo.connection),
    )
    new = [kind for kind, action in actions if action.verb == "create"]
    changed = [f"{kind} ({', '.join(action.changes)})" for kind, action in actions if action.changes]
    if changed:
        raise NeedsAttention(
            f"Differs from what is declared: {', '.join(changed)}.",
            guidance="The next run sets it to what is declared; if it was changed on purpose, declare it so.",
        )
    return f"the next run creates: {', '.join(new)}" if new else "all exists as declared"


def same_database(
    destination_type: str, configuration: Mapping[str, Any], resource: AnyWarehouse, *, is_local: bool
) -> str:
    """Return where a destination writes, if that is the warehouse.

    Args:
        configuration: As Airbyte has it after the next run.
        is_local: Whether paths are this machine's; any other Airbyte runs connectors in containers.
    """
    # A token may stand in an address after the question mark.
    path = str(configuration.get("destination_path") or "").partition("?")[0]
    there = path or str(configuration.get("database") or f"a {destination_type or 'custom'} destination")
    here = warehouse_of(resource).database
    if is_elsewhere(resource, destination_type, {**configuration, **({"destination_path": path} if path else {})}):
        raise ConfigurationError(
            f"Airbyte writes to {there}, but the checks look into {here}.",
            guidance="Give the destination and the warehouse the same database.",
        )
    is_same = bool(configuration.get("database"))
    if path:
        is_same = is_motherduck(there) or (is_local and _real(there) == _real(here))
    if not is_same:
        raise NeedsAttention(
            f"Airbyte writes to {there}, and the checks look into {here}, which may be another one.",
            guidance="Make sure that they are one database; a file has to be on a disk that both have.",
        )
    return there


def _real(path: str) -> str:
    return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - a path that need not exist
