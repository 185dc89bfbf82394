"""The last applied configuration of a source or destination, kept without its secrets.

Airbyte masks secrets in all it shows, so whether one changed can't be read from it. What is kept instead is a keyed,
slow digest of the secrets that were last sent: enough to tell equal from different, useless for anything else. The
paths of everything that was sent are kept too, so that a key which a declaration no longer has can be taken out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as random_source
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import dagster as dg

from airbyte_dagster.airbyte.configuration import Path

_KEY = "airbyte_dagster/applied/{}"
_SCRYPT = {"n": 2**13, "r": 8, "p": 1}


@dataclass(frozen=True)
class LastAppliedConfiguration:
    """What was last sent for one source or destination.

    Attributes:
        salt: Random hex, new with every record.
        digest: Hex digest of the secrets under the salt and the key.
        paths: Every path of the configuration, secrets included by name only.
    """

    salt: str
    digest: str
    paths: tuple[Path, ...]

    @classmethod
    def of(cls, secrets: Mapping[Path, Any], paths: tuple[Path, ...], *, key: str) -> LastAppliedConfiguration:
        """Make the record of what was just sent."""
        salt = random_source.token_hex(16)
        return cls(salt=salt, digest=_digest(secrets, salt, key), paths=paths)

    def has_same_secrets(self, secrets: Mapping[Path, Any], *, key: str) -> bool:
        """Whether these are the secrets that were sent. A changed `key` makes them look different."""
        return hmac.compare_digest(self.digest, _digest(secrets, self.salt, key))

    def to_json(self) -> str:
        """Serialise; the text is safe to store."""
        return json.dumps({"salt": self.salt, "digest": self.digest, "paths": self.paths})

    @classmethod
    def from_json(cls, text: str) -> LastAppliedConfiguration | None:
        """Read what `to_json` wrote; ``None`` for anything else, which makes the secrets be sent once more."""
        try:
            data = json.loads(text)
            return cls(salt=data["salt"], digest=data["digest"], paths=tuple(tuple(path) for path in data["paths"]))
        except (ValueError, KeyError, TypeError):
            return None


class AppliedStore(Protocol):
    """Where records are kept, by the id of the source or destination."""

    def get(self, actor_id: str) -> LastAppliedConfiguration | None:
        """Return the record, if there is one."""

    def put(self, actor_id: str, applied: LastAppliedConfiguration) -> None:
        """Keep a record in place of the former."""


class InMemoryAppliedStore(dict[str, LastAppliedConfiguration]):
    """A store that lasts as long as the process."""

    def put(self, actor_id: str, applied: LastAppliedConfiguration) -> None:
        """Keep a record."""
        self[actor_id] = applied


class InstanceAppliedStore:
    """A store in the key-value storage of a Dagster instance, shared by all that use the instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._storage = instance.daemon_cursor_storage

    def get(self, actor_id: str) -> LastAppliedConfiguration | None:
        """Return the record, if there is one."""
        key = _KEY.format(actor_id)
        text = self._storage.get_cursor_values({key}).get(key)
        return LastAppliedConfiguration.from_json(text) if text else None

    def put(self, actor_id: str, applied: LastAppliedConfiguration) -> None:
        """Keep a record in place of the former."""
        self._storage.set_cursor_values({_KEY.format(actor_id): applied.to_json()})


def _digest(secrets: Mapping[Path, Any], salt: str, key: str) -> str:
    text = json.dumps(sorted((list(path), value) for path, value in secrets.items()), sort_keys=True)
    keyed = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return hashlib.scrypt(keyed, salt=bytes.fromhex(salt), dklen=32, **_SCRYPT).hex()
