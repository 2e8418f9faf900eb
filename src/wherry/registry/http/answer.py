"""The head of an answer, and its body onto the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate

from wherry.api.server.answer import BODILESS, STATUS_LINES
from wherry.registry.http.message import Response, Stretch
from wherry.registry.http.wire import Wire


def render(status: int, headers: Mapping[str, str], framing: str) -> bytes:
    """A head with its empty line. Raises ValueError for a header that would break out of its line."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if fields.count("\n") != len(headers) or fields.count("\r") != len(headers):
        raise ValueError(f"header with a line break: {fields!r}")
    text = f"{fields}{framing}Date: {formatdate(time.time(), usegmt=True)}\r\n\r\n"
    return STATUS_LINES[status] + text.encode("latin-1", "replace")


def send(wire: Wire, response: Response, common: Mapping[str, str], *, bare: bool, old: bool, keep: bool) -> bool:
    """Write ``response``; whether the connection may go on.

    ``bare``: asked by HEAD, so without its body. ``old``: to HTTP/1.0, which knows no chunks. A body that fails on its
    way (EOFError, OSError) has been announced already: the connection has to be cut.
    """
    body = response.body
    length = _length(response)
    chunked = length is None and not old and not bare
    keep = keep and (length is not None or chunked or bare)
    framing = "" if keep else "Connection: close\r\n"
    if keep and old:
        framing = "Connection: keep-alive\r\n"
    if chunked:
        framing += "Transfer-Encoding: chunked\r\n"
    elif length is not None and response.status not in BODILESS:
        framing += f"Content-Length: {length}\r\n"
    head = render(response.status, {**common, **response.headers}, framing)
    wire.heads += len(head)
    try:
        if bare or response.status in BODILESS:
            wire.send(head)
        elif isinstance(body, bytes):
            wire.send(head + body)
        elif isinstance(body, Stretch):
            wire.send(head, more=bool(body.length))
            wire.send_stretch(body)
        else:
            wire.send(head)
            _send_pieces(wire, body, chunked=chunked, length=length)
    finally:
        release(response)
    return keep


def release(response: Response) -> None:
    """Let go of what an answer holds, sent or not."""
    if isinstance(response.body, Stretch):
        response.body.reader.close()
    elif not isinstance(response.body, bytes):
        close = getattr(response.body, "close", None)
        if close is not None:
            close()


def _length(response: Response) -> int | None:
    if response.length is not None:
        return response.length
    if isinstance(response.body, bytes):
        return len(response.body)
    return response.body.length if isinstance(response.body, Stretch) else None


def _send_pieces(wire: Wire, pieces: Iterator[bytes], *, chunked: bool, length: int | None) -> None:
    total = 0
    for piece in pieces:
        total += len(piece)
        if length is not None and total > length:
            raise EOFError(f"more than the {length} bytes that were announced")
        if not chunked:
            wire.send(piece)
        elif piece:
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    if length is not None and total < length:
        raise EOFError(f"{total} of the {length} bytes that were announced")
    if chunked:
        wire.send(b"0\r\n\r\n")
