"""The body of a request, read from the wire as its handler asks for it: that is all the back-pressure there is."""

from __future__ import annotations

from collections.abc import Callable

from wherry.api.server.framing import BadFraming, Framing
from wherry.registry.errors import BadSize, BadUpload
from wherry.registry.http.wire import Wire

CHUNKED_READ = 256 * 1024


class NoBody:
    """See ``message.Body``: nothing comes."""

    length: int | None = 0
    received = 0
    done = True

    def readinto(self, buffer: memoryview, /) -> int:
        """See ``message.Body``."""
        del buffer
        return 0

    def read(self, limit: int, /) -> bytes:
        """See ``message.Body``."""
        del limit
        return b""

    def discard(self, limit: int, /) -> bool:
        """Read on to the end, if that is near: whether it was reached."""
        del limit
        return True

    def rest(self) -> bytes:
        """What followed the body."""
        return b""


class WireBody:
    """See ``message.Body``: a body with an announced length, or a chunked one."""

    def __init__(self, wire: Wire, framing: Framing, ahead: bytes, begin: Callable[[], None]) -> None:
        """``ahead``: bytes that came with the head. ``begin``: called once, before the body is waited for."""
        self.length = framing.remaining()
        self.received = 0
        self._wire = wire
        self._framing = framing
        self._left = self.length
        self._begin: Callable[[], None] | None = begin
        self._pieces: list[memoryview] = []
        self._rest = b""
        self._failure: BadUpload | None = None
        if ahead:
            self._begin = None
            self._take(ahead)

    @property
    def done(self) -> bool:
        """Whether every byte has been read."""
        if self._left is not None:
            return not self._left
        return self._framing.done and not self._pieces

    def readinto(self, buffer: memoryview, /) -> int:
        """See ``message.Body``."""
        if self.done or not buffer:
            return 0
        if not self._pieces:
            self._check()
            self._start()
            if self._left is not None:
                return self._straight(buffer)
            self._fill()
            self._check()
        count = 0
        while self._pieces and count < len(buffer):
            piece = self._pieces[0]
            part = min(len(piece), len(buffer) - count)
            buffer[count : count + part] = piece[:part]
            count += part
            if part < len(piece):
                self._pieces[0] = piece[part:]
            else:
                del self._pieces[0]
        self._count(count)
        return count

    def read(self, limit: int, /) -> bytes:
        """See ``message.Body``."""
        if self.length is not None and self.length > limit:
            raise BadSize(f"body of {self.length} bytes is larger than the limit of {limit}", status=413)
        gathered = bytearray()
        buffer = memoryview(bytearray(min(limit + 1, 64 * 1024)))
        while count := self.readinto(buffer):
            gathered += buffer[:count]
            if len(gathered) > limit:
                raise BadSize(f"body is larger than the limit of {limit} bytes", status=413)
        return bytes(gathered)

    def discard(self, limit: int, /) -> bool:
        """Read on to the end, if that is near: whether it was reached."""
        if self.done:
            return True
        if self._failure is not None or self._begin is not None or (self._left is not None and self._left > limit):
            return False
        buffer = memoryview(bytearray(64 * 1024))
        try:
            while limit > 0 and (count := self.readinto(buffer)):
                limit -= count
        except BadUpload:
            return False
        return self.done

    def rest(self) -> bytes:
        """What followed the body."""
        return self._rest

    def _start(self) -> None:
        begin, self._begin = self._begin, None
        if begin is not None:
            begin()

    def _straight(self, buffer: memoryview) -> int:
        """From the wire into the reader's buffer, without a copy."""
        assert self._left is not None
        count = self._wire.receive_into(buffer[: self._left])
        if not count:
            raise ConnectionResetError("the client has gone in the middle of its request")
        self._count(count)
        return count

    def _fill(self) -> None:
        """Wait until there are bytes of the body, or its end."""
        while not self._pieces and not self._framing.done and self._failure is None:
            data = self._wire.receive(CHUNKED_READ)
            if not data:
                raise ConnectionResetError("the client has gone in the middle of its request")
            self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            pieces, rest = self._framing.feed(data)
        except BadFraming as error:
            self._failure = BadUpload(f"malformed request body: {error}")
            return
        self._pieces += map(memoryview, pieces)
        self._rest = rest

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _count(self, count: int) -> None:
        self.received += count
        if self._left is not None:
            self._left -= count
