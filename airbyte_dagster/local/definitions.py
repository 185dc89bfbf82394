"""Connector types and their definition ids.

The ids of the connectors that ship with pinned versions are those of Airbyte's own registry; any other type gets an
id that is derived from its name, so it is the same on every machine.
"""

from __future__ import annotations

import uuid

from airbyte_dagster.local.environments import NAME

_KNOWN = {
    ("source", "faker"): "dfd88b22-b603-4c3d-aad7-3701784586b1",
    ("source", "file"): "778daa7c-feaf-4db6-96f3-70fd645acc77",
    ("destination", "duckdb"): "94bd199c-2ff0-4aa2-b98e-17f0acb72610",
    ("destination", "postgres"): "25c5221d-dce2-4163-ade9-739ef790f503",
    ("destination", "motherduck"): "042ee9b5-eb98-4e99-a4e5-3f0d573bee66",
}
_CUSTOM = "custom-"
_NAMESPACE = uuid.UUID("c7f4c3ba-6e0f-4a53-9c79-0c3f7c1f8a51")


def custom_type(definition: str) -> str:
    """The type of the sources of a definition that a client made."""
    return f"{_CUSTOM}{definition}"


def custom_id(type_name: str) -> str | None:
    """The definition that such a type is of; None for any other type."""
    try:
        return str(uuid.UUID(type_name.removeprefix(_CUSTOM))) if type_name.startswith(_CUSTOM) else None
    except ValueError:
        return None


def definition_id(kind: str, type_name: str) -> str:
    """The definition id of a type; ``kind`` is ``source`` or ``destination``."""
    return custom_id(type_name) or _KNOWN.get((kind, type_name)) or str(uuid.uuid5(_NAMESPACE, f"{kind}-{type_name}"))


def view(kind: str, type_name: str, tag: str) -> dict[str, str]:
    """A definition as the API shows it; the image is the one that Airbyte would run."""
    return {
        "id": definition_id(kind, type_name),
        "name": type_name.replace("-", " ").title(),
        "dockerRepository": f"airbyte/{kind}-{type_name}",
        "dockerImageTag": tag,
        "documentationUrl": f"https://docs.airbyte.com/integrations/{kind}s/{type_name}",
    }


def type_of(kind: str, wanted: str, candidates: set[str]) -> str | None:
    """The type that a definition id stands for, among the known and the candidates; None if it is none of them."""
    known = {name for of, name in _KNOWN if of == kind}
    return next((name for name in sorted(known | candidates) if definition_id(kind, name) == wanted), None)


def unknown_source(name: str) -> str:
    """What to say where there is no connector of this name."""
    if not NAME.fullmatch(name):
        return f"There is no source connector {name!r}: a name is lower-case letters, digits and dashes."
    return (
        f"There is no source connector {name}: no executable is given for it (--connector {name}=PATH), "
        f"and the package index has no package airbyte-source-{name}."
    )
