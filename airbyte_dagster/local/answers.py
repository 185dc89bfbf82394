"""Answers of connectors that are kept on disk, beside the connector: they change only with its version.

A connector takes seconds to say what its configuration looks like, most of them for importing itself. Clients with the
SDK's timeout of 5 s would not wait for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

#: Connectors whose streams are the same whatever the configuration is.
SAME_STREAMS = frozenset({"faker"})


def specification_file(directory: Path | None) -> Path | None:
    """Where a connector's ``connectionSpecification`` is kept; None where nothing can be.

    Args:
        directory: The connector's environment; None for a program of the user's own, whose version is not known.
    """
    return directory and directory / ".spec.json"


def streams_file(directory: Path | None, name: str) -> Path | None:
    """Where a connector's discovered streams are kept: only of one that has the same for any configuration.

    Args:
        directory: As in `specification_file`.
        name: The connector's short name.
    """
    return directory and directory / ".streams.json" if name in SAME_STREAMS else None


def read(file: Path | None) -> Any:
    """What is kept in a file; None if nothing is, or nothing that can be read."""
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(file: Path | None, answer: Any) -> None:
    """Keep an answer, atomically. A cache that can't be written is no error: the connector is asked again."""
    if file is None:
        return
    with contextlib.suppress(OSError):
        descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(answer, opened)
        Path(draft).replace(file)
