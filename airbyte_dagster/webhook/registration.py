"""Set the receiver's address in a workspace's notifications, look at what is set, and put back what was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Workspace
from airbyte_dagster.errors import AirbyteDagsterError, ConfigurationError, PermissionDenied
from airbyte_dagster.webhook.address import Address, Webhook, check_base, shown, webhooks_of
from airbyte_dagster.webhook.app import PROBE
from airbyte_dagster.webhook.posting import NotPosted, post
from airbyte_dagster.webhook.secret import is_same

_TAKEN, _UNKNOWN = 202, 404


class NotRegistered(AirbyteDagsterError):
    """Airbyte accepted an address for its notices, and does not have it."""


@dataclass(frozen=True)
class EventStatus:
    """Where the notices of one event go.

    Attributes:
        event: ``success`` or ``failure``.
        receiver: ``this`` if they go to a receiver with our secret; ``other secret`` if to one with another;
            ``unknown secret`` if to one, and ours is not known; ``other`` if elsewhere; ``none``.
        address: For people: without secrets.
        forwards_to: For people.
    """

    event: str
    receiver: str
    address: str | None = None
    forwards_to: str | None = None


def status(workspace: Workspace, secret: str | None) -> list[EventStatus]:
    """Return where a workspace's notices go.

    Args:
        workspace: As Airbyte has it.
        secret: Ours, if it is known.
    """
    return [_event_status(event, hook, secret) for event, hook in _webhooks(workspace).items()]


def _event_status(event: str, hook: Webhook, secret: str | None) -> EventStatus:
    if hook.url is None:
        return EventStatus(event, "none")
    address = hook.address
    if address is None:
        return EventStatus(event, "other", shown(hook.url))
    forward = shown(address.forward) if address.forward else None
    if secret is None:
        return EventStatus(event, "unknown secret", address.base, forward)
    return EventStatus(event, "this" if address.has_secret(secret) else "other secret", address.base, forward)


def register(
    client: AirbyteClient, workspace: Workspace, base: str, secret: str, *, forward: bool
) -> tuple[list[EventStatus], str | None]:
    """Have the notices of a workspace's syncs posted to a receiver.

    Args:
        client: Of the Airbyte.
        workspace: As Airbyte has it.
        base: The receiver's address, as Airbyte reaches it, without the secret.
        secret: The receiver's.
        forward: Have the receiver hand the notices on to where they went before.

    Returns:
        Where the notices go then; and why the receiver could not be tried from here, if so.

    Raises:
        ConfigurationError: The address is not valid; the notices go elsewhere and `forward` is not set; or what answers
            there is no receiver with this secret.
        PermissionDenied: The credentials may not change the workspace.
        NotRegistered: Airbyte does not have the address afterwards.
        AirbyteError: Airbyte can't be asked, or refuses.
    """
    ours = Address(check_base(base, secret), secret)
    wanted = {event: _wanted(hook, ours, forward=forward) for event, hook in _webhooks(workspace).items()}
    untried = _try(ours)
    return _changed(client, workspace, wanted, secret), untried


def _wanted(hook: Webhook, ours: Address, *, forward: bool) -> str:
    """Return the address that is to be set for an event."""
    address = hook.address
    if hook.url is None:
        return ours.url
    if address is not None and (address.base == ours.base or is_same(address.secret, ours.secret)):
        return replace(ours, forward=address.forward).url  # a receiver of ours, at another place or with another secret
    if forward:
        return replace(ours, forward=hook.url).url
    raise ConfigurationError(
        f"The workspace's notices go to {shown(hook.url)} already, which would get none any more.",
        guidance="With --forward the receiver hands each of them on to there. Or take that address out in Airbyte.",
    )


def _try(ours: Address) -> str | None:
    """Post something that is about nothing; return why that is not possible from here.

    Raises:
        ConfigurationError: Something answers that is no receiver, or one with another secret.
    """
    try:
        answer = post(ours.url, PROBE)
    except NotPosted as error:
        return error.message
    if answer == _TAKEN:
        return None
    what = "no receiver, or one with another secret" if answer == _UNKNOWN else "no receiver"
    raise ConfigurationError(
        f"What answers at {ours.base} is {what} (HTTP {answer}); nothing was set.",
        guidance="Start `airbyte-dagster webhook serve` there, with the secret that this command has.",
    )


def unregister(client: AirbyteClient, workspace: Workspace, secret: str) -> list[EventStatus] | None:
    """Take a receiver's address out of a workspace's notifications; what it handed on goes there again by itself.

    Args:
        client: Of the Airbyte.
        workspace: As Airbyte has it.
        secret: The receiver's; others' addresses stay.

    Returns:
        Where the notices go then; ``None`` if none went to the receiver.

    Raises:
        PermissionDenied: The credentials may not change the workspace.
        NotRegistered: Airbyte has the address still.
        AirbyteError: Airbyte can't be asked, or refuses.
    """
    addresses = {event: hook.address for event, hook in _webhooks(workspace).items()}
    ours = {event: item for event, item in addresses.items() if item is not None and item.has_secret(secret)}
    if not ours:
        return None
    return _changed(client, workspace, {event: item.forward for event, item in ours.items()}, secret)


def _changed(
    client: AirbyteClient, workspace: Workspace, wanted: Mapping[str, str | None], secret: str
) -> list[EventStatus]:
    """Set addresses, where they are others than there are, and read them back."""
    there = _webhooks(workspace)
    changes: dict[str, Any] = {
        event: there[event].with_url(url) for event, url in wanted.items() if there[event].url != url
    }
    if changes:
        secrets = [secret, *filter(None, (*wanted.values(), *(hook.url for hook in there.values())))]
        try:
            client.set_notifications(workspace.id, changes, secrets=secrets)
        except PermissionDenied as error:
            raise PermissionDenied(
                error.message,
                status=error.status,
                reason=error.reason,
                guidance="Changing where notices go takes the role of an editor of the workspace.",
            ) from None
        workspace = client.workspace(workspace.id)
        now = _webhooks(workspace)
        if any(now[event].url != url for event, url in wanted.items()):
            raise NotRegistered(
                "Airbyte accepted the change, and its workspace does not have it.",
                guidance="This version of Airbyte may not have it in its API: change it in the workspace's settings, "
                "under Notifications.",
            )
    return status(workspace, secret)


def _webhooks(workspace: Workspace) -> dict[str, Webhook]:
    return webhooks_of(workspace.raw.get("notifications"))
