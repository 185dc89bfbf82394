"""What drivers of databases say when something fails, in plain words."""

from __future__ import annotations

import re
from collections.abc import Collection

from airbyte_dagster.airbyte.redaction import redact
from airbyte_dagster.errors import WarehouseError, WarehouseMissing

_TIMED_OUT = re.compile(
    r"statement timeout|max_statement_time|maximum statement execution time|statement or warehouse timeout"
    r"|statement timed out|timeout exceeded|query timed? ?out|interrupted",
    re.IGNORECASE,
)

_REFUSED = (
    r"password authentication failed|no password supplied|role \S+ does not exist|access denied for user"
    r"|incorrect username or password|login failed for user|authentication[ _]failed|invalid access token"
    r"|programmatic access token is invalid|jwt token is invalid|invalid_grant|could not be authenticated"
)
_NO_DATABASE = (
    r"database \S+ does not exist|unknown database|cannot open database|no current database|not found: project"
)
_UNREACHABLE = (
    r"connection refused|could not translate host name|failed to resolve|name or service not known|getaddrinfo"
    r"|timeout expired|connection timeout|timed out|could not connect|can't connect|unable to connect"
    r"|server closed the connection|lost connection|network is unreachable|no route to host"
)
_NOT_ALLOWED = r"permission denied|insufficient privileges|command denied|permission was denied|access denied"

#: The first that fits is taken: how to know it, what to do about it.
_KINDS = (
    (_REFUSED, "Check username and password of the warehouse."),
    (_NO_DATABASE, "Check database of the warehouse."),
    (_UNREACHABLE, "Check host and port of the warehouse, and that the server lets this machine in."),
    (_NOT_ALLOWED, "Grant the role SELECT on the tables, and USAGE on their schemas."),
)


def own_words(error: BaseException, secrets: Collection[str] = ()) -> str:
    """Return what the database says in a driver's error, in one line without secrets."""
    error = getattr(error, "orig", None) or error
    # MySQL's and SQL Server's drivers have a number and a text.
    numbered = len(error.args) > 1 and isinstance(error.args[0], int)
    text = error.args[1] if numbered else str(error)
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    # PostgreSQL's client puts its address before what the server says, and the place in the query after it.
    text = re.split(r"(?:ERROR|FATAL):", text)[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = re.split(r"\bLINE \d+:|DB-Lib error", lines[0])[0] if lines else type(error).__name__
    return redact(" ".join(said.split()), secrets)


def took_too_long(error: BaseException) -> bool:
    """Whether a driver's error is about the time that a statement may take."""
    return _TIMED_OUT.search(str(error)) is not None


def plain_error(where: str, said: str) -> WarehouseError:
    """Return the error that a failure to open a database, or to ask it, means.

    Args:
        where: What is to be read: ``PostgreSQL's raw at db:5432``.
        said: From `own_words`.
    """
    for pattern, guidance in _KINDS:
        if re.search(pattern, said, re.IGNORECASE):
            return WarehouseError(f"{where} could not be read: {said}", guidance=guidance)
    return WarehouseError(f"{where} could not be read: {said}")


def missing_file(path: str) -> WarehouseMissing:
    """Return the error that there is no file of a database, which opening it would make."""
    return WarehouseMissing(
        f"There is no database file at {path}.",
        guidance="It is made by the first sync; after that, check the path.",
    )
