"""Which connections of a workspace become assets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TypeAlias

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.workspaces.snapshot import ConnectionRecord

Texts: TypeAlias = str | Iterable[str] | None

_STATUSES = {"active", "inactive"}


@dataclass(frozen=True)
class ConnectionSelector:
    """Connections that fit all that is given; whatever is left out fits every connection.

    Attributes:
        name: Glob, or several of which one must fit: ``"shop_*"``. Case counts; ``[[]`` is a bracket.
        id: Id, or several.
        tag: Name of a tag in Airbyte, or several of which the connection has one.
        source_type: Airbyte's ``sourceType``, such as ``"postgres"``, or several.
        destination_type: Airbyte's ``destinationType``, or several.
        status: ``active``, ``inactive``, or several; active ones alone by default. ``None`` for all.
    """

    name: Texts = None
    id: Texts = None
    tag: Texts = None
    source_type: Texts = None
    destination_type: Texts = None
    status: Texts = "active"

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            # Kept as they are read again and again, which some iterables can't be.
            several = None if given is None else tuple([given] if isinstance(given, str) else given)
            object.__setattr__(self, field.name, several)
        unknown = sorted(set(self.status or ()) - _STATUSES)
        if unknown:
            raise ConfigurationError(f"No connection is {unknown[0]!r}: its status is one of active, inactive.")

    def __call__(self, connection: ConnectionRecord) -> bool:
        """Tell whether a connection fits."""
        return (
            (self.name is None or any(fnmatchcase(connection.name, pattern) for pattern in self.name))
            and (self.tag is None or not set(self.tag).isdisjoint(connection.tags))
            and _fits(self.id, connection.id)
            and _fits(self.source_type, connection.source.type)
            and _fits(self.destination_type, connection.destination.type)
            and _fits(self.status, connection.status)
        )


#: What selects connections: a `ConnectionSelector`, or any function of a connection.
Selector: TypeAlias = Callable[[ConnectionRecord], bool]


def selected(selector: Selector, connections: Iterable[ConnectionRecord]) -> list[ConnectionRecord]:
    """Return the connections that a selector takes, in their order.

    Raises:
        ConfigurationError: It is no selector, or it fails on a connection, which is named.
    """
    check_selector(selector)
    return [connection for connection in connections if _is_taken(selector, connection)]


def check_selector(selector: object) -> None:
    """Make sure that something can select connections.

    Raises:
        ConfigurationError: It can't.
    """
    if not callable(selector):
        raise ConfigurationError(
            f"connection_selector is {selector!r}: it is a ConnectionSelector, or a function of a connection.",
            guidance="To select by name, say ConnectionSelector(name='shop_*').",
        )


def _is_taken(selector: Selector, connection: ConnectionRecord) -> bool:
    try:
        return bool(selector(connection))
    except Exception as error:
        raise ConfigurationError(
            f"The selector fails on connection {connection.name!r} ({connection.id}): {error!r}"
        ) from error


def _fits(wanted: Texts, value: str) -> bool:
    return wanted is None or value in wanted
