"""The secret in the path of the receiver's address: whoever knows it may post notices."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path

from airbyte_dagster.errors import ConfigurationError

SECRET_VARIABLE = "AIRBYTE_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
FILE_VARIABLE = "AIRBYTE_WEBHOOK_SECRET_FILE"
_VALID = re.compile(r"[A-Za-z0-9_.~-]{20,200}")
_MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def find_secret(file: Path | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the secret: from a file, that of the environment by default, or from the environment itself.

    Raises:
        ConfigurationError: There is none, or it is not valid; it is not in the message.
    """
    named = environment.get(FILE_VARIABLE)
    path = file or (Path(named) if named else None)
    if path is not None:
        try:
            return check_secret(path.read_text(encoding="utf-8").strip(), f"in {path}")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigurationError(f"The secret can't be read from {path}: {why}.") from None
    secret = environment.get(SECRET_VARIABLE)
    if not secret:
        raise ConfigurationError(
            f"{SECRET_VARIABLE} is not set; it is the part of the address that only Airbyte and the receiver know.",
            guidance=f"Set it, the same for all receivers, to what this prints: {_MAKE}. Or name a file that has it, "
            f"with {FILE_VARIABLE} or --secret-file.",
        )
    return check_secret(secret, f"of {SECRET_VARIABLE}")


def check_secret(secret: str, where: str = "of the webhook") -> str:
    """Return a secret that is valid.

    Raises:
        ConfigurationError: It is short, or has characters that a path can't have as they are.
    """
    if not _VALID.fullmatch(secret):
        raise ConfigurationError(
            f"The secret {where} is not valid: it has 20 to 200 letters, digits and the signs - _ . ~",
            guidance=f"Make one: {_MAKE}.",
        )
    return secret


def is_same(given: str, secret: str) -> bool:
    """Compare in a time that does not depend on how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
