"""Versions of a text in the storage of a Dagster instance, or in one file.

Dagster's own default keeps bytes in a directory and only the number of the newest version in its database. Containers
share the database alone, so the text is kept there, too, in its table of keys and values. A storage that is no local
directory (S3, Dagster+) gets it as a state of any component does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster._core.storage.defs_state.blob_storage_state_storage import UPathDefsStateStorage

from airbyte_dagster.errors import ConfigurationError

# MySQL keeps 64 KB in a value, and keys are unique by their first 64 characters.
_CELL_CHARACTERS = 60_000
_KEY_DIGITS = 48

#: Versions that are kept for runs of code locations that were loaded from them.
_KEPT = 20


def version_of(text: str) -> str:
    """Return what a text is stored under: a digest of it."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class InstanceStorage:
    """Texts in the storage of a Dagster instance.

    Attributes:
        instance: The instance.
        key: Dagster's key of the state.
    """

    instance: dg.DagsterInstance
    key: str

    def latest(self) -> str | None:
        """Return the newest version; ``None`` if nothing is stored."""
        storage = self.instance.defs_state_storage
        return storage.get_latest_version(self.key) if storage else None

    def read(self, version: str) -> str | None:
        """Return the text of a version; ``None`` if it is not stored, or not any more."""
        return self._read_cells(version) if self._is_local else self._download(version)

    def store(self, text: str, *, is_latest: bool) -> str:
        """Store a text, and return its version.

        Args:
            text: What to store.
            is_latest: Whether code locations that are loaded from now on get this version.
        """
        version = version_of(text)
        if not self._is_local:
            if self.read(version) is None or is_latest:
                self._upload(version, text)
            return version
        if not self._get([self._cell(version, 0)])[0]:
            self._write_cells(version, text)
            self._forget_old(version)
        if is_latest and (storage := self.instance.defs_state_storage):
            storage.set_latest_version(self.key, version)
        return version

    @property
    def _is_local(self) -> bool:
        storage = self.instance.defs_state_storage
        return storage is None or (
            isinstance(storage, UPathDefsStateStorage) and storage.base_path.protocol in ("", "file", "local")
        )

    def _upload(self, version: str, text: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "state")
            path.write_text(text, encoding="utf-8")
            self.instance.defs_state_storage.upload_state_from_path(self.key, version, path)  # type: ignore[union-attr]

    def _download(self, version: str) -> str | None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "state")
            try:
                self.instance.defs_state_storage.download_state_to_path(self.key, version, path)  # type: ignore[union-attr]
            except (ValueError, OSError):  # how Dagster's storages report that there is no such version
                return None
            return path.read_text(encoding="utf-8")

    def _cell(self, version: str, number: int) -> str:
        digest = hashlib.sha256(f"{self.key}\0{version}\0{number}".encode()).hexdigest()
        return f"airbyte_dagster:{digest[:_KEY_DIGITS]}"

    def _read_cells(self, version: str) -> str | None:
        first = self._get([self._cell(version, 0)])[0]
        if not first:
            return None
        count, _, start = first.partition("\n")
        others = self._get([self._cell(version, number) for number in range(1, int(count))])
        if not all(others):
            return None
        return zlib.decompress(base64.b85decode("".join([start, *others]))).decode()

    def _write_cells(self, version: str, text: str) -> None:
        body = base64.b85encode(zlib.compress(text.encode())).decode()
        cells = [body[start : start + _CELL_CHARACTERS] for start in range(0, len(body), _CELL_CHARACTERS)]
        cells[0] = f"{len(cells)}\n{cells[0]}"
        # The first cell is last: with it, the version is complete.
        for number in reversed(range(len(cells))):
            self._set(self._cell(version, number), cells[number])

    def _forget_old(self, version: str) -> None:
        """Empty the cells of all versions but the last few; Dagster has no call that deletes a key."""
        index = self._cell("versions", 0)
        (known,) = self._get([index])
        versions = [*(one for one in json.loads(known or "[]") if one != version), version]
        for old in versions[:-_KEPT]:
            (first,) = self._get([self._cell(old, 0)])
            for number in range(int(first.partition("\n")[0] or 0)):
                self._set(self._cell(old, number), "")
        self._set(index, json.dumps(versions[-_KEPT:]))

    def _get(self, keys: list[str]) -> list[str]:
        found = self.instance.run_storage.get_cursor_values(set(keys)) if keys else {}
        return [found.get(key, "") for key in keys]

    def _set(self, key: str, value: str) -> None:
        # One key a call: SQLite's storage loses new keys beside one that it has already.
        self.instance.run_storage.set_cursor_values({key: value})


@contextmanager
def instance_storage(key: str) -> Iterator[InstanceStorage | None]:
    """Yield the storage of the instance that definitions are loaded for; ``None`` where there is no instance.

    That is the instance of Dagster's process, or else, in any other program, the one of ``DAGSTER_HOME``.
    """
    current = DefsStateStorage.get()
    if current is not None and current.has_instance:
        yield InstanceStorage(current._instance, key)  # noqa: SLF001 - Dagster hands it over in no other way
    elif os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            yield InstanceStorage(instance, key)
    else:
        yield None


def pinned_version(key: str) -> str | None:
    """Return the version that this load of definitions is to use; ``None`` if Dagster names none.

    Dagster hands the versions that a code location was loaded with to the processes of its runs.
    """
    info = DefinitionsLoadContext.get().get_defs_key_state_info(key)
    return info.version if info else None


def pin_version(key: str, version: str) -> None:
    """Have the runs of the code location that is being loaded use a version."""
    DefinitionsLoadContext.get().add_defs_state_info(key, version)


def read_file(path: Path) -> str | None:
    """Return the text of a file; ``None`` if there is none.

    Raises:
        ConfigurationError: It can't be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}.") from None


def write_file(path: Path, text: str) -> None:
    """Replace the text of a file, for this user alone; whoever reads it meanwhile sees the old text or the new.

    Raises:
        ConfigurationError: It can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(
            f"The state of the workspace can't be written to {path}: {error.strerror or error}.",
            guidance="Give another state_path.",
        ) from None
