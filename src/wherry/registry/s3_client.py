"""Requests to one S3 bucket: signed, retried, over connections that are kept. Blocking; safe to use by many threads."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import http.client
import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wherry.registry.errors import NotServing
from wherry.registry.s3_settings import S3Settings
from wherry.registry.s3_sign import EMPTY_SHA256, escaped_path, presigned_query, query_string, signed_headers
from wherry.registry.s3_xml import BadXml, read_xml, text_of
from wherry.registry.storage import Closes, PathMissing

logger = logging.getLogger(__name__)

TIMEOUT = 60.0
ATTEMPTS = 5
DELAY = 0.1
"""Seconds before the second attempt; each further one waits twice as long, give or take a half."""
ANSWER_MAX = 16 * 1024 * 1024
IDLE_MAX = 32

_AGAIN = frozenset({429, 500, 502, 503, 504})
_BROKEN = (http.client.HTTPException, OSError)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Bucket:
    """One bucket of one store."""

    def __init__(self, settings: S3Settings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self._sleep = sleep
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._tls: ssl.SSLContext | None = None
        if settings.tls:
            self._tls = ssl.create_default_context()
            if not settings.verify:
                self._tls.check_hostname = False
                self._tls.verify_mode = ssl.CERT_NONE

    def call(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | bytearray | memoryview = b"",
    ) -> Answer:
        """Send, and read the whole answer; any 2xx is one. Raises PathMissing, NotServing."""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.pause(attempt)
            last = attempt + 1 == ATTEMPTS
            try:
                connection, reply = self._send(method, key, query or {}, headers or {}, body)
                data = reply.read(ANSWER_MAX)
                self.keep(connection, reply)
            except _BROKEN as error:
                if last:
                    raise NotServing(f"s3: {method} {key}: {error or type(error).__name__}") from error
                logger.debug("s3: %s %s: %s, again", method, key, error)
                continue
            if reply.status in _AGAIN and not last:
                continue
            fields = {name.lower(): value for name, value in reply.getheaders()}
            return _judged(method, key, Answer(reply.status, fields, data))
        raise AssertionError("the last attempt returns or raises")

    def open(self, key: str, offset: int = 0) -> S3Reader:
        """The object's bytes from ``offset``. Raises PathMissing, NotServing."""
        return S3Reader(self, key, offset)

    def presigned(self, method: str, key: str, seconds: int, now: dt.datetime | None = None) -> str:
        """An address at which anybody may do ``method`` for ``seconds``."""
        settings = self.settings
        scheme, authority = ("https" if settings.tls else "http"), settings.authority
        if settings.redirect_endpoint:
            scheme, _, authority = settings.redirect_endpoint.partition("://")
        path = f"{settings.base}/{key}"
        query = presigned_query(
            settings.key, method, path, host=authority, query={}, now=now or _now(), seconds=seconds
        )
        return f"{scheme}://{authority}{escaped_path(path)}?{query}"

    def close(self) -> None:
        """End the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def begin(self, key: str, offset: int, etag: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """An answer whose body is still to be read, for S3Reader: 200, 206, or 416 where ``offset`` is the end.

        Raises PathMissing, NotServing, or what broke.
        """
        headers = {"range": f"bytes={offset}-"} if offset else {}
        if etag:
            headers["if-match"] = etag
        connection, reply = self._send("GET", key, {}, headers, b"")
        if reply.status in (200, 206):
            return connection, reply
        data = reply.read(ANSWER_MAX)
        if reply.status == 416:
            return connection, reply
        self.keep(connection, reply)
        if reply.status in _AGAIN:
            raise ConnectionError(f"answer {reply.status}")
        _judged("GET", key, Answer(reply.status, {}, data))
        raise NotServing(f"s3: GET {key}: unexpected answer {reply.status}")

    def keep(self, connection: http.client.HTTPConnection, reply: http.client.HTTPResponse) -> None:
        """Take back a connection, for the next request if its answer has been read."""
        if reply.isclosed() and connection.sock is not None:
            with self._lock:
                if len(self._idle) < IDLE_MAX:
                    self._idle.append(connection)
                    return
        reply.close()
        connection.close()

    def pause(self, attempt: int) -> None:
        """Wait before the next attempt."""
        self._sleep(DELAY * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries, no secret

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | bytearray | memoryview,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        settings = self.settings
        path = f"{settings.base}/{key}"
        payload = hashlib.sha256(body).hexdigest() if len(body) else EMPTY_SHA256
        named = {"host": settings.authority, "user-agent": settings.user_agent, **headers}
        sent = signed_headers(settings.key, method, path, query, headers=named, payload=payload, now=_now())
        target = escaped_path(path) + (f"?{query_string(query)}" if query else "")
        if len(body) or method in ("PUT", "POST"):
            sent["content-length"] = str(len(body))
        connection, fresh = self._take()
        try:
            return connection, _exchange(connection, method, target, sent, body)
        except _BROKEN:
            connection.close()
            if fresh:
                raise
        connection = self._connect()  # an idle connection may have been ended by the other side meanwhile
        try:
            return connection, _exchange(connection, method, target, sent, body)
        except BaseException:
            connection.close()
            raise

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), False
        return self._connect(), True

    def _connect(self) -> http.client.HTTPConnection:
        settings = self.settings
        host = settings.host.strip("[]")
        if self._tls is not None:
            return http.client.HTTPSConnection(host, settings.port, timeout=TIMEOUT, context=self._tls)
        return http.client.HTTPConnection(host, settings.port, timeout=TIMEOUT)


class S3Reader(Closes):
    """An object's bytes in order (``storage.Reader``); a broken connection is resumed where it broke.

    An object that has been replaced meanwhile is not mixed with its successor: that raises NotServing.
    """

    descriptor: int | None = None

    def __init__(self, bucket: Bucket, key: str, offset: int) -> None:
        self._bucket = bucket
        self._key = key
        self._at = offset
        self._etag = ""
        self._failures = 0
        self._open: tuple[http.client.HTTPConnection, http.client.HTTPResponse] | None = None
        self.size = 0
        self._begin()

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of ``buffer``; 0 at the end. Raises NotServing."""
        while True:
            if self._open is None:
                self._begin()
            assert self._open is not None
            reply = self._open[1]
            if reply.status == 416:
                return 0
            try:
                count = reply.readinto(buffer)
                if not count and reply.length:
                    raise http.client.IncompleteRead(b"", reply.length)
            except _BROKEN as error:
                self.close()
                self._failed(error)
                continue
            self._at += count
            self._failures = 0 if count else self._failures
            return count

    def close(self) -> None:
        """Give the connection back, or end it where something is left unread."""
        if self._open is not None:
            opened, self._open = self._open, None
            with contextlib.suppress(OSError):
                self._bucket.keep(*opened)

    def _begin(self) -> None:
        while self._open is None:
            try:
                self._open = self._bucket.begin(self._key, self._at, self._etag)
            except _BROKEN as error:
                self._failed(error)
        reply = self._open[1]
        self._etag = reply.getheader("etag", "")
        whole = reply.getheader("content-range", "").rpartition("/")[2] or reply.getheader("content-length", "0")
        self.size = int(whole) if whole.isdecimal() else 0
        if self._at and reply.status == 200:
            self.close()
            raise NotServing(f"s3: GET {self._key}: the store does not know ranges")

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures >= ATTEMPTS:
            raise NotServing(f"s3: GET {self._key}: {error or type(error).__name__}") from error
        self._bucket.pause(self._failures)


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | bytearray | memoryview,
) -> http.client.HTTPResponse:
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body if len(body) else None)
    return connection.getresponse()


def _judged(method: str, key: str, answer: Answer) -> Answer:
    """``answer`` if it is a good one; an error can come under status 200 too. Raises PathMissing, NotServing."""
    good = 200 <= answer.status < 300
    if good and b"<Error>" not in answer.body[:512]:
        return answer
    code = message = ""
    if answer.body.lstrip().startswith(b"<"):
        with contextlib.suppress(BadXml):
            elements = read_xml(answer.body)
            code, message = text_of(elements, "Code"), text_of(elements, "Message")
    if good and not code:
        return answer
    if answer.status == 404 and code in ("", "NoSuchKey", "NotFound"):
        raise PathMissing(f"s3: {key}: no such key")
    raise NotServing(f"s3: {method} {key}: {answer.status} {code}{': ' if message else ''}{message}".rstrip())


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
