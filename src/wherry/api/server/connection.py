"""One client connection: from bytes to requests, and the bytes of answers back.

    HEAD ──head complete──▶ BODY ──body complete──▶ BUSY ──answered──▶ HEAD …
      │                       │                       └──hijacked──▶ RAW
      └─ no body: BUSY        └─ answered before the body's end: the rest is thrown away, then HEAD
    from anywhere: LINGER (we have sent end of file and wait for the client's) ──▶ CLOSED

One request is under way at a time; what a client sends ahead waits in the buffer. End of file from a client is a
hang-up if its socket says so (see ``hangup``), else it has only half-closed and still gets its answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import cast

from wherry.api.server.answer import CONTINUE, refusal
from wherry.api.server.exchange import Exchange
from wherry.api.server.framing import BadFraming, Framing
from wherry.api.server.hangup import has_hung_up
from wherry.api.server.head import BadRequest, Head, parse_head
from wherry.api.server.inbox import Inbox
from wherry.api.server.service import Service
from wherry.lib.errors import InvalidArgument

_HEAD_END = b"\r\n\r\n"


class Mode(Enum):
    """See the module's picture."""

    HEAD = auto()
    BODY = auto()
    BUSY = auto()
    RAW = auto()
    LINGER = auto()
    CLOSED = auto()


