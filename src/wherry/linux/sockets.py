"""Sockets by ``_socket``, the C part of ``socket``: a forked process that uses it copies no page of enum machinery.

Imports ``_socket``, os and struct.
"""

from __future__ import annotations

import _socket
import os
import struct

STREAM = _socket.SOCK_STREAM
SEQPACKET = _socket.SOCK_SEQPACKET

_INT = struct.calcsize("i")

Socket = _socket.socket


def pair(kind: int) -> tuple[Socket, Socket]:
    """Two connected AF_UNIX sockets, close-on-exec."""
    return _socket.socketpair(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC, 0)


def of(fd: int) -> Socket:
    """The socket object of a descriptor, which it then owns."""
    return _socket.socket(fileno=fd)


def arrange(fds: list[int], first: int) -> None:
    """Give the descriptors the numbers from ``first`` on, close-on-exec; what else had these is closed."""
    aside = [_above(fd, first + len(fds)) for fd in fds]
    for number, fd in enumerate(aside, first):
        os.dup2(fd, number, inheritable=False)
        os.close(fd)


def _above(fd: int, lowest: int) -> int:
    """A duplicate of ``fd`` that is no number below ``lowest``."""
    low = [os.dup(fd)]
    while low[-1] < lowest:
        low.append(os.dup(fd))
    for number in low[:-1]:
        os.close(number)
    return low[-1]


def listen(path: str, kind: int = STREAM, *, blocking: bool = False) -> Socket:
    """A listening AF_UNIX socket at ``path``."""
    flags = _socket.SOCK_CLOEXEC | (0 if blocking else _socket.SOCK_NONBLOCK)
    listener = _socket.socket(_socket.AF_UNIX, kind | flags)
    listener.bind(path)
    listener.listen(8)
    return listener


def accept(listener: Socket) -> Socket:
    """The next connection. Raises OSError."""
    fd, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001  what socket.socket.accept calls
    return of(fd)


def send_fds(channel: Socket, data: bytes, fds: list[int]) -> None:
    """Send a message with descriptors (SCM_RIGHTS)."""
    packed = struct.pack(f"{len(fds)}i", *fds)
    channel.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)] if fds else [])


def recv_fds(channel: Socket, size: int, count: int) -> tuple[bytes, list[int]]:
    """Receive a message with at most ``count`` descriptors, which come close-on-exec."""
    data, ancillary, _, _ = channel.recvmsg(size, _socket.CMSG_SPACE(count * _INT), _socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, packed in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += struct.unpack(f"{len(packed) // _INT}i", packed[: len(packed) // _INT * _INT])
    return data, fds
