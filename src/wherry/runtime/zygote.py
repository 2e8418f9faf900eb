"""The zygote: one small single-threaded process that forks a shim per request, and visits network namespaces.

Its imports are every later shim's memory: os, sys, select, struct, ctypes, errno, the C parts of json, socket and
signal, and this package's own modules made of those. Everything a shim or a container's init needs is imported here,
before the first fork, because after pivot_root(2) or setns(2) an import would read the container's files.

Messages on the SOCK_SEQPACKET channel, JSON, one a packet:

    daemon → zygote                                               zygote → daemon
    ───────────────────────────────────────────────────────────   ──────────────────────────────────────────────────
                                                                  {"ready": pid}                        once, at first
    {"op": "run", "bundle": path} + [connection]                  nothing: the shim answers on the connection, see
                                                                  ``frames``; if no shim could be forked, FAILED
    {"op": "netns", "id", "path", "create", "sysctls"}            {"id"} + [namespace, NETLINK_ROUTE socket]
                                                                  {"id", "errno", "error"}

The daemon's end closed: the zygote leaves, and the shims, which hold no end of the channel, stay.
"""

from __future__ import annotations

import gc
import os

from wherry.linux import process, signals, sockets
from wherry.linux.cgroups import CgroupError, Cgroups, open_hierarchy
from wherry.runtime import compact_json, frames, netns, shim
from wherry.runtime.init_errors import StartError

MESSAGE_LIMIT = 65536


def main(channel_fd: int) -> None:
    """Serve until the daemon's end of the channel closes."""
    process.set_name("wherry-zygote")
    # The kernel reaps the shims: they tell the daemon themselves how things ended.
    signals.handle(signals.SIGCHLD, signals.IGNORE)
    signals.handle(signals.SIGINT, signals.IGNORE)
    cgroups = _open_cgroups()
    # What is there now is never looked at again by a collection, so that a shim's collections copy none of its pages.
    # Neither shim nor init makes cycles worth a collection.
    gc.collect()
    gc.freeze()
    gc.disable()
    channel = sockets.of(channel_fd)
    channel.send(compact_json.dumps({"ready": os.getpid()}))
    while True:
        data, fds = sockets.recv_fds(channel, MESSAGE_LIMIT, 4)
        if not data:
            return
        try:
            _serve(channel, cgroups, compact_json.loads(data), fds)
        finally:
            for fd in fds:
                os.close(fd)


def _open_cgroups() -> Cgroups | None:
    """Once for all shims; None on a machine that has none mounted."""
    try:
        return open_hierarchy()
    except CgroupError:
        return None


def _serve(channel: sockets.Socket, cgroups: Cgroups | None, request: dict[str, object], fds: list[int]) -> None:
    if request["op"] == "netns":
        _visit(channel, request)
    elif request["op"] == "run":
        _fork_shim(str(request["bundle"]), fds[0], cgroups)


def _fork_shim(bundle: str, connection: int, cgroups: Cgroups | None) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        failure = StartError(f"unable to fork a shim: {error.strerror}")
        os.write(connection, frames.pack(frames.FAILED, failure.encode()))
        return
    if pid == 0:
        try:
            shim.main(bundle, connection, cgroups)
        finally:
            os._exit(1)


def _visit(channel: sockets.Socket, request: dict[str, object]) -> None:
    reply: dict[str, object] = {"id": request["id"]}
    fds: list[int] = []
    try:
        fds += netns.visit(str(request["path"]), create=bool(request["create"]), sysctls=request["sysctls"])  # type: ignore[arg-type]  # JSON
    except OSError as error:
        reply |= {"errno": error.errno, "error": str(error)}
    try:
        sockets.send_fds(channel, compact_json.dumps(reply), fds)
    finally:
        for fd in fds:
            os.close(fd)
