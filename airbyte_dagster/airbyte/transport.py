"""The one retry layer, and what every request gets: a timeout that fits, the extra headers, a place in the count."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import random
import threading
from collections.abc import Callable
from typing import Any

import httpx
import tenacity

from airbyte_dagster.airbyte.policy import CONNECT_TIMEOUT, Call, Repeat, classify
from airbyte_dagster.airbyte.problems import GATEWAY_STATUSES, tls_failure
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.urls import is_https_upgrade, origin, trusted_origins

_LOG = logging.getLogger("airbyte_dagster")

TOO_MANY_REQUESTS = 429
# 500 is Airbyte's answer to what it can't do: a failed discover (minutes each time), an id that is not a UUID, a bug.
# Sending it again repeats the cost, not the chance.
_TRANSIENT_STATUSES = GATEWAY_STATUSES | {TOO_MANY_REQUESTS}
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_TRANSIENT = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 20.0


class RetryingTransport(httpx.BaseTransport):
    """Sends requests, and sends them again where that is safe and may help.

    Which calls may be repeated is in `policy`. Pauses are random between 0 and a bound that doubles (full jitter), or
    what ``Retry-After`` asks; none goes beyond `max_retry_seconds` after the first attempt. When attempts or time are
    used up, the last answer is returned as it is, or the last exception raised: other layers say what it means.

    Attributes:
        calls: Requests sent so far.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        settings: ClientSettings,
        *,
        default_timeout: httpx.Timeout,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self.calls = 0
        self._inner = inner
        self._settings = settings
        self._default_timeout = default_timeout.as_dict()
        self._sleep = sleep
        self._clock = clock
        self._trusted = trusted_origins(settings.server_url)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request as often as its kind allows; its answer comes back completely read."""
        request.read()
        call = classify(request.method, request.url, self._settings)
        self._prepare(request, call)
        response: httpx.Response = self._retrying(call)(self._attempt, request)
        return response

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()

    def _prepare(self, request: httpx.Request, call: Call) -> None:
        # A timeout that the caller chose for this one request (the SDK's `timeout_ms`) is left alone.
        if request.extensions.get("timeout", self._default_timeout) == self._default_timeout:
            timeout = httpx.Timeout(call.timeout, connect=min(CONNECT_TIMEOUT, call.timeout))
            request.extensions = {**request.extensions, "timeout": timeout.as_dict()}
        if origin(request.url) in self._trusted:
            for name, value in self._settings.extra_headers.items():
                request.headers[name] = value

    def _retrying(self, call: Call) -> tenacity.Retrying:
        started = self._clock()

        def remaining() -> float:
            return self._settings.max_retry_seconds - (self._clock() - started)

        def stop(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number >= self._settings.max_attempts or remaining() <= 0

        def wait(state: tenacity.RetryCallState) -> float:
            asked = _retry_after(state)
            bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (state.attempt_number - 1))
            pause = random.uniform(0, bound) if asked is None else asked  # noqa: S311 - jitter
            return max(0.0, min(pause, remaining()))

        def retry(state: tenacity.RetryCallState) -> bool:
            return _should_repeat(state, call)

        def log(state: tenacity.RetryCallState) -> None:
            _LOG.info(
                "%s failed (%s); attempt %d of %d follows in %.1f s.",
                call.label,
                _describe(state),
                state.attempt_number + 1,
                self._settings.max_attempts,
                state.next_action.sleep if state.next_action else 0,
            )

        return tenacity.Retrying(
            sleep=self._sleep,
            stop=stop,
            wait=wait,
            retry=retry,
            before_sleep=log,
            retry_error_callback=_give_last_outcome,
        )

    def _attempt(self, request: httpx.Request) -> httpx.Response:
        response = self._send(request)
        target = _upgraded(request, response)
        if target is not None:
            headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
            response = self._send(httpx.Request("GET", target, headers=headers, extensions=request.extensions))
        return response

    def _send(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.calls += 1
        response = self._inner.handle_request(request)
        if response.is_closed:
            # Made in memory, as transports for tests do.
            return response
        try:
            # Read here, so that a connection lost in the middle of the body is a failed attempt like any other.
            body = b"".join(response.iter_raw())
        finally:
            response.close()
        kept = {key: value for key, value in response.extensions.items() if key in ("http_version", "reason_phrase")}
        return httpx.Response(
            response.status_code, headers=response.headers, stream=httpx.ByteStream(body), extensions=kept
        )


def _should_repeat(state: tenacity.RetryCallState, call: Call) -> bool:
    outcome = state.outcome
    if outcome is None:
        return False
    error = outcome.exception()
    if error is not None:
        if tls_failure(error) is not None:
            return False
        return isinstance(error, _TRANSIENT if call.repeat is Repeat.AFTER_ANY_FAILURE else _NEVER_SENT)
    status = outcome.result().status_code
    if call.repeat is Repeat.AFTER_ANY_FAILURE:
        return status in _TRANSIENT_STATUSES
    return bool(status == TOO_MANY_REQUESTS)


def _retry_after(state: tenacity.RetryCallState) -> float | None:
    """Read ``Retry-After``, seconds or a date; a date is compared with the server's own clock where it shows it."""
    if state.outcome is None or state.outcome.exception() is not None:
        return None
    headers = state.outcome.result().headers
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = _date(value)
    if until is None:
        return None
    now = _date(headers.get("date", "")) or dt.datetime.now(dt.timezone.utc)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> dt.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=dt.timezone.utc)


def _upgraded(request: httpx.Request, response: httpx.Response) -> httpx.URL | None:
    """Return where a redirect from http to https of the same host leads; other redirects are not followed."""
    if request.method != "GET" or not response.has_redirect_location:
        return None
    try:
        target = request.url.join(response.headers["location"])
    except httpx.InvalidURL:
        return None
    return target if is_https_upgrade(request.url, target) else None


def _describe(state: tenacity.RetryCallState) -> str:
    outcome = state.outcome
    if outcome is None:
        return "no outcome"
    error = outcome.exception()
    # The name only: httpx's texts may quote a header.
    return type(error).__name__ if error is not None else str(outcome.result().status_code)


def _give_last_outcome(state: tenacity.RetryCallState) -> Any:
    if state.outcome is None:
        raise RuntimeError("tenacity stopped before the first attempt")
    return state.outcome.result()
