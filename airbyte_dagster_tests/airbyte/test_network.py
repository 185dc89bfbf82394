"""Proxies, certificates, headers and redirects."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from airbyte_dagster.airbyte import AirbyteClient, ClientSettings
from airbyte_dagster.errors import ConfigurationError, TlsFailure, WrongBasePath
from airbyte_dagster_tests.airbyte.conftest import BASE, TOKEN, FakeTime, MakeClient, page, token_reply
from airbyte_dagster_tests.http_server import HttpServer, Reply

WORKSPACES = f"{BASE}/workspaces"


def test_proxy_of_the_environment(server: HttpServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go through the proxy that the environment names, with the whole address."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.on("GET", f"http://airbyte.example:8000{WORKSPACES}", page({"workspaceId": "w-1", "name": "n"}))
    assert make_client(server_url="http://airbyte.example:8000").workspaces()[0].id == "w-1"


def test_no_proxy(server: HttpServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts in NO_PROXY are reached directly."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.on("GET", WORKSPACES, page())
    assert make_client().workspaces() == []


def test_unusable_proxy(client: AirbyteClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of a kind that can't be used is named as the cause, without its password."""
    monkeypatch.setenv("HTTP_PROXY", "gopher://user:hunter22@127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        client.workspaces()
    assert "hunter22" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_extra_headers(server: HttpServer, make_client: MakeClient, application: dict[str, str]) -> None:
    """Extra headers go with every request, the token's and the SDK's included."""
    server.on("POST", TOKEN, token_reply())
    server.on("GET", WORKSPACES, page())
    client = make_client(extra_headers={"X-Access-Id": "abc"}, **application)
    client.workspaces()
    client.http.get(f"{server.url}{WORKSPACES}")
    assert [request.headers["x-access-id"] for request in server.requests] == ["abc"] * 3


def test_authorization_of_one_s_own(server: HttpServer, make_client: MakeClient) -> None:
    """A scheme that this package doesn't know can be sent as a header."""
    server.on("GET", WORKSPACES, page())
    make_client(extra_headers={"Authorization": "Custom abc"}).workspaces()
    assert server.requests[0].headers["authorization"] == "Custom abc"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=airbyte", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=60
    )
    return certificate, key


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[HttpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with HttpServer(tls=context) as running:
        running.on("GET", WORKSPACES, page({"workspaceId": "w-1", "name": "n"}))
        yield running


def test_ca_bundle(tls_server: HttpServer, make_client: MakeClient, certificate: tuple[Path, Path]) -> None:
    """A server with a certificate of one's own is trusted through ca_bundle."""
    client = make_client(server_url=tls_server.url, ca_bundle=str(certificate[0]))
    assert client.workspaces()[0].id == "w-1"


def test_ssl_cert_file(
    tls_server: HttpServer, make_client: MakeClient, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ca_bundle SSL_CERT_FILE of the environment counts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert make_client(server_url=tls_server.url).workspaces()[0].id == "w-1"


def test_untrusted_certificate(tls_server: HttpServer, make_client: MakeClient, time: FakeTime) -> None:
    """A certificate that isn't trusted is told at once, for no repetition helps, and ca_bundle is named."""
    client = make_client(server_url=tls_server.url)
    with pytest.raises(TlsFailure, match=r"self[- ]signed certificate.*ca_bundle"):
        client.workspaces()
    assert client.calls == 1
    assert time.pauses == []


def test_untrusted_certificate_at_the_token(
    tls_server: HttpServer, make_client: MakeClient, application: dict[str, str]
) -> None:
    """The same goes for the token request."""
    with pytest.raises(TlsFailure, match="ca_bundle"):
        make_client(server_url=tls_server.url, **application).workspaces()


def test_plain_http_reads_no_certificates(
    server: HttpServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is encrypted, the machine's certificates are not read, which takes longer than a call."""
    read: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_args, **_options: read.append(None))
    server.on("GET", WORKSPACES, page())
    assert make_client().workspaces() == []
    assert not read


def test_https_spoken_to_http(server: HttpServer, make_client: MakeClient) -> None:
    """https to a server that speaks http is a TLS failure that asks about the scheme."""
    with pytest.raises(TlsFailure, match="write server_url with http://"):
        make_client(server_url=server.url.replace("http:", "https:")).workspaces()


class _Redirecting(httpx.BaseTransport):
    """Redirects http to https, as proxies do, and answers there."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.url.scheme == "http":
            return httpx.Response(308, headers={"Location": f"{self.target}{request.url.raw_path.decode()}"})
        return httpx.Response(200, json={"data": []})


def _client(transport: httpx.BaseTransport, time: FakeTime) -> AirbyteClient:
    settings = ClientSettings(server_url="http://airbyte.example", bearer_token="abc123")
    return AirbyteClient(settings, transport=transport, sleep=time.sleep, clock=time.clock)


def test_https_redirect_is_followed_for_reads(time: FakeTime) -> None:
    """A read follows a redirect that only adds TLS, credentials and query included."""
    transport = _Redirecting("https://airbyte.example")
    assert _client(transport, time).workspaces() == []
    assert transport.seen[1].url.scheme == "https"
    assert transport.seen[1].url.params["limit"] == "100"
    assert transport.seen[1].headers["authorization"] == "Bearer abc123"
    assert transport.seen[1].headers["host"] == "airbyte.example"


def test_https_redirect_is_not_followed_for_writes(time: FakeTime) -> None:
    """A write is never redirected; the error says where to."""
    transport = _Redirecting("https://airbyte.example")
    with pytest.raises(WrongBasePath, match=r"redirects \(308\) to https://airbyte\.example"):
        _client(transport, time).create_job("c-1", "sync")
    assert len(transport.seen) == 1


def test_redirects_elsewhere_are_not_followed(time: FakeTime) -> None:
    """No other host gets to see the credentials."""
    transport = _Redirecting("https://elsewhere.example")
    with pytest.raises(WrongBasePath, match=r"https://elsewhere\.example"):
        _client(transport, time).workspaces()
    assert [request.url.host for request in transport.seen] == ["airbyte.example"]


def test_dropped_idle_connection(server: HttpServer, make_client: MakeClient) -> None:
    """Connections are reused between calls."""
    server.on("GET", WORKSPACES, Reply(200, {"data": []}))
    client = make_client()
    for _ in range(3):
        client.workspaces()
    assert client.calls == 3
