"""The door that a created container's init waits behind, see ``init_gate``: making it, looking at it, opening it."""

from __future__ import annotations

import os

from wherry.linux import sockets
from wherry.runtime.init_errors import StartError
from wherry.runtime.init_gate import START
from wherry.runtime.oci.errors import Failure, strerror

_MESSAGE_LIMIT = 65536


def listen(path: str) -> sockets.Socket:
    """The listening end, for init. Raises Failure."""
    try:
        return sockets.listen(path, sockets.SEQPACKET, blocking=True)
    except OSError as error:
        raise Failure(f"listen {path}: {strerror(error)}") from error


def closed(path: str) -> bool:
    """Whether somebody still waits behind it."""
    try:
        sockets.connect(path, sockets.SEQPACKET, blocking=False).close()
    except BlockingIOError:
        return True  # so many are knocking that we are not let in, but somebody is there
    except OSError:
        return False
    return True


def open_(path: str) -> None:
    """Let the program run; returns when it does. Raises Failure with what has kept it from that."""
    try:
        visitor = sockets.connect(path, sockets.SEQPACKET)
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
        raise Failure(str(StartError.decode(answer)))
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
