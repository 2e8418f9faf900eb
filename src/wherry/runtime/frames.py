"""What a shim and the daemon say to each other. Standard library, no imports but struct: the shim pays for it.

A frame on the SOCK_STREAM connection, integers big-endian:

    0       1            4             8
    ┌───────┬────────────┬─────────────┬─────────────────
    │ type  │ reserved 0 │ length      │ length bytes
    └───────┴────────────┴─────────────┴─────────────────

    daemon → shim                                     shim → daemon
    ──────────────────────────────────────────────    ─────────────────────────────────────────────────────
    1 STDIN        bytes for the program              16 HELLO     u32, the shim's pid; always first
    2 STDIN_CLOSE  -                                  17 STARTED   JSON, the contents of shim.json
    3 RESIZE       u16 rows, u16 columns              18 FAILED    JSON {code, message}; nothing runs, nothing is left
    4 SUBSCRIBE    send OUTPUT from now on            19 STDOUT    bytes
    5 UNSUBSCRIBE  -                                  20 STDERR    bytes
                                                      21 STDIN_ACK u32, bytes that the program's stdin has taken
                                                      22 EXIT      JSON, the contents of exit.json; the last frame

A new connection to ``shim.sock`` is answered with HELLO and STARTED. Nothing is a question, so nobody waits for an
answer: signals do not pass here at all, the daemon sends them to init's pidfd. Stdin has a window (``STDIN_WINDOW``):
the daemon has at most so many bytes under way that no STDIN_ACK has answered, so that a program that does not read
never blocks the frames behind. Output has back-pressure by the stream itself: see ``shim_io``.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN = 1
STDIN_CLOSE = 2
RESIZE = 3
SUBSCRIBE = 4
UNSUBSCRIBE = 5
HELLO = 16
STARTED = 17
FAILED = 18
STDOUT = 19
STDERR = 20
STDIN_ACK = 21
EXIT = 22

HEADER = struct.Struct("!B3xI")
SIZE = struct.Struct("!HH")
COUNT = struct.Struct("!I")
PID = COUNT

MAX_PAYLOAD = 1 << 20
STDIN_WINDOW = 256 * 1024


class FrameError(Exception):
    """The peer does not speak this protocol."""


def pack(kind: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(payload)) + payload


class Decoder:
    """Cuts a byte stream into frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add ``data``; the frames that are whole now. Raises FrameError on a frame beyond MAX_PAYLOAD."""
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= HEADER.size:
                kind, length = HEADER.unpack_from(buffer, position)
                if length > MAX_PAYLOAD:
                    raise FrameError(f"frame of type {kind} announces {length} bytes, more than {MAX_PAYLOAD}")
                end = position + HEADER.size + length
                if len(buffer) < end:
                    break
                payload = bytes(buffer[position + HEADER.size : end])
                position = end
                yield kind, payload
        finally:
            del buffer[:position]
