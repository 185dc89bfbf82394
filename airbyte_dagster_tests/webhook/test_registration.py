"""Where Airbyte posts notices to: set, looked at and put back through local Airbyte's API."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from airbyte_dagster.airbyte import AirbyteClient
from airbyte_dagster.airbyte.records import Workspace
from airbyte_dagster.errors import ConfigurationError, PermissionDenied
from airbyte_dagster.webhook.address import Address, shown
from airbyte_dagster.webhook.registration import EventStatus, NotRegistered, register, status, unregister
from airbyte_dagster_tests.conftest import RecordingTransport, client_of
from airbyte_dagster_tests.local.fakes import Api, RunningAirbyte
from airbyte_dagster_tests.local.test_notices import Receiver
from airbyte_dagster_tests.sensors.recording import Recording
from airbyte_dagster_tests.webhook.receiving import SECRET, notify, receiving, served, until
from airbyte_dagster_tests.webhook.test_receiver_http import Taking

SLACK = "https://hooks.slack.example/services/planted-slack"


@pytest.fixture
def client(airbyte: RunningAirbyte) -> Iterator[AirbyteClient]:
    with client_of(airbyte) as made:
        yield made


@pytest.fixture
def at() -> Iterator[str]:
    with served(Taking().app) as address:
        yield address


def workspace_of(client: AirbyteClient) -> Workspace:
    return client.find_workspace()


def urls(client: AirbyteClient) -> list[str | None]:
    notifications = workspace_of(client).raw["notifications"]
    webhooks = [notifications.get(event, {}).get("webhook", {}) for event in ("success", "failure")]
    return [webhook.get("url") if webhook.get("enabled") else None for webhook in webhooks]


def test_register_and_unregister(client: AirbyteClient, at: str) -> None:
    """Both notices of a sync; to register again changes nothing; afterwards there is none, and nothing left to do."""
    for _ in range(2):
        found, untried = register(client, workspace_of(client), f"{at}/", SECRET, forward=False)
        assert found == status(workspace_of(client), SECRET)
        assert found == [EventStatus("success", "this", at), EventStatus("failure", "this", at)]
        assert untried is None
        assert urls(client) == [f"{at}/notices/{SECRET}"] * 2

    assert unregister(client, workspace_of(client), SECRET) == [
        EventStatus("success", "none"),
        EventStatus("failure", "none"),
    ]
    assert urls(client) == [None, None]
    assert unregister(client, workspace_of(client), SECRET) is None


def test_registered_already_is_no_call(airbyte: RunningAirbyte, at: str) -> None:
    """Nothing is sent that Airbyte has."""
    transport = RecordingTransport()
    with client_of(airbyte, transport) as client:
        register(client, workspace_of(client), at, SECRET, forward=False)
        before = len(transport.writes)
        register(client, workspace_of(client), at, SECRET, forward=False)
        assert len(transport.writes) == before


def test_another_address_is_not_displaced(client: AirbyteClient, api: Api, at: str) -> None:
    """It is an error that names the host alone; mail and other events stay as they are."""
    mail = {"email": {"enabled": True}}
    api.ok(
        "PATCH",
        f"/workspaces/{api.workspace_id}",
        json={"notifications": {"failure": {**mail, "webhook": {"enabled": True, "url": SLACK}}, "syncDisabled": mail}},
    )
    with pytest.raises(ConfigurationError, match=r"go to https://hooks.slack.example/… already.* --forward") as caught:
        register(client, workspace_of(client), at, SECRET, forward=False)
    assert "planted" not in str(caught.value)
    assert urls(client) == [None, SLACK]
    assert status(workspace_of(client), None)[1] == EventStatus("failure", "other", "https://hooks.slack.example/…")

    found, _ = register(client, workspace_of(client), at, SECRET, forward=True)

    assert found[1] == EventStatus("failure", "this", at, "https://hooks.slack.example/…")
    assert found[0] == EventStatus("success", "this", at)
    notifications = workspace_of(client).raw["notifications"]
    assert notifications["failure"]["email"] == notifications["syncDisabled"]["email"] == {"enabled": True}
    # Again, without the option, and at another place: what it hands on to is kept.
    with served(Taking().app) as elsewhere:
        register(client, workspace_of(client), elsewhere, SECRET, forward=False)
    assert status(workspace_of(client), SECRET)[1].forwards_to == "https://hooks.slack.example/…"
    unregister(client, workspace_of(client), SECRET)
    assert urls(client) == [None, SLACK]


def test_another_secret(client: AirbyteClient, at: str) -> None:
    """It is tried; with it a receiver that is registered already gets its new address."""
    old = "y" * 30
    with pytest.raises(ConfigurationError, match="no receiver, or one with another secret") as caught:
        register(client, workspace_of(client), at, old, forward=False)
    assert old not in str(caught.value)
    assert urls(client) == [None, None]
    webhook = {"webhook": {"enabled": True, "url": f"{at}/notices/{old}?forward={SLACK}"}}
    client.set_notifications(workspace_of(client).id, {"success": webhook})
    assert status(workspace_of(client), SECRET)[0].receiver == "other secret"
    assert unregister(client, workspace_of(client), SECRET) is None

    found, _ = register(client, workspace_of(client), at, SECRET, forward=False)

    assert found[0] == EventStatus("success", "this", at, "https://hooks.slack.example/…")


def test_a_receiver_that_is_out_of_reach_from_here(client: AirbyteClient) -> None:
    """Airbyte may reach it: it is registered, and the reason is returned."""
    found, untried = register(client, workspace_of(client), "http://127.0.0.1:1", SECRET, forward=False)

    assert found[0].receiver == "this"
    assert untried == "There was no answer: ConnectError."


def test_something_else_answers(client: AirbyteClient, airbyte: RunningAirbyte) -> None:
    """Airbyte itself, say: nothing is set."""
    with pytest.raises(ConfigurationError, match="is no receiver"):
        register(client, workspace_of(client), airbyte.url, SECRET, forward=False)
    assert urls(client) == [None, None]


@pytest.mark.parametrize(
    "base",
    [
        *("hooks.example.com", "ftp://x", "https://", "https://x?y", "https://u:planted@x", "https://[", "https://x#y"),
        *(f"https://x/notices/{SECRET}", "https://x/notices"),
    ],
)
def test_addresses_that_are_none(client: AirbyteClient, base: str) -> None:
    """They are refused without being repeated: a secret may stand in them."""
    with pytest.raises(ConfigurationError, match="address is not valid") as caught:
        register(client, workspace_of(client), base, SECRET, forward=False)
    assert "planted" not in str(caught.value)


class Refusing(httpx.HTTPTransport):
    """An Airbyte that answers changes of a workspace in its own way."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "PATCH":
            return super().handle_request(request)
        found: httpx.Response = self.answer(request)
        return found


