"""Every error that this package raises on purpose.

    AirbyteDagsterError
    ├── ConfigurationError            a declaration or a setting is wrong; nothing was called
    │   └── SpecError                 … in a pipeline; carries the dotted path
    ├── AirbyteError                  Airbyte could not be reached, or refused
    │   ├── ServerUnreachable         no connection: host, port or network
    │   ├── TlsFailure                the certificate is not trusted
    │   ├── RequestTimedOut           no answer in time; what was asked may have happened
    │   ├── WrongBasePath             something answered, but not Airbyte's public API
    │   ├── UnexpectedAnswer          Airbyte answered with something else than it promises
    │   └── ApiError                  Airbyte answered with a status of 400 or more
    │       ├── InvalidRequest        400
    │       ├── BadCredentials        401, or a refused token request
    │       ├── PermissionDenied      403
    │       ├── NotFound              404
    │       ├── Conflict              409
    │       │   └── SyncAlreadyRunning
    │       ├── InvalidConfiguration  422
    │       ├── RateLimited           429
    │       └── ServerError           500 and more
    ├── WorkspaceError                no workspace, or no single one, fits what was asked
    ├── AmbiguousName                 two things of one name; both ids are in the message
    ├── OutcomeUnknown                a create got no answer and could not be found afterwards
    ├── CheckpointNotSaved            what a run has to remember of a job could not be written
    ├── UnexpectedError               something that nobody expected was raised while one connection was synced
    ├── SyncError                     a job did not end in success
    │   ├── SyncFailed
    │   ├── SyncCancelled
    │   ├── SyncTimedOut
    │   └── SyncStatusUnknown         the job could not be watched any longer
    └── WarehouseError                the warehouse could not be read
        ├── WarehouseMissing
        ├── WarehouseLocked
        ├── WarehouseTooNew
        └── MotherDuckUnavailable     token refused, service out of reach, or no extension

``str(error)`` is one line that says what happened, then, where there is something to do about it, the guidance.
No message holds a secret: callers pass names, ids, paths and Airbyte's own words.
"""

from __future__ import annotations


class AirbyteDagsterError(Exception):
    """Base of the tree.

    Attributes:
        message: What happened, in one line.
        guidance: What to do next, in one line; empty where nothing helps.
    """

    def __init__(self, message: str, *, guidance: str = "") -> None:
        self.message = " ".join(message.split())
        self.guidance = " ".join(guidance.split())
        super().__init__(self.message)

    def __str__(self) -> str:
        if not self.guidance:
            return self.message
        end = "" if self.message.endswith((".", "!", "?", ":", "…")) else "."
        return f"{self.message}{end} {self.guidance}"


class ConfigurationError(AirbyteDagsterError):
    """A setting is missing, half given or contradicts another; raised before any call."""


class SpecError(ConfigurationError, ValueError):
    """A pipeline's declaration is wrong.

    It is a `ValueError` too, so that pydantic reports a nested one under the path of what holds it.

    Attributes:
        problems: One line each, ``dotted.path: what is wrong``.
    """

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), guidance: str = "") -> None:
        self.problems = problems
        super().__init__(message, guidance=guidance)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {problem}" for problem in self.problems)])


class AirbyteError(AirbyteDagsterError):
    """Airbyte could not be reached, or refused.

    Attributes:
        request: What was asked: ``"GET /sources"``, with no query and no body.
    """

    def __init__(self, message: str, *, request: str = "", guidance: str = "") -> None:
        self.request = request
        super().__init__(message, guidance=guidance)


class ServerUnreachable(AirbyteError):
    """No connection to the server could be made; what was asked did not happen."""


class TlsFailure(AirbyteError):
    """The server's certificate is not trusted; what was asked did not happen."""


class RequestTimedOut(AirbyteError):
    """The connection was lost, or no answer came in time; what was asked may have happened."""


class WrongBasePath(AirbyteError):
    """Something answered, but not Airbyte's public API: an HTML page or an unrouted path."""


class UnexpectedAnswer(AirbyteError):
    """Airbyte reported success, but its answer is not what its API promises: not JSON, or without an id."""


class ApiError(AirbyteError):
    """Airbyte answered with an error.

    Attributes:
        status: The HTTP status.
        reason: Airbyte's own words (``data.message`` of its problem body), or as near as its answer comes to them.
    """

    def __init__(self, message: str, *, status: int, reason: str = "", request: str = "", guidance: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(message, request=request, guidance=guidance)


class InvalidRequest(ApiError):
    """400: the request is wrong; for connections this is how Airbyte refuses streams and schedules."""


class BadCredentials(ApiError):
    """401, or the token request was refused."""


class PermissionDenied(ApiError):
    """403: signed in, but without the role that this needs."""


class NotFound(ApiError):
    """404: there is nothing of that id."""


class Conflict(ApiError):
    """409: the state of the thing does not allow it now."""


class SyncAlreadyRunning(Conflict):
    """409 ``try-again-later``: the connection has an active sync."""


class InvalidConfiguration(ApiError):
    """422: the connector's specification refuses the configuration."""


class RateLimited(ApiError):
    """429, still after all attempts."""


class ServerError(ApiError):
    """500 or more, still after all attempts where the call may be repeated."""


class WorkspaceError(AirbyteDagsterError):
    """No workspace, or no single one, fits what was asked."""


class AmbiguousName(AirbyteDagsterError):
    """Two things of one kind have the name that a pipeline declares."""


class OutcomeUnknown(AirbyteDagsterError):
    """A create got no answer, and looking afterwards did not find what it should have made."""


class CheckpointNotSaved(AirbyteDagsterError):
    """What a run has to remember of a connection's job could not be written, after several attempts."""


class UnexpectedError(AirbyteDagsterError):
    """Something that nobody expected was raised while one connection was synced; it is the cause of this error."""


class SyncError(AirbyteDagsterError):
    """A job did not end in success.

    Attributes:
        job_id: Airbyte's id of the job.
        status: Its last known status.
        failure_type: Airbyte's ``failureType``; ``None`` where it gives none. A ``config_error`` is not
            helped by trying again.
    """

    def __init__(
        self, message: str, *, job_id: int, status: str, guidance: str = "", failure_type: str | None = None
    ) -> None:
        self.job_id = job_id
        self.status = status
        self.failure_type = failure_type
        super().__init__(message, guidance=guidance)


class SyncFailed(SyncError):
    """The job ended as ``failed``."""


class SyncCancelled(SyncError):
    """The job ended as ``cancelled``."""


class SyncTimedOut(SyncError):
    """The job was still active when its time was over."""


class SyncStatusUnknown(SyncError):
    """Airbyte could not be asked for too long; the job may still be running."""


class WarehouseError(AirbyteDagsterError):
    """The warehouse could not be read."""


class WarehouseMissing(WarehouseError):
    """There is no database at the given place."""


class WarehouseLocked(WarehouseError):
    """Another process has held the database for the whole time that was waited."""


class WarehouseTooNew(WarehouseError):
    """A newer DuckDB than the installed one wrote the file."""


class MotherDuckUnavailable(WarehouseError):
    """MotherDuck refused the token, can't be reached, or its extension cannot be loaded."""
