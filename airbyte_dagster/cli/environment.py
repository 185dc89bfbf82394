"""Which Airbyte a command works with: the one that the environment names, or local Airbyte; and ``DAGSTER_HOME``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airbyte_dagster.cli.local_server import local_server, running_local_environment
from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.local.options import LocalOptions
from airbyte_dagster.paths import HOME_VARIABLE

if TYPE_CHECKING:
    from airbyte_dagster.resources import AirbyteResource

_AIRBYTE_VARIABLES = ("AIRBYTE_SERVER_URL", "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET")


def names_an_airbyte(environment: Mapping[str, str]) -> bool:
    """Whether the environment names an Airbyte; without one, local Airbyte is used.

    Raises:
        ConfigurationError: Half of its credentials is missing, or there is no warehouse that such an Airbyte can reach.
    """
    server = environment.get("AIRBYTE_SERVER_URL")
    client_id, secret = environment.get("AIRBYTE_CLIENT_ID"), environment.get("AIRBYTE_CLIENT_SECRET")
    if bool(client_id) != bool(secret):
        given, missing = ("ID", "SECRET") if client_id else ("SECRET", "ID")
        raise ConfigurationError(
            f"AIRBYTE_CLIENT_{given} is set, but AIRBYTE_CLIENT_{missing} is not.",
            guidance="Set both to use your Airbyte, or neither to use local Airbyte.",
        )
    if not server and not client_id:
        return False
    on_this_machine = (urlsplit(server or "").hostname or "") in ("127.0.0.1", "localhost", "::1")
    if not environment.get("MOTHERDUCK_APIKEY") and not on_this_machine:
        raise ConfigurationError(
            "MOTHERDUCK_APIKEY is not set, and an Airbyte that runs elsewhere can't write into a file here.",
            guidance="Set it to a MotherDuck access token, or unset AIRBYTE_* to use local Airbyte. What runs your own "
            "definitions takes them by -m or -f.",
        )
    return True


def find_airbyte(home: Path, *, otherwise: str) -> AirbyteResource:
    """Return the Airbyte that the environment names; if it names none, the local Airbyte that runs for a home.

    Args:
        home: Of local Airbyte.
        otherwise: What else can be done if there is neither; for the message.

    Raises:
        ConfigurationError: There is neither.
    """
    from airbyte_dagster.resources import AirbyteResource  # noqa: PLC0415 - loads Dagster

    if any(os.environ.get(name) for name in _AIRBYTE_VARIABLES):
        return AirbyteResource.from_env()
    local = running_local_environment(home)
    if local is None:
        raise ConfigurationError(
            f"The environment names no Airbyte, and no local Airbyte runs for {home}.",
            guidance="Set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET, and AIRBYTE_SERVER_URL for a self-managed one; "
            f"or {otherwise}.",
        )
    return AirbyteResource(
        server_url=local["AIRBYTE_SERVER_URL"],
        client_id=local["AIRBYTE_CLIENT_ID"],
        client_secret=local["AIRBYTE_CLIENT_SECRET"],
        workspace_id=local["AIRBYTE_WORKSPACE_ID"],
    )


@contextmanager
def airbyte_environment(
    home: Path,
    *,
    options: LocalOptions,
    say: Callable[[str], None],
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Set the environment so that the package's definitions find their Airbyte, for a block.

    Local Airbyte has the course's connector ready before it accepts requests; at the first start that is installed.

    Args:
        home: Of local Airbyte.
        options: How to start it.
        say: Takes a line for people.
        meanwhile: Called while local Airbyte starts, or at once.

    Raises:
        ConfigurationError: See `names_an_airbyte` and `local_server`; or `options` are given for another Airbyte.
        LocalAirbyteFailed: See `local_server`.
    """
    os.environ[HOME_VARIABLE] = str(home)
    if names_an_airbyte(os.environ):
        # A user name and password in it are refused where it is used; until then they are not shown.
        name = (os.environ.get("AIRBYTE_SERVER_URL") or "Airbyte Cloud").rpartition("@")[2]
        if options != LocalOptions(port=options.port):
            raise ConfigurationError(
                f"--workers, --connector and --allow-path are for local Airbyte, but the environment names {name}.",
                guidance="Leave them out, or unset AIRBYTE_* to use local Airbyte.",
            )
        say(f"Airbyte: {name}")
        meanwhile()
        yield
        return
    with local_server(home, options=options, say=say, meanwhile=meanwhile) as url:
        from airbyte_dagster.local import settings  # noqa: PLC0415 - only where the extra is installed

        os.environ.update(settings.environment(settings.resolve_home(home), url))
        yield


def prepare_dagster_home(home: Path) -> Path:
    """Return ``DAGSTER_HOME``, by default a directory in `home` that is made here, and set it for child processes."""
    chosen = os.environ.get("DAGSTER_HOME")
    directory = Path(chosen) if chosen else home / "dagster"
    directory.mkdir(parents=True, exist_ok=True)
    settings = directory / "dagster.yaml"
    if not chosen and not settings.exists():
        settings.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    os.environ["DAGSTER_HOME"] = str(directory)
    return directory
