"""Under which key a resource is known to ops."""

from __future__ import annotations

from typing import TypeVar, overload

import dagster as dg

_Resource = TypeVar("_Resource", bound="dg.ConfigurableResource[object]")


@overload
def keyed(given: _Resource | str, key: str) -> tuple[str, dict[str, _Resource]]: ...
@overload
def keyed(given: _Resource | str | None, key: str) -> tuple[str | None, dict[str, _Resource]]: ...


def keyed(given: _Resource | str | None, key: str) -> tuple[str | None, dict[str, _Resource]]:
    """Return the key of a resource, and what definitions have under it.

    Args:
        given: A resource; the key of one that the project has; or ``None`` for none.
        key: Of a resource that is given.
    """
    if given is None or isinstance(given, str):
        return given, {}
    return key, {key: given}
