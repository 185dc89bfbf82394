"""What DuckDB says when it can't open MotherDuck, in plain words.

DuckDB puts what its extension says into a frame that names the extension and its path on this machine, whatever went
wrong; so the frame is taken off first, and the words inside decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airbyte_dagster.errors import MotherDuckUnavailable, WarehouseError, WarehouseMissing

#: Versions of DuckDB that MotherDuck takes, by its documentation as of November 2026, and where that is.
OLDEST_CLIENT, NEWEST_CLIENT = "1.4.0", "1.5.6"
CLIENT_VERSIONS = "https://motherduck.com/docs/troubleshooting/version-lifecycle-schedules/"

_FRAME = 'threw an exception: "'
_NEWER_OR_OLDER = (
    f"Install a version of the duckdb package that MotherDuck supports: {OLDEST_CLIENT} to {NEWEST_CLIENT}, or as its "
    f"documentation lists them ({CLIENT_VERSIONS})."
)


@dataclass(frozen=True)
class _Kind:
    """One kind of failure: how to know it, what to say of it, what to do about it."""

    pattern: str
    what: str
    guidance: str
    error: type[WarehouseError] = MotherDuckUnavailable


#: The first that fits is taken. ``{database}`` is as the user wrote it, ``{name}`` its bare name.
_KINDS = (
    _Kind(
        r"no database/share named|(database|catalog)( with name)? \S+ does not exist",
        "There is no database {name} at MotherDuck",
        "Create it there (CREATE DATABASE {name}), or check the name: connecting to it doesn't make it.",
        WarehouseMissing,
    ),
    _Kind(
        r"supported by MotherDuck|no longer supported|unsupported version of DuckDB|please use DuckDB v",
        "MotherDuck does not take the installed DuckDB {version}",
        _NEWER_OR_OLDER,
    ),
    _Kind(
        r"not available for this DuckDB version",
        "MotherDuck offers nothing for the installed DuckDB {version}",
        f"{_NEWER_OR_OLDER} A proxy that refuses in MotherDuck's place looks the same.",
    ),
    _Kind(
        r"authenticat|jwt|check your motherduck token|invalid motherduck token|permission_denied|unauthori[sz]ed",
        "MotherDuck refused the token for {database}",
        "Make a new access token in MotherDuck's settings, under Access Tokens, and set MOTHERDUCK_APIKEY to it.",
    ),
    _Kind(
        r"different configuration than existing",
        "This process has {database} open with other settings, perhaps another token",
        "Start the process again.",
    ),
    _Kind(
        r"failed to download extension.*HTTP 404",
        "DuckDB {version} has no extension for MotherDuck on this platform",
        _NEWER_OR_OLDER,
    ),
    _Kind(
        r"failed to download extension|not a GZIP stream",
        "DuckDB can't download its extension for MotherDuck",
        "It comes from extensions.duckdb.org at the first use: check the network, and HTTP_PROXY if there is a proxy.",
    ),
    _Kind(
        r"\(UNAVAILABLE, RPC",
        "MotherDuck does not serve {database}",
        "Try again; if it stays so, the installed DuckDB {version} may not fit the database's version.",
    ),
    _Kind(
        r"failed to download|failed to resolve|could not (connect|establish)|unavailable|deadline.exceeded|timed out",
        "MotherDuck's service can't be reached",
        "Its extension connects to api.motherduck.com and ext.motherduck.com by itself, whatever HTTP_PROXY says: "
        "let this machine reach them.",
    ),
    _Kind(
        r"extension",
        "DuckDB could not load its extension for MotherDuck",
        "Delete its files below ~/.duckdb/extensions, so that they are downloaded again.",
    ),
)


def is_supported(version: str) -> bool:
    """Whether MotherDuck is known to take a version of DuckDB."""
    oldest, newest, installed = (
        tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (OLDEST_CLIENT, NEWEST_CLIENT, version)
    )
    return oldest <= installed <= newest


def own_words(text: str) -> str:
    """Return what MotherDuck itself says in an error of DuckDB, in one line."""
    *frame, words = text.rsplit(_FRAME, 1)
    # Without a frame, what follows the first line is DuckDB's own advice.
    words = words.rstrip('"') if frame else text.strip().partition("\n")[0]
    return " ".join(words.split())


def motherduck_error(text: str, database: str) -> WarehouseError:
    """Return the error that a failure to open MotherDuck, or to ask it, means.

    Args:
        text: What DuckDB said, without the token.
        database: ``md:NAME``.
    """
    import duckdb  # noqa: PLC0415 - heavy

    words = own_words(text)
    values = {"database": database, "name": database.partition(":")[2] or "my_db", "version": duckdb.__version__}
    for kind in _KINDS:
        if re.search(kind.pattern, words, re.IGNORECASE):
            return kind.error(f"{kind.what.format(**values)}: {words}", guidance=kind.guidance.format(**values))
    return WarehouseError(f"DuckDB could not read {database}: {words}")
