"""List the files that match a pattern, with what their file system reports of each: any that fsspec knows."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airbyte_dagster.airbyte.configuration import leaves, resolve
from airbyte_dagster.airbyte.redaction import redact, secrets_of
from airbyte_dagster.sensors.tick import SkipTick

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

#: What changes when a file's content does, under the names of the file systems, without case, - and _.
_CHANGE_SIGNS = frozenset(
    (
        *("etag", "md5", "md5hash", "md5checksum", "contentmd5", "contenthash", "digest", "checksum", "hash", "sha"),
        *("sha1", "sha256", "crc", "crc32c", "generation", "versionid", "mtime", "modify", "modified", "modifiedtime"),
        *("lastmodified", "servermodified", "updated", "datetime", "size"),
    )
)
#: Where there is nothing else: some file systems write a changed file as a new one.
_CREATION_SIGNS = frozenset(("created", "createdtime", "creationtime"))
_GONE = (404, 410)


@dataclass(frozen=True)
class Listing:
    """What a place has.

    Attributes:
        files: Path → fingerprint, which is another one when the file was changed.
        missing: What to report if the place itself is not there: a directory, or the one file that is watched.
    """

    files: Mapping[str, str]
    missing: str = ""


class Files:
    """The files that match a pattern.

    Args:
        pattern: As fsspec's ``glob`` takes it, or the address of one file.
        storage_options: Of the file system; values may be ``EnvVar``.
        most: How many may match.
    """

    def __init__(self, pattern: str, storage_options: Mapping[str, Any], most: int) -> None:
        self.pattern = pattern
        self._declared = storage_options
        self._most = most

    def options(self) -> dict[str, Any]:
        """Return the options of the file system with what the environment has for them.

        Raises:
            ConfigurationError: An environment variable is not set.
        """
        return resolve(self._declared, {}, where="storage_options")

    def listing(self, options: Mapping[str, Any]) -> Listing:
        """List the files.

        Args:
            options: From `options`.

        Raises:
            SkipTick: The place can't be reached, refuses, or too many files match.
        """
        try:
            return self._listing(options)
        except SkipTick:
            raise
        except ImportError as error:
            raise SkipTick(
                f"A package is missing that {shown(self.pattern)} is read with: {error}.",
                guidance="Install it where Dagster runs.",
            ) from None
        except Exception as error:  # noqa: BLE001 - each file system has errors of its own
            lines = str(error.__cause__ or error).strip().splitlines()
            reason = redact(lines[0] if lines else type(error).__name__, self._secrets(options))
            raise SkipTick(f"{shown(self.pattern)} can't be listed: {reason}") from None

    def _listing(self, options: Mapping[str, Any]) -> Listing:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # noqa: PLC0415 - only where files are watched

        # One that is kept would answer from its cache.
        found: tuple[AbstractFileSystem, str] = url_to_fs(self.pattern, **options, skip_instance_cache=True)
        system, path = found
        wildcard = re.search(r"[*\[]" if self.pattern.startswith("http") else r"[*?\[]", path)
        if wildcard is None:
            info = _info(system, path)
            if info is None:
                return Listing({}, missing=f"{shown(self.pattern)} is not there.")
            return Listing({path: _fingerprint(info)})
        matches: dict[str, dict[str, Any]] = system.glob(path, detail=True)
        if not matches:
            directory = path[: wildcard.start()].rpartition("/")[0] + "/"
            return Listing({}, missing=_missing(system, directory))
        return Listing(dict(self._fingerprints(system, matches)))

    def _fingerprints(
        self, system: AbstractFileSystem, matches: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, str]]:
        entries = {path: info for path, info in matches.items() if info.get("type") != "directory"}
        if len(entries) > self._most:
            raise SkipTick(
                f"{len(entries)} files match {shown(self.pattern)}, but max_files is {self._most}.",
                guidance="Move those away that are done with, narrow the pattern, or raise max_files. Nothing is lost "
                "meanwhile.",
            )
        for path, listed in entries.items():
            # An index page has names only, and a symbolic link reports on itself.
            more = listed.get("islink") or not _signs(listed)
            info = _info(system, path) if more else listed
            if info is not None and info.get("type") != "directory":
                yield path, _fingerprint(info)

    def _secrets(self, options: Mapping[str, Any]) -> Iterable[str]:
        yield from secrets_of(options)
        declared = dict(leaves(self._declared))
        for path, value in leaves(options):
            if value != declared.get(path):  # from the environment
                yield from (str(item) for item in (value if isinstance(value, list) else [value]))
        address = urlsplit(self.pattern)
        yield from (part for part in (address.password, address.query) if part)


def is_known(protocol: str) -> bool:
    """Whether fsspec has a file system for a protocol, installed or not."""
    from fsspec import available_protocols, registry  # noqa: PLC0415 - only where files are watched

    return protocol in available_protocols() or protocol in registry


def shown(address: str) -> str:
    """Return an address for people: no user and password, and of a web address no query, which may be a signature."""
    address = re.sub(r"(?<=://)[^/@\s]*@", "", address)
    return re.sub(r"\?.*", "?…", address) if address.startswith("http") else address


def file_name(pattern: str, path: str) -> str:
    """Return what to call one of the files that match a pattern: its path, or its address without secrets."""
    protocol, separator, _ = pattern.partition("://")
    return shown(path if not separator or "://" in path else f"{protocol}://{path.lstrip('/')}")


def _missing(system: AbstractFileSystem, directory: str) -> str:
    """Return what to report if the directory itself does not exist: fsspec lists nothing in both cases."""
    try:
        system.ls(directory, detail=False)
    except FileNotFoundError:
        return f"{shown(directory)} is not there."
    return ""


def _info(system: AbstractFileSystem, path: str) -> dict[str, Any] | None:
    """Return what the file system reports of a file; ``None`` if it is not there."""
    try:
        info: dict[str, Any] = system.info(path)
    except FileNotFoundError as error:
        # Over HTTP this stands for whatever went wrong.
        if error.__cause__ is None or getattr(error.__cause__, "status", None) in _GONE:
            return None
        raise error.__cause__ from None
    return info


def _signs(info: Mapping[str, Any], names: frozenset[str] = _CHANGE_SIGNS) -> dict[str, str]:
    found = {re.sub("[-_]", "", name.lower()): str(value) for name, value in info.items() if value is not None}
    if "generation" in found:  # of Google's; the others change with a file's labels, too
        return {"generation": found["generation"]}
    return {name: value for name, value in found.items() if name in names}


def _fingerprint(info: Mapping[str, Any]) -> str:
    signs = _signs(info)
    if set(signs) <= {"size"}:
        signs |= _signs(info, _CREATION_SIGNS)
    text = repr(sorted(signs.items()))
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=6).digest()).decode()
