"""Addresses: what users write, and what is meant."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbyte_dagster.airbyte import CLOUD_SERVER_URL, normalise_server_url
from airbyte_dagster.airbyte.urls import configuration_api_url, is_https_upgrade, token_urls, trusted_origins
from airbyte_dagster.errors import ConfigurationError


@pytest.mark.parametrize(
    "written",
    [
        "https://api.airbyte.com/v1",
        "https://api.airbyte.com/v1/",
        "https://api.airbyte.com",
        "https://api.airbyte.com/",
        "http://api.airbyte.com/v1",
        "api.airbyte.com",
        "API.airbyte.com/v1",
        "https://cloud.airbyte.com/api/v1",
        "cloud.airbyte.com/api/v1",
        "https://cloud.airbyte.com/api/public/v1",
        "https://api.airbyte.com/v1/applications/token",
        "  https://api.airbyte.com/v1\n",
    ],
)
def test_cloud(written: str) -> None:
    """Every way of naming Airbyte Cloud means its public API."""
    assert normalise_server_url(written) == CLOUD_SERVER_URL


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://localhost:8000", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/api/v1", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/api/v1/", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/api", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/api/public", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/api/public/v1/applications/token", "http://localhost:8000/api/public/v1"),
        ("http://localhost:8000/api/v1/applications/token/", "http://localhost:8000/api/public/v1"),
        ("HTTPS://Airbyte.Example.COM/api/public/v1", "https://airbyte.example.com/api/public/v1"),
        ("https://example.com/airbyte/api/public/v1/", "https://example.com/airbyte/api/public/v1"),
        ("https://example.com/v1", "https://example.com/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/api/public/v1"),
    ],
)
def test_self_managed(written: str, meant: str) -> None:
    """Incomplete paths are completed, the configuration API's path is replaced, other paths are kept."""
    assert normalise_server_url(written) == meant


@pytest.mark.parametrize(
    "written", ["localhost:8000", "", "ftp://host", "http://", "http://host:99999", "http:// x", "/api"]
)
def test_not_an_address(written: str) -> None:
    """What is not an http(s) address is refused, with an example of what to write."""
    with pytest.raises(ConfigurationError, match="api/public/v1"):
        normalise_server_url(written)


def test_credentials_in_the_address() -> None:
    """Credentials in the address are refused, and not repeated in the message."""
    with pytest.raises(ConfigurationError, match="`password`") as caught:
        normalise_server_url("https://someone:hunter22@example.com")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("end", ["?workspace=1", "#here", "?"])
def test_query(end: str) -> None:
    """A query or a fragment is refused."""
    with pytest.raises(ConfigurationError, match="query or a fragment"):
        normalise_server_url(f"https://example.com/api/public/v1{end}")


@given(st.text(alphabet="htps:/.@?#apiubcv1locken8 -[]x%é", max_size=40))
def test_any_text(written: str) -> None:
    """Any text either is refused in the one way, or gives an address that httpx accepts."""
    try:
        meant = normalise_server_url(written)
    except ConfigurationError:
        return
    assert httpx.URL(meant).host


@given(
    host=st.sampled_from(["localhost", "api.airbyte.com", "cloud.airbyte.com", "airbyte.corp.example", "10.0.0.7"]),
    port=st.sampled_from(["", ":8000", ":443"]),
    path=st.lists(st.sampled_from(["", "api", "public", "v1", "applications", "token", "airbyte"]), max_size=8).map(
        lambda parts: "".join(f"/{part}" for part in parts)
    ),
    scheme=st.sampled_from(["http", "https"]),
)
def test_idempotent(scheme: str, host: str, port: str, path: str) -> None:
    """Normalising twice is normalising once."""
    once = normalise_server_url(f"{scheme}://{host}{port}{path}")
    assert normalise_server_url(once) == once


def test_addresses_that_follow() -> None:
    """The configuration API and the token endpoints follow from the base; for unknown layouts there is no former."""
    assert configuration_api_url(CLOUD_SERVER_URL) == "https://cloud.airbyte.com/api/v1"
    assert configuration_api_url("http://h:8000/x/api/public/v1") == "http://h:8000/x/api/v1"
    assert configuration_api_url("https://example.com/v1") is None
    assert token_urls(CLOUD_SERVER_URL) == ("https://api.airbyte.com/v1/applications/token",)
    assert token_urls("http://h/api/public/v1") == (
        "http://h/api/public/v1/applications/token",
        "http://h/api/v1/applications/token",
    )
    assert trusted_origins(CLOUD_SERVER_URL) == {
        ("https", "api.airbyte.com", 443),
        ("https", "cloud.airbyte.com", 443),
    }


@pytest.mark.parametrize(
    ("before", "after", "is_upgrade"),
    [
        ("http://h/a", "https://h/a", True),
        ("http://h:80/a", "https://h:443/b", True),
        ("http://h/a", "https://other/a", False),
        ("http://h:8000/a", "https://h/a", False),
        ("https://h/a", "http://h/a", False),
        ("http://h/a", "http://h/b", False),
    ],
)
def test_https_upgrade(before: str, after: str, *, is_upgrade: bool) -> None:
    """Only a redirect that adds TLS on the same host counts as one."""
    assert is_https_upgrade(httpx.URL(before), httpx.URL(after)) is is_upgrade
