"""Handing the descriptor of a seccomp filter to the agent that decides about its calls (runtime-spec, config-linux).

The agent listens on a stream socket, ``listenerPath``. It gets one message, ContainerProcessState as JSON with the
descriptor as SCM_RIGHTS, and the connection ends.
"""

from __future__ import annotations

import _socket
import os

from wherry.linux import sockets
from wherry.runtime import compact_json
from wherry.runtime.init_errors import StartError, from_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FD_NAME = "seccompFd"
_PATIENCE = 10.0
"""Seconds that an agent has to answer the call."""


def forward(fd: int, spec: dict[str, Any], state: dict[str, Any], pid: int = 0) -> None:
    """Send ``fd``, the caller's still, to the agent of ``spec``; ``state`` is the container's as the OCI has it.

    ``pid`` is the process that the filter is on, the container's first one unless given. Raises StartError.
    """
    seccomp = (spec.get("linux") or {}).get("seccomp") or {}
    path = seccomp.get("listenerPath")
    if not path:
        raise StartError("listenerPath is not set")
    message = compact_json.dumps(
        {
            "ociVersion": state["ociVersion"],
            "fds": [_FD_NAME],
            "pid": pid or state["pid"],
            **({"metadata": seccomp["listenerMetadata"]} if seccomp.get("listenerMetadata") else {}),
            "state": state,
        }
    )
    connection = _socket.socket(_socket.AF_UNIX, sockets.STREAM | _socket.SOCK_CLOEXEC)
    connection.settimeout(_PATIENCE)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        failing = "failed to connect with seccomp agent specified in the seccomp profile"
        raise from_errno(f"{failing}: dial unix {path}: connect", error.errno) from error
    try:
        sockets.send_fds(connection, message, [fd])
    except OSError as error:
        raise from_errno(f"failed to send the seccomp descriptor to {os.fsdecode(path)}", error.errno) from error
    finally:
        connection.close()
