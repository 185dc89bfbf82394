"""Settings: what is refused before any call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.airbyte import CLOUD_SERVER_URL, AirbyteClient, ClientSettings
from airbyte_dagster.errors import ConfigurationError

HERE = "http://localhost:8000"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("client_id", "client_secret"),
        ("client_secret", "client_id"),
        ("username", "password"),
        ("password", "username"),
    ],
)
def test_half_given(given: str, missing: str) -> None:
    """Half of a pair of credentials is refused, naming both fields."""
    settings: dict[str, Any] = {given: "abc"}
    with pytest.raises(ConfigurationError, match=f"{given} is given without {missing}"):
        ClientSettings(**settings)


@pytest.mark.parametrize(
    ("credentials", "named"),
    [
        ({"client_id": "a", "client_secret": "b", "bearer_token": "c"}, ["client_id", "bearer_token"]),
        ({"client_id": "a", "client_secret": "b", "username": "c", "password": "d"}, ["client_id", "username"]),
        ({"bearer_token": "a", "username": "c", "password": "d"}, ["bearer_token", "username"]),
        ({"bearer_token": "a", "extra_headers": {"authorization": "x"}}, ["bearer_token", "Authorization"]),
    ],
)
def test_two_kinds(credentials: dict[str, Any], named: list[str]) -> None:
    """Two kinds of credentials are refused, naming both."""
    with pytest.raises(ConfigurationError) as caught:
        ClientSettings(**credentials)
    assert all(name in str(caught.value) for name in named)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bearer_token": "abc123456\n"},
        {"extra_headers": {"X-Key": "line1\nline2"}},
        {"extra_headers": {"X Key": "v"}},
        {"request_timeout": 0},
        {"slow_request_timeout": -1},
        {"max_attempts": 0},
        {"max_retry_seconds": -1},
        {"ca_bundle": "/does/not/exist.pem"},
        {"request_timeout": float("nan")},
    ],
)
def test_wrong_values(wrong: dict[str, Any]) -> None:
    """Values that could never work are refused by the name of their field, without repeating a secret."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))) as caught:
        ClientSettings(**wrong)
    assert "abc123456" not in str(caught.value)
    assert "line1" not in str(caught.value)


def test_empty_is_not_given() -> None:
    """Empty strings, as unset variables of the environment become, count as not given."""
    settings = ClientSettings(client_id="", client_secret="", bearer_token="", ca_bundle="")
    assert settings.client_id is None
    assert settings.signs_in_with == ""
    assert settings.server_url == CLOUD_SERVER_URL


def test_ca_bundle_must_be_pem(tmp_path: Path) -> None:
    """A bundle that holds no certificates is refused when the client is made, by name."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nothing")
    with pytest.raises(ConfigurationError, match="ca_bundle"):
        AirbyteClient(ClientSettings(server_url=HERE, ca_bundle=str(bundle)))


def test_repr_and_equality() -> None:
    """The repr shows no secret; settings are hashable and compare by value."""
    settings = ClientSettings(
        server_url=HERE, client_id="me", client_secret="hunter22", extra_headers={"X-Api-Key": "hunter33"}
    )
    assert "hunter" not in repr(settings)
    assert "hunter" not in repr(ClientSettings(bearer_token="hunter22"))
    assert "hunter" not in repr(ClientSettings(username="me", password="hunter22"))
    again = ClientSettings(
        server_url=f"{HERE}/api/public/v1",
        client_id="me",
        client_secret="hunter22",
        extra_headers={"X-Api-Key": "hunter33"},
    )
    assert settings == again
    assert hash(settings) == hash(again)
