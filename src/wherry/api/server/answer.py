"""The bytes of an answer's head, with the headers that dockerd sends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from wherry.api.server.versions import MAXIMUM

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
BODILESS = frozenset({204, 304})

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class AnswerHeads:
    """Renders heads; everything that does not change between answers is rendered once."""

    def __init__(self, version: str) -> None:
        common = {
            "Api-Version": str(MAXIMUM),
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"wherry/{version} (linux)",
        }
        self._common = "".join(f"{name}: {value}\r\n" for name, value in common.items()).encode("ascii")
        self._dated = b""
        self._second = -1

    def render(self, status: int, headers: Mapping[str, str], *, framing: bytes, content_type: str = "") -> bytes:
        """A head up to and with its empty line. ``framing`` is complete header lines about length and connection.

        Raises ValueError for a header that would break out of its line.
        """
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) if headers else ""
        if content_type:
            fields += f"Content-Type: {content_type}\r\n"
        lines = len(headers) + bool(content_type)
        if fields.count("\n") != lines or fields.count("\r") != lines:
            raise ValueError(f"header with a line break: {fields!r}")
        return b"%b%b%b%b\r\n" % (STATUS_LINES[status], self._standing(), fields.encode("latin-1", "replace"), framing)

    def upgraded(self, content_type: str, *, asked: bool) -> bytes:
        """The head of a hijacked answer: 101 where the client asked for an upgrade, else 200 without a length."""
        if not asked:
            return self.render(200, {}, framing=b"Connection: close\r\n", content_type=content_type)
        content = f"Content-Type: {content_type}\r\n".encode("latin-1")
        return (
            b"HTTP/1.1 101 UPGRADED\r\n" + content + b"Connection: Upgrade\r\nUpgrade: tcp\r\n" + self._common + b"\r\n"
        )

    def switched(self, headers: Mapping[str, str]) -> bytes:
        """The head of a change of protocol that is not Docker's own (websocket, h2c)."""
        return self.render(101, headers, framing=b"")

    def _standing(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._dated = self._common + f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
        return self._dated


def refusal(status: int, detail: str) -> bytes:
    """The whole answer to bytes that are not a request, in the words of Go's net/http; the connection ends after it."""
    phrase = f"{status} {HTTPStatus(status).phrase}"
    text = f"{phrase}: {detail}" if detail else phrase
    return (f"HTTP/1.1 {phrase}\r\nContent-Type: {TEXT_TYPE}\r\nConnection: close\r\n\r\n{text}").encode(
        "latin-1", "replace"
    )
