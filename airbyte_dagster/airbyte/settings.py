"""How to reach one Airbyte and how to sign in to it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airbyte_dagster.airbyte.urls import CLOUD_SERVER_URL, normalise_server_url
from airbyte_dagster.errors import ConfigurationError

_PAIRS = (("client_id", "client_secret"), ("username", "password"))
_SECRETS = ("client_secret", "bearer_token", "password")
_NOT_IN_A_HEADER = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True)
class ClientSettings:
    """Settings of an `AirbyteClient`; its repr shows no secret.

    Empty strings count as not given, since that is what an unset environment variable often becomes.

    Attributes:
        server_url: Base of the public API; Cloud's by default. See `normalise_server_url` for what is understood.
        client_id: Of an application, together with `client_secret`.
        client_secret: Of an application, together with `client_id`.
        bearer_token: A token that is sent as it is.
        username: For servers behind basic authentication, together with `password`.
        password: For servers behind basic authentication, together with `username`.
        workspace_id: The workspace that is worked in; used only to explain errors.
        request_timeout: Seconds that an ordinary call may wait for an answer; 30.
        slow_request_timeout: Seconds for the calls in which Airbyte starts a job, may run a connector, or deletes; 300.
        max_attempts: How often a call is sent at most, if it may be repeated; 5.
        max_retry_seconds: No attempt of a call begins later than this after its first; 120 seconds.
        ca_bundle: Path of a PEM file with the certificates to trust, in place of the usual ones.
        extra_headers: Sent with every request to this server, the token's included.

    Raises:
        ConfigurationError: Credentials are half given, of two kinds, or can't be sent; a number is out of range.
    """

    server_url: str = CLOUD_SERVER_URL
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    workspace_id: str | None = None
    request_timeout: float = 30.0
    slow_request_timeout: float = 300.0
    max_attempts: int = 5
    max_retry_seconds: float = 120.0
    ca_bundle: str | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret", "bearer_token", "username", "password", "workspace_id", "ca_bundle"):
            if not getattr(self, name):
                object.__setattr__(self, name, None)
        object.__setattr__(self, "server_url", normalise_server_url(self.server_url))
        object.__setattr__(self, "extra_headers", dict(self.extra_headers))
        self._check_credentials()
        self._check_headers()
        self._check_numbers()
        if self.ca_bundle is not None and not Path(self.ca_bundle).is_file():
            raise ConfigurationError(f"ca_bundle: there is no file {self.ca_bundle!r}.")

    @property
    def signs_in_with(self) -> str:
        """The fields that hold the credentials, for messages; empty if there are none."""
        if self.client_id:
            return "client_id and client_secret"
        if self.username:
            return "username and password"
        return "bearer_token" if self.bearer_token else ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that no message may show."""
        values = [getattr(self, name) for name in _SECRETS]
        values += list(self.extra_headers.values())
        if self.username and self.password:  # as basic authentication sends the two
            values.append(base64.b64encode(f"{self.username}:{self.password}".encode()).decode())
        return tuple(value for value in values if value)

    def _check_credentials(self) -> None:
        for one, other in _PAIRS:
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                given, missing = (one, other) if getattr(self, one) else (other, one)
                raise ConfigurationError(f"{given} is given without {missing}.", guidance="Give both or neither.")
        kinds = [name for name in ("client_id", "bearer_token", "username") if getattr(self, name)]
        if any(name.lower() == "authorization" for name in self.extra_headers):
            kinds.append("extra_headers['Authorization']")
        if len(kinds) > 1:
            raise ConfigurationError(
                f"Two kinds of credentials are given: {' and '.join(kinds)}.", guidance="Give only one of them."
            )

    def _check_headers(self) -> None:
        # A token from a file often brings its newline along; later it would be in the text of httpx's error.
        if self.bearer_token and _NOT_IN_A_HEADER.search(self.bearer_token):
            raise ConfigurationError("bearer_token holds a space, a line break or a letter that no token has.")
        for name, value in self.extra_headers.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise ConfigurationError(f"extra_headers: {name!r} is not the name of a header.")
            if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?|", value):
                raise ConfigurationError(f"extra_headers: the value of {name!r} is not one line of ASCII text.")

    def _check_numbers(self) -> None:
        for name in ("request_timeout", "slow_request_timeout"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be more than 0 seconds.")
        if self.max_attempts < 1:
            raise ConfigurationError(f"max_attempts is {self.max_attempts}; it must be at least 1.")
        if not self.max_retry_seconds >= 0:
            raise ConfigurationError(f"max_retry_seconds is {self.max_retry_seconds}; it must be at least 0.")