class Connection(asyncio.Protocol):
    """The protocol that the event loop drives, and the ``request.Wire`` of the request under way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._socket: socket.socket | None = None
        self._mode = Mode.HEAD
        self._buffer = bytearray()
        self._scanned = 0
        self._framing: Framing | None = None
        self._inbox = self._new_inbox()
        self._inbox.end()
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._holds: set[str] = set()
        self._drain: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._eof = False
        self._watched = False
        self._continue_due = False
        self._broken = False
        self._taken = False

    # --- the event loop calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")
        if self._socket is not None and self._socket.family != socket.AF_UNIX:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not self._service.admit(self):
            self._refuse(503, "too many connections")

    def connection_lost(self, _failure: Exception | None) -> None:
        """Both directions are closed."""
        hijacked = self._mode is Mode.RAW
        self._mode = Mode.CLOSED
        self._disarm()
        self._service.forget(self)
        if not self._gone.done():
            self._gone.set_result(None)
        self.resume_writing()
        if hijacked:
            self._inbox.end()
            if self._task is not None:
                self._service.orphan(self._task)
            return
        self._inbox.fail(ConnectionResetError("the client has hung up"))
        if self._task is not None and self._exchange is not None:
            self._service.orphan(self._task)
            if not self._exchange.uninterrupted:
                self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._mode is Mode.RAW:
            self._inbox.put(data)
        elif self._mode is Mode.BODY:
            self._read_body(data)
        elif self._mode is Mode.HEAD:
            self._buffer += data
            self._read_heads()
        elif self._mode is Mode.BUSY:
            self._buffer += data
            if len(self._buffer) > self._service.limits.pipelined:
                self._hold("pipelined")

    def eof_received(self) -> bool:
        """The client will send no more."""
        self._eof = True
        if self._mode in (Mode.HEAD, Mode.LINGER) or (self._mode is Mode.BODY and self._task is None):
            self._transport.close()
            return True
        if self._mode is Mode.BODY:
            self._break_body("unexpected EOF")
        elif self._mode is Mode.RAW:
            self._inbox.end()
        self._watched = False
        self._look_for_hangup()
        return self._transport.get_extra_info("sslcontext") is None  # TLS has no half-closed state

    def pause_writing(self) -> None:
        """The client is slow."""
        if self._drain is None:
            self._drain = self._loop.create_future()

    def resume_writing(self) -> None:
        """The client has caught up, or is gone."""
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None

    # --- the server calls these

    def leave(self) -> asyncio.Task[None] | None:
        """See ``service.Member``."""
        if self._task is None:
            self._transport.close()
        elif self._exchange is not None and self._exchange.streaming:
            self._task.cancel()
        return self._task

    def abort(self) -> None:
        """End now, whatever is under way."""
        self._transport.abort()

    # --- the request and its exchange call these

    @property
    def taken(self) -> bool:
        """Whether the connection has been hijacked, and be it that it ends already."""
        return self._taken

    @property
    def lost(self) -> bool:
        """Whether the client is gone."""
        return self._mode is Mode.CLOSED or self._transport.is_closing()

    def reusable(self) -> bool:
        """Whether a further request may follow the answer that is about to be written."""
        if self._service.closing or self._broken:
            return False
        if self._mode is not Mode.BODY or self._framing is None:
            return True
        left = self._framing.remaining()
        return not self._continue_due and left is not None and left <= self._service.limits.discarded

    async def send(self, data: bytes) -> None:
        """Write; waits while the client is slow. Raises ConnectionError once it is gone."""
        if self.lost:
            raise ConnectionResetError("the client has hung up")
        self._transport.write(data)
        if self._drain is not None:
            await asyncio.shield(self._drain)
            if self.lost:
                raise ConnectionResetError("the client has hung up")

    def send_continue(self) -> None:
        """The handler wants the body: tell a client that waits to be told."""
        if self._continue_due and not self.lost:
            self._continue_due = False
            self._transport.write(CONTINUE)

    async def take(self, head: bytes) -> Inbox:
        """Skip what is left of the body, send ``head`` and hand over the bytes that follow."""
        self.send_continue()
        while not self._inbox.ended:
            await self._inbox.get()
        if self.lost:
            raise ConnectionResetError("the client has hung up")
        self._mode = Mode.RAW
        self._taken = True
        self._inbox = self._new_inbox()
        self._inbox.put(bytes(self._buffer))
        self._buffer.clear()
        self._release("pipelined")
        if self._eof:
            self._inbox.end()
        await self.send(head)
        return self._inbox

    def upgraded_head(self, content_type: str, *, asked: bool) -> bytes:
        """See ``request.Wire``."""
        return self._service.heads.upgraded(content_type, asked=asked)

    def switched_head(self, headers: Mapping[str, str]) -> bytes:
        """See ``request.Wire``."""
        return self._service.heads.switched(headers)

    def half_close(self) -> None:
        """Send end of file after what was written."""
        if not self.lost and self._transport.can_write_eof():
            self._transport.write_eof()

    def finish(self) -> None:
        """End the connection after what was written has gone out.

        Closing a socket with unread bytes in it would reset it and take our last bytes from the client, so its end of
        file is waited for, and what it still sends is dropped.
        """
        if self._mode in (Mode.LINGER, Mode.CLOSED):
            return
        self._mode = Mode.LINGER
        self._disarm()
        self._inbox.discard()
        self._buffer.clear()
        self._release("pipelined")
        if self._transport.is_closing():
            return
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._arm(self._service.limits.linger_time, self._transport.close)

    def done(self, *, reusable: bool) -> None:
        """The exchange is over."""
        self._task = None
        self._exchange = None
        if self._mode in (Mode.LINGER, Mode.CLOSED):
            return
        if self._mode is Mode.RAW or not reusable or self._broken:
            self.finish()
            return
        self._inbox.discard()
        self._disarm()
        if self._mode is Mode.BODY:
            self._arm(self._service.limits.header_time, self._transport.close)
            return
        self._next()

    async def gone(self) -> None:
        """Returns when the client has hung up."""
        await asyncio.shield(self._gone)

    # --- reading

    def _next(self) -> None:
        """Ready for a further request, which may be in the buffer already."""
        self._mode = Mode.HEAD
        self._service.idle(self)
        self._release("pipelined")
        self._read_heads()
        if self._eof and self._mode is Mode.HEAD:
            self._transport.close()

    def _read_heads(self) -> None:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(_HEAD_END, max(0, self._scanned - 3))
        limit = self._service.limits.header
        if (len(self._buffer) if end < 0 else end) > limit:
            self._refuse(431)
        elif self._buffer.startswith(b"\x16\x03"):
            self._refuse(400)  # a TLS handshake: who asks whether we speak that waits for an answer
        elif end < 0:
            self._scanned = len(self._buffer)
            if self._buffer and self._timer is None:
                self._arm(self._service.limits.header_time, lambda: self._refuse(408))
        else:
            end += len(_HEAD_END)
            raw = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._scanned = 0
            self._disarm()
            try:
                self._begin(parse_head(raw))
            except BadRequest as error:
                self._refuse(error.status, error.detail)

    def _begin(self, head: Head) -> None:
        self._service.busy(self)
        self._framing = head.framing
        if head.framing is None:
            self._mode = Mode.BUSY
        else:
            self._mode = Mode.BODY
            self._inbox = self._new_inbox()
            self._continue_due = head.expects_continue
        self._exchange = Exchange(self, head, self._inbox, self._service)
        self._task = self._loop.create_task(self._exchange.run())
        if self._buffer and self._mode is Mode.BODY:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._read_body(data)

    def _read_body(self, data: bytes) -> None:
        assert self._framing is not None
        self._continue_due = False
        try:
            pieces, rest = self._framing.feed(data)
        except BadFraming as error:
            self._break_body(str(error))
            return
        for piece in pieces:
            self._inbox.put(piece)
        if not self._framing.done:
            return
        self._inbox.end()
        self._mode = Mode.BUSY
        self._buffer += rest
        if self._task is None:
            self._disarm()
            self._next()

    def _break_body(self, reason: str) -> None:
        """The body will not come whole: an error to its reader, and the last request on this connection."""
        self._broken = True
        self._mode = Mode.BUSY
        self._inbox.fail(InvalidArgument(f"invalid request body: {reason}"))
        if self._task is None:
            self.finish()

    def _refuse(self, status: int, detail: str = "") -> None:
        """Answer what is not a request, and end."""
        self._transport.write(refusal(status, detail))
        self.finish()

    def _look_for_hangup(self) -> None:
        """While a client sends no more, or is held back and its end of file cannot be read: has it gone?

        Where the kernel cannot tell (TCP), end of file and one more look later are taken for a hang-up, as Go does at
        once; except on a hijacked connection, where half-closing is part of the protocol.
        """
        self._timer = None
        if self._task is None or not (self._eof or self._holds):
            return
        gone = has_hung_up(self._socket)
        if gone is None:
            gone = self._eof and self._watched and self._mode is not Mode.RAW
        if gone:
            self._transport.abort()
            return
        self._watched = self._eof
        self._arm(self._service.limits.hangup_poll, self._look_for_hangup)

    # --- flow control and time

    def _new_inbox(self) -> Inbox:
        return Inbox(self._service.limits.buffered, lambda: self._hold("inbox"), lambda: self._release("inbox"))

    def _hold(self, reason: str) -> None:
        if not self._holds and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds.add(reason)
        if self._timer is None and self._mode is not Mode.RAW:  # there, what was sent is to arrive all the same
            self._arm(self._service.limits.hangup_poll, self._look_for_hangup)

    def _release(self, reason: str) -> None:
        if reason in self._holds:
            self._holds.remove(reason)
            if not self._holds and not self._transport.is_closing():
                self._transport.resume_reading()

    def _arm(self, delay: float, callback: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(delay, callback)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
