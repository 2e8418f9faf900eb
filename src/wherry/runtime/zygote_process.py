"""The daemon's end of the zygote: starting it, and the messages of ``zygote``'s table."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from wherry.lib.errors import Internal
from wherry.linux import mounts

ENTRY = Path(__file__).with_name("zygote_entry.py")
START_TIMEOUT = 20.0
REQUEST_TIMEOUT = 10.0
_MESSAGE_LIMIT = 65536
_ENDED = "the zygote ended"


class ZygoteLost(Internal):
    """The zygote ended before it answered."""


class ZygoteProcess:
    """One zygote, from its start to its end; when it is ``dead``, make another."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self.dead = False
        self._process = process
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[tuple[dict[str, object], list[int]]]] = {}
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._next = 0
        self._loop.add_reader(channel.fileno(), self._receive)

    @classmethod
    async def start(cls, python: str) -> ZygoteProcess:
        """Start one and wait until it serves. Raises Internal."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            process = _spawn(os.path.realpath(python), theirs)  # noqa: ASYNC240  once, at the start
        self = cls(process, ours)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await self._ready
        except (TimeoutError, ZygoteLost) as error:
            await self.close()
            raise Internal(f"the zygote did not start: {error or 'timeout'}") from error
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def close(self) -> None:
        """End it, and reap it. Its shims stay."""
        self._lose()
        try:
            await asyncio.to_thread(self._process.wait, 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def run(self, bundle: Path, connection: socket.socket, *, plain: bool) -> None:
        """Have a shim forked for ``bundle`` that answers on ``connection``. Raises ZygoteLost."""
        await self._send({"op": "run", "bundle": str(bundle), "plain": plain}, [connection.fileno()])

    async def netns(
        self, path: Path, *, create: bool, sysctls: Mapping[str, str], user: object = None
    ) -> tuple[int, int]:
        """Descriptors of the namespace at ``path`` and of a NETLINK_ROUTE socket in it; ``user`` as ``netns.visit``.

        Raises OSError, ZygoteLost.
        """
        self._next += 1
        number = self._next
        answer = self._answers[number] = self._loop.create_future()
        request = {
            "op": "netns",
            "id": number,
            "path": str(path),
            "create": create,
            "sysctls": dict(sysctls),
            "user": user,
        }
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                await self._send(request, [])
                reply, fds = await answer
        finally:
            del self._answers[number]
        if "error" in reply:
            raise OSError(reply["errno"], reply["error"])
        return fds[0], fds[1]

    async def _send(self, message: dict[str, object], fds: list[int]) -> None:
        data = json.dumps(message).encode()
        async with asyncio.timeout(REQUEST_TIMEOUT):
            while not self.dead:
                try:
                    socket.send_fds(self._channel, [data], fds)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
                except OSError as error:
                    self._lose()
                    raise ZygoteLost(f"{_ENDED}: {error.strerror}") from error
                else:
                    return
        raise ZygoteLost(_ENDED)

    def _receive(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._channel, _MESSAGE_LIMIT, 4, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._lose()
            return
        reply = json.loads(data)
        if "ready" in reply:
            self._ready.set_result(None)
            return
        answer = self._answers.get(reply["id"])
        if answer is not None and not answer.done():
            answer.set_result((reply, fds))
            return
        for fd in fds:  # the asker has given up
            os.close(fd)

    def _lose(self) -> None:
        if self.dead:
            return
        self.dead = True
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        if not self._ready.done():
            self._ready.set_exception(ZygoteLost(_ENDED))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ZygoteLost(_ENDED))


def _spawn(python: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start the interpreter from a read-only mount of its file.

    A container's program can make the kernel execute /proc/self/exe, and so get hold of the file of the interpreter
    that it was forked from (CVE-2019-5736). The mount is attached nowhere and goes with the last process that runs
    from it.
    """
    arguments = [python, "-ISE", str(ENTRY), str(channel.fileno())]
    executable = mounts.open_tree(python)
    try:
        mounts.mount_setattr(executable, attributes=mounts.MOUNT_ATTR_RDONLY)
        return subprocess.Popen(
            arguments,
            executable=f"/proc/self/fd/{executable}",
            pass_fds=(channel.fileno(), executable),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr.fileno() if sys.stderr else subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(executable)
