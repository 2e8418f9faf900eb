"""Netlink framing: messages packed by hand, sent several at a time, their acknowledgements checked one by one.

A datagram of the protocol (netlink(7)), everything in host byte order and aligned to four bytes:

    ┌ nlmsghdr: length u32 · type u16 · flags u16 · sequence u32 · port u32 ┐
    │ a fixed structure of the type's own                                   │
    │ attributes: length u16 · type u16 · value · padding                   │
    └ … and the next message right behind                                   ┘

The kernel works through a batch inside ``send`` and goes on after a message that failed, so whoever sends a batch must
undo it as a whole when one of its messages is refused.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLMSGERR_ATTR_MSG = 1

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_TIMEVAL = struct.Struct("ll")

_RECEIVE = 256 * 1024
TIMEOUT_S = 10
"""The kernel answers at once; a wait this long means that a lock in it is stuck."""


class NetlinkError(OSError):
    """The kernel refused a message; ``errno`` is its reason and ``what`` says what was attempted."""

    def __init__(self, number: int, what: str, hint: str = "") -> None:
        detail = f": {hint}" if hint else ""
        super().__init__(number, f"{what}: {os.strerror(number)}{detail}")
        self.what = what


@dataclass(frozen=True, slots=True)
class Message:
    """One request: the fixed structure and the attributes packed into ``body``; ``what`` is for error messages."""

    type: int
    flags: int
    body: bytes
    what: str


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute with its padding."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host byte order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes packed in ``data``; a lying length ends the walk."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The messages of one datagram: type, flags, sequence, body."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


class Netlink:
    """A netlink socket, its own or one opened in another network namespace. Blocking; one user at a time."""

    def __init__(self, protocol: int = NETLINK_ROUTE, *, fd: int | None = None) -> None:
        """Open a socket, or take a duplicate of ``fd`` (which stays the caller's)."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        fileno = None if fd is None else os.dup(fd)
        self.socket = socket.socket(socket.AF_NETLINK, kind, protocol, fileno=fileno)
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(TIMEOUT_S, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close our descriptor."""
        self.socket.close()

    def send(self, *batch: Message) -> None:
        """Carry out a batch. Raises NetlinkError for the first message refused; the others were carried out."""
        first = self._sequence + 1
        self._sequence += len(batch)
        self.socket.send(
            b"".join(_frame(message, first + n, message.flags | NLM_F_ACK) for n, message in enumerate(batch))
        )
        failed: NetlinkError | None = None
        waiting = len(batch)
        while waiting:
            for kind, flags, sequence, body in messages(self._receive(batch[0].what)):
                if not first <= sequence < first + len(batch) or kind != NLMSG_ERROR:
                    continue
                waiting -= 1
                failed = failed or _failure(body, flags, batch[sequence - first].what)
        if failed is not None:
            raise failed

    def get(self, message: Message) -> bytes:
        """The body of the one message that answers a request."""
        for _, body in self._answers(message, message.flags):
            return body
        raise NetlinkError(errno.ENOENT, message.what)

    def dump(self, message: Message) -> list[tuple[int, bytes]]:
        """Every object that a dump request lists: type and body."""
        return list(self._answers(message, message.flags | NLM_F_DUMP))

    def _answers(self, message: Message, flags: int) -> Iterator[tuple[int, bytes]]:
        self._sequence += 1
        expected = self._sequence
        self.socket.send(_frame(message, expected, flags))
        while True:
            for kind, reply_flags, sequence, body in messages(self._receive(message.what)):
                if sequence != expected:
                    continue
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    failed = _failure(body, reply_flags, message.what)
                    if failed is not None:
                        raise failed
                    return
                yield kind, body

    def _receive(self, what: str) -> bytes:
        try:
            return self.socket.recv(_RECEIVE)
        except BlockingIOError as error:
            raise NetlinkError(
                error.errno or errno.EAGAIN, what, f"no answer from the kernel in {TIMEOUT_S} s"
            ) from None


def _frame(message: Message, sequence: int, flags: int) -> bytes:
    length = _HEADER.size + len(message.body)
    header = _HEADER.pack(length, message.type, flags | NLM_F_REQUEST, sequence, 0)
    return header + message.body + b"\0" * (-length % 4)


def _failure(body: bytes, flags: int, what: str) -> NetlinkError | None:
    """The error that an NLMSG_ERROR carries, with the kernel's own words when it sent some; None when it is an ack."""
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return None
    hint = ""
    if flags & NLM_F_ACK_TLVS:
        # behind the code comes the header of the refused message, and its body unless capped
        (length,) = struct.unpack_from("=I", body, 4)
        start = 4 + (_HEADER.size if flags & NLM_F_CAPPED else (length + 3) & ~3)
        for kind, value in attributes(body[start:]):
            if kind == NLMSGERR_ATTR_MSG:
                hint = value.rstrip(b"\0").decode(errors="replace")
    return NetlinkError(-code, what, hint)
