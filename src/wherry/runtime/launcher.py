"""The runtime's door in the daemon: start a container, start a further process in one, find them again.

    launcher = Launcher(); await launcher.start()
    shim = await launcher.launch(LaunchRequest(…), attach=True)      # the program has been executed
    await shim.subscribe(sink)                                        # its output, from the first byte
    status = await shim.wait()                                        # ExitStatus
    …
    await launcher.close()                                            # containers go on; after a restart:
    found = await launcher.adopt(bundle)                              # Shim, ExitStatus or None

It owns the zygote, and starts another when it is gone. A failed start leaves nothing but what it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wherry.lib.errors import Internal
from wherry.linux import pidfd, sockets
from wherry.linux.cgroups import CgroupError, Cgroups, open_hierarchy
from wherry.runtime import frames, netns, requests
from wherry.runtime.errors import StartFailed
from wherry.runtime.id_maps import NO_MAPS, IdMaps
from wherry.runtime.model import ExecRequest, ExitStatus, LaunchRequest
from wherry.runtime.shim_connection import Link, Record, Shim, Sink, Subscription, read_status, replace_shim
from wherry.runtime.zygote_process import ZygoteLost, ZygoteProcess

__all__ = ["Launcher", "NetnsHandle", "Shim", "Sink", "StartFailed", "Subscription"]

START_TIMEOUT = 60.0
_CONNECT_TIMEOUT = 2.0
_RECORD_TIMEOUT = 0.5
_POLL = 0.01


@dataclass(slots=True)
class NetnsHandle:
    """A network namespace's descriptors; the holder's to close, or a context manager."""

    ns_fd: int
    route_fd: int
    """A NETLINK_ROUTE socket that lives inside the namespace."""

    def close(self) -> None:
        """Close both; the namespace stays as long as it is mounted or used."""
        for fd in (self.ns_fd, self.route_fd):
            if fd >= 0:
                os.close(fd)
        self.ns_fd = self.route_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Launcher:
    """See the module. One per daemon."""

    def __init__(self, *, python: str = sys.executable, maps: IdMaps = NO_MAPS) -> None:
        self._python = python
        self._maps = maps
        self._zygote: ZygoteProcess | None = None
        self._starting = asyncio.Lock()
        self._starts: set[asyncio.Task[Shim]] = set()
        self._shims: set[Shim] = set()
        self._cgroups = _open_cgroups()

    async def start(self) -> None:
        """Start the zygote. Raises Internal."""
        await self._live_zygote()

    async def close(self) -> None:
        """Finish starts under way, hang up on every shim, end the zygote. Containers go on."""
        await asyncio.gather(*self._starts, return_exceptions=True)
        for shim in list(self._shims):
            await shim.close()
        self._shims.clear()
        if self._zygote is not None:
            await self._zygote.close()
            self._zygote = None

    @property
    def zygote_pid(self) -> int:
        """The zygote's process id; 0 while there is none."""
        return self._zygote.pid if self._zygote is not None else 0

    async def launch(self, request: LaunchRequest, *, attach: bool) -> Shim:
        """Start a container; returns when its program has been executed. Raises StartFailed.

        ``attach`` keeps the output for the first ``subscribe``. The bundle directory is made if it is missing.
        Cancelled, it kills what it has started.
        """
        files = requests.launch_files(request, attach=attach)
        return await self._protected(request.bundle, files, attach=attach, plain=requests.is_plain(request))

    async def exec(self, request: ExecRequest, *, attach: bool) -> Shim:
        """Start a further process in a running container; as ``launch``."""
        return await self._protected(
            request.bundle, requests.exec_files(request, attach=attach), attach=attach, plain=False
        )

    async def adopt(self, bundle: Path) -> Shim | ExitStatus | None:
        """What has become of an earlier launch or exec in ``bundle``: it runs, it ended, or there is no trace of it."""
        record = await self._record(bundle)
        if record is None:
            return read_status(bundle)
        deadline = asyncio.get_running_loop().time() + _CONNECT_TIMEOUT
        while (status := read_status(bundle)) is None:
            if not _runs(record.shim_pid, record.shim_start):
                return read_status(bundle) or await replace_shim(bundle, record, self._cgroups)
            try:
                connection = socket.socket(fileno=sockets.connect(f"{bundle}/shim.sock", blocking=False).detach())
            except OSError:
                # It has only just started, or ends this moment.
                if asyncio.get_running_loop().time() > deadline:
                    return await replace_shim(bundle, record, self._cgroups)
                await asyncio.sleep(_POLL)
                continue
            return self._keep(bundle, record, await Link.open(connection), attached=False)
        return status

    async def netns(
        self,
        path: Path,
        *,
        create: bool,
        sysctls: Mapping[str, str] | None = None,
        user_namespace: str | None = None,
    ) -> NetnsHandle:
        """A new network namespace mounted at ``path``, or the one there, with ``sysctls`` set.

        A new one belongs to the user namespace at a path, with "" to a new one that has our maps. Raises OSError,
        Internal.
        """
        user = user_namespace or (list(self._maps.oci().values()) if user_namespace == "" else None)
        for attempt in (1, 2):
            zygote = await self._live_zygote()
            try:
                return NetnsHandle(*await zygote.netns(path, create=create, sysctls=sysctls or {}, user=user))
            except ZygoteLost:
                if attempt == 2:
                    raise
                if create:
                    netns.drop(str(path))
        raise Internal("unreachable")

    async def drop_netns(self, path: Path) -> None:
        """Unmount and unlink; gone already is no error. Raises OSError."""
        netns.drop(str(path))

    async def _live_zygote(self) -> ZygoteProcess:
        async with self._starting:
            if self._zygote is not None and self._zygote.dead:
                await self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                self._zygote = await ZygoteProcess.start(self._python)
            return self._zygote

    async def _protected(self, bundle: Path, files: Mapping[str, bytes], *, attach: bool, plain: bool) -> Shim:
        """A start is not interrupted half-way: the caller may go, the start then finishes and is undone."""
        task = asyncio.create_task(self._start(bundle, files, attach=attach, plain=plain))
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_kill_started)
            raise

    async def _start(self, bundle: Path, files: Mapping[str, bytes], *, attach: bool, plain: bool) -> Shim:
        requests.write_bundle(bundle, files)
        for attempt in (1, 2):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            zygote = await self._live_zygote()
            try:
                with theirs:
                    await zygote.run(bundle, theirs, plain=plain)
                return await self._answer(bundle, ours, attach=attach)
            except ZygoteLost:
                # No shim ever spoke on this connection, and nobody holds its other end: it was never forked.
                ours.close()
                if attempt == 2:
                    raise
        raise Internal("unreachable")

    async def _answer(self, bundle: Path, connection: socket.socket, *, attach: bool) -> Shim:
        """Follow a new shim until its program runs. Raises StartFailed; ZygoteLost when there never was a shim."""
        link = await Link.open(connection)
        shim_pid = 0
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while frame := await link.next():
                    kind, payload = frame
                    if kind == frames.HELLO:
                        shim_pid = frames.PID.unpack(payload)[0]
                    elif kind == frames.STARTED:
                        return self._keep(bundle, Record.decode(payload), link, attached=attach)
                    elif kind == frames.FAILED:
                        break
        except (TimeoutError, ConnectionError):
            frame = None
        link.writer.close()
        if frame is not None:
            raise requests.failure(frame[1])
        if not shim_pid:
            raise ZygoteLost("the zygote ended")
        await self._abandon(bundle, shim_pid)
        raise StartFailed(128, "the container's shim ended, or did not answer in time, before the program started")

    async def _abandon(self, bundle: Path, shim_pid: int) -> None:
        """A start that has gone wrong in a way the shim could not undo by itself."""
        if shim_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(shim_pid, signal.SIGKILL)
        record = await self._record(bundle)
        if record is None:
            record = Record(shim_pid=0, shim_start=0, pid=0, start=0, cgroup=requests.cgroup_path(bundle))
        await replace_shim(bundle, record, self._cgroups)

    async def _record(self, bundle: Path) -> Record | None:
        """shim.json; a start that was under way when its daemon ended gets a moment to write it."""
        deadline = asyncio.get_running_loop().time() + _RECORD_TIMEOUT
        while (bundle / "launch.json").exists():
            try:
                return Record.decode((bundle / "shim.json").read_bytes())
            except FileNotFoundError:
                if asyncio.get_running_loop().time() > deadline:
                    break
            await asyncio.sleep(_POLL)
        return None

    def _keep(self, bundle: Path, record: Record, link: Link, *, attached: bool) -> Shim:
        shim = Shim(bundle, record, link, attached=attached, cgroups=self._cgroups, closed=self._shims.discard)
        self._shims.add(shim)
        return shim


def _open_cgroups() -> Cgroups | None:
    try:
        return open_hierarchy()
    except CgroupError:
        return None


def _runs(pid: int, started: int) -> bool:
    fd = pidfd.open_verified(pid, started)
    if fd is None:
        return False
    try:
        return pidfd.alive(fd)
    finally:
        os.close(fd)


def _kill_started(task: asyncio.Task[Shim]) -> None:
    if not task.cancelled() and task.exception() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(task.result().pid, signal.SIGKILL)
