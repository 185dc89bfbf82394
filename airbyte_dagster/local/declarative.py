"""Declarative sources that were defined over the API: kept as files, and run like manifests that the user named."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airbyte_dagster.local import manifests, problems
from airbyte_dagster.local.definitions import custom_id, custom_type
from airbyte_dagster.local.settings import write_private

Json = dict[str, Any]
_RESOURCE = "DECLARATIVE_SOURCE_DEFINITION"


class OwnConnectors(Mapping[str, Path]):
    """Connectors that are no packages, by type: those named when the server started, and those defined since.

    Args:
        directory: Where definitions are kept; private, made when there is one.
        named: Executables and manifests by short name.
    """

    def __init__(self, directory: Path, named: Mapping[str, Path] | None = None) -> None:
        self._directory = directory
        self._named = dict(named or {})
        self._lock = threading.Lock()

    # As a mapping from types to programs or manifests

    def __getitem__(self, type_name: str) -> Path:
        if type_name in self._named:
            return self._named[type_name]
        definition_id = custom_id(type_name)
        file = self._file(definition_id, ".yaml") if definition_id else None
        if file is None or not file.is_file():
            raise KeyError(type_name)
        return file

    def __iter__(self) -> Iterator[str]:
        yield from self._named
        yield from (custom_type(file.stem) for file in sorted(self._directory.glob("*.yaml")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # As definitions of a workspace

    def definitions(self, workspace_id: str) -> list[Json]:
        """All of a workspace, as the API shows them, oldest first."""
        records = [json.loads(file.read_text(encoding="utf-8")) for file in self._directory.glob("*.json")]
        mine = [record for record in records if record["workspaceId"] == workspace_id]
        return [_view(record) for record in sorted(mine, key=lambda record: record["createdAt"])]

    def definition(self, workspace_id: str, definition_id: str) -> Json:
        """One of a workspace, as the API shows it.

        Raises:
            ApiError: 404.
        """
        return _view(self._record(workspace_id, definition_id))

    def create(self, workspace_id: str, name: str, manifest: Any) -> Json:
        """Define one.

        Raises:
            ApiError: 422 if the manifest is none.
        """
        with self._lock:
            record = {"id": str(uuid.uuid4()), "workspaceId": workspace_id, "name": name, "createdAt": time.time()}
            return self._write({**record, "version": 1, "manifest": manifest})

    def change(self, workspace_id: str, definition_id: str, manifest: Any) -> Json:
        """Give one its next version. Its sources use that from now on.

        Raises:
            ApiError: 404; 422 if the manifest is none.
        """
        with self._lock:
            record = self._record(workspace_id, definition_id)
            return self._write({**record, "version": record["version"] + 1, "manifest": manifest})

    def delete(self, workspace_id: str, definition_id: str) -> Json:
        """Forget one.

        Raises:
            ApiError: 404.
        """
        with self._lock:
            record = self._record(workspace_id, definition_id)
            for suffix in (".yaml", ".json"):
                self._file(definition_id, suffix).unlink(missing_ok=True)
            return _view(record)

    def _record(self, workspace_id: str, definition_id: str) -> Json:
        try:
            record: Json = json.loads(self._file(definition_id, ".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise problems.not_found(_RESOURCE, definition_id) from None
        if record["workspaceId"] != workspace_id:
            raise problems.not_found(_RESOURCE, definition_id)
        return record

    def _write(self, record: Json) -> Json:
        try:
            manifests.check(record["manifest"])
        except manifests.BadManifest as error:
            raise problems.unprocessable(f"$.manifest: {error}") from None
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._file(record["id"], ".yaml"), record["manifest"])  # JSON is YAML
        write_private(self._file(record["id"], ".json"), record)
        return _view(record)

    def _file(self, definition_id: str, suffix: str) -> Path:
        return self._directory / f"{definition_id}{suffix}"


def _view(record: Json) -> Json:
    return {key: record[key] for key in ("id", "name", "manifest", "version")}
