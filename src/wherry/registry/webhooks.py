"""Tells others of events: a queue and a thread for each endpoint, which tries an event until it is taken.

Nothing that the registry serves waits for this. An endpoint that is down keeps its queue, whose oldest events are
lost when it is full; what is left in it when the registry ends is tried for a little while, then lost too.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import ssl
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence

from wherry import __version__
from wherry.registry.hooks import Event
from wherry.registry.http.message import Request
from wherry.registry.metrics import Metrics
from wherry.registry.webhooks_event import MEDIA_TYPE, make_envelope
from wherry.registry.webhooks_settings import EndpointSettings, WebhookSettings

logger = logging.getLogger(__name__)

LAST_SECONDS = 3.0
"""How long the registry's end waits for what is left in the queues."""


class Webhooks:
    """``hooks.Observer`` that passes events on."""

    def __init__(self, settings: WebhookSettings, source: str, metrics: Metrics) -> None:
        """``source``: the registry's address, for the events."""
        self._source = source
        self._instance = str(uuid.uuid4())
        self._references = settings.references
        self._endpoints: Sequence[Endpoint] = [Endpoint(one, metrics) for one in settings.endpoints]

    def start(self) -> None:
        """Begin to send."""
        for endpoint in self._endpoints:
            endpoint.start()

    def close(self) -> None:
        """Send what is left, for a moment, and end."""
        deadline = time.monotonic() + LAST_SECONDS
        for endpoint in self._endpoints:
            endpoint.finish()
        for endpoint in self._endpoints:
            endpoint.close(max(0.0, deadline - time.monotonic()))

    def began(self, request: Request) -> None:
        """See Observer; requests are not told of."""

    def answered(self, request: Request, status: int, *, sent: int, received: int, seconds: float) -> None:
        """See Observer; requests are not told of."""

    def happened(self, event: Event) -> None:
        """See Observer."""
        listening = [one for one in self._endpoints if one.wants(event)]
        if not listening:
            return
        envelope = make_envelope(event, source=self._source, instance=self._instance, references=self._references)
        for endpoint in listening:
            endpoint.put(envelope)


class Endpoint:
    """One receiver of events."""

    def __init__(self, settings: EndpointSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._turn = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._finishing = False
        self._ended = threading.Event()
        self._failures = 0
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"webhook {settings.name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wants(self, event: Event) -> bool:
        """Whether an event is for this endpoint."""
        settings = self._settings
        return event.media_type not in settings.ignored_types and event.action not in settings.ignored_actions

    def put(self, envelope: bytes) -> None:
        """Queue an event; never waits."""
        name = self._settings.name
        with self._turn:
            lost = len(self._waiting) >= self._settings.queue
            if lost:
                self._waiting.popleft()
            self._waiting.append(envelope)
            self._turn.notify()
            self._metrics.notify_pending.set(name, value=len(self._waiting))
        self._metrics.notified.add("Events", name)
        if lost:
            self._metrics.notified.add("Dropped", name)
            logger.warning("webhook %s: more than %d events wait, one is lost", name, self._settings.queue)

    def finish(self) -> None:
        """No more events will come."""
        with self._turn:
            self._finishing = True
            self._turn.notify()

    def close(self, seconds: float) -> None:
        """Wait so long for the queue to be empty, then end."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._ended.set()
        if self._waiting:
            logger.warning("webhook %s: %d events are lost at the end", self._settings.name, len(self._waiting))

    def _run(self) -> None:
        while (envelope := self._next()) is not None:
            while not self._ended.is_set() and not self._sent(envelope):
                if self._failures >= self._settings.threshold:
                    self._ended.wait(self._settings.backoff)
            with self._turn:
                if self._waiting and self._waiting[0] is envelope:
                    self._waiting.popleft()
                self._metrics.notify_pending.set(self._settings.name, value=len(self._waiting))
        self._disconnect()

    def _next(self) -> bytes | None:
        """The oldest event, which stays in the queue until it is sent; None at the end."""
        with self._turn:
            while not self._waiting and not self._finishing and not self._ended.is_set():
                self._turn.wait()
            return None if self._ended.is_set() or not self._waiting else self._waiting[0]

    def _sent(self, envelope: bytes) -> bool:
        name = self._settings.name
        try:
            status = self._post(envelope)
        except (OSError, http.client.HTTPException) as error:
            self._disconnect()
            self._fail("Errors", str(error) or type(error).__name__)
            return False
        self._metrics.notify_status.add(f"{status} {http.client.responses.get(status, '')}".strip(), name)
        if 200 <= status < 400:
            self._failures = 0
            self._metrics.notified.add("Successes", name)
            return True
        self._fail("Failures", f"answer {status}")
        return False

    def _fail(self, kind: str, words: str) -> None:
        self._failures += 1
        self._metrics.notified.add(kind, self._settings.name)
        if self._failures in (1, self._settings.threshold):
            logger.warning("webhook %s: %s: %s", self._settings.name, self._settings.url, words)

    def _post(self, envelope: bytes) -> int:
        settings = self._settings
        if self._connection is None:
            if settings.tls:
                context = ssl.create_default_context()
                self._connection = http.client.HTTPSConnection(
                    settings.host, settings.port, timeout=settings.timeout, context=context
                )
            else:
                self._connection = http.client.HTTPConnection(settings.host, settings.port, timeout=settings.timeout)
        headers = {"User-Agent": f"wherry-registry/{__version__}", **settings.headers, "Content-Type": MEDIA_TYPE}
        self._connection.request("POST", settings.target, body=envelope, headers=headers)
        with self._connection.getresponse() as answer:
            answer.read(64 * 1024)
            if not answer.isclosed():
                self._disconnect()
            return answer.status

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
