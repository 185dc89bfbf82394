"""Signing in: an `httpx.Auth` for each kind of credentials.

Tokens of applications are fetched once for the whole process and shared by all its clients and threads. Airbyte's
tokens live for 15 minutes by default, but nothing here relies on it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import httpx

from airbyte_dagster import errors
from airbyte_dagster.airbyte.policy import Call, classify
from airbyte_dagster.airbyte.problems import Explainer
from airbyte_dagster.airbyte.reasons import is_html
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.urls import Origin, origin, token_urls

_UNAUTHORIZED = 401
#: A token is renewed this many seconds before it expires, or at this share of its life, whichever is less.
_MARGIN_SECONDS = 60.0
_MARGIN_SHARE = 0.2
_REFUSED = frozenset({400, 401, 403, 415, 422})
_NOT_HERE = frozenset({404, 405})
_SAYS_MOST = (401, 403, 400, 422, 415, 404, 405)

_Flow = Generator[httpx.Request, httpx.Response, None]


class TrustedOnly(httpx.Auth):
    """Signs requests to the given origins only, so that no other host ever sees the credentials."""

    def __init__(self, inner: httpx.Auth, trusted: frozenset[Origin]) -> None:
        self._inner = inner
        self._trusted = trusted

    def sync_auth_flow(self, request: httpx.Request) -> _Flow:
        """Sign a request, if its origin is trusted."""
        if origin(request.url) in self._trusted:
            yield from self._inner.sync_auth_flow(request)
        else:
            yield request


class BearerAuth(httpx.Auth):
    """A token that is sent as it is."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> _Flow:
        """Add the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class ApplicationAuth(httpx.Auth):
    """The token of an application, renewed before it expires and once more when the server refuses it."""

    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens

    def sync_auth_flow(self, request: httpx.Request) -> _Flow:
        """Add a token; after a 401, which means that nothing was done, send once more with a fresh one."""
        token = self._tokens.current()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {self._tokens.replace(token)}"
            yield request


@dataclass
class _SharedToken:
    """What all clients with the same credentials know together; `lock` is held while a token is fetched."""

    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    value: str | None = field(default=None, repr=False)
    former: str | None = field(default=None, repr=False)
    renew_at: float | None = None
    url: str | None = None
    as_form: bool | None = None


_shared: dict[str, _SharedToken] = {}
_shared_lock = threading.Lock()


class TokenSource:
    """Fetches, shares and renews the token of one application.

    Args:
        settings: With `client_id` and `client_secret`.
        send: Sends one request, with retries; no authentication.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        send: Callable[[httpx.Request], httpx.Response],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._send = send
        self._clock = clock
        self._urls = token_urls(settings.server_url)
        parts = (self._urls[0], settings.client_id or "", settings.client_secret or "")
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        with _shared_lock:
            self._token = _shared.setdefault(digest, _SharedToken())

    def known(self) -> tuple[str, ...]:
        """Return the token that is held now and the one before it, to keep them out of messages."""
        return tuple(value for value in (self._token.value, self._token.former) if value)

    def current(self) -> str:
        """Return a token that has not expired, fetched if need be.

        Raises:
            BadCredentials: Airbyte refused the credentials.
            AirbyteError: There is no token to be had; what it was wanted for was not sent.
        """
        with self._token.lock:
            value, renew_at = self._token.value, self._token.renew_at
            if value is not None and (renew_at is None or self._clock() < renew_at):
                return value
            return self._fetch()

    def replace(self, refused: str) -> str:
        """Return another token than the one that was refused; another thread may have fetched it already."""
        with self._token.lock:
            value = self._token.value
            return value if value is not None and value != refused else self._fetch()

    def _fetch(self) -> str:
        started = self._clock()
        response = self._ask()
        value, lifetime = self._read(response)
        self._token.value, self._token.former = value, self._token.value
        self._token.renew_at = None
        if lifetime is not None:
            self._token.renew_at = started + lifetime - min(_MARGIN_SECONDS, _MARGIN_SHARE * lifetime)
        return value

    def _ask(self) -> httpx.Response:
        """Ask as it worked before, else in each known way: JSON before form, for older servers refuse forms."""
        if self._token.url is not None and self._token.as_form is not None:
            response = self._post(self._token.url, as_form=self._token.as_form)
            if response.status_code not in _REFUSED | _NOT_HERE:
                return self._accepted([response])
            self._token.url = self._token.as_form = None
        answers: list[httpx.Response] = []
        for url in self._urls:
            response = self._post(url, as_form=False)
            if response.status_code in _REFUSED and not is_html(response):
                answers.append(response)
                response = self._post(url, as_form=True)
                self._remember(response, url, as_form=True)
            else:
                self._remember(response, url, as_form=False)
            answers.append(response)
            if response.status_code not in _NOT_HERE and not is_html(response):
                break
        return self._accepted(answers)

    def _accepted(self, answers: list[httpx.Response]) -> httpx.Response:
        if answers[-1].is_success and not is_html(answers[-1]):
            return answers[-1]
        raise self._refusal(answers)

    def _remember(self, response: httpx.Response, url: str, *, as_form: bool) -> None:
        if response.is_success and not is_html(response):
            self._token.url, self._token.as_form = url, as_form

    def _post(self, url: str, *, as_form: bool) -> httpx.Response:
        body = {"client_id": self._settings.client_id, "client_secret": self._settings.client_secret}
        content: dict[str, Any] = {"data": body} if as_form else {"json": body}
        request = httpx.Request("POST", url, headers={"Accept": "application/json"}, **content)
        try:
            response = self._send(request)
            response.read()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._lost(error) from error
        return response

    def _lost(self, error: Exception) -> errors.AirbyteError:
        problem = self._explainer.of_exception(error, self._call)
        if isinstance(problem, errors.RequestTimedOut):
            # Without a token nothing else was sent, so to whoever waits for it nothing can have happened.
            return errors.ServerUnreachable(
                problem.message, request=problem.request, guidance="Without a token nothing else is asked of Airbyte."
            )
        return problem

    def _refusal(self, answers: list[httpx.Response]) -> errors.AirbyteError:
        response = answers[-1]
        if response.status_code in _SAYS_MOST:
            # Of several refusals, the one that is about the credentials says more than the one about the form.
            refusals = [answer for answer in answers if answer.status_code in _SAYS_MOST]
            response = min(refusals, key=lambda answer: _SAYS_MOST.index(answer.status_code))
        if response.status_code not in _REFUSED or is_html(response):
            return self._explainer.of_response(response, self._call)
        reason = self._explainer.reason(response).text or response.reason_phrase
        return errors.BadCredentials(
            f"Airbyte refused to sign in: {response.status_code} to {self._call.label}: {reason}",
            status=response.status_code,
            reason=reason,
            request=self._call.label,
            guidance=self._explainer.credentials_guidance(self._call),
        )

    def _read(self, response: httpx.Response) -> tuple[str, float | None]:
        try:
            body = response.json()
        except ValueError:
            body = None
        value = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(value, str) or not value:
            raise errors.UnexpectedAnswer(
                f"{self._call.label} was answered {response.status_code} without an access_token.",
                request=self._call.label,
            )
        return value, _seconds(body.get("expires_in"))

    @property
    def _explainer(self) -> Explainer:
        return Explainer(self._settings, secrets=self.known())

    @property
    def _call(self) -> Call:
        return classify("POST", httpx.URL(self._urls[0]), self._settings)


def _seconds(value: Any) -> float | None:
    """Read ``expires_in``; anything else than a positive number means that the life of the token is not known."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < float("inf") else None
