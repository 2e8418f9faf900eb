"""The door that a created container's init waits behind, see ``init_gate``: making it, looking at it, opening it.

A Unix socket's name has room for 108 bytes; a state directory may be deeper, so it is named by a descriptor.
"""

from __future__ import annotations

import _socket
import os

from wherry.linux import sockets
from wherry.runtime import compact_json
from wherry.runtime.init_gate import START
from wherry.runtime.oci.errors import Failure, strerror

_MESSAGE_LIMIT = 65536


def listen(path: str) -> sockets.Socket:
    """The listening end, for init. Raises Failure."""
    directory, name = os.path.split(path)
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return sockets.listen(f"/proc/self/fd/{fd}/{name}", sockets.SEQPACKET, blocking=True)
        finally:
            os.close(fd)
    except OSError as error:
        raise Failure(f"listen {path}: {strerror(error)}") from error


def closed(path: str) -> bool:
    """Whether somebody still waits behind it."""
    try:
        connect(path, sockets.SEQPACKET, blocking=False).close()
    except BlockingIOError:
        return True  # so many are knocking that we are not let in, but somebody is there
    except OSError:
        return False
    return True


def open_(path: str) -> None:
    """Let the program run; returns when it does. Raises Failure with what has kept it from that."""
    try:
        visitor = connect(path, sockets.SEQPACKET)
    except OSError:
        raise Failure("cannot start an already running container") from None
    try:
        visitor.send(START)
        answer = visitor.recv(_MESSAGE_LIMIT)
    except OSError:
        raise Failure("container process is already dead") from None
    finally:
        visitor.close()
    if answer:
        raise Failure(str(compact_json.loads(answer)["message"]))
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def connect(path: str, kind: int, *, blocking: bool = True) -> sockets.Socket:
    """A connection to the AF_UNIX socket at ``path``. Raises OSError."""
    directory, name = os.path.split(path)
    fd = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = _socket.SOCK_CLOEXEC | (0 if blocking else _socket.SOCK_NONBLOCK)
    connection = _socket.socket(_socket.AF_UNIX, kind | flags)
    try:
        connection.connect(f"/proc/self/fd/{fd}/{name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(fd)
    return connection
