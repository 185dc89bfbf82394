"""Connectors that are a declarative manifest: the YAML that Airbyte's Connector Builder exports.

Airbyte's development kit brings a program that runs any of them. Each manifest gets a program of its own here that
calls it, so that all else can treat it as an ordinary connector.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import uuid
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
_DEEPEST = 20


class BadManifest(Exception):
    """It is no manifest; the message is one sentence."""


def read(text: str) -> Json:
    """Parse a manifest.

    Args:
        text: YAML, of which JSON is a part.

    Raises:
        BadManifest: It can't be parsed, or describes something else than a source.
    """
    try:
        manifest = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise BadManifest(f"The manifest is not YAML: {getattr(error, 'problem', None) or error}{where}") from None
    check(manifest)
    found: Json = manifest
    return found


def check(manifest: Any) -> None:
    """Look whether it can be a manifest; the connector says the rest when it runs.

    Raises:
        BadManifest: It can't.
    """
    if not isinstance(manifest, dict):
        raise BadManifest("The manifest is not an object")
    if manifest.get("type") != "DeclarativeSource":
        raise BadManifest("The manifest's type is not DeclarativeSource")
    if not any(isinstance(manifest.get(key), list) and manifest[key] for key in ("streams", "dynamic_streams")):
        raise BadManifest("The manifest has no streams")


def specification(manifest: Json) -> Json:
    """The JSON schema of the configuration; one that allows anything if the manifest has none."""
    spec = _resolved(manifest.get("spec") or {}, manifest)
    schema = _resolved(spec.get("connection_specification") if isinstance(spec, dict) else None, manifest)
    return schema if isinstance(schema, dict) else {"type": "object", "properties": {}}


def _resolved(value: Any, manifest: Json) -> Any:
    """What a reference such as ``{"$ref": "#/definitions/spec"}`` stands for; anything else as it is."""
    for _ in range(_DEEPEST):
        reference = value.get("$ref") if isinstance(value, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return value
        value = manifest
        for part in reference.removeprefix("#/").split("/"):
            value = value.get(part) if isinstance(value, dict) else None
    return None


def read_files(manifest: Path) -> tuple[bytes, Path | None, str]:
    """A manifest's content, the ``components.py`` beside it if there is one, and the version of the two.

    Raises:
        OSError: It can't be read.
    """
    content, components = manifest.read_bytes(), manifest.with_name("components.py")
    if not components.is_file():
        return content, None, _digest(content)
    return content, components, _digest(content + components.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def make_program(directory: Path, name: str, manifest: Path, runner: Path) -> tuple[Path, str]:
    """Make the program that is the connector of a manifest; one that exists is left alone.

    Args:
        directory: Where programs of manifests are; private, made if missing.
        name: The connector's short name.
        manifest: Its file. Python code of its own is in ``components.py`` beside it, as in Airbyte's repository.
        runner: The development kit's program.

    Returns:
        The program, and its version: it changes with any change of the manifest and its code.

    Raises:
        BadManifest: See `read`.
        OSError: Something can't be read or written.
    """
    content, components, version = read_files(manifest)
    place = directory / f"{name}-{version}-{_digest(str(runner).encode())}"
    program = place / f"source-{name}"
    if program.is_file():
        return program, version
    schema = specification(read(content.decode("utf-8", "replace")))
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    files: list[str] = ["--manifest-path", str(place / "manifest.yaml")]
    (place / "manifest.yaml").write_bytes(content)
    if components is not None:
        (place / "components.py").write_bytes(components.read_bytes())
        files += ["--components-path", str(place / "components.py")]
    spec = {"type": "SPEC", "spec": {"connectionSpecification": schema}}
    (place / "spec.json").write_text(json.dumps(spec) + "\n", encoding="utf-8")
    draft = place / f".{uuid.uuid4()}"
    draft.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = spec ] && exec cat {shlex.quote(str(place / "spec.json"))}\n'
        f'exec {shlex.quote(str(runner))} "$@" {shlex.join(files)}\n',
        encoding="utf-8",
    )
    draft.chmod(0o700)
    draft.replace(program)  # last: what is there is whole
    return program, version
