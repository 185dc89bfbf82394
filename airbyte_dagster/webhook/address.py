"""The address that a workspace's notifications have: the receiver's, with the secret, and what it is to forward to.

The address that had the notices before is part of ours, as a query parameter. So it stays where it was, in Airbyte,
which it may be a secret of; every receiver knows it, and it can be put back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from airbyte_dagster.errors import ConfigurationError
from airbyte_dagster.webhook.app import FORWARD, NOTICES
from airbyte_dagster.webhook.secret import is_same

#: The notices that a sync brings; others are about no job.
EVENTS = ("success", "failure")


@dataclass(frozen=True)
class Address:
    """An address of a receiver.

    Attributes:
        base: What comes before the path: ``https://hooks.example.com``, perhaps with a prefix.
        secret: The path's.
        forward: The address that had the notices before.
    """

    base: str
    secret: str
    forward: str | None = None

    @classmethod
    def parse(cls, url: str) -> Address | None:
        """Read an address; ``None`` if it is of another kind, such as Slack's."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        found = re.fullmatch(rf"(.*){NOTICES}([^/]+)", parts.path)
        if not found or not parts.netloc or parts.fragment:
            return None
        query = parse_qs(parts.query)
        if query.keys() - {FORWARD}:
            return None
        return cls(f"{parts.scheme}://{parts.netloc}{found[1]}", found[2], query.get(FORWARD, [None])[0])

    @property
    def url(self) -> str:
        """As Airbyte is to have it."""
        query = f"?{urlencode({FORWARD: self.forward})}" if self.forward else ""
        return f"{self.base}{NOTICES}{self.secret}{query}"

    def has_secret(self, secret: str) -> bool:
        """Whether its secret is a certain one."""
        return is_same(self.secret, secret)


@dataclass(frozen=True)
class Webhook:
    """What a workspace has set for one event.

    Attributes:
        setting: All that is set for the event, in Airbyte's keys; mail, too.
    """

    setting: Mapping[str, Any]

    @property
    def url(self) -> str | None:
        """Where notices go; ``None`` if nowhere."""
        webhook = self.setting.get("webhook")
        url = webhook.get("url") if isinstance(webhook, Mapping) and webhook.get("enabled") else None
        return url if isinstance(url, str) and url else None

    @property
    def address(self) -> Address | None:
        """The same, if it is that of a receiver."""
        return Address.parse(self.url) if self.url else None

    def with_url(self, url: str | None) -> dict[str, Any]:
        """Return the setting with another address, or with none; the rest of it stays."""
        return {**self.setting, "webhook": {"enabled": url is not None, "url": url or ""}}


def webhooks_of(notifications: Any) -> dict[str, Webhook]:
    """Return what is set for each event."""
    there = notifications if isinstance(notifications, Mapping) else {}
    settings = {event: there.get(event) for event in EVENTS}
    return {event: Webhook(item if isinstance(item, Mapping) else {}) for event, item in settings.items()}


def check_base(base: str, secret: str) -> str:
    """Return an address of a receiver as a user gives it, without a slash at its end.

    Args:
        base: The address.
        secret: The receiver's, which is not to be in it.

    Raises:
        ConfigurationError: It is no http address, or has the secret or anything else at its end.
    """
    try:
        parts = urlsplit(base)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        has_more = parts.query or parts.fragment or parts.username is not None or NOTICES in f"{parts.path}/"
    except ValueError:
        is_address = has_more = False
    if not is_address or has_more or secret in base:
        raise ConfigurationError(
            "The receiver's address is not valid.",
            guidance="Give it as Airbyte reaches it, without the secret: https://hooks.example.com, or with the path "
            "that it is mounted at.",
        )
    return base.rstrip("/")


def shown(url: str) -> str:
    """Return an address for people: scheme and host, since the rest may be a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that can't be read"
    return f"{parts.scheme}://{parts.hostname}{port}/…"
