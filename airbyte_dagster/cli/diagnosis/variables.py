"""What the environment says: which variables are set, which Airbyte they mean, what is odd about their values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from airbyte_dagster.airbyte import CLOUD_SERVER_URL, normalise_server_url
from airbyte_dagster.cli.diagnosis.findings import Findings
from airbyte_dagster.cli.local_airbyte import remote_is_configured
from airbyte_dagster.errors import ConfigurationError

SERVER_URL = "AIRBYTE_SERVER_URL"
WORKSPACE_ID = "AIRBYTE_WORKSPACE_ID"
MOTHERDUCK = "MOTHERDUCK_APIKEY"
VARIABLES = (SERVER_URL, "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET", WORKSPACE_ID, MOTHERDUCK)
SECRET_VARIABLES = ("AIRBYTE_CLIENT_SECRET", MOTHERDUCK)

#: Where MotherDuck's own tools look for the token.
_MOTHERDUCKS_OWN = ("motherduck_token", "MOTHERDUCK_TOKEN")
#: Our names begin alike, so that names which are merely similar are no mistakes.
_NEARLY_THE_SAME = 0.9
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PAGE_OF_THE_UI = re.compile(r"/(workspaces|organization|settings|setup|onboarding|login|auth)(/|$)")


def examine_variables(environment: Mapping[str, str], findings: Findings) -> bool | None:
    """Look at the environment's variables.

    Returns:
        Whether they mean an Airbyte of the user's; ``False`` is local Airbyte, ``None`` that nobody can tell.
    """
    are_set = [name for name in VARIABLES if environment.get(name)]
    missing = [name for name in VARIABLES if not environment.get(name)]
    findings.ok(
        "variables", f"set: {', '.join(are_set) or 'none'}" + (f"; not set: {', '.join(missing)}" if missing else "")
    )
    for name in are_set:
        for found, advice in odd_about(name, environment[name]):
            findings.warn("variables", found, advice)
    for found, advice in _mistaken(environment):
        findings.warn("variables", found, advice)
    try:
        is_remote = remote_is_configured(environment)
        server = normalise_server_url(environment.get(SERVER_URL) or CLOUD_SERVER_URL) if is_remote else ""
    except ConfigurationError as error:
        findings.error("what they mean", error, "Set the variables of one Airbyte, or none.")
        return None
    warehouse = "MotherDuck" if environment.get(MOTHERDUCK) else "a DuckDB file"
    airbyte = f"{named_server(server)} ({server})" if is_remote else "local Airbyte"
    findings.ok("what they mean", f"{airbyte}, and {warehouse}")
    return is_remote


def named_server(server_url: str) -> str:
    """Say which Airbyte an address is."""
    if server_url == CLOUD_SERVER_URL:
        return "Airbyte Cloud"
    return "an Airbyte on this machine" if is_on_this_machine(server_url) else "a self-managed Airbyte"


def is_on_this_machine(server_url: str) -> bool:
    """Whether an address is one of this machine, as far as it tells by itself."""
    return (urlsplit(server_url).hostname or "") in ("127.0.0.1", "localhost", "::1")


def odd_about(name: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield what is odd about a variable's value, which is not shown, and what to do about it.

    Args:
        name: Of the variable; of ours it is known what they hold.
    """
    if value != value.strip():
        yield f"{name} has white space around its value", f"Set {name} anew without it; a line break counts, too."
    elif re.search(r"\s", value):
        yield f"{name} has white space within its value", f"Set {name} anew without it; a line break counts, too."
    inner = value.strip()
    if len(inner) > 1 and inner[0] in "\"'`" and inner[-1] == inner[0]:
        yield (
            f"{name} has quotes around its value that belong to it",
            f"Set {name} anew without them: env files and settings pages often take quotes as they are.",
        )
    elif name == WORKSPACE_ID and not _UUID.fullmatch(inner):
        yield (
            f"{name} is not an id such as 7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "Take the id from the address of the workspace's page in Airbyte: …/workspaces/ID.",
        )
    elif name == SERVER_URL and _PAGE_OF_THE_UI.search(urlsplit(inner).path):
        yield (
            f"{name} is the address of a page for people, not that of the API",
            f"Set {name} to http(s)://HOST/api/public/v1; for Airbyte Cloud, unset it.",
        )


def _mistaken(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variables that look like misspelt ones of ours."""
    other = next((name for name in _MOTHERDUCKS_OWN if environment.get(name)), None)
    if other and not environment.get(MOTHERDUCK):
        yield f"{other} is set, but {MOTHERDUCK} is what is read here", f"Set {MOTHERDUCK} to the same token."
    for name in sorted(environment):
        if name in VARIABLES or not environment[name]:
            continue
        meant = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=_NEARLY_THE_SAME)
        if meant and not environment.get(meant[0]):
            yield f"{name} is set, but {meant[0]} is what is read here", f"Rename it to {meant[0]}."
