"""Finding connectors, and asking them for their spec, for a check and for their streams.

A connector is an executable or a declarative manifest that the user configured, or the package
``airbyte-source-NAME``; nothing else can be installed or run. It is run directly, by the Airbyte protocol.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_dagster.local import answers, configuration, manifests
from airbyte_dagster.local.children import Children
from airbyte_dagster.local.engine import ConnectorFailed, Json, Progress, UnknownConnector
from airbyte_dagster.local.environments import (
    MANIFESTS,
    NAME,
    Environment,
    EnvironmentFailed,
    Environments,
    NoSuchPackage,
)
from airbyte_dagster.local.isolation import connector_environment
from airbyte_dagster.local.options import MANIFEST_SUFFIXES
from airbyte_dagster.local.protocol import Reply
from airbyte_dagster.local.redaction import Redactor

_MOST_DISCOVERIES = 256
_SPEC_SECONDS = 120
_ASK_SECONDS = 900


@dataclass(frozen=True)
class Connector:
    """An executable that speaks the Airbyte protocol.

    Args:
        name: Its short name, such as ``faker``.
        executable: The program.
        version: Changes whenever the program does.
        directory: Its environment, which answers can be kept in; None for what the user configured.
    """

    name: str
    executable: Path
    version: str
    directory: Path | None = None


class Connectors:
    """The connectors that may be used.

    Args:
        environments: Where packages are installed.
        scratch: A private directory for configuration files, which are removed right after use.
        configured: Executables and manifests (``.yaml``) that the user named, by short name; they come before packages,
            and may change.
        on_progress: Called with a line of text for each step of an installation, unless `resolve` is given another.
    """

    def __init__(
        self,
        environments: Environments,
        scratch: Path,
        configured: Mapping[str, Path] | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self._environments = environments
        self._scratch = scratch
        self._configured = {} if configured is None else configured
        self._on_progress = on_progress
        self._children = Children()
        self._lock = threading.Lock()
        self._specs: dict[tuple[str, str], Json] = {}
        self._discoveries: dict[tuple[str, str, str], list[Json]] = {}

    def resolve(self, name: str, on_progress: Progress | None = None) -> Connector:
        """The connector of this name, installed now if need be.

        Args:
            name: Its short name.
            on_progress: Called with a line of text for each step of an installation.

        Raises:
            UnknownConnector: There is none.
            ConnectorFailed: It could not be installed.
        """
        configured = self._configured.get(name)
        if configured is not None and configured.suffix in MANIFEST_SUFFIXES:
            return self._of_manifest(name, configured, on_progress)
        if configured is not None:
            try:
                status = configured.stat()
            except OSError as error:
                raise ConnectorFailed(
                    f"The connector {name} is configured as {configured}, which is not there"
                ) from error
            return Connector(name, configured, f"{status.st_mtime_ns}-{status.st_size}")
        if not NAME.fullmatch(name) or name == MANIFESTS:
            raise UnknownConnector(name)
        environment = self._environment(name, on_progress)
        return Connector(name, environment.executable(f"source-{name}"), environment.version, environment.path)

    def _of_manifest(self, name: str, manifest: Path, on_progress: Progress | None) -> Connector:
        runner = self._environment(MANIFESTS, on_progress).executable(f"source-{MANIFESTS}")
        try:
            program, version = manifests.make_program(self._scratch / "manifests", name, manifest, runner)
        except OSError as error:
            raise ConnectorFailed(f"The manifest {manifest} of {name} can't be used: {error.strerror}") from error
        except manifests.BadManifest as error:
            raise ConnectorFailed(f"{error}: {manifest}") from error
        return Connector(name, program, version)

    def _environment(self, name: str, on_progress: Progress | None) -> Environment:
        try:
            return self._environments.ensure(name, on_progress or self._on_progress)
        except NoSuchPackage as error:
            raise UnknownConnector(name) from error
        except EnvironmentFailed as error:
            raise ConnectorFailed(str(error)) from error

    def close(self) -> None:
        """End the connectors that are being asked something; none can be asked any more."""
        self._children.close()

    def spec(self, name: str) -> Json:
        """The connector's ``connectionSpecification``, cached per version, on disk if it was installed here."""
        connector = self.resolve(name)
        key, file = (connector.name, connector.version), answers.specification_file(connector.directory)
        with self._lock:
            if key in self._specs:
                return self._specs[key]
        kept: Json | None = answers.read(file)
        if kept is not None:
            return kept
        for message in self._ask(connector, ["spec"], None, _SPEC_SECONDS):
            specification = message.get("spec", {}).get("connectionSpecification") if message.get("spec") else None
            if isinstance(specification, dict):
                with self._lock:
                    self._specs[key] = specification
                answers.keep(file, specification)
                return specification
        raise ConnectorFailed(f"The connector {name} gave no spec")

    def check(self, name: str, config: Mapping[str, Any]) -> str | None:
        """None when the configuration works, else the connector's reason."""
        for message in self._ask(self.resolve(name), ["check"], config, _ASK_SECONDS):
            status = message.get("connectionStatus")
            if isinstance(status, dict):
                reason = str(status.get("message") or "Check failed")
                return None if status.get("status") == "SUCCEEDED" else self._redactor(name, config).text(reason)
        raise ConnectorFailed(f"The connector {name} gave no answer to the check")

    def discover(
        self, name: str, config: Mapping[str, Any], *, refresh: bool = False, on_progress: Progress | None = None
    ) -> list[Json]:
        """The streams of this configuration, cached per connector version and configuration."""
        connector = self.resolve(name, on_progress)
        file = answers.streams_file(connector.directory, name)
        kept: list[Json] | None = None if refresh else answers.read(file)
        if kept is not None:
            return kept
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
        key = (connector.name, connector.version, digest)
        with self._lock:
            if not refresh and key in self._discoveries:
                return self._discoveries[key]
        for message in self._ask(connector, ["discover"], config, _ASK_SECONDS):
            catalog = message.get("catalog")
            if isinstance(catalog, dict) and isinstance(catalog.get("streams"), list):
                streams: list[Json] = catalog["streams"]
                with self._lock:
                    while len(self._discoveries) >= _MOST_DISCOVERIES:
                        self._discoveries.pop(next(iter(self._discoveries)))
                    self._discoveries[key] = streams
                answers.keep(file, streams)
                return streams
        raise ConnectorFailed(f"The connector {name} found no streams: it gave no catalog")

    def _ask(
        self, connector: Connector, command: list[str], config: Mapping[str, Any] | None, timeout: float
    ) -> list[Json]:
        """Run the connector once and return what it answered; its errors don't have the configuration's secrets.

        Raises:
            ConnectorFailed: It reported an error, could not be started, took too long, wrote too long a line, or ended
                with an exit code other than 0 without having answered.
        """
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        reply = Reply(connector.name)
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            arguments = list(command)
            if config is not None:
                file = Path(directory) / "config.json"
                file.touch(mode=0o600)
                file.write_text(json.dumps(config), encoding="utf-8")
                arguments += ["--config", str(file)]
            code = self._run([str(connector.executable), *arguments], directory, timeout, reply)
        error = reply.error
        if error is None and code != 0 and not reply.answers:
            error = f"The connector {connector.name} ended with exit code {code}: {reply.last_words()}"
        if error is not None:
            raise ConnectorFailed(error if config is None else self._redactor(connector.name, config).text(error))
        return reply.answers

    def _redactor(self, name: str, config: Mapping[str, Any]) -> Redactor:
        """Hides what the connector's specification says to be secret; without one, all of the configuration."""
        try:
            paths = configuration.secret_paths(self.spec(name))
        except (ConnectorFailed, UnknownConnector):
            paths = [[]]
        return Redactor(configuration.secret_values(config, paths))

    def _run(self, command: list[str], directory: str, timeout: float, reply: Reply) -> int:
        pipe, environment = subprocess.PIPE, connector_environment(directory)
        try:
            with self._children.start(command, env=environment, stdout=pipe, stderr=pipe, cwd=directory) as process:
                return reply.read(process, timeout)
        except OSError as error:
            raise ConnectorFailed(f"The connector {reply.name} can't be started: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise ConnectorFailed(f"The connector {reply.name} did not answer in {timeout:.0f} s") from error
