"""Asking the connector of a source, whose errors come without the source's secrets."""

from __future__ import annotations

from airbyte_dagster.local import configuration
from airbyte_dagster.local.engine import ConnectorFailed, Engine, Json
from airbyte_dagster.local.environments import NAME
from airbyte_dagster.local.records import Actor
from airbyte_dagster.local.redaction import Redactor


def secrets_of(*actors: Actor) -> tuple[str, ...]:
    """The secrets in the configurations of sources and destinations, numbers as texts."""
    found = (value for actor in actors for value in configuration.secrets_in(actor.configuration, actor.secret_paths))
    return tuple(str(value) for value in found if value is not None and not isinstance(value, bool))


def discover(engine: Engine, source: Actor, *, refresh: bool = False) -> list[Json]:
    """The streams of a source, from the cache if its configuration was asked before; see `Engine.discover`.

    Raises:
        UnknownConnector: There is no such connector.
        ConnectorFailed: It could not be installed or run, or refused the configuration.
    """
    try:
        return engine.discover(source.type, source.configuration, refresh=refresh)
    except ConnectorFailed as error:
        raise ConnectorFailed(Redactor(secrets_of(source)).text(str(error))) from None


def check(engine: Engine, source: Actor) -> str | None:
    """Why a source's configuration doesn't work, or None; see `Engine.check`.

    Raises:
        UnknownConnector: There is no such connector.
        ConnectorFailed: It could not be installed or run.
    """
    hide = Redactor(secrets_of(source)).text
    try:
        reason = engine.check(source.type, source.configuration)
    except ConnectorFailed as error:
        raise ConnectorFailed(hide(str(error))) from None
    return None if reason is None else hide(reason)


def unknown_source(name: str) -> str:
    """What to say where there is no connector of this name."""
    if not NAME.fullmatch(name):
        return f"There is no source connector {name!r}: a name is lower-case letters, digits and dashes."
    return (
        f"There is no source connector {name}: no executable is given for it (--connector {name}=PATH), "
        f"and the package index has no package airbyte-source-{name}."
    )
