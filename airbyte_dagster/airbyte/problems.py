"""Failed requests turned into this package's errors: a status, or what httpx raised."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx

from airbyte_dagster import errors
from airbyte_dagster.airbyte.policy import Call, Repeat
from airbyte_dagster.airbyte.reasons import Reason, is_html, read_reason
from airbyte_dagster.airbyte.redaction import redact
from airbyte_dagster.airbyte.settings import ClientSettings
from airbyte_dagster.airbyte.urls import TOKEN_PATH, WHERE_THE_API_IS

_LONGEST_REASON = 2000

_BY_STATUS: dict[int, type[errors.ApiError]] = {
    400: errors.InvalidRequest,
    401: errors.BadCredentials,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.InvalidConfiguration,
    423: errors.Conflict,
    429: errors.RateLimited,
}

#: A gateway in front of Airbyte answers these; Airbyte itself may have done what was asked, or may still be at it.
GATEWAY_STATUSES = frozenset({502, 503, 504})

BY_EXCEPTION: dict[type[Exception], type[errors.AirbyteError]] = {
    httpx.ConnectError: errors.ServerUnreachable,
    httpx.ConnectTimeout: errors.ServerUnreachable,
    httpx.PoolTimeout: errors.ServerUnreachable,
    httpx.ProxyError: errors.ServerUnreachable,
    httpx.UnsupportedProtocol: errors.ServerUnreachable,
    httpx.LocalProtocolError: errors.ServerUnreachable,
    httpx.InvalidURL: errors.ServerUnreachable,
    httpx.CookieConflict: errors.ServerUnreachable,
    httpx.RequestNotRead: errors.ServerUnreachable,
    httpx.TimeoutException: errors.RequestTimedOut,
    httpx.ReadTimeout: errors.RequestTimedOut,
    httpx.WriteTimeout: errors.RequestTimedOut,
    httpx.NetworkError: errors.RequestTimedOut,
    httpx.ReadError: errors.RequestTimedOut,
    httpx.WriteError: errors.RequestTimedOut,
    httpx.CloseError: errors.RequestTimedOut,
    httpx.ProtocolError: errors.RequestTimedOut,
    httpx.RemoteProtocolError: errors.RequestTimedOut,
    httpx.TransportError: errors.RequestTimedOut,
    httpx.RequestError: errors.RequestTimedOut,
    httpx.HTTPError: errors.RequestTimedOut,
    httpx.StreamError: errors.RequestTimedOut,
    httpx.StreamConsumed: errors.RequestTimedOut,
    httpx.StreamClosed: errors.RequestTimedOut,
    httpx.ResponseNotRead: errors.RequestTimedOut,
    httpx.DecodingError: errors.UnexpectedAnswer,
    httpx.HTTPStatusError: errors.UnexpectedAnswer,
    httpx.TooManyRedirects: errors.WrongBasePath,
}
"""Every exception of httpx. The unclear ones count as "may have happened", which makes the caller look."""


@dataclass(frozen=True)
class Explainer:
    """Makes errors for one server.

    Attributes:
        settings: For guidance: where the server is and how one signs in to it.
        secrets: Values that no message may show.
        workspace_id: The workspace that the call was about, if any.
    """

    settings: ClientSettings
    secrets: tuple[str, ...] = ()
    workspace_id: str | None = None

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        return redact(text, (*self.settings.secrets, *self.secrets))

    def reason(self, response: httpx.Response) -> Reason:
        """Return what an answer says, without secrets and not too long."""
        reason = read_reason(response)
        # In this order: a secret that is cut in two would not be found.
        text = self.clean(reason.text)
        return replace(reason, text=text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} …")

    def of_response(self, response: httpx.Response, call: Call) -> errors.AirbyteError:
        """Return the error that an answer means that is not one of Airbyte's successes."""
        status = response.status_code
        if response.is_success:
            return self.wrong_base_path(call, f"answered {status} with a web page.")
        if response.has_redirect_location or status < 400:  # noqa: PLR2004 - redirects and other oddities
            return self._redirected(response, call)
        reason = self.reason(response)
        if status in (404, 405) and (is_html(response) or reason.is_unrouted):
            return self.wrong_base_path(
                call, f"answered {status}: {(reason.text or response.reason_phrase).rstrip('.')}."
            )
        if status in GATEWAY_STATUSES and call.repeat is Repeat.IF_NEVER_SENT:
            return errors.RequestTimedOut(
                f"{call.label} was answered {status} by a gateway ({reason.text or response.reason_phrase}); "
                "Airbyte may have done it all the same.",
                request=call.label,
            )
        kind = _BY_STATUS.get(status) or (errors.ServerError if status >= 500 else errors.ApiError)  # noqa: PLR2004
        if kind is errors.Conflict and reason.kind == "try-again-later":
            kind = errors.SyncAlreadyRunning
        said = reason.text or f"{response.reason_phrase or 'no reason given'}"
        return kind(
            f"Airbyte answered {status} to {call.label}: {said}",
            status=status,
            reason=reason.text,
            request=call.label,
            guidance=self._guidance(kind, call, reason, html=is_html(response)),
        )

    def of_exception(self, error: Exception, call: Call) -> errors.AirbyteError:
        """Return the error that an exception of httpx means."""
        text = self.clean(str(error) or type(error).__name__).rstrip(".")
        tls = tls_failure(error)
        if tls is not None:
            return errors.TlsFailure(
                f"The TLS connection for {call.label} to {self._host} failed: {self.clean(str(tls))}.",
                request=call.label,
                guidance=self._tls_guidance(tls),
            )
        kind = next(
            (BY_EXCEPTION[base] for base in type(error).__mro__ if base in BY_EXCEPTION), errors.RequestTimedOut
        )
        if kind is errors.ServerUnreachable:
            guidance = "Check server_url, and that Airbyte is running and reachable from here."
            if isinstance(error, httpx.ProxyError):
                guidance = "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
            return kind(
                f"{self._host} can't be reached for {call.label}: {text}.", request=call.label, guidance=guidance
            )
        if kind is errors.RequestTimedOut:
            happened = "" if call.repeat is Repeat.AFTER_ANY_FAILURE else " It may have happened all the same."
            what = (
                f"got no answer within {call.timeout:g} s"
                if isinstance(error, httpx.TimeoutException)
                else f"lost its connection: {text}"
            )
            return kind(f"{call.label} {what}.{happened}", request=call.label)
        return kind(f"{call.label} got an answer that can't be read: {text}.", request=call.label)

    def wrong_base_path(self, call: Call, what: str) -> errors.WrongBasePath:
        """Return the error for an answer that isn't Airbyte's."""
        return errors.WrongBasePath(
            f"{call.label} at {self.settings.server_url} is not Airbyte's public API; it {what}",
            request=call.label,
            guidance=f"Check server_url: {WHERE_THE_API_IS}",
        )

    @property
    def _host(self) -> str:
        return httpx.URL(self.settings.server_url).netloc.decode()

    def _redirected(self, response: httpx.Response, call: Call) -> errors.AirbyteError:
        target = response.headers.get("location", "").split("?", 1)[0].split("#", 1)[0]
        return self.wrong_base_path(call, f"redirects ({response.status_code}) to {self.clean(target) or 'nowhere'}.")

    def _guidance(self, kind: type[errors.ApiError], call: Call, reason: Reason, *, html: bool) -> str:  # noqa: PLR0911
        if html and kind in (errors.BadCredentials, errors.PermissionDenied):
            return "That is a web page, so a proxy before Airbyte answered; it may need extra_headers."
        if kind is errors.BadCredentials:
            return self.credentials_guidance(call)
        is_about_workspace = self.workspace_id or call.label.startswith("GET /workspaces/")
        if kind in (errors.PermissionDenied, errors.NotFound) and is_about_workspace:
            workspace = f"the workspace id {self.workspace_id}" if self.workspace_id else "the workspace id"
            return (
                f"Check {workspace} and that these credentials may use it: "
                "to all but instance admins Airbyte answers 403 for an id that it doesn't know."
            )
        if kind is errors.PermissionDenied:
            return (
                "An application acts as the user who made it: that user lacks the role for this, or the id is unknown "
                "(to all but instance admins Airbyte answers 403 for that too)."
            ) + (f" The workspace set is {self.settings.workspace_id}." if self.settings.workspace_id else "")
        if kind is errors.Conflict and call.label.startswith("GET /jobs/"):
            return "Airbyte answers so for a job id that it doesn't know."
        if kind is errors.ServerError and reason.kind == "error-id":
            return "The server's log has more under that id; an id that isn't a UUID gives this too."
        return ""

    def credentials_guidance(self, call: Call) -> str:
        """Say what to check after a 401 or a refused token request."""
        fields = self.settings.signs_in_with
        if not fields:
            return "No credentials are set: give client_id and client_secret, bearer_token, or username and password."
        if call.label.endswith(TOKEN_PATH):
            return (
                f"Check {fields}: they belong to an application of this very server ({self._host}), "
                "made in Airbyte under Settings, Applications."
            )
        return f"Check {fields}, and that they belong to {self._host}."

    def _tls_guidance(self, error: ssl.SSLError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            if self.settings.ca_bundle:
                return f"Check that ca_bundle ({self.settings.ca_bundle}) holds its authority, and the host's name."
            return "For a private authority, set ca_bundle to the path of its certificate (PEM)."
        return "If this port speaks plain http, write server_url with http://; else look at the server's TLS settings."


def tls_failure(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that lies under a failed *connection*, if one does."""
    if not isinstance(error, httpx.ConnectError):
        return None
    found = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    # A connection that ends during the handshake is like any other that could not be made.
    return None if isinstance(found, ssl.SSLEOFError | ssl.SSLZeroReturnError) else found


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
