"""sd_notify(3) for containers: $NOTIFY_SOCKET is the caller's; the container gets a socket of its own, whose READY=1 is
passed on with the container's pid, so that systemd watches that.
"""

from __future__ import annotations

import _socket
import os
import select

from wherry.linux import pidfd, sockets
from wherry.runtime.oci.errors import Failure, strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Socket = _socket.socket

_DIRECTORY = "notify"
_NAME = "notify.sock"
_INSIDE = "/run/notify"
_DATAGRAM = 4096


def add_to(config: dict[str, Any], directory: str) -> None:
    """Have the socket below the container's ``directory`` mounted, and the program told of it."""
    source = f"{directory}/{_DIRECTORY}"
    mount = {
        "destination": _INSIDE,
        "type": "bind",
        "source": source,
        "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
    }
    config["mounts"] = [*(config.get("mounts") or ()), mount]
    process = config["process"]
    process["env"] = [*(process.get("env") or ()), f"NOTIFY_SOCKET={_INSIDE}/{_NAME}"]


def make_directory(directory: str) -> None:
    """Where the socket will be. Raises Failure."""
    try:
        os.mkdir(f"{directory}/{_DIRECTORY}", 0o755)
    except OSError as error:
        raise Failure(f"mkdir {directory}/{_DIRECTORY}: {strerror(error)}") from error


def listen(directory: str) -> Socket:
    """The socket. Raises Failure."""
    path = f"{directory}/{_DIRECTORY}"
    try:
        listener = sockets.bind(f"{path}/{_NAME}", sockets.DATAGRAM)
        os.chmod(f"{path}/{_NAME}", 0o777)  # noqa: S103  whoever the program is, it writes to it
    except OSError as error:
        raise Failure(f"bind {path}/{_NAME}: {strerror(error)}") from error
    return listener


def forward(listener: Socket, host: str, pid: int, start: int) -> None:
    """Wait until the container says that it is ready, or ends; tell ``host``. Raises Failure."""
    init = pidfd.open_verified(pid, start)
    if init is None:
        return
    poller = select.poll()
    poller.register(init, select.POLLIN)
    poller.register(listener.fileno(), select.POLLIN)
    try:
        while True:
            ready = [fd for fd, _ in poller.poll()]
            if listener.fileno() in ready:
                said = listener.recv(_DATAGRAM)
                if said.startswith(b"READY="):
                    _tell(host, said.partition(b"\n")[0], pid)
                    return
            elif init in ready:
                return
    finally:
        os.close(init)


def _tell(host: str, line: bytes, pid: int) -> None:
    address = f"\0{host[1:]}" if host.startswith("@") else host
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        client.connect(address)
        client.send(line + b"\n")
        client.send(b"MAINPID=%d\n" % pid)
    except OSError as error:
        raise Failure(f"write {host}: {strerror(error)}") from error
    finally:
        client.close()
