"""The receiver: an application that takes notices, and threads that record what they are about."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import dagster as dg

from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.webhook.address import shown, webhooks_of
from airbyte_dagster.webhook.app import Limits, WebhookApp
from airbyte_dagster.webhook.background import BackgroundQueue
from airbyte_dagster.webhook.notice import Notice
from airbyte_dagster.webhook.posting import NotPosted, post
from airbyte_dagster.webhook.recorder import NoticeRecorder, Outcome, recorders_of
from airbyte_dagster.webhook.secret import check_secret

_LOG = logging.getLogger("airbyte_dagster.webhook")

_QUEUE_SIZE = 1000
_THREADS = 4
_FORWARDED_SIZE = 200
_FORWARDING_THREADS = 2
#: Pauses before a job is looked up again that has not ended yet, or while Airbyte can't be asked; seconds.
_PAUSES = (0.5, 2.0, 5.0)
#: How long is waited at the end for what is being recorded.
_CLOSING_SECONDS = 10.0
#: How long the workspace's addresses are known.
_ADDRESSES_SECONDS = 60.0


class Receiver:
    """Records what notices are about, and hands them on, in the background.

    Args:
        recorders: One for each sensor.
        secret: The receiver's own.
        queue_size: Most jobs that wait.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        recorders: Sequence[NoticeRecorder],
        secret: str,
        *,
        queue_size: int = _QUEUE_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recorders = recorders
        self._secret = secret
        self._clock = clock
        self._jobs = BackgroundQueue[Notice](self._record, name="airbyte-notices", size=queue_size, threads=_THREADS)
        self._forwards = BackgroundQueue[tuple[bytes, str]](
            self._post, name="airbyte-forwards", size=_FORWARDED_SIZE, threads=_FORWARDING_THREADS
        )
        self._addresses: tuple[float, frozenset[str]] | None = None
        self._lock = threading.Lock()

    def take(self, notice: Notice) -> bool:
        """Take a notice; return whether there was room."""
        has_room = self._jobs.put(notice)
        if not has_room:
            _LOG.warning("Job %d: refused, since too many wait; it is left to the sensor.", notice.job_id)
        return has_room

    def forward(self, body: bytes, url: str) -> None:
        """Hand a notice on, if there is room and the workspace's notifications have that address."""
        if not self._forwards.put((body, url)):
            _LOG.warning("A notice was not handed on to %s: too many wait.", shown(url))

    @property
    def has_room(self) -> bool:
        """Whether a notice would be taken."""
        return self._jobs.has_room

    def close(self) -> None:
        """Finish what is being recorded, within some seconds; what waits is left to the sensor."""
        left = self._jobs.close(_CLOSING_SECONDS)
        self._forwards.close(_CLOSING_SECONDS)
        if left:
            _LOG.warning("Ended with %d notices in the queue: they are left to the sensor.", left)

    # In the background

    def _record(self, notice: Notice) -> None:
        for recorder in self._recorders:
            for pause in (*_PAUSES, None):
                try:
                    if notice.workspace_id and notice.workspace_id != recorder.workspace_id():
                        _LOG.info("Job %d: of another workspace than that of %s.", notice.job_id, recorder.name)
                        break
                    outcome = recorder.record(notice.job_id)
                    said = outcome.value
                except AirbyteDagsterError as error:
                    outcome, said = None, str(error)
                if outcome not in (None, Outcome.ACTIVE) or pause is None or not self._jobs.pause(pause):
                    level = logging.WARNING if outcome is None else logging.INFO
                    _LOG.log(level, "Job %d: %s (%s).", notice.job_id, said, recorder.name)
                    break

    def _post(self, item: tuple[bytes, str]) -> None:
        body, url = item
        if url not in self._known_addresses():
            _LOG.warning("A notice was not handed on to %s: the workspace's notifications do not have it.", shown(url))
            return
        try:
            status = post(url, body)
        except NotPosted as error:
            _LOG.warning("A notice was not handed on to %s: %s", shown(url), error)
        else:
            _LOG.info("A notice was handed on to %s: %d.", shown(url), status)

    def _known_addresses(self) -> frozenset[str]:
        """Return the addresses that Airbyte has as those to hand on to: whoever knows the secret may name any."""
        with self._lock:
            now = self._clock()
            if self._addresses is None or now - self._addresses[0] >= _ADDRESSES_SECONDS:
                found: set[str] = set()
                for recorder in self._recorders:
                    addresses = filter(None, (hook.address for hook in webhooks_of(recorder.notifications()).values()))
                    ours = (item.forward for item in addresses if item.has_secret(self._secret))
                    found |= set(filter(None, ours))
                self._addresses = (now, frozenset(found))
            return self._addresses[1]


def build_webhook_app(
    definitions: dg.Definitions,
    *,
    secret: str,
    instance: dg.DagsterInstance | None = None,
    limits: Limits | None = None,
    queue_size: int = _QUEUE_SIZE,
) -> WebhookApp:
    """Build the receiver of Airbyte's notices as an ASGI application, to mount in your own.

    It records syncs for the sync sensors of the definitions, as these would: a notice is only a hint, the job is looked
    up in Airbyte. ``airbyte-dagster webhook serve`` serves it by itself.

    Args:
        definitions: They have a `build_airbyte_sync_sensor`, or a workspace with ``sync_sensor=True``, whose resources
            are among them.
        secret: Part of the address: 20 letters, digits, ``-``, ``_``, ``.``, ``~`` or more.
        instance: Where to record; that of ``DAGSTER_HOME`` by default.
        limits: What a client may cost.
        queue_size: Most notices that wait; further ones are answered with 503, and left to the sensor.

    Returns:
        The application; call its ``close`` when yours ends, unless it gets ASGI's lifespan events.

    Raises:
        ConfigurationError: There is no such sensor, the secret is not valid, or the storage of the instance has no lock
            that processes share.
    """
    check_secret(secret)
    with ExitStack() as until_end:
        if instance is None:
            instance = until_end.enter_context(dg.DagsterInstance.get())
        recorders = until_end.enter_context(recorders_of(definitions, instance))
        receiver = Receiver(recorders, secret, queue_size=queue_size)
        until_end.callback(receiver.close)
        held = until_end.pop_all()
    return WebhookApp(
        secret,
        take=receiver.take,
        forward=receiver.forward,
        has_room=lambda: receiver.has_room,
        on_close=held.close,
        limits=limits,
    )
