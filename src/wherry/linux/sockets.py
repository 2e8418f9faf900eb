"""Sockets by ``_socket``, the C part of ``socket``: a forked process that uses it copies no page of enum machinery.

Imports ``_socket``, os and struct.
"""

from __future__ import annotations

import _socket
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = _socket.SOCK_STREAM
SEQPACKET = _socket.SOCK_SEQPACKET
DATAGRAM = _socket.SOCK_DGRAM

_FIRST_FREE = 3
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


def lift(fd: int, lowest: int) -> int:
    """``fd``, or a duplicate from ``lowest`` on where its number is lower; standard streams stay."""
    return fd if fd < _FIRST_FREE or fd >= lowest else _above(fd, lowest)


def _above(fd: int, lowest: int) -> int:
    """A duplicate of ``fd`` that is no number below ``lowest``."""
    low = [os.dup(fd)]
    while low[-1] < lowest:
        low.append(os.dup(fd))
    for number in low[:-1]:
        os.close(number)
    return low[-1]


def listen(path: str, kind: int = STREAM, *, blocking: bool = False) -> Socket:
    """A listening AF_UNIX socket at ``path``, however long that is. Raises OSError."""

    def use(listener: Socket, name: str) -> None:
        listener.bind(name)
        listener.listen(8)

    return _at(path, kind, use, blocking=blocking)


def bind(path: str, kind: int) -> Socket:
    """An AF_UNIX socket of a kind without connections, at ``path``. Raises OSError."""
    return _at(path, kind, Socket.bind, blocking=True)


def connect(path: str, kind: int = STREAM, *, blocking: bool = True) -> Socket:
    """A connection to the AF_UNIX socket at ``path``, however long that is. Raises OSError."""
    return _at(path, kind, Socket.connect, blocking=blocking)


def _at(path: str, kind: int, use: Callable[[Socket, str], None], *, blocking: bool) -> Socket:
    """A socket that ``use`` has given its name: by a descriptor of the directory, for an address has 107 bytes."""
    directory, name = os.path.split(path)
    fd = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC | (0 if blocking else _socket.SOCK_NONBLOCK))
        try:
            use(made, f"/proc/self/fd/{fd}/{name}")
        except BaseException:
            made.close()
            raise
        return made
    finally:
        os.close(fd)


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