def test_without_the_role(airbyte: RunningAirbyte, at: str) -> None:
    """The error says which role is needed, and no address, which Airbyte may quote."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"data": {"message": f"No: {request.content.decode()}"}})

    with (
        client_of(airbyte, Refusing(answer)) as client,
        pytest.raises(PermissionDenied, match="role of an ed") as caught,
    ):
        register(client, workspace_of(client), at, SECRET, forward=False)
    assert "planted" not in str(caught.value)


def test_an_airbyte_that_does_not_take_it(airbyte: RunningAirbyte, at: str) -> None:
    """Older ones accept the request and leave the notifications as they are."""

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"workspaceId": "w", "name": "w"})

    with client_of(airbyte, Refusing(answer)) as client, pytest.raises(NotRegistered, match="Notifications"):
        register(client, workspace_of(client), at, SECRET, forward=False)


def test_notices_are_handed_on(
    recording: Recording,
    connection: str,
    api: Api,
    client: AirbyteClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To where they went before, as Airbyte sent them; the job is recorded all the same. The address is in no log."""
    caplog.set_level(logging.DEBUG)
    former = Receiver()
    try:
        notify(api, former.url("planted-former"))
        with receiving(recording) as url:
            base = url.partition("/notices/")[0]
            found, _ = register(client, workspace_of(client), base, SECRET, forward=True)
            assert found[0].forwards_to == shown(former.url(""))
            job = api.finish(api.sync(connection))["jobId"]
            path, kind, body = former.next()
            until(lambda: recording.jobs() == [job], recording)
            # Whoever knows the secret can't have it post anywhere else.
            assert httpx.post(f"{url}?forward={former.url('forged')}", json=body).status_code == 202
            wanted = "the workspace's notifications do not have it"
            until(lambda: any(wanted in text for text in caplog.messages), recording)
    finally:
        former.server.shutdown()
        former.server.server_close()
    assert (path, kind, body["data"]["jobId"]) == ("/planted-former", "application/json", job)
    assert former.seen.empty()
    ours = [
        record.getMessage()
        for record in caplog.records
        if record.name != "httpx" or "notices" not in record.getMessage()
    ]
    assert "planted-former" not in "".join(ours)


def test_the_former_address_is_down(
    recording: Recording, connection: str, api: Api, client: AirbyteClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The job is recorded, and the log says that the notice was not handed on."""
    notify(api, "http://127.0.0.1:1/planted-former")
    with receiving(recording) as url:
        register(client, workspace_of(client), url.partition("/notices/")[0], SECRET, forward=True)
        api.finish(api.sync(connection))
        until(lambda: recording.jobs() == [1], recording)
        until(
            lambda: any("not handed on to http://127.0.0.1:1/…: There" in text for text in caplog.messages), recording
        )


def test_addresses_as_text() -> None:
    """What is not ours is not read as ours; what is, comes back the same."""
    ours = Address("https://x:8/prefix", SECRET, f"{SLACK}?a=b&c=d")
    assert Address.parse(ours.url) == ours
    for url in (SLACK, "x", "http://[", f"https://x/notices/{SECRET}?a=b", f"/notices/{SECRET}", "https://x/notices/"):
        assert Address.parse(url) is None
    assert shown("https://x:8/a?b") == "https://x:8/…"
    assert shown("http://[") == "an address that can't be read"
    assert SECRET not in json.dumps(
        [
            item.__dict__
            for item in status(
                Workspace(
                    "w",
                    "w",
                    {"notifications": {"success": {"webhook": {"enabled": True, "url": ours.url}}, "failure": 7}},
                ),
                None,
            )
        ]
    )
