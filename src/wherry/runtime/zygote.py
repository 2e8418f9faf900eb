"""The zygote: one small single-threaded process that forks a shim per request, and visits network namespaces.

Its imports are every later shim's memory: os, sys, select, struct, ctypes, errno, the C parts of json, socket and
signal, and this package's own modules made of those. Everything a shim or a container's init needs is imported here,
before the first fork, because after pivot_root(2) or setns(2) an import would read the container's files.

Messages on the SOCK_SEQPACKET channel, JSON, one a packet:

    daemon → zygote                                               zygote → daemon
    ───────────────────────────────────────────────────────────   ──────────────────────────────────────────────────
                                                                  {"ready": pid}                        once, at first
    {"op": "run", "bundle", "plain"} + [connection]               nothing: the shim answers on the connection, see
                                                                  ``frames``; if no shim could be forked, FAILED
    {"op": "netns", "id", "path", "create", "sysctls", "user"}    {"id"} + [namespace, NETLINK_ROUTE socket]
                                                                  {"id", "errno", "error"}

``plain``: a container in a new pid namespace, for which a shim may be taken that was forked while nobody asked.
The daemon's end closed: the zygote leaves, and the shims, which hold no end of the channel, stay.
"""

from __future__ import annotations

import gc
import os
import select

from wherry.linux import process, signals, sockets
from wherry.linux.cgroups import CgroupError, Cgroups, open_hierarchy
from wherry.runtime import compact_json, frames, netns, shim
from wherry.runtime.init_errors import StartError

MESSAGE_LIMIT = 65536
_LULL = 30
"""ms without a request after which a spare shim is forked: not while starts are under way."""


def main(channel_fd: int) -> None:
    """Serve until the daemon's end of the channel closes."""
    process.set_title("wherry-zygote")
    # The kernel reaps the shims: they tell the daemon themselves how things ended.
    signals.handle(signals.SIGCHLD, signals.IGNORE)
    signals.handle(signals.SIGINT, signals.IGNORE)
    signals.handle(signals.SIGPIPE, signals.IGNORE)
    zygote = _Zygote(sockets.of(channel_fd), _open_cgroups())
    # What is there now is never looked at again by a collection, so that a shim's collections copy none of its pages.
    # Neither shim nor init makes cycles worth a collection.
    gc.collect()
    gc.freeze()
    gc.disable()
    zygote.serve()


def _open_cgroups() -> Cgroups | None:
    """Once for all shims; None on a machine that has none mounted."""
    try:
        return open_hierarchy()
    except CgroupError:
        return None


class _Zygote:
    def __init__(self, channel: sockets.Socket, cgroups: Cgroups | None) -> None:
        self._channel = channel
        self._cgroups = cgroups
        self._spare: sockets.Socket | None = None
        """The channel of a shim that waits, with a child that waits: two forks less to wait for."""
        self._poller = select.poll()
        self._poller.register(channel.fileno(), select.POLLIN)

    def serve(self) -> None:
        self._channel.send(compact_json.dumps({"ready": os.getpid()}))
        while True:
            if self._spare is None and not self._poller.poll(_LULL):
                self._fork_spare()
            data, fds = sockets.recv_fds(self._channel, MESSAGE_LIMIT, 4)
            if not data:
                return
            try:
                self._answer(compact_json.loads(data), fds)
            except Exception as error:  # noqa: BLE001  one bad request must not cost the daemon its zygote
                os.write(2, f"wherry-zygote: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
            finally:
                for fd in fds:
                    os.close(fd)

    def _answer(self, request: dict[str, object], fds: list[int]) -> None:
        if request["op"] == "netns":
            _visit(self._channel, request)
        elif request["op"] == "run":
            bundle = str(request["bundle"])
            if not (request["plain"] and self._employ_spare(bundle, fds[0])):
                _fork_shim(bundle, fds[0], self._cgroups)

    def _employ_spare(self, bundle: str, connection: int) -> bool:
        spare, self._spare = self._spare, None
        if spare is None:
            return False
        try:
            sockets.send_fds(spare, bundle.encode(), [connection])
        except OSError:
            return False  # somebody has killed it
        finally:
            spare.close()
        return True

    def _fork_spare(self) -> None:
        ours, theirs = sockets.pair(sockets.SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            return  # the next request will say so
        if pid == 0:
            try:
                shim.wait(theirs.fileno(), self._cgroups)
            finally:
                os._exit(1)
        theirs.close()
        self._spare = ours


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
        path, create = str(request["path"]), bool(request["create"])
        fds += netns.visit(path, create=create, sysctls=request["sysctls"], user=request["user"])  # type: ignore[arg-type]  # JSON
    except OSError as error:
        reply |= {"errno": error.errno, "error": str(error)}
    try:
        sockets.send_fds(channel, compact_json.dumps(reply), fds)
    finally:
        for fd in fds:
            os.close(fd)
